"""Asks transmitters for security event tokens (RFC 8936): needs no opening from outside.

A token is acknowledged in the request after the one that brought it, once it stands in the
inbox. Whatever is killed in between is told again by the transmitter, and known by its id.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

from idsync.apply import ASKED
from idsync.config import Config, SetTable
from idsync.errors import ConnectorError, IdsyncError, Refused, Unavailable
from idsync.http import Api
from idsync.service.keyrings import Keyrings
from idsync.service.receiving_sets import judged
from idsync.service.streams import note_begun, note_heard
from idsync.service.transmitters import poll_url_of
from idsync.store import State
from idsync.webhook import MOST_BYTES, Malformed, object_of

AT_ONCE = 32
"""How many tokens are asked for in one answer."""

MOST_ANSWERED = AT_ONCE * (MOST_BYTES + 1024)
"""Bytes of an answer: as many tokens as were asked for, each as large as one may be."""

PATIENT_S, DEADLINE_S = 60.0, 90.0
"""How long the transmitter may let a poll wait until something happens."""

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
LONGEST_ASKED_S = 300.0
"""So long a transmitter may ask to be left alone: its Retry-After counts up to here."""

IDLE_S = 1.0
"""The least time between two polls of which the first brought nothing."""


class Poller:
    """Polls one sender. What it keeps in memory may be lost: the acknowledgements owed."""

    def __init__(
        self,
        name: str,
        rings: Keyrings,
        clock: Callable[[], datetime],
        heard: Callable[[], None] = lambda: None,
        rest: Callable[[float], object] = ASKED.wait,
    ) -> None:
        self.name = name
        self._rings, self._clock, self._heard, self._rest = rings, clock, heard, rest
        self._acks: list[str] = []
        self._errors: dict[str, dict[str, str]] = {}
        self._failed = 0
        self._sender: SetTable | None = None
        self._api: Api | None = None

    def poll(self, config: Config, state: State) -> None:
        """Poll once, keep what came, and rest as long as the transmitter should be left alone.

        Raises:
            ConnectorError: the transmitter did not answer as it has to; the rest is over.
            ConfigError: what is configured of it cannot be right.
        """
        sender = config.events.polled.get(self.name)
        if sender is None:
            self._rest(LONGEST_WAIT_S)
            return
        try:
            more = self._polled(config, state, sender)
        except IdsyncError as error:
            self._rest(self._pause_after(error))
            raise
        self._failed = 0
        if not more and not self._acks and not self._errors:
            self._rest(IDLE_S)

    def close(self) -> None:
        """Close the connection."""
        if self._api is not None:
            self._api.close()
            self._api = None

    def _pause_after(self, error: IdsyncError) -> float:
        self._failed += 1
        asked = error.retry_after_s if isinstance(error, Unavailable) else None
        wait = min(FIRST_WAIT_S * 2.0 ** min(self._failed - 1, 10), LONGEST_WAIT_S)
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - so that not all come at once
        return max(wait * jitter, min(asked or 0.0, LONGEST_ASKED_S))

    # ── one poll ────────────────────────────────────────────────────────────────────────

    def _polled(self, config: Config, state: State, sender: SetTable) -> bool:
        """Poll; tell whether anything came. Then more may be there: `moreAvailable` or not, the
        next poll is at once, and brings what there is.
        """
        if self._api is None:
            note_begun(state, self.name, self._clock())
        told = self._asked(sender)
        self._acks, self._errors = [], {}
        note_heard(state, self.name, self._clock())
        later = 0
        for id_, token in told.items():
            if not isinstance(token, str):
                self._errors[id_] = {"err": "invalid_request", "description": "no text"}
                continue
            answer = judged(config, state, self._rings, self.name, sender,
                            token.encode("utf-8", "replace"), self._clock(), id_)  # fmt: skip
            if answer.status == 202:
                self._acks.append(id_)
            elif answer.code:
                self._errors[id_] = {"err": answer.code, "description": answer.error}
            else:
                later += 1
        if self._acks:
            self._heard()
        if later:
            raise Unavailable(
                f"[events.{self.name}]: {later} tokens could not be kept now, since the state or "
                "the keys of the issuer cannot be read: they are asked for again"
            )
        return bool(told)

    def _asked(self, sender: SetTable) -> dict[str, Any]:
        """Return the tokens of one answer by their ids, as the transmitter tells them."""
        asked: dict[str, Any] = {"maxEvents": AT_ONCE, "returnImmediately": self._failed > 0}
        headers = {"Content-Type": "application/json"}
        if self._acks:
            asked["ack"] = self._acks
        if self._errors:
            asked["setErrs"] = self._errors
            headers["Content-Language"] = "en"
        api = self._opened(sender)
        try:
            answer = api.raw("POST", "", data=json.dumps(asked).encode(), headers=headers)
        except Refused:  # perhaps of what is acknowledged: then it is told again
            self._acks, self._errors = [], {}
            raise
        except ConnectorError:
            self.close()  # where it is polled may have changed
            raise
        try:
            told = object_of(answer.data).get("sets", {})
        except Malformed:
            told = None
        if not isinstance(told, dict):
            raise Unavailable(f"[events.{self.name}]: the answer to a poll is not of RFC 8936")
        return dict(list(told.items())[:AT_ONCE])

    def _opened(self, sender: SetTable) -> Api:
        if self._api is None or self._sender is not sender:
            self.close()
            self._sender = sender
            self._api = Api(
                poll_url_of(sender), token=sender.token, ca_file=sender.ca_file,
                timeout_s=PATIENT_S, deadline_s=DEADLINE_S, max_bytes=MOST_ANSWERED,
                connections=1, returned=frozenset(),
            )  # fmt: skip
        return self._api
