"""When each stream of security event tokens was last heard, and what it is asked to prove it.

A stream that is silent looks like one on which nothing happens. A polled one answers every
poll; of any other that has `stream` a verification event is asked for every hour (SSF 1.0).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from idsync.config import Config, SetTable
from idsync.errors import IdsyncError
from idsync.store import State

VERIFIED_EVERY = timedelta(hours=1)
NOTED_EVERY = timedelta(minutes=1)

SILENT = timedelta(hours=3)
"""A stream that ought to be heard every hour, and is not for so long, is alarming."""

HEARD, SINCE = "stream:heard:", "stream:since:"
ASKED, STATES = "stream:asked:", "stream:states:"
"""Under these names the state remembers it."""


def note_heard(state: State, name: str, now: datetime) -> None:
    """Remember that the stream of the sender *name* was heard now, to the minute."""
    before = _instant(state, HEARD + name)
    if before is None or abs(now - before) >= NOTED_EVERY:
        _remember(state, {HEARD + name: now.isoformat()})


def note_begun(state: State, name: str, now: datetime) -> None:
    """Remember that from now on the sender *name* ought to be heard, unless it ought already."""
    if not state.remembered(SINCE + name):
        _remember(state, {SINCE + name: now.isoformat()})


def heard(config: Config, state: State) -> dict[str, datetime | None]:
    """Return when something of each sender of tokens, and of Graph, last came; None: never."""
    found: dict[str, datetime | None] = {}
    for name, sender in config.events.senders.items():
        if isinstance(sender, SetTable):
            times = (_instant(state, HEARD + name), state.inbox.last(name))
            found[name] = max((one for one in times if one is not None), default=None)
    return found | {name: _instant(state, HEARD + name) for name in config.events.subscribed}


def silent(config: Config, state: State, now: datetime) -> dict[str, str]:
    """Return the alarms of streams that should have been heard, each by its name."""
    found = {}
    for name, at in heard(config, state).items():
        sender = config.events.senders.get(name)
        ought = isinstance(sender, SetTable) and (sender.delivery == "poll" or sender.stream)
        since = at or _instant(state, SINCE + name)
        if ought and since is not None and now - since > SILENT:
            hours = (now - since) // timedelta(hours=1)
            found[f"stream-silent:{name}"] = (
                f"nothing was heard of [events.{name}] for {hours} hours: look at the log, and "
                "ask whoever runs the transmitter whether the stream is enabled"
            )
    return found


# ── verification ────────────────────────────────────────────────────────────────────────


def states_asked(state: State, name: str) -> list[str]:
    """Return the states that a verification event of *name* may carry: of the last two asked."""
    return state.remembered(STATES + name).split()


def verify(config: Config, state: State, now: datetime) -> Mapping[str, str]:
    """Ask for a verification event of every stream that is due; return what went wrong, by sender.

    The new state is remembered before it is asked for: the event may be here before the answer.
    """
    from idsync.service.transmitters import ask_to_verify

    wrong = {}
    for name, sender in config.events.senders.items():
        if not isinstance(sender, SetTable) or sender.stream is None:
            continue
        asked = _instant(state, ASKED + name)
        if asked is not None and abs(now - asked) < VERIFIED_EVERY:
            continue
        note_begun(state, name, now)
        fresh = secrets.token_urlsafe(24)
        states = " ".join([*states_asked(state, name)[-1:], fresh])
        _remember(state, {STATES + name: states, ASKED + name: now.isoformat()})
        try:
            ask_to_verify(sender, fresh)
        except IdsyncError as error:
            wrong[name] = str(error)
    return wrong


def _instant(state: State, name: str) -> datetime | None:
    found = state.remembered(name)
    return datetime.fromisoformat(found) if found else None


def _remember(state: State, values: Mapping[str, str]) -> None:
    with state.engine.begin() as connection:
        for name, value in values.items():
            state.remember(connection, name, value)
