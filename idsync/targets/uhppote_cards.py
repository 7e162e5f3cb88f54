"""A card as one controller keeps it, and how it is blocked without forgetting its dates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeAlias

Doors: TypeAlias = tuple[int, int, int, int]
NO_DOORS: Doors = (0, 0, 0, 0)

ONE_DAY = date(2000, 2, 29)
"""The end of a blocked card that is valid on one day only: turning that round changes nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """A card's record on one controller.

    doors: of each door 0 (no), 1 (always) or the number of a time profile. begin, end: the
    first and the last day, None where the controller holds no date. kept: the bytes of
    PIN and first-card rights, which idsync passes on and does not look into.
    """

    number: int
    begin: date | None
    end: date | None
    doors: Doors = NO_DOORS
    kept: bytes = field(default=bytes(4), repr=False)

    @property
    def dated(self) -> bool:
        """Whether both dates can be read, and so be written again as they were."""
        return self.begin is not None and self.end is not None

    @property
    def blocked(self) -> bool:
        """Whether the card ends before it begins, and so is valid on no day at all."""
        return self.begin is not None and self.end is not None and self.begin > self.end


def block(record: Record) -> Record:
    """Return *record* with its dates turned round: valid on no day, and nothing forgotten."""
    if not record.dated or record.blocked:
        return record
    if record.begin != record.end:
        return replace(record, begin=record.end, end=record.begin)
    return replace(record, end=min(record.end or ONE_DAY, ONE_DAY))


def unblock(record: Record) -> Record:
    """Return *record* with the dates it had before it was blocked."""
    if not record.blocked:
        return record
    if record.end == ONE_DAY:
        return replace(record, end=record.begin)
    return replace(record, begin=record.end, end=record.begin)


def with_door(doors: Doors, door: int, permission: int) -> Doors:
    """Return *doors* with another permission of one *door*, counted from 1."""
    after = list(doors)
    after[door - 1] = permission
    one, two, three, four = after
    return one, two, three, four


def union(all_doors: Iterable[Doors]) -> tuple[Doors, frozenset[int]]:
    """Return what any of a person's cards opens, and the doors that two open differently."""
    opened, torn = NO_DOORS, set()
    for doors in all_doors:
        for door, permission in enumerate(doors, start=1):
            there = opened[door - 1]
            if not there:
                opened = with_door(opened, door, permission)
            elif permission not in (0, there):
                torn.add(door)
    return opened, frozenset(torn)


def levelled(record: Record, opened: Doors, torn: frozenset[int]) -> Record:
    """Return *record* with the doors its person's cards open; *torn* ones as they are."""
    doors = record.doors
    for door, permission in enumerate(opened, start=1):
        if door not in torn:
            doors = with_door(doors, door, permission)
    return replace(record, doors=doors)
