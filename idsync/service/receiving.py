"""Receives events: who sent it is proven, what it says is understood, and it is kept; no more.

Whoever is not recognised learns nothing but that. Nothing of a body stands in an answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from idsync.config import Config, SourceConfig, WebhookTable
from idsync.errors import ConfigError, IdsyncError, NoRoom
from idsync.model import Kind, day_end
from idsync.service.personal_numbers import coded_one
from idsync.store import State, Told
from idsync.webhook import (
    Envelope,
    Headers,
    Key,
    Malformed,
    envelope_of,
    is_fresh,
    is_signed,
    key_of,
    object_of,
)

MOST_SIGNS = 256
"""Of a key of a person or an employment."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a sender is told. `retry_after_s`: when it should try again.

    `code`: the error's name by RFC 8935, for senders of tokens. `strange`: no agreed sender
    with a right clock ever gets it, so it counts against the address that it goes to.
    `text`: what is sent back as plain text.
    """

    status: int
    error: str = ""
    retry_after_s: int | None = None
    code: str = ""
    strange: bool = False
    text: str = ""


ACCEPTED = Answer(status=202)
UNRECOGNISED = Answer(status=401, error="the sender is not recognised", strange=True)
SKEWED = Answer(
    status=401, error="webhook-timestamp is more than five minutes from our clock", strange=True
)
MALFORMED = Answer(status=400, error="the body is not as agreed: see docs/events.md")
NOT_AGREED = Answer(status=400, error="this kind of event is not agreed with this sender")
LATER = Answer(status=503, error="this cannot be kept now: send it again", retry_after_s=30)


def receive(
    config: Config, state: State, name: str, headers: Headers, body: bytes, now: datetime
) -> Answer:
    """Return the answer to one webhook for the sender *name*; after a 202 it survives all."""
    sender = config.events.senders[name]
    assert isinstance(sender, WebhookTable)  # noqa: S101 - whoever calls has looked
    envelope = envelope_of(headers)
    if envelope is None:
        return UNRECOGNISED
    keys, whole = _keys(sender)
    if not is_signed(envelope, body, keys):
        return UNRECOGNISED if whole else LATER
    try:
        return _kept(config, state, name, sender, envelope, body, now)
    except IdsyncError:
        return LATER


def _keys(sender: WebhookTable) -> tuple[list[Key], bool]:
    """Return the keys of a sender that are there, and whether that is all of them."""
    keys = []
    for secret in sender.keys:
        try:
            keys.append(key_of(secret.reveal()))
        except ConfigError:
            continue
    return keys, len(keys) == len(sender.keys)


def _kept(
    config: Config,
    state: State,
    name: str,
    sender: WebhookTable,
    envelope: Envelope,
    body: bytes,
    now: datetime,
) -> Answer:
    if not is_fresh(envelope, now):
        state.inbox.note(name, "its clock, or a replay: webhook-timestamp is not of now", now)
        return SKEWED
    try:
        told = told_of(
            name, sender, config.sources[sender.source], config.idsync.timezone, envelope, body
        )
    except (Malformed, ConfigError):
        state.inbox.note(name, "a message that is not as agreed", now)
        return MALFORMED
    if told.kind not in sender.kinds:
        state.inbox.note(name, "a kind of event that is not agreed", now)
        return NOT_AGREED
    keep(state, told, now)
    return ACCEPTED


def keep(state: State, told: Told, now: datetime) -> None:
    """Keep it; when this returns, it survives a power cut.

    Raises:
        Unavailable: the state does not take it now.
    """
    try:
        state.inbox.receive(told, now)
    except NoRoom:  # an end may use the room that is kept for revocations
        with state.urgent():
            state.inbox.receive(told, now)


# ── what it says ────────────────────────────────────────────────────────────────────────


def told_of(
    name: str,
    sender: WebhookTable,
    source: SourceConfig,
    zone: ZoneInfo,
    envelope: Envelope,
    body: bytes,
) -> Told:
    """Return what the signed *body* says.

    Raises:
        Malformed: a fact is missing, or of another form than docs/events.md says.
        ConfigError: it names people by a personal number, and [sources] does not.
    """
    document, where = object_of(body), sender.map
    kind = _text(document, where.kind)
    person, employment = _text(document, where.person), _text(document, where.employment)
    if kind is None or person is None:
        raise Malformed("it does not say what happened to whom")
    ends = _instant(document, where.ends, zone)
    kind = sender.words.get(kind, kind)
    if kind == "employment.ending" and ends is None:
        raise Malformed("a coming end has a date")
    return Told(
        issuer=name, id=envelope.id, digest=hashlib.sha256(body).hexdigest(), kind=kind,
        person=kept_key(person, "persons", sender.known_by, source),
        employment=kept_key(employment, "employments", "key", source) if employment else None,
        occurred_at=_instant(document, where.occurred_at, zone),
        sequence=_number(document, where.sequence), ends=ends,
    )  # fmt: skip


def kept_key(value: str, kind: Kind, column: str, source: SourceConfig) -> str:
    """Return the key as the state knows it: a personal number as its code.

    Raises:
        ConfigError: it is a personal number, and [sources] does not say so.
    """
    return coded_one(value, kind, column, source)


def _at(document: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    found: Any = document
    for name in where.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _text(document: Mapping[str, Any], where: str) -> str | None:
    found = _at(document, where)
    if type(found) is int:
        found = str(found)
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= MOST_SIGNS or not found.isprintable():
        raise Malformed("a key or a kind is a text of at most 256 signs")
    return found


def _number(document: Mapping[str, Any], where: str) -> int | None:
    found = _at(document, where)
    if found is not None and (type(found) is not int or found < 0):
        raise Malformed("a sequence is a whole number")
    return found


def _instant(document: Mapping[str, Any], where: str, zone: ZoneInfo) -> datetime | None:
    """Return an instant; of a date, the one at which the day is over."""
    found = _at(document, where)
    if found is None:
        return None
    if not isinstance(found, str):
        raise Malformed("a time is a text")
    try:
        if len(found) == 10:
            return day_end(date.fromisoformat(found), zone)
        read = datetime.fromisoformat(found)
        return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(ZoneInfo("UTC"))
    except (ValueError, OverflowError):
        raise Malformed("a time is written as in ISO 8601") from None
