"""Receives notifications of Microsoft Graph. None is believed: each asks for a fresh read.

Graph signs nothing. What it knows is the id of a subscription and the secret that idsync
gave it with that. Whoever does not know both learns nothing, not even which of the two was
wrong.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from idsync.config import Config, GraphTable
from idsync.errors import IdsyncError
from idsync.service.receiving import ACCEPTED, LATER, UNRECOGNISED, Answer
from idsync.service.streams import note_heard
from idsync.service.subscriptions import client_state_of, note_asked, subscription
from idsync.store import State
from idsync.webhook import Malformed, object_of

MOST_BYTES = 256 * 1024
"""Of a body: some three hundred notifications. Graph says of no limit how many it sends at once."""

MOST_TOKEN = 1024
"""Signs of a validation token. Those seen have about a hundred."""

MOST_DIGITS = 20
"""Of a number: Graph counts with 64 bits. No number of it is looked at."""

UNREADABLE = Answer(status=400, error="not a validation token", strange=True)


def handshake(tokens: Sequence[str]) -> Answer:
    """Return the answer to who asks whether notifications are wanted here: the same token.

    Whoever may ask has any text sent back. So it is short, ASCII, and holds no tag.
    """
    if len(tokens) != 1 or not 0 < len(tokens[0]) <= MOST_TOKEN:
        return UNREADABLE
    [token] = tokens
    harmless = token.isascii() and token.isprintable() and not set("<>") & set(token)
    return Answer(status=200, text=token) if harmless else UNREADABLE


def receive_notified(config: Config, state: State, name: str, body: bytes, now: datetime) -> Answer:
    """Return the answer to one delivery for the sender *name*; after a 202 it survives all.

    A delivery may hold notifications of several subscriptions. One that is good is enough
    for a fresh read, and Graph would send the good one again with the others otherwise.
    """
    sender = config.events.subscribed[name]
    try:
        carried = _carried(body, client_state_of(sender))
        if not carried:
            return UNRECOGNISED
        good = _of_ours(state, name, sender, carried)
        if not good:  # perhaps of one that is just being made: Graph sends it again
            return Answer(status=UNRECOGNISED.status, error=UNRECOGNISED.error)
        if any("lifecycleEvent" in one for one in good):
            note_asked(state, name, now)
        if any(one.get("lifecycleEvent") != "reauthorizationRequired" for one in good):
            state.inbox.ask_reread(name, now)
        note_heard(state, name, now)
    except IdsyncError:
        return LATER
    return ACCEPTED


def _carried(body: bytes, wanted: str) -> list[Mapping[str, Any]]:
    """Return the notifications that carry the secret, in no time that tells how much was right."""
    try:
        value = object_of(body, MOST_DIGITS).get("value")
    except Malformed:
        return []
    found = []
    for one in value if isinstance(value, list) else ():
        given = one.get("clientState") if isinstance(one, dict) else None
        told = given.encode("utf-8", "replace") if isinstance(given, str) else b""
        if hmac.compare_digest(told, wanted.encode()):
            found.append(one)
    return found


def _of_ours(
    state: State, name: str, sender: GraphTable, carried: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    known = [
        one.id
        for resource in sender.resources
        if (one := subscription(state, name, resource)) is not None and one.id
    ]
    return [one for one in carried if one.get("subscriptionId") in known]
