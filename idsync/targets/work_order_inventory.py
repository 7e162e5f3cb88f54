"""The list that a landlord sends of everybody who can open something: who, card, door, dates."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from idsync.errors import Incomplete, Unavailable
from idsync.model import Grant, day_end, day_start
from idsync.targets.work_order_letters import LONGEST, LONGEST_CARD
from idsync.targets.work_order_tables import day, read_rows, whole_number
from idsync.targets.work_order_tasks import Wrong, unreadable

COLUMNS = ("reference", "name", "card", "door", "from", "last_day")
CLOSING = "total"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a card, and a door it opens if there is one."""

    number: int
    alias: str
    name: str
    card: str
    grant: Grant | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """A whole list, and the day on which it was true."""

    as_of: date
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """An inventory, tied to the people of the ledger."""

    as_of: date
    of: dict[str, list[Row]] = field(default_factory=dict)  # by alias
    others: list[Row] = field(default_factory=list)


def read_inventory(path: Path, zone: ZoneInfo, *, today: date, max_days: int) -> Inventory:
    """Return the landlord's list. Its closing row, `total;ROWS;DAY`, proves that it is whole.

    Raises:
        Unavailable: there is no such file.
        Incomplete: it is cut, too old, or not such a list.
    """
    try:
        rows = read_rows(path, COLUMNS)
    except OSError as error:
        raise unreadable("the landlord's list (`inventory`)", error) from None
    except Wrong as wrong:
        raise Incomplete(f"the landlord's list: {wrong}") from None
    try:
        return _inventory(rows, zone, today=today, max_days=max_days)
    except Wrong as wrong:
        raise Incomplete(f"the landlord's list: {wrong}") from None


def _inventory(
    rows: list[tuple[int, dict[str, str]]], zone: ZoneInfo, *, today: date, max_days: int
) -> Inventory:
    closing = [(number, row) for number, row in rows if row["reference"].lower() == CLOSING]
    if len(closing) != 1 or closing[0] != rows[-1]:
        raise Wrong(f"the last row must be {CLOSING};NUMBER OF ROWS;DAY: ask for a whole list")
    number, last = rows.pop()
    count, as_of = whole_number(last["name"], number, "name"), day(last["card"], number, "card")
    if count != len(rows):
        raise Wrong(f"it says {count} rows and has {len(rows)}: ask for a whole list")
    if as_of > today:
        raise Wrong("it is of a day that has not come: correct the closing row")
    if as_of < today - timedelta(days=max_days):
        raise Wrong(f"it is older than {max_days} days: ask for a new one")
    return Inventory(as_of, tuple(_row(number, row, zone) for number, row in rows))


def _row(number: int, row: dict[str, str], zone: ZoneInfo) -> Row:
    if not (row["reference"] or row["name"] or row["card"]):
        raise Wrong(f"row {number}: a door without reference, name or card")
    room = {"name": LONGEST, "door": LONGEST, "card": LONGEST_CARD}
    for name, longest in room.items():
        if len(row[name]) > longest:
            raise Wrong(f"row {number}: {name} is longer than {longest} characters")
    first = day(row["from"], number, "from") if row["from"] else None
    last = day(row["last_day"], number, "last_day") if row["last_day"] else None
    if not row["door"] and (first or last):
        raise Wrong(f"row {number}: dates without a door")
    grant = None
    if row["door"]:
        grant = Grant(
            ref=row["door"],
            valid_from=_start(first, zone, number) if first else None,
            valid_to=_end(last, zone, number) if last else None,
        )
    return Row(number, row["reference"].upper(), row["name"], row["card"], grant)


def _start(first: date, zone: ZoneInfo, number: int) -> datetime:
    try:
        return day_start(first, zone)
    except OverflowError:
        raise Wrong(f"row {number}: from is a day that no calendar holds") from None


def _end(last: date, zone: ZoneInfo, number: int) -> datetime:
    try:
        return day_end(last, zone)
    except OverflowError:
        raise Wrong(
            f"row {number}: last_day is a day that no calendar holds: leave it out"
        ) from None


def tied(inventory: Inventory, aliases: set[str], holders: dict[str, str | None]) -> Listed:
    """Return the list with each row at its person: by reference, or else by a known card.

    Raises:
        Incomplete: a reference that idsync never gave, so somebody would be missed.
    """
    listed = Listed(inventory.as_of)
    for row in inventory.rows:
        if row.alias and row.alias not in aliases:
            raise Incomplete(
                f"the landlord's list: row {row.number} has a reference that was never given: "
                "correct it, or restore the ledger"
            )
        alias = row.alias or holders.get(row.card)
        if alias:
            listed.of.setdefault(alias, []).append(row)
        else:
            listed.others.append(row)
    return listed


def stamp(path: Path) -> str:
    """Return what changes when the file does.

    Raises:
        Unavailable: there is no such file.
    """
    try:
        told = path.stat()
    except OSError as error:
        raise Unavailable(
            f"the landlord's list (`inventory`) does not answer ({type(error).__name__}): "
            "check the path, or take the setting out"
        ) from None
    return f"{told.st_size}-{told.st_mtime_ns}-{told.st_ino}"
