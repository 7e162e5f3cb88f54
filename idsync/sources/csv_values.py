"""Cells as values: what each text of the file means, strictly or not at all."""

from __future__ import annotations

import polars as pl

from idsync.errors import Incomplete
from idsync.model import day_end, day_start
from idsync.sources.csv_dates import instants
from idsync.sources.csv_settings import FIELDS, REQUIRED, WORDS, CsvConfig, nearest, plain
from idsync.sources.csv_table import Table

STARTS = ("valid_from", "completed_at")
ENDS = ("valid_to", "leave_to")  # their day belongs to the interval
BOOLEANS = {
    **dict.fromkeys(("1", "true", "ja", "j"), True),
    **dict.fromkeys(("0", "false", "nej", "n"), False),
}
PERCENT = r"^[0-9]{1,3}([.,][0-9]{1,4})?$"


def choose_columns(table: Table, config: CsvConfig) -> dict[str, str]:
    """Return the file's column for each of our fields: `map`, or the header in our own words.

    Raises:
        Incomplete: a column is missing, or called by a name that two columns have.
    """
    fields, required = FIELDS[config.kind], REQUIRED[config.kind]
    chosen = config.map or {name: name for name in table.header if name in fields}
    wanted = config.map or {name: name for name in [*required, *chosen]}
    path, header = table.sheet.path, table.header
    missing = [theirs for theirs in wanted.values() if theirs not in header]
    if len(missing) == len(wanted):
        # Nothing of line 1 is shown: in a file without a header that is a person.
        raise Incomplete(f"{path}: line 1 is not the header: correct the file, or set delimiter")
    for theirs in missing:
        near = nearest(theirs, header)
        raise Incomplete(
            f"{path}: no column {theirs}"
            + (f"; the nearest is {near}" if near else "")
            + ": correct the file or map"
        )
    for place, name in enumerate(header, 1):
        if name and header.index(name) + 1 != place:
            raise Incomplete(
                f"{path}: columns {header.index(name) + 1} and {place} have the same name: "
                "correct the file"
            )
        if config.map is None and name not in fields:
            near = nearest(name, fields)
            raise Incomplete(
                f"{path}: column {place} is no field of {config.kind}"
                + (f"; the nearest is {near}" if near else "")
                + ": correct the header, or set map"
            )
    return chosen


def read_values(table: Table, config: CsvConfig) -> pl.DataFrame:
    """Return the table's rows as our fields, with the types of the records.

    Raises:
        Incomplete: a cell means nothing, a key is empty, or two employments have the same;
            lines and column are named.
    """
    fields = FIELDS[config.kind]
    columns = choose_columns(table, config)
    values = pl.DataFrame(
        {
            ours: _Column(table, config, ours, theirs).values(fields[ours])
            for ours, theirs in columns.items()
        },
        schema={ours: fields[ours] for ours in columns},
    )
    if config.kind == "employments":
        shared = values["key"].is_duplicated()
        table.refuse(shared, columns["key"], "several rows have one key: correct the file")
    return values


class _Column:
    """One column of the file on its way to one of our fields."""

    def __init__(self, table: Table, config: CsvConfig, ours: str, theirs: str) -> None:
        self.table = table
        self.config = config
        self.ours = ours
        self.theirs = theirs
        self.cells = table.column(theirs)

    def values(self, kind: pl.DataType) -> pl.Series:
        """Return the values, of type *kind*."""
        if kind == pl.Datetime("us", "UTC"):
            return self._instants()
        if kind == pl.Boolean():
            return self._booleans()
        if kind == pl.Int64():
            return self._permille()
        return self._texts()

    def _refuse(self, wrong: pl.Series, what: str) -> None:
        self.table.refuse(wrong, self.theirs, what)

    def _translated(self, words: dict[str, str | bool], kind: pl.DataType) -> pl.Series:
        """Return what *words* says of each cell; an empty one that it does not name is null."""
        words = {plain(theirs): ours for theirs, ours in words.items()}
        found = self.cells.replace_strict(
            list(words), list(words.values()), default=None, return_dtype=kind
        )
        self._refuse(
            found.is_null() & (self.cells != ""),
            f"a value that values.{self.ours} does not translate: add it, or correct the file",
        )
        return found

    def _texts(self) -> pl.Series:
        cells = self.cells
        if words := self.config.values.get(self.ours):
            cells = self._translated(words, pl.String()).fill_null("")
        if known := WORDS.get(self.ours):
            what = f"not one of {', '.join(known)}: translate with values.{self.ours}"
            self._refuse(~cells.is_in([*known, ""]), what)
        if self.ours in REQUIRED[self.config.kind]:
            self._refuse(cells == "", "empty, and this is a key: correct the file")
        return self._paths() if self.ours == "unit" else cells

    def _paths(self) -> pl.Series:
        """Return unit paths with " / " between their parts, and nowhere else."""
        separator = self.config.unit_separator
        cells = self.cells
        if separator.strip() != "/":
            # A part's own " / " would read as one more level, and a rule might match it.
            cells = cells.str.replace_all(r"\s*/\s*", "/")
        between = rf"(\s*{pl.escape_regex(separator)}\s*)+"
        trimmed = cells.str.replace_all(f"^{between}|{between}$", "")
        return trimmed.str.replace_all(between, " / ")

    def _booleans(self) -> pl.Series:
        if words := self.config.values.get(self.ours):
            return self._translated(words, pl.Boolean())
        found = self.cells.str.to_lowercase().replace_strict(
            list(BOOLEANS), list(BOOLEANS.values()), default=None, return_dtype=pl.Boolean()
        )
        what = f"neither yes nor no: use 1 and 0, or translate with values.{self.ours}"
        self._refuse(found.is_null() & (self.cells != ""), what)
        return found

    def _permille(self) -> pl.Series:
        known = self.cells != ""
        number = self.cells.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        wrong = ~self.cells.str.contains(PERCENT) | (number > 100).fill_null(True)
        self._refuse(wrong & known, "not a percentage from 0 to 100: correct the file")
        return (number * 10).round().cast(pl.Int64)

    def _instants(self) -> pl.Series:
        config, zone = self.config, self.config.timezone
        never = config.no_start if self.ours in STARTS else config.no_end
        if self.ours == "leave_from":
            never = ("", *never)  # nobody needs to be on leave
        at_end = self.ours in ENDS
        found, wrong = instants(
            self.cells,
            config.dates,
            tuple(plain(text) for text in never),
            lambda day: day_end(day, zone) if at_end else day_start(day, zone),
        )
        setting = "no_start" if self.ours in STARTS else "no_end"
        what = (
            f"not a date of the form {config.dates} from 1900 to 9998: correct the file, "
            f"set dates, or add what the file writes to {setting}"
        )
        self._refuse(wrong, what)
        return found
