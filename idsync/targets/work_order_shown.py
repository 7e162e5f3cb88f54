"""What is shown of a person: what was acknowledged, is awaited, and stands in the list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import cast

from idsync.model import Cardholder, Credential, CredentialState, Grant, HolderStatus, Reason
from idsync.targets.work_order_inventory import Listed, Row
from idsync.targets.work_order_tasks import STATUS, Line, Person
from idsync.targets.work_order_words import REASONS

BY_THE_LANDLORD = Reason(type="manual", ref="landlord")
MOST_TOLD = 3


def shown(person: Person, listed: Listed | None, awaited: Mapping[int, str]) -> Cardholder:
    """Return a person as asked for; *awaited* says what is to be said of each open order.

    The list of a later day than an answer decides over the answer.
    """
    standing = person.standing
    block = standing.get(STATUS)
    orders = dict.fromkeys(line.order for line in standing.values() if line.open)
    wrong = amiss(person, listed)
    return Cardholder(
        key=person.key,
        native_id=person.alias,
        display_name=person.name,
        status=cast(HolderStatus, block.task.value) if block else "active",
        credentials=tuple(_cards(person, listed)),
        grants=tuple(_grants(person, listed)),
        pending="; ".join(awaited[order] for order in orders),
        amiss="; ".join(_trouble(line) for line in wrong[:MOST_TOLD])
        + (f"; {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""),
    )


def amiss(person: Person, listed: Listed | None) -> list[Line]:
    """Return the lines that were not done or were undone, unless a later list shows them done."""
    return [
        line
        for line in person.standing.values()
        if line.amiss and not (_later(line, listed) and _agrees(line, person, listed))
    ]


def strangers(listed: Listed) -> Iterator[Cardholder]:
    """Yield those of the list whom idsync does not know, without a key."""
    people: dict[tuple[str, str], list[Row]] = {}
    for row in listed.others:
        people.setdefault((row.name, row.card), []).append(row)
    for (name, card), rows in people.items():
        mark = hashlib.sha256(f"{name}\0{card}".encode()).hexdigest()[:12]
        yield Cardholder(
            key=None,
            native_id=f"L{mark}",
            display_name=name or None,
            credentials=(Credential(number=card),) if card else (),
            grants=tuple(_local(grant) for grant in _listed_grants(rows)),
        )


def _trouble(line: Line) -> str:
    if line.state == "overtaken":
        return f"order {line.order} line {line.number}: an older order was carried out after it"
    said = REASONS.get(line.reason, ("", "no known reason"))[1]
    return f"order {line.order} line {line.number} could not be done ({line.reason}: {said})"


def _later(line: Line, listed: Listed | None) -> bool:
    """Whether the list was made on a later day than the line was answered."""
    return bool(listed and line.done_on and line.done_on < listed.as_of)


def _agrees(line: Line, person: Person, listed: Listed | None) -> bool:
    rows = listed.of.get(person.alias, []) if listed else []
    there = [grant for grant in _listed_grants(rows) if grant.ref == line.task.ref]
    if line.task.item[0] != "door":
        return False
    return there == ([] if line.task.value is None else [_asked(line)])


def _grants(person: Person, listed: Listed | None) -> Iterator[Grant]:
    there = _listed_grants(listed.of.get(person.alias, [])) if listed else []
    decided = set()
    for line in person.standing.values():
        if line.task.item[0] != "door":
            continue
        asked = None if line.task.value is None else _asked(line)
        if line.state == "done" and _later(line, listed):
            if asked in there:  # otherwise what the list says of this door, if anything
                yield asked
                there.remove(asked)
            continue
        decided.add(line.task.ref)
        if asked:
            yield asked
    yield from (_local(grant) for grant in there if grant.ref not in decided)


def _cards(person: Person, listed: Listed | None) -> Iterator[Credential]:
    rows = listed.of.get(person.alias, []) if listed else []
    there = dict.fromkeys(row.card for row in rows if row.card)
    for line in person.standing.values():
        if line.task.item[0] != "card":
            continue
        number, state = line.task.ref, cast(CredentialState, line.task.card_state)
        listed_later = line.state == "done" and _later(line, listed)
        if listed_later and number not in there:
            continue
        if listed_later:  # a list is of cards that open something
            state = "active"
        there.pop(number, None)
        yield Credential(number=number, medium=line.task.medium, state=state)
    yield from (Credential(number=number) for number in there)


def _listed_grants(rows: list[Row]) -> list[Grant]:
    """Return the doors of some rows; a door that several cards open is one."""
    return list(dict.fromkeys(row.grant for row in rows if row.grant))


def _asked(line: Line) -> Grant:
    return Grant(ref=line.task.ref, valid_from=line.task.valid_from, valid_to=line.task.valid_to)


def _local(grant: Grant) -> Grant:
    return Grant(
        ref=grant.ref, valid_from=grant.valid_from, valid_to=grant.valid_to,
        because=(BY_THE_LANDLORD,),
    )  # fmt: skip
