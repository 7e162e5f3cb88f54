"""A CSV file as its records: RFC 4180, with the delimiter, quotes and line ends that it has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from idsync.errors import Incomplete
from idsync.rows import Row, nearest
from idsync.targets.file_document import Document, Record
from idsync.targets.file_settings import CsvShape


@dataclass(eq=False, kw_only=True)
class Line(Record):
    """A line as it is written: its cells with their quotes, and how it ends."""

    raw: list[str]
    end: str


class CsvDocument(Document):
    """The lines of one file; *place* says where in messages, *columns* are the described ones."""

    def __init__(self, text: str, columns: list[str], shape: CsvShape, place: str) -> None:
        self._shape, self._place = shape, place
        self._lines = list(self._parsed(text))
        filled = [line for line in self._lines if line.raw != [""]]
        self._trailer = self._last(filled, text)
        if self._trailer:
            filled.remove(self._trailer)
        self._header = filled.pop(0) if shape.header and filled else None
        if shape.header and self._header is None:
            raise Incomplete(f"{place}: has no header: restore the file")
        names = [self._plain(cell) for cell in self._header.raw] if self._header else shape.names
        self._at = {name: self._only(name, list(names)) for name in dict.fromkeys(columns)}
        self._width = len(names)
        self._lines_of_people = filled
        self._end = self._lines.index(self._trailer) if self._trailer else len(self._lines)
        for line in filled:
            if len(line.raw) != self._width:
                raise Incomplete(
                    f"{place}: line {self._number(line)} has {len(line.raw)} cells and "
                    f"{self._width} are due: correct the file or csv"
                )
            line.row = {name: self._plain(line.raw[at]) for name, at in self._at.items()}
        self._check_count()

    @classmethod
    def empty(cls, columns: list[str], shape: CsvShape, place: str) -> CsvDocument:
        """Return a file without records."""
        names = list(shape.names or dict.fromkeys(columns))
        text = ""
        if shape.header:
            text = shape.delimiter.join(_quoted(name, shape) for name in names) + shape.line_end
        if shape.trailer:
            cells = [shape.trailer.starts_with, *[""] * (shape.trailer.count - 2), "0"]
            text += shape.delimiter.join(_quoted(cell, shape) for cell in cells) + shape.line_end
        return cls(text, columns, shape, place)

    # ── records ─────────────────────────────────────────────────────────────────────────

    @property
    def records(self) -> list[Line]:
        """The lines that are records."""
        return [line for line in self._lines_of_people if not line.gone]

    def add(self, cells: Row) -> Line:
        """Add a line after the last one."""
        blank = _quoted("", self._shape)
        line = Line(raw=[blank] * self._width, end=self._shape.line_end)
        line.row = dict.fromkeys(self._at, "")
        self._lines.insert(self._end, line)
        self._end += 1
        self._lines_of_people.append(line)
        self.change(line, cells)
        return line

    def change(self, record: Record, cells: Row) -> None:
        """Set *cells* of a line; what was quoted stays quoted."""
        assert isinstance(record, Line)  # noqa: S101 - a document is given its own records
        for name, text in cells.items():
            at = self._at[name]
            was = record.raw[at]
            quotes = bool(self._shape.quote) and was[:1] == self._shape.quote
            record.raw[at] = _quoted(text, self._shape, always=quotes)
            record.row[name] = text

    def remove(self, record: Record) -> None:
        """Leave a line out from now on."""
        record.gone = True

    def written(self, only: Callable[[Record], bool] = lambda _: True) -> str:
        """Return the text of the file, its trailer counted anew."""
        people = {id(line) for line in self._lines_of_people}
        shown = [
            line for line in self._lines if id(line) not in people or (not line.gone and only(line))
        ]
        if self._trailer and self._shape.trailer:
            at, count = self._shape.trailer.count - 1, sum(id(line) in people for line in shown)
            if self._plain(self._trailer.raw[at]).strip() != str(count):
                quotes = self._trailer.raw[at][:1] == self._shape.quote != ""
                self._trailer.raw[at] = _quoted(str(count), self._shape, always=quotes)
        return "".join(self._shape.delimiter.join(line.raw) + line.end for line in shown)

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def _parsed(self, text: str) -> Iterator[Line]:
        delimiter, quote = re.escape(self._shape.delimiter), re.escape(self._shape.quote)
        quoted = f"{quote}[^{quote}]*(?:{quote}{quote}[^{quote}]*)*{quote}" if quote else "(?!)"
        pattern = re.compile(
            f"(?P<raw>(?P<quoted>{quoted})|[^{delimiter}\r\n]*)(?P<end>{delimiter}|\r\n|\n|\r|\\Z)"
        )
        at, raw, number = 0, list[str](), 1
        while at < len(text) or raw:
            found = pattern.match(text, at)
            if found is None or self._broken(found):
                raise Incomplete(
                    f"{self._place}: line {number}: a quote is not closed, or text follows it: "
                    "correct the file or csv.quote"
                )
            raw.append(found["raw"])
            at = found.end()
            number += found[0].count("\n")
            if found["end"] != self._shape.delimiter:
                yield Line(raw=raw, end=found["end"])
                raw = []

    def _broken(self, cell: re.Match[str]) -> bool:
        quote = self._shape.quote
        return bool(quote) and cell["quoted"] is None and cell["raw"].startswith(quote)

    def _last(self, filled: list[Line], text: str) -> Line | None:
        """Return the trailer, if there has to be one; raise Incomplete if the end is missing."""
        trailer = self._shape.trailer
        if trailer is None:
            if text and not text.endswith(("\n", "\r")):
                raise Incomplete(f"{self._place}: its last line has no end: read it when it has")
            return None
        last = filled[-1] if filled else None
        if (
            last is None
            or len(last.raw) < trailer.count
            or not self._plain(last.raw[0]).startswith(trailer.starts_with)
        ):
            raise Incomplete(f"{self._place}: has no trailer: read it when it is finished")
        return last

    def _check_count(self) -> None:
        if self._trailer is None or self._shape.trailer is None:
            return
        told = self._plain(self._trailer.raw[self._shape.trailer.count - 1]).strip()
        if not (told.isascii() and told.isdigit()) or int(told) != len(self._lines_of_people):
            raise Incomplete(
                f"{self._place}: has {len(self._lines_of_people)} rows, and its trailer counts "
                "another number: restore the file"
            )

    def _plain(self, raw: str) -> str:
        quote = self._shape.quote
        if quote and raw.startswith(quote):
            return raw[1:-1].replace(quote * 2, quote)
        return raw

    def _only(self, name: str, names: list[str]) -> int:
        if names.count(name) != 1:
            told = f"{names.count(name)} columns are called {name}, and one is due"
            if name not in names:
                told = f"has no column {name}: correct the description; {nearest(name, names)}"
            raise Incomplete(f"{self._place}: {told}")
        return names.index(name)

    def _number(self, line: Line) -> int:
        before = self._lines[: self._lines.index(line)]
        return 1 + sum(sum(raw.count("\n") for raw in each.raw) + 1 for each in before)


def needs_quotes(text: str, shape: CsvShape) -> bool:
    """Tell whether *text* would be something else without quotes around it."""
    special = {shape.delimiter, shape.quote, "\r", "\n"} - {""}
    return any(each in text for each in special) or text != text.strip()


def _quoted(text: str, shape: CsvShape, *, always: bool = False) -> str:
    quote = shape.quote
    if quote and (always or shape.quote_all or needs_quotes(text, shape)):
        return f"{quote}{text.replace(quote, quote * 2)}{quote}"
    return text
