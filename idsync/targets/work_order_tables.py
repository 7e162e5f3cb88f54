"""Tables that people send: CSV as spreadsheets of different countries write it, read strictly.

A field separator of `;` or `,`, UTF-8 with or without a byte order mark, or Windows-1252:
that is what the office programs of a landlord save. Everything else is said to be wrong.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from idsync.targets.work_order_tasks import Wrong

LARGEST = 20_000_000  # bytes of one table


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a table with exactly these *columns*, each with its number in the file.

    Rows without any value are left out. A row may be shorter only where it is the closing
    row of its file, which its reader judges.

    Raises:
        Wrong: it is no such table.
        OSError: the file does not answer.
    """
    text = _text(path)
    first = text.partition("\n")[0]
    separator = ";" if ";" in first else ","
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=separator, strict=True))
    except csv.Error:
        raise Wrong("quotes or lines that do not close: save it as CSV again") from None
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if sorted(header) != sorted(columns):
        raise Wrong(f"the first row must be {'; '.join(columns)}")
    found = []
    for number, row in enumerate(rows[1:], 2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if any(letter < " " or letter == "\x7f" for cell in cells for letter in cell):
            raise Wrong(f"row {number} has a control character or a line break in a field")
        if len(cells) > len(header):
            raise Wrong(f"row {number} has {len(cells)} fields, not {len(header)}")
        cells += [""] * (len(header) - len(cells))
        found.append((number, dict(zip(header, cells, strict=True))))
    return found


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Wrong(f"larger than {LARGEST // 1_000_000} million bytes")
    if not data.endswith(b"\n"):
        raise Wrong("the last row has no end: it was cut, or is still being written")
    if b"\0" in data:
        raise Wrong("not a CSV file in UTF-8 or Windows-1252: save it as CSV again")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            return data.decode("cp1252")
        except UnicodeDecodeError:
            raise Wrong("not a CSV file in UTF-8 or Windows-1252: save it as CSV again") from None


def whole_number(text: str, row: int, what: str) -> int:
    """Return the number that *text* says, or raise Wrong."""
    if text.isascii() and text.isdecimal() and len(text) <= 12:
        return int(text)
    raise Wrong(f"row {row}: {what} is not a number")


def day(text: str, row: int, what: str) -> date:
    """Return the day that *text* says as 2031-03-05, or raise Wrong."""
    if len(text) == 10:
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise Wrong(f"row {row}: {what} is not a date such as 2031-03-05")


def table(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> bytes:
    """Return a CSV file as a Swedish spreadsheet opens it: `;`, UTF-8 with a mark, CRLF."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")
