"""A CSV text as a table of texts, taken apart strictly (RFC 4180) or not at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from idsync.errors import Incomplete
from idsync.sources.csv_settings import plain

MAX_FIELD_BYTES = 64 * 1024
SHOWN_LINES = 3


@dataclass(frozen=True)
class Sheet:
    """A text, what separates and encloses its fields, and the file to name in errors.

    A record is one line, or several where a quoted field holds line breaks. The header is
    record 0. Without *quote* nothing is quoted.
    """

    path: Path
    text: str
    delimiter: str
    quote: str

    @property
    def quoted(self) -> bool:
        """Whether any field is quoted."""
        return bool(self.quote) and self.quote in self.text

    def outlines(self) -> pl.Series:
        """Return each record with every quoted stretch shrunk to a single quote.

        What is left are the delimiters between fields, and no line breaks.
        """
        whole = pl.Series([self.text])
        if self.quoted:
            quote = pl.escape_regex(self.quote)
            whole = whole.str.replace_all(f"{quote}[^{quote}]*{quote}", self.quote)
        return whole.str.split("\n").explode()

    def lines(self, records: Sequence[int]) -> list[int]:
        """Return the line in which each of the *records* begins; the first line is 1.

        Only an error asks, so this may take its time.
        """
        if not self.quoted:
            return [record + 1 for record in records]
        begins, quotes = [], 0
        for number, line in enumerate(self.text.split("\n"), 1):
            if quotes % 2 == 0:
                begins.append(number)
            quotes += line.count(self.quote)
        return [begins[record] for record in records]

    def where(self, wrong: pl.Series) -> str:
        """Say in which file and lines the records begin for which *wrong* is true."""
        lines = self.lines(wrong.arg_true().to_list())
        shown = ", ".join(str(line) for line in lines[:SHOWN_LINES])
        more = f" and {len(lines) - SHOWN_LINES} more" if len(lines) > SHOWN_LINES else ""
        return f"{self.path}: line{'s' if len(lines) > 1 else ''} {shown}{more}"

    def refuse(self, wrong: pl.Series, what: str, column: str | None = None) -> None:
        """Raise Incomplete with *what* if *wrong* is true for any record."""
        if wrong.any():
            place = self.where(wrong) + (f", column {column}" if column else "")
            raise Incomplete(f"{place}: {what}")


@dataclass(frozen=True)
class Table:
    """The rows of a sheet: every cell a trimmed text in composed letters (NFC), never null."""

    sheet: Sheet
    header: list[str]
    rows: pl.DataFrame  # columns "0", "1" …, in the header's order

    def column(self, name: str) -> pl.Series:
        """Return the cells of the column that the header calls *name*."""
        return self.rows[str(self.header.index(name))]

    def refuse(self, wrong: pl.Series, name: str, what: str) -> None:
        """Raise Incomplete with *what* if *wrong* is true for any row's cell in column *name*."""
        below_header = pl.concat([pl.Series([False]), wrong.rename("")])
        self.sheet.refuse(below_header, what, column=name)


def parse(sheet: Sheet) -> Table:
    """Return the table that the *sheet* is.

    Raises:
        Incomplete: a quote is open or stray, a row is short or long, a field is enormous.
    """
    records, width = _check_structure(sheet)
    cells = pl.read_csv(
        sheet.text.encode(),
        has_header=False,
        schema={str(number): pl.String() for number in range(width)},
        separator=sheet.delimiter,
        quote_char=sheet.quote or None,
    )
    if cells.height != records:
        raise Incomplete(
            f"{sheet.path}: {records} records, of which {cells.height} can be told apart: "
            "correct its quotes and line ends"
        )
    cells = cells.select(pl.all().fill_null(""))  # empty cells; short rows are refused by now
    large = cells.select(pl.any_horizontal(pl.all().str.len_bytes() > MAX_FIELD_BYTES))
    sheet.refuse(
        large.to_series(),
        f"a field has more than {MAX_FIELD_BYTES} bytes: look for a quote that is opened "
        "too early or closed too late",
    )
    trimmed = pl.all().str.strip_chars()
    composed = unicodedata.is_normalized("NFC", sheet.text)
    cells = cells.select(trimmed if composed else trimmed.str.normalize("NFC"))
    return Table(sheet, [plain(name) for name in cells.row(0)], cells.slice(1))


def _check_structure(sheet: Sheet) -> tuple[int, int]:
    """Return how many records and columns there are, every record being well formed."""
    quote, delimiter = pl.escape_regex(sheet.quote), pl.escape_regex(sheet.delimiter)
    if sheet.quoted and sheet.text.count(sheet.quote) % 2:
        line = sheet.text.count("\n", 0, sheet.text.rindex(sheet.quote)) + 1
        raise Incomplete(
            f"{sheet.path}: a quote is opened and never closed; the last quote is in line {line}: "
            'correct the file, or set quote = "" if it quotes nothing'
        )
    outlines = sheet.outlines()
    if sheet.quoted:
        sheet.refuse(
            outlines.str.contains(f"[^{delimiter}{quote}]{quote}|{quote}[^{delimiter}{quote}]"),
            'a quote stands inside a field: correct the file, or set quote = "" '
            "if it quotes nothing",
        )
    if "\r" in sheet.text:
        sheet.refuse(
            outlines.str.contains("\r", literal=True),
            "a carriage return stands alone, outside quotes: end lines with LF or CR LF",
        )
    widths = outlines.str.count_matches(sheet.delimiter, literal=True) + 1
    width = int(widths[0])
    sheet.refuse(
        widths != width,
        f"not as many fields as the header has ({width}): correct the file, or set delimiter",
    )
    return outlines.len(), width
