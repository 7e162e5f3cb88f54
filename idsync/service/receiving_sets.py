"""Receives security event tokens: pushed (RFC 8935) or polled (RFC 8936), they are judged alike.

Until a signature is known to be good, an answer tells no more than any stranger knows.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from idsync.config import Config, SetTable
from idsync.errors import ConfigError, IdsyncError, Unavailable
from idsync.secevent import (
    Claims,
    PublicKey,
    Token,
    Wrong,
    claims_of,
    require_signed,
    token_of,
)
from idsync.secevent_kinds import CHANGED, UPDATED, VERIFICATION, kind_of, person_in
from idsync.service.keyrings import Keyring, Keyrings
from idsync.service.receiving import ACCEPTED, LATER, Answer, keep, kept_key
from idsync.service.streams import note_heard, states_asked
from idsync.store import State, Told
from idsync.webhook import MOST_BYTES, Headers

SAID = {
    "invalid_request": "not a security event token as agreed: see docs/events.md",
    "invalid_key": "the issuer publishes no such key",
    "invalid_issuer": "not the issuer that is agreed",
    "invalid_audience": "not meant for this receiver",
    "authentication_failed": "the sender is not recognised",
    "access_denied": "this kind of event is not agreed with this sender",
    "invalid_state": "not the state that was asked for",
}
"""What each code means (RFC 8935, section 2.4; `invalid_state` is of SSF 1.0)."""

MEDIA = "application/secevent+jwt"


def refused(code: str, why: str = "", *, strange: bool = False) -> Answer:
    """Return the answer that refuses by *code*."""
    return Answer(status=400, error=why or SAID[code], code=code, strange=strange)


def receive_pushed(
    config: Config, state: State, rings: Keyrings, name: str, headers: Headers, body: bytes,
    now: datetime,
) -> Answer:  # fmt: skip
    """Return the answer to one push for the sender *name*; after a 202 it survives all."""
    sender = config.events.senders[name]
    assert isinstance(sender, SetTable)  # noqa: S101 - whoever calls has looked
    given = _named(headers)
    try:
        if sender.authorization is not None:
            wanted = sender.authorization.reveal().encode()
            if not hmac.compare_digest(given.get("authorization", b""), wanted):
                return refused("authentication_failed", strange=True)
    except ConfigError:
        return LATER
    if given.get("content-type", b"").split(b";")[0].strip().lower() != MEDIA.encode():
        return refused("invalid_request", strange=True)
    return judged(config, state, rings, name, sender, body, now)


def _named(headers: Headers) -> dict[str, bytes]:
    """Return the headers by name; one that stands twice says nothing."""
    found: dict[str, bytes] = {}
    for raw, value in headers:
        name = raw.decode("latin-1").lower()
        found[name] = b"" if name in found else value
    return found


def judged(
    config: Config, state: State, rings: Keyrings, name: str, sender: SetTable, text: bytes,
    now: datetime, id_: str | None = None,
) -> Answer:  # fmt: skip
    """Return the answer to one token; after a 202 it survives all. *id_*: what it was told by."""
    if len(text) > MOST_BYTES:
        return refused("invalid_request", strange=True)
    try:
        token = token_of(text)
        keys = _keys_for(token, rings.of(name, sender), state, name, now)
        if keys is None:
            return LATER
        if not keys:
            return refused("invalid_key", strange=True)
        require_signed(token, keys)
        return _Known(config, state, name, sender, now).kept(token, id_)
    except Wrong as error:  # before anybody was known
        return refused(error.code, strange=True)
    except IdsyncError:
        return LATER


def _keys_for(
    token: Token, ring: Keyring, state: State, name: str, now: datetime
) -> list[PublicKey] | None:
    """Return the keys that *token* may be signed with; None where that is not known now."""
    try:
        return ring.keys(token, now)
    except Unavailable:
        return None
    finally:
        if ring.fault is not None and ring.fault[0] == now:
            state.inbox.note(name, f"its keys cannot be read: {ring.fault[1]}", now)


@dataclass(frozen=True)
class _Known:
    """A sender that is known to be the one it says, and what it told is weighed by."""

    config: Config
    state: State
    name: str
    sender: SetTable
    now: datetime

    def kept(self, token: Token, id_: str | None) -> Answer:
        """Return the answer to a token whose signature is good."""
        try:
            claims = claims_of(token, self.sender.issuer, self.sender.audience, self.now)
            if id_ not in (None, claims.id):
                raise Wrong("invalid_request", "it is told by another jti than its own")
            if len(claims.events) == 1:
                [(kind, payload)] = claims.events.items()
                if kind in (VERIFICATION, UPDATED):
                    return self._of_stream(kind, payload, claims)
            told = self._told(claims, token)
        except (Wrong, ConfigError) as error:
            code, why = (error.code, error.why) if isinstance(error, Wrong) else ("", "")
            what = f"a token that is refused: {code or 'it names people by a personal number'}"
            self.state.inbox.note(self.name, f"{what}{', ' if why else ''}{why}", self.now)
            return refused(code or "invalid_request", why)
        keep(self.state, told, self.now)
        return ACCEPTED

    def _told(self, claims: Claims, token: Token) -> Told:
        sender = self.sender
        kind = kind_of(claims.events, sender.words)
        person, whole = person_in(claims.subject, sender.subject, sender.issuer)
        if not whole:
            kind = kind and CHANGED  # a session or a device of theirs is no person
        if kind is None or kind not in sender.kinds:
            raise Wrong("access_denied")
        source = self.config.sources[sender.source]
        return Told(
            issuer=self.name, id=claims.id, digest=sha256(token.payload).hexdigest(), kind=kind,
            person=kept_key(person, "persons", sender.known_by, source),
            occurred_at=claims.occurred_at,
        )  # fmt: skip

    def _of_stream(self, kind: str, payload: Mapping[str, Any], claims: Claims) -> Answer:
        """Note what a token tells of the stream itself; nobody's access hangs on it."""
        stream = claims.subject.get("id") if claims.subject.get("format") == "opaque" else None
        if self.sender.stream is not None and stream != self.sender.stream:
            raise Wrong("invalid_request", "it is about another stream")
        if kind == VERIFICATION:
            said = payload.get("state")
            if said is not None and said not in states_asked(self.state, self.name):
                raise Wrong("invalid_state")
        elif payload.get("status") != "enabled":
            self.state.inbox.note(self.name, "its stream is paused or disabled", self.now)
        note_heard(self.state, self.name, self.now)
        return ACCEPTED
