"""Who could open what, when and why: from the audit, the ledger and what the runs saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from idsync.config import Config
from idsync.errors import ConfigError
from idsync.plan.attributes import shown_attributes
from idsync.plan.items import LEDGER
from idsync.service.auditing import in_controller
from idsync.service.erasing import keys_in_sources
from idsync.service.history import LOCAL
from idsync.service.planning import LINKS, stored_people
from idsync.service.replaying import History, Span, from_frame, replay
from idsync.service.revoking import only
from idsync.store import State
from idsync.store.audit_reading import Told, begins_at, of_person, of_right
from idsync.store.audit_records import Record


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was found. `complete_from`: older things were let go by retention; "" is never."""

    spans: list[Span]
    names: dict[str, str]
    complete_from: str


def access_of_person(
    config: Config, state: State, person_id: str, start: datetime, end: datetime,
    controller: str | None = None,
) -> Answer:  # fmt: skip
    """Return what somebody could open at some instant of [start, end]."""
    targets = set(in_controller(config, controller))
    records = [one for one in of_person(state.engine, person_id) if one.target in targets]
    history = replay(records)
    mine = pl.col("person_id") == person_id
    for name in sorted(targets):
        _add_stored(state, history, name, mine)
    return _answer(config, state, history, targets, start, end)


def access_to_door(
    config: Config, state: State, door: str, start: datetime, end: datetime,
    progress: Callable[[str], None] = lambda _: None,
) -> Answer:  # fmt: skip
    """Return who could open a *door* at some instant of [start, end].

    A door is named as its target and the right that opens it there: `target:ref`.

    Raises:
        ConfigError: there is no such target.
    """
    target, colon, ref = door.partition(":")
    if not colon or not ref or target not in config.targets:
        raise ConfigError(
            "a door is named TARGET:RIGHT, the right by the target's own name; "
            f"a target is one of {', '.join(config.targets)}"
        )
    progress(f"reading the audit of {target}")
    history = replay(of_right(state.engine, target, ref))
    history.spans = [span for span in history.spans if span.ref == ref]
    _add_stored(state, history, target, pl.col("ref") == ref)
    return _answer(config, state, history, {target}, start, end)


def _add_stored(state: State, history: History, target: str, wanted: pl.Expr) -> None:
    """Add local grants as seen, and what is idsync's own since before its history begins."""
    local = state.frames.load(f"local:{target}", LOCAL).filter(wanted)
    history.spans += from_frame(local, target, "local")
    ledger = state.journal.ledger(target).filter(wanted & (pl.col("kind") != "block"))
    known = {_same(span) for span in history.spans if span.known_to is None}
    older = from_frame(ledger.select(*LEDGER), target, "ledger")
    history.spans += [span for span in older if _same(span) not in known]


def _same(span: Span) -> tuple[object, ...]:
    return (span.person, span.target, span.kind, span.ref, span.valid_from, span.valid_to)


def _answer(
    config: Config, state: State, history: History, targets: set[str], start: datetime,
    end: datetime,
) -> Answer:  # fmt: skip
    spans = sorted(
        history.opening(start, end),
        key=lambda span: (span.target, span.ref, span.person, str(span.begins)),
    )
    controllers = {config.targets[name].controller for name in targets}
    people = stored_people(config, state)
    names = shown_attributes(people).select("person_id", "display_name")
    asked = {span.person for span in spans}
    known = names.filter(pl.col("person_id").is_in(list(asked)) & (pl.col("display_name") != ""))
    return Answer(
        spans=spans,
        names=dict(known.iter_rows()),
        complete_from=begins_at(state.engine, controllers),
    )


def note_look(state: State, by: str, now: datetime, person_id: str = "", **asked: str) -> None:
    """Note in the audit who looked at what."""
    facts = {"by": by, **{name: value for name, value in asked.items() if value}}
    state.audit.note(now, Record(kind="shown", person_id=person_id, facts=facts))


# ── everything about one person ─────────────────────────────────────────────────────────

PERSONAL = ("identity", "employments", "keys", "rights", "records")
"""Sections that tell who or where somebody is: of protected people a handler looks first."""


def everything_about(
    config: Config, state: State, person_id: str, now: datetime, controller: str | None = None
) -> dict[str, Any]:
    """Return all that one controller's part of the state holds about somebody (all: None).

    What stands in the chain of the city (orders, holds, looks) concerns every controller.
    `secrecy_review` names the sections that may not be given out before somebody has
    decided: those of people under protection, and what names who acted.
    """
    targets = sorted(in_controller(config, controller))
    people = only(stored_people(config, state), person_id)
    records = [
        one for one in of_person(state.engine, person_id)
        if not one.controller or one.target in targets
    ]  # fmt: skip
    mine = pl.col("person_id") == person_id
    links = {
        name: state.frames.load(f"link:{name}", LINKS).filter(mine)["key"].to_list()
        for name in targets
    }
    always = datetime.min.replace(tzinfo=now.tzinfo)
    rights = access_of_person(config, state, person_id, always, now, controller)
    identity = people.persons.to_dicts()
    marks = {row["protection"] for row in identity}
    review = ["records.by"] if marks <= {"none"} else [*PERSONAL, "records.by"]
    return {
        "format": "idsync.subject/1", "person": person_id, "controller": controller or "",
        "made_at": now.isoformat(), "secrecy_review": review,
        "complete_from": rights.complete_from,
        "identity": identity[0] if identity else {},
        "sources": keys_in_sources(state, person_id),
        "employments": people.employments.to_dicts(),
        "trainings": people.trainings.to_dicts(),
        "memberships": people.memberships.to_dicts(),
        "set_aside": people.set_aside.to_dicts(),
        "disagreements": people.disagreements.to_dicts(),
        "keys": {name: found for name, found in links.items() if found},
        "rights": [span_told(span) for span in rights.spans],
        "records": [_record_told(one) for one in records],
    }  # fmt: skip


def span_told(span: Span) -> dict[str, Any]:
    """Return a span as JSON shows it."""
    told = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in vars(span).items()
    }
    return {name: value for name, value in told.items() if value is not None and value != ""}


def _record_told(one: Told) -> dict[str, Any]:
    told = {"at": one.at, "kind": one.kind, "controller": one.controller, "number": one.number}
    if one.target:
        told["target"] = one.target
    if one.operation:
        told["operation"] = one.operation
    return told | {"facts": one.facts, "personal": one.hidden}
