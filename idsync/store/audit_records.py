"""What stands in the audit: one record, its canonical bytes, and their hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from idsync.plan.items import ITEMS

START = bytes(32)
"""What stands as the hash before the first record of a chain."""

CITY = ""
"""The chain of what concerns no single controller: runs, orders, approvals, the configuration."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Something that was done or decided.

    facts: what may be read for ever, so nothing personal. sealed: the rest, which only the
    key of the person opens. `target`, `person_id` and `operation` are "", "" and 0 where
    it is about none.
    """

    kind: str
    controller: str = CITY
    target: str = ""
    person_id: str = ""
    operation: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    sealed: Mapping[str, Any] | None = None


def canonical(facts: object) -> str:
    """Return *facts* as the one JSON text that says it: sorted keys, no spaces."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def facts_of(text: str) -> dict[str, Any]:
    """Return the facts of a stored record."""
    facts: dict[str, Any] = json.loads(text)
    return facts


def refuse_floats(facts: object) -> None:
    """Raise TypeError where a number in *facts* is not whole: it has no one text."""
    if isinstance(facts, float):
        raise TypeError("a number that is not whole has no canonical text")
    if isinstance(facts, dict):
        for value in facts.values():
            refuse_floats(value)
    elif isinstance(facts, list | tuple):
        for value in facts:
            refuse_floats(value)


def chained(
    previous: bytes,
    controller: str,
    number: int,
    at: str,
    kind: str,
    target: str,
    person: str,
    operation: int,
    facts: str,
    sealed: bytes,
) -> bytes:
    """Return the hash of a record. The lengths stand first, so that no two records share bytes."""
    head = (
        f"{number} {operation} {len(controller)} {len(at)} {len(kind)} {len(target)} "
        f"{len(person)} {len(facts)}\n{controller}{at}{kind}{target}{person}{facts}"
    )
    return hashlib.sha256(previous + head.encode() + sealed).digest()


# ── operations ──────────────────────────────────────────────────────────────────────────

KEPT = (
    "part", "kind", "ref", "was", "shall", "from_before", "to_before", "from_after", "to_after",
    "value_after", "effect", "confirmed", "because",
)  # fmt: skip
PLACE = [list(ITEMS).index(name) for name in KEPT]
KEY = list(ITEMS).index("key")


def told_items(items: pl.DataFrame) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what *items* change, in two parts: what may be read by all, and what is sealed.

    A number of a card, a value of an attribute, the key at the target and the reason (it
    names titles and units) are sealed.
    """
    open_part, sealed = [], []
    rows = items.select(*ITEMS).rows()
    for row in rows:
        part, kind, ref, was, shall, *dates, value, effect, confirmed, because = (
            row[place] for place in PLACE
        )
        told: dict[str, Any] = {"part": part}
        hidden = {"because": because} if because else {}
        if kind:
            told["kind"] = kind
        if part == "credential":
            hidden["number"] = ref
        else:
            told["ref"] = ref
        if was:
            told["before"] = [_iso(dates[0]), _iso(dates[1])] if part == "grant" else True
        if shall:
            told["after"] = [_iso(dates[2]), _iso(dates[3])] if part == "grant" else True
        if part == "attribute":
            hidden["value"] = value
        elif value is not None:
            told["value"] = value
        if effect and effect != "neutral":
            told["effect"] = effect
        if confirmed:
            told["confirmed"] = True
        open_part.append(told)
        sealed.append(hidden)
    return open_part, {"key": rows[0][KEY] if rows else None, "items": sealed}


def adopted_records(rows: pl.DataFrame, controller: str) -> list[Record]:
    """Return a record a person for the grants *rows* (of LEDGER) that become idsync's own."""
    told: dict[tuple[str, str], list[dict[str, Any]]] = {}
    keys: dict[tuple[str, str], dict[str, None]] = {}
    wanted = rows.select("target", "person_id", "key", "kind", "ref", "valid_from", "valid_to")
    for target, person_id, key, kind, ref, start, end in wanted.iter_rows():
        whose = (str(target), str(person_id))
        item = {"kind": kind, "ref": ref, "after": [_iso(start), _iso(end)]}
        told.setdefault(whose, []).append(item)
        keys.setdefault(whose, {})[key] = None
    return [
        Record(
            kind="adopted", controller=controller, target=target, person_id=person_id,
            facts={"items": items}, sealed={"keys": list(keys[target, person_id])},
        )
        for (target, person_id), items in told.items()
    ]  # fmt: skip


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
