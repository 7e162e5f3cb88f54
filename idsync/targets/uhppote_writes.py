"""What must be written so that a person's cards are as a change says: pure, on what was read.

A record is written whole, so each step starts from the record as it was read a moment ago.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date

from idsync.targets.uhppote_cards import (
    NO_DOORS,
    Doors,
    Record,
    block,
    levelled,
    unblock,
    with_door,
)
from idsync.targets.uhppote_people import HALF_BLOCKED, TORN, Person
from idsync.targets.uhppote_rights import ALWAYS, Place, Wish

OTHER_TIMES = "the door is open to the person in another time profile: a card has room for one"
NO_DATES = (
    "a card's dates cannot be read on a controller, and would be lost: set them there by hand"
)


@dataclass(frozen=True, slots=True)
class Giving:
    """Records to be stored, in order, as (controller, record); and what stands in the way.

    profiles: (controller, number) that must be defined there, since a card with a time
    profile that is not opens the door at all times. unsettled: what an empty change would
    set right and idsync may not decide.
    """

    records: list[tuple[int, Record]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    profiles: set[tuple[int, int]] = field(default_factory=set)
    unsettled: list[str] = field(default_factory=list)


def taken(record: Record, controller: int, wish: Wish, *, suspends: bool) -> Record:
    """Return *record* without what the change takes away from it."""
    doors = record.doors
    for place in wish.removed:
        if place.controller == controller and doors[place.door - 1] == place.permission:
            doors = with_door(doors, place.door, 0)
    less = replace(record, doors=doors)
    return block(less) if suspends else less


@dataclass(frozen=True, slots=True)
class Terms:
    """What else decides how cards are written."""

    controllers: int
    begin: date
    end: date
    suspends: bool
    lifts: bool


def given(person: Person, wish: Wish, terms: Terms) -> Giving:
    """Return what to store so that every card of *person* opens what it shall."""
    giving = Giving()
    for controller in range(terms.controllers):
        opened, torn = person.opened(controller)
        for place in wish.added:
            if place.controller == controller:
                opened = _with(place, opened, torn, giving)
        for number in person.cards:
            record = person.records.get((controller, number))
            wanted = _wanted(person, controller, number, opened, torn, terms)
            if wanted is not None and wanted != record:
                giving.records.append((controller, wanted))
                if not wanted.dated:
                    giving.refused.append(NO_DATES)
        if torn:
            giving.unsettled.append(TORN)
    if person.half_blocked and not terms.lifts:
        giving.unsettled.append(HALF_BLOCKED)
    if not person.there and not giving.records and not terms.suspends:
        # nothing to open, and yet a cardholder: the cards stand on the first controller
        giving.records.extend((0, _new(person, number, NO_DOORS, terms)) for number in person.cards)
    return giving


def _with(place: Place, opened: Doors, torn: frozenset[int], giving: Giving) -> Doors:
    there = opened[place.door - 1]
    if place.door in torn or there not in (0, place.permission):
        giving.refused.append(OTHER_TIMES)
        return opened
    if not there and place.permission != ALWAYS:
        giving.profiles.add((place.controller, place.permission))
    return with_door(opened, place.door, place.permission)


def _wanted(
    person: Person, controller: int, number: int, opened: Doors, torn: frozenset[int], terms: Terms
) -> Record | None:
    record = person.records.get((controller, number))
    if record is None:
        sure = [0 if door in torn else held for door, held in enumerate(opened, start=1)]
        one, two, three, four = sure
        return _new(person, number, (one, two, three, four), terms) if any(sure) else None
    record = levelled(record, opened, torn)
    return unblock(record) if terms.lifts else record


def _new(person: Person, number: int, doors: Doors, terms: Terms) -> Record:
    """Return a record where there was none, never wider than the card's records elsewhere."""
    elsewhere = [
        unblock(record)
        for (_, card), record in person.records.items()
        if card == number and record.dated
    ]
    new = Record(number, terms.begin, terms.end, doors)
    if elsewhere:
        strictest = min(elsewhere, key=lambda record: record.end or terms.end)
        pin = strictest.kept[:3] + b"\0"  # first-card rights are of that controller's doors
        new = replace(strictest, doors=doors, kept=pin)
    shut = any(record.blocked for record in person.records.values())
    return block(new) if terms.suspends or (shut and not terms.lifts) else new
