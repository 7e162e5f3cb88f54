"""Keeps the subscriptions of one sender of Graph: made, renewed, and made again where lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import get_args

from idsync.apply import ASKED
from idsync.config import Config, GraphResource, GraphTable
from idsync.errors import ConfigError, ConnectorError, IdsyncError, Unavailable
from idsync.service.graph import Graph
from idsync.service.subscriptions import (
    KEPT_EVERY,
    Subscription,
    agreement,
    asked_at,
    client_state_of,
    note_fault,
    note_kept,
    subscription,
)
from idsync.store import State

LASTS = timedelta(days=28)
"""A day less than Graph allows for users and groups (41 760 minutes): clocks differ."""

GAP = timedelta(hours=2)
"""After so long without a word from Graph something may have been missed. It tries to tell what
it has to tell for four hours."""

IDLE_S = 20.0
"""How often it is looked whether something is due."""

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 300.0
LONGEST_ASKED_S = 3600.0
"""So long Graph may ask to be left alone."""


class Keeper:
    """Keeps one sender's subscriptions. Nothing that it has in memory is missed when it is lost.

    *made* is called with each resource that is subscribed to anew.
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], datetime],
        made: Callable[[str], None] = lambda _: None,
        rest: Callable[[float], object] = ASKED.wait,
    ) -> None:
        self.name = name
        self._clock, self._told_of, self._rest = clock, made, rest
        self._failed = 0
        self._error: IdsyncError | None = None
        self._again: datetime | None = None
        self._sender: GraphTable | None = None
        self._graph: Graph | None = None

    def keep(self, config: Config, state: State) -> None:
        """See to what is due, and rest as long as nothing is.

        Raises:
            ConnectorError: Graph does not answer as it has to; told again until it does.
            ConfigError: what is configured of it cannot be right.
        """
        sender = config.events.subscribed.get(self.name)
        if sender is None:
            self._rest(IDLE_S)
            return
        if self._error is not None and self._is_left_alone(sender):
            self._rest(IDLE_S)
            raise self._error.with_traceback(None)
        try:
            self._kept(state, sender)
        except (ConnectorError, ConfigError) as error:
            self._error, self._again = error, self._clock() + self._pause_after(error)
            self.close()
            note_fault(state, self.name, str(error))
            raise
        if self._error is not None:
            self._error, self._failed = None, 0
        note_fault(state, self.name, "")
        self._rest(IDLE_S)

    def close(self) -> None:
        """Close the connection."""
        if self._graph is not None:
            self._graph.close()

    def _is_left_alone(self, sender: GraphTable) -> bool:
        """Whether it is too early to try again; what is configured anew is tried at once."""
        left = self._again - self._clock() if self._again else timedelta()
        ahead = timedelta() < left <= timedelta(seconds=LONGEST_ASKED_S)  # a clock may be put back
        return ahead and sender is self._sender

    def _pause_after(self, error: IdsyncError) -> timedelta:
        self._failed += 1
        asked = error.retry_after_s if isinstance(error, Unavailable) else None
        wait = min(FIRST_WAIT_S * 2.0 ** min(self._failed - 1, 10), LONGEST_WAIT_S)
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - so that not all come at once
        return timedelta(seconds=max(wait * jitter, min(asked or 0.0, LONGEST_ASKED_S)))

    # ── one look ────────────────────────────────────────────────────────────────────────

    def _kept(self, state: State, sender: GraphTable) -> None:
        """See to each resource; what stops one does not stop the other."""
        for resource in sender.resources:  # from now on its absence counts
            if subscription(state, self.name, resource) is None:
                now = self._clock()
                none = Subscription(id="", agreed="", kept_at=now, expires_at=now)
                note_kept(state, self.name, resource, none)
        graph = self._opened(sender)
        agreed = agreement(sender)
        failed: IdsyncError | None = None
        for resource in get_args(GraphResource):
            try:
                if resource in sender.resources:
                    self._see_to(state, graph, sender, resource, agreed)
                else:
                    self._dropped(state, graph, resource)
            except (ConnectorError, ConfigError) as error:
                failed = failed or error
                if isinstance(error, Unavailable) and error.retry_after_s:
                    break  # what is asked meanwhile makes the wait longer
        if failed is not None:
            raise failed

    def _see_to(
        self, state: State, graph: Graph, sender: GraphTable, resource: str, agreed: str
    ) -> None:
        now = self._clock()
        known = subscription(state, self.name, resource)
        if known is not None and known.id and known.agreed != agreed:
            known = self._dropped(state, graph, resource)
        if known is not None and known.id:
            asked = asked_at(state, self.name)
            is_asked = asked is not None and known.kept_at < asked <= now
            if abs(now - known.kept_at) < KEPT_EVERY and not is_asked:
                return
            until = graph.renew(known.id, now + LASTS)
            if until is not None:
                if abs(now - known.kept_at) > GAP:
                    state.inbox.ask_reread(self.name, now)
                note_kept(state, self.name, resource, Subscription(
                    id=known.id, agreed=agreed, kept_at=now, expires_at=until))  # fmt: skip
                return
            note_kept(state, self.name, resource, replace(known, id=""))
        self._made(state, graph, sender, resource, agreed)

    def _dropped(self, state: State, graph: Graph, resource: str) -> Subscription | None:
        """Remove what was made with what no longer counts; return what is then remembered."""
        known = subscription(state, self.name, resource)
        if known is not None and known.id:
            graph.remove(known.id)
            known = replace(known, id="")
            note_kept(state, self.name, resource, known)
        return known

    def _made(
        self, state: State, graph: Graph, sender: GraphTable, resource: str, agreed: str
    ) -> None:
        """Subscribe, and have the source read again: what changed before nobody told.

        First what else leads here is removed: a subscription that was made while its answer
        was lost, or one with a state of the client that no longer counts.
        """
        for id_ in [id_ for id_, other in graph.ours() if other == resource and id_]:
            graph.remove(id_)
        now = self._clock()
        id_, until = graph.subscribe(resource, client_state_of(sender), now + LASTS)
        now = self._clock()
        state.inbox.ask_reread(self.name, now)
        note_kept(state, self.name, resource, Subscription(
            id=id_, agreed=agreed, kept_at=now, expires_at=until))  # fmt: skip
        self._told_of(resource)

    def _opened(self, sender: GraphTable) -> Graph:
        if self._graph is None or self._sender is not sender:
            self.close()
            self._sender, self._graph = sender, Graph(self.name, sender, self._clock)
        return self._graph
