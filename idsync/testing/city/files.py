"""Files with a trailer: a last line that says how many rows there are, and of which day."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TextIO

TRAILER = "#ANTAL"


class Rows:
    """A CSV file that is being written; it counts its rows."""

    def __init__(self, file: TextIO, header: Iterable[str], delimiter: str) -> None:
        self._writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        self._writer.writerow(header)
        self.count = 0

    def add(self, *cells: str) -> None:
        """Write one row."""
        self._writer.writerow(cells)
        self.count += 1

    def finish(self, as_of: date) -> None:
        """Write the trailer."""
        self._writer.writerow((TRAILER, self.count, as_of.isoformat()))


@contextmanager
def sheet(
    path: Path, header: Iterable[str], as_of: date, *, delimiter: str = ";", encoding: str = "utf-8"
) -> Iterator[Rows]:
    """Open *path* for its rows; the trailer is written only if nothing went wrong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        rows = Rows(file, header, delimiter)
        yield rows
        rows.finish(as_of)


def day(value: date | None, otherwise: str = "") -> str:
    """Return *value* as the files write it."""
    return value.isoformat() if value else otherwise
