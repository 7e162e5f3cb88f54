"""What attribute values of a directory say in the words of a person.

An attribute that an entry does not hold is unknown, never known to be absent: a directory
leaves out what the account may not see (RFC 4511, section 4.5.2), and does not say so.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import date
from typing import get_args

import polars as pl

from idsync.errors import ConfigError, Incomplete
from idsync.model import Protection
from idsync.sources.ldap_ber import Damaged, Ranged, Slots, read_row

ROWS = 20_000
"""Entries in one batch."""

VOCABULARY: dict[str, tuple[str, ...]] = {
    "status": ("active", "suspended", "archived"),
    "protection": get_args(Protection),
}
"""Fields that drive decisions and hold these words only (idsync.model.Person)."""

GUIDS = {"objectguid", "ms-ds-consistencyguid"}
DISABLED = 0x2  # userAccountControl, ADS_UF_ACCOUNT_DISABLE: [MS-ADTS], section 2.2.16
DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:\d{2,6}(?:[.,]\d+)?(?:Z|[+-]\d{2,4}))?")


def guid(value: bytes) -> str:
    """Return a GUID as text; its first three parts are little-endian: [MS-DTYP], section 2.3.4."""
    return str(uuid.UUID(bytes_le=value))


def account_status(value: bytes) -> str:
    """Return the status that userAccountControl tells."""
    return "suspended" if int(value) & DISABLED else "active"


def lock_status(value: bytes) -> str:
    """Return the status that nsAccountLock tells."""
    return {b"true": "suspended", b"false": "active"}[value.lower()]


def text(value: bytes) -> str:
    """Return *value* as text, which never holds the letter NUL."""
    found = str(value, "utf-8")
    if "\0" in found:
        raise ValueError("NUL")
    return found


def texts(values: list[bytes | None]) -> pl.Series | None:
    """Return *values* as text, all at once; None if `text` would refuse one of them."""
    octets = pl.Series(values, dtype=pl.Binary())
    try:
        return None if octets.bin.contains(b"\0").any() else octets.cast(pl.String())
    except pl.exceptions.PolarsError:
        return None


def day(value: bytes) -> str:
    """Return YYYY-MM-DD from that, from YYYYMMDD or from a generalized time (RFC 4517, 3.3.13)."""
    found = DAY.fullmatch(value.decode("ascii"))
    if found is None:
        raise ValueError("not a day")
    return date(int(found[1]), int(found[2]), int(found[3])).isoformat()


EXPECTED: dict[Callable[[bytes], str], str] = {
    guid: "a GUID of 16 bytes",
    account_status: "a number",
    lock_status: "TRUE or FALSE",
    text: "text in UTF-8",
    day: "a day",
}


def reader(field: str, attribute: str) -> Callable[[bytes], str]:
    """Return what reads a value of *attribute* for the person's *field*."""
    name = attribute.lower()
    if name in GUIDS:
        return guid
    if field == "status" and name == "useraccountcontrol":
        return account_status
    if field == "status" and name == "nsaccountlock":
        return lock_status
    return day if field == "birth_date" else text


class People:
    """Gathers entries and turns them into columns. *columns*: field name = attribute."""

    def __init__(
        self, where: str, columns: dict[str, str], values: dict[str, dict[str, str]]
    ) -> None:
        self.where = where
        self.columns = columns
        self.values = values
        # One attribute may fill several fields; it is asked for once.
        self.attributes = list({name.lower(): name for name in columns.values()}.values())
        self.slots = Slots(self.attributes)
        self.width = len(self.attributes) + 1
        self.total = 0
        self.held: set[str] = set()
        # One flat list of bytes: nothing in it for the garbage collector to walk.
        self.cells: list[bytes | None] = []

    def add(self, buffer: bytes, start: int, end: int) -> bool:
        """Take the entry in buffer[start:end]; return whether a batch is full."""
        try:
            self.cells += read_row(buffer, start, end, self.slots, self.width)
        except (Damaged, IndexError):
            raise Incomplete(
                f"{self.where}: entry {self.total + 1} is damaged; run again later"
            ) from None
        except Ranged:
            raise ConfigError(
                f"{self.where}: entry {self.total + 1} has more values of a mapped attribute "
                "than the server sends at once: map an attribute with one value"
            ) from None
        self.total += 1
        return len(self.cells) >= ROWS * self.width

    def take(self) -> tuple[list[bytes | None], pl.DataFrame]:
        """Return the distinguished names and the columns of what was added since the last call."""
        cells, self.cells = self.cells, []
        first = self.total - len(cells) // self.width + 1
        frame = pl.DataFrame(
            {
                field: self._column(field, attribute, cells, first)
                for field, attribute in self.columns.items()
            },
            schema=dict.fromkeys(self.columns, pl.String()),
        )
        return cells[:: self.width], frame

    def missing(self) -> str:
        """Say which attributes no entry held, as the tail of a proof."""
        names = [name for name in self.attributes if name.lower() not in self.held]
        return f"; none holds {', '.join(names)}" if names and self.total else ""

    def _column(
        self, field: str, attribute: str, cells: list[bytes | None], first: int
    ) -> pl.Series:
        slot = self.slots.wanted[attribute.lower().encode()]
        raw = cells[slot :: self.width]
        column = self._read(reader(field, attribute), raw, attribute, first)
        if column.null_count() < len(column):
            self.held.add(attribute.lower())
        if field in self.values:
            column = self._translate(field, attribute, column, first)
        if field in VOCABULARY:
            self._check(field, attribute, column, first)
        return column

    def _read(
        self,
        read: Callable[[bytes], str],
        raw: list[bytes | None],
        attribute: str,
        first: int,
    ) -> pl.Series:
        if read is text and (column := texts(raw)) is not None:
            return column
        try:
            return pl.Series([None if v is None else read(v) for v in raw], dtype=pl.String())
        except (ValueError, KeyError):
            number = next(n for n, value in enumerate(raw, first) if not _readable(read, value))
            raise Incomplete(
                f"{self.where}: {attribute} of entry {number} is not {EXPECTED[read]}; "
                "correct it in the directory"
            ) from None

    def _translate(self, field: str, attribute: str, column: pl.Series, first: int) -> pl.Series:
        words: dict[str | None, str | None] = {None: None}
        words.update(self.values[field])
        try:
            return pl.Series([words[value] for value in column], dtype=pl.String())
        except KeyError:
            number = next(n for n, value in enumerate(column, first) if value not in words)
            raise ConfigError(
                f"{self.where}: {attribute} of entry {number} has a value that values.{field} "
                "does not translate: add it there"
            ) from None

    def _check(self, field: str, attribute: str, column: pl.Series, first: int) -> None:
        known = {None, "", *VOCABULARY[field]}
        if set(column) <= known:
            return
        number = next(n for n, value in enumerate(column, first) if value not in known)
        raise ConfigError(
            f"{self.where}: {attribute} of entry {number} is none of "
            f"{', '.join(VOCABULARY[field])}: translate it with values.{field}"
        )


def _readable(read: Callable[[bytes], str], value: bytes | None) -> bool:
    try:
        return value is None or isinstance(read(value), str)
    except (ValueError, KeyError):
        return False
