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
from idsync.service.finding import find_person
from idsync.store import Revocation, State

HEADERS = ("person", "id", "employee_number", "user_name", "mail")
"""Cells of a first line that name a column, and nobody; the first of these that is there counts."""
LARGEST_MB = 5


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A line that names nobody, or several people, and why."""

    line: int
    reason: str


def listed(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line number and who is meant for each line of *file*.

    Cells are parted by commas, semicolons or tabs; empty lines and those that begin with
    "#" are left out. Without a line of names the first cell counts. No error repeats what
    stands in the file.

    Raises:
        ConfigError: it cannot be read, anybody may have written it, it is not UTF-8, or it
            names nobody.
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
    place = 0
    names = [name.lower() for name in rows[0][1]] if rows else []
    known = [name for name in HEADERS if name in names]
    if known:
        place = names.index(known[0])
        del rows[0]
    if not rows:
        raise ConfigError(f"{file} names nobody: write one person a line")
    for number, cells in rows:
        yield number, cells[place] if place < len(cells) else ""


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
    state: State, people: People, rows: Sequence[tuple[int, str]], reason: str, by: str,
    now: datetime,
) -> tuple[dict[int, Revocation], list[Unknown]]:  # fmt: skip
    """Write down an order for everybody in *rows*: by line, and the lines of nobody.

    Whoever stands there twice counts once. Nothing is carried out yet.
    """
    found: dict[str, int] = {}
    unknown: list[Unknown] = []
    for line, words in rows:
        try:
            found.setdefault(find_person(words, people, state, stdin=False), line)
        except ConfigError as error:
            unknown.append(Unknown(line=line, reason=str(error)))
    orders = {line: state.orders.revoke(one, reason, by, now) for one, line in found.items()}
    return orders, unknown
