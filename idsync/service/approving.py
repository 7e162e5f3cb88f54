"""Lets a held part go, for who may do so."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from idsync.config import Config
from idsync.errors import ConfigError
from idsync.service.braking import HELD_PEOPLE
from idsync.service.planning import stored_people
from idsync.store import State
from idsync.store.orders import Approval

KNOWN_BY = ("id", "employee_number", "user_name", "mail")


def approve(
    config: Config, state: State, start: str, by: str, reason: str, now: datetime
) -> Approval:
    """Approve the held part whose digest begins with *start*, as *by*.

    Nobody lets go what would give access to themselves.

    Raises:
        ConfigError: no part or several wait under this digest, *by* is among those who
            would gain access, or has agreed already where two people must.
    """
    part = state.orders.waiting_under(start)
    if part.direction == "gaining" and _is_among(config, state, by, part.digest):
        raise ConfigError(
            "who approves this part is among those who would gain access: somebody else has to"
        )
    return state.orders.approve(part.digest, by, reason, now)


def _is_among(config: Config, state: State, by: str, digest: str) -> bool:
    """Whether *by* names, by account, mail, number or id, somebody in the held part."""
    name = by.strip().lower()
    persons = stored_people(config, state).persons
    named = pl.any_horizontal([pl.col(known).str.to_lowercase() == name for known in KNOWN_BY])
    theirs = persons.filter(named.fill_null(False))["id"]
    waiting = state.frames.load("held", HELD_PEOPLE).filter(pl.col("digest") == digest)
    return bool(waiting["person_id"].is_in(theirs.implode()).any())
