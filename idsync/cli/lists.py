"""A list of people in a file, as somebody in HR sends it: CSV, one person a line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from idsync.errors import ConfigError

HEADERS = ("person", "id", "employee_number", "user_name", "mail")
"""Cells of a first line that name a column, and nobody; the first of these that is there counts."""


def listed(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line number and who is meant for each line of *file*.

    Cells are parted by commas, semicolons or tabs; empty lines and those that begin with
    "#" are left out. Without a line of names the first cell counts. No error repeats what
    stands in the file.

    Raises:
        ConfigError: it cannot be read, is not UTF-8, or names nobody.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8: save the list as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}): check --file") from None
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
