"""What a [sources.NAME] table of type "csv" may say."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal, Self, get_args

import polars as pl
from pydantic import Field, field_validator, model_validator

from idsync.model import Kind, Protection
from idsync.settings import PathField, Settings, ZoneField
from idsync.sources import RECORDS
from idsync.sources.csv_dates import parse_days, write_day

PERSON = {name: kind for name, kind in RECORDS["persons"].items() if name != "key"}
"""The attributes of a person."""

FIELDS: dict[Kind, dict[str, pl.DataType]] = {
    kind: dict(columns) if kind != "employments" else PERSON | dict(columns)
    for kind, columns in RECORDS.items()
}
"""What `map` may name: the record's own fields, and beside an employment its person's."""

REQUIRED: dict[Kind, tuple[str, ...]] = {
    "persons": ("key",),
    "employments": ("key", "person_key"),
    "trainings": ("person_key", "course_id"),
    "memberships": ("person_key", "role"),
}
"""Fields without which a record is nobody's: their cells are never empty."""

WORDS: dict[str, tuple[str, ...]] = {
    "protection": get_args(Protection),
    "result": ("passed", "failed", "exempt"),
}
"""Fields that drive decisions and know these words only; anything else must be translated."""


class Trailer(Settings):
    """The last line of the file: how it begins, and which of its fields counts the rows."""

    starts_with: str = Field(min_length=1)
    count: int = Field(ge=1)


class AsOf(Settings):
    """Where the age of the content stands: in a field of the trailer, or in the file's time."""

    trailer: int | None = Field(default=None, ge=1)
    modified: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.trailer is None) == (not self.modified):
            raise ValueError("write { trailer = N } or { modified = true }")
        return self


class CsvConfig(Settings):
    """Keys of a [sources.NAME] table with type = "csv"."""

    kind: Kind
    path: PathField
    encoding: Literal["utf-8", "windows-1252", "iso-8859-1"] = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    map: dict[str, str] | None = None
    values: dict[str, dict[str, str | bool]] = Field(default_factory=dict)
    dates: str = "%Y-%m-%d"
    no_end: tuple[str, ...] = ("",)
    no_start: tuple[str, ...] = ()
    unit_separator: str = Field(default="/", min_length=1)
    person: str = "employee_number"
    trailer: Trailer | None = None
    control: PathField | None = None
    done: PathField | None = None
    as_of: AsOf | None = None
    max_mb: int = Field(default=2048, ge=1)
    timezone: ZoneField = Field(default=None, validate_default=True)

    @field_validator("delimiter")
    @classmethod
    def _one_delimiter(cls, text: str) -> str:
        if len(text) != 1 or not text.isascii() or text in '\r\n\0"':
            raise ValueError('write one character, such as ";", "," or "\\t"')
        return text

    @field_validator("quote")
    @classmethod
    def _at_most_one_quote(cls, text: str) -> str:
        if len(text) > 1 or not text.isascii() or text in ("\r", "\n", "\0"):
            raise ValueError('write one character, or "" when the file quotes nothing')
        return text

    @field_validator("map")
    @classmethod
    def _plain_column_names(cls, names: dict[str, str] | None) -> dict[str, str] | None:
        return names and {ours: plain(theirs) for ours, theirs in names.items()}

    @field_validator("dates")
    @classmethod
    def _a_whole_day(cls, form: str) -> str:
        """Accept a form only if a written day is read back as the same day."""
        probe = date(2026, 11, 23)
        try:
            found = parse_days(pl.Series([write_day(probe, form)]), form).to_list()
        except pl.exceptions.PolarsError:
            found = []
        if found != [probe]:
            raise ValueError('write year, month and day, such as "%Y-%m-%d", "%Y%m%d" or "%y%m%d"')
        return form

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        fields = FIELDS[self.kind]
        for name in self.map or {}:
            must_know(name, fields, f"map: {self.kind} have no field")
        for name in REQUIRED[self.kind] if self.map is not None else ():
            if name not in (self.map or {}):
                raise ValueError(f"map: {name} is missing: name the column that holds it")
        for name, table in self.values.items():
            must_know(name, self.map or fields, "values: not mapped:")
            _check_translation(name, fields[name], table)
        must_know(self.person, PERSON, "person: a person has no attribute")
        if self.as_of and self.as_of.trailer and not self.trailer:
            raise ValueError("as_of: there is no trailer: describe it, or use { modified = true }")
        if self.delimiter == self.quote:
            raise ValueError("delimiter and quote are the same character")
        return self


def plain(text: str) -> str:
    """Return *text* as the file's texts are compared: trimmed, letters composed (NFC)."""
    return unicodedata.normalize("NFC", text.strip())


def nearest(wanted: str, present: Iterable[str]) -> str | None:
    """Return the name in *present* that *wanted* may have meant, if any comes near."""
    folded = {name.casefold(): name for name in present}
    found = difflib.get_close_matches(wanted.casefold(), folded, n=1)
    return folded[found[0]] if found else None


def must_know(name: str, known: Mapping[str, object], what: str) -> None:
    """Raise ValueError, naming the nearest known name, if *name* is none of *known*."""
    if name not in known:
        near = nearest(name, known)
        raise ValueError(f"{what} {name}" + (f": did you mean {near}?" if near else ""))


def _check_translation(name: str, kind: pl.DataType, table: dict[str, str | bool]) -> None:
    if kind == pl.Boolean():
        if not all(isinstance(ours, bool) for ours in table.values()):
            raise ValueError(f"values: {name} is true or false: translate into those, unquoted")
    elif kind != pl.String():
        raise ValueError(f"values: {name} is not a text, so it is not translated")
    elif not all(isinstance(ours, str) for ours in table.values()):
        raise ValueError(f"values: {name} is a text: quote what you translate into")
    elif name in WORDS and not set(table.values()) <= {*WORDS[name], ""}:
        raise ValueError(f"values: {name} is one of {', '.join(WORDS[name])}")
