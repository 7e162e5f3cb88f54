"""A list of people in a file, as somebody in HR writes it: CSV, one person a line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from idsync.errors import ConfigError, ConnectorError
from idsync.files import read_file
from idsync.mapping.correlate import People
from idsync.service.finding import find_employment, find_person
from idsync.store import Revocation, State

HEADERS = ("person", "id", "employee_number", "user_name", "mail")
"""Cells of a first line that name a column, and nobody; the first of these that is there counts."""
EMPLOYMENT = "employment"
"""The cell of a first line that names the column of employments, where one alone ends."""
LARGEST_MB = 5


@dataclass(frozen=True)
class Line:
    """Who is meant by a line, and which employment of theirs; "": everything."""

    number: int
    person: str
    employment: str = ""


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A line that names nobody, or several people, or no employment of theirs, and why."""

    line: int
    reason: str


def listed(file: Path) -> Iterator[Line]:
    """Yield what is meant for each line of *file*.

    Cells are parted by commas, semicolons or tabs; empty lines and those that begin with
    "#" are left out. Without a line of names the first cell counts, and names a person.
    No error repeats what stands in the file.

    Raises:
        ConfigError: it cannot be read, anybody may have written it, it is not UTF-8, it
            names nobody, or employments and nobody.
    """
    try:
        text = read_file(file, LARGEST_MB).data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8: save the list as UTF-8") from None
    except ConnectorError as error:
        raise ConfigError(str(error)) from None
    rows = [
        (number, cells)
        for number, cells in _rows(text)
        if any(cells) and not cells[0].startswith("#")
    ]
    place, part = 0, -1
    names = [name.lower() for name in rows[0][1]] if rows else []
    known = [name for name in HEADERS if name in names]
    if known:
        place = names.index(known[0])
        part = names.index(EMPLOYMENT) if EMPLOYMENT in names else -1
        del rows[0]
    elif EMPLOYMENT in names:
        raise ConfigError(
            f"the first line of {file} names a column of employments and none of people: call "
            f"that one {', '.join(HEADERS[:-1])} or {HEADERS[-1]}"
        )
    if not rows:
        raise ConfigError(f"{file} names nobody: write one person a line")
    for number, cells in rows:
        yield Line(number, _cell(cells, place), _cell(cells, part))


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place] if 0 <= place < len(cells) else ""


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(";,\t", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        for cells in reader:
            yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error:
        raise ConfigError(f"line {reader.line_num} of the list is no CSV: mend it") from None


def order_all(
    state: State, people: People, rows: Sequence[Line], reason: str, by: str,
    now: datetime,
) -> tuple[dict[int, Revocation], list[Unknown]]:  # fmt: skip
    """Write down an order for everybody in *rows*: by line, and the lines of nobody.

    Whoever stands there twice with the same employment counts once. Nothing is carried out yet.
    """
    found: dict[tuple[str, str | None], int] = {}
    unknown: list[Unknown] = []
    for row in rows:
        try:
            person = find_person(row.person, people, state, stdin=False)
            part = (
                find_employment(row.employment, person, people, state) if row.employment else None
            )
            found.setdefault((person, part), row.number)
        except ConfigError as error:
            unknown.append(Unknown(line=row.number, reason=str(error)))
    orders = {
        line: state.orders.revoke(person, reason, by, now, employment=part)
        for (person, part), line in found.items()
    }
    return orders, unknown
