"""The holders file: whose card is whose, since a controller has no place for a key.

It is read anew for every call, completely or not at all. Whose card is missing from it is
a stranger to idsync, so half a file would turn people into strangers: see `Holders.read`.
"""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from idsync.errors import Incomplete, Unavailable

HEADER = ["key", "card"]
LARGEST = 64 * 1024 * 1024
CARDS = range(1, 0xFFFFFFFF)  # 0 and 0xffffffff stand for empty and deleted slots


@dataclass(frozen=True, slots=True)
class Register:
    """Whose card is whose: the cards of each key, in order, and the key of each card."""

    cards: Mapping[str, tuple[int, ...]]
    key: Mapping[int, str]


@dataclass(slots=True)
class Holders:
    """The file at *path*, which must hold *at_least* rows, and their number if *counted*."""

    path: Path
    at_least: int = 1
    counted: bool = False
    _data: bytes | None = None
    _register: Register = field(default_factory=lambda: Register({}, {}))
    _expected: set[str] = field(default_factory=set)

    def read(self) -> Register:
        """Return what the file says now.

        Raises:
            Unavailable: there is no such plain file, or it may not be read.
            Incomplete: it is cut off, empty, being written to, or says what cannot be.
        """
        data = self._bytes()
        if data != self._data:
            self._register = self._parsed(data)
            self._data = data
            self._expected.update(self._register.cards)
        return self._register

    def cards_of(self, key: str) -> tuple[int, ...]:
        """Return the numbers of the cards of the person with this key.

        Raises:
            Incomplete: there are none, and there were: their cards may open doors still.
            Unavailable, Incomplete: as of `read`.
        """
        cards = self.read().cards.get(key, ())
        if not cards and key in self._expected:
            raise Incomplete(
                f"{self.path}: holds no card any longer of somebody who has had one: what their "
                "card opens cannot be told: put the row back until it opens nothing"
            )
        return cards

    def expect(self, key: str) -> None:
        """Remember that this person is known to have had a card."""
        self._expected.add(key)

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def _bytes(self) -> bytes:
        try:
            # a named pipe would let open() wait for ever; O_NONBLOCK changes nothing for a file
            handle = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                before = os.fstat(handle)
                if not stat.S_ISREG(before.st_mode) or before.st_size > LARGEST:
                    raise Unavailable(
                        f"{self.path}: is not a file of at most 64 MB: correct holders"
                    )
                data = file.read()
                after = os.fstat(handle)
        except OSError as error:
            raise Unavailable(
                f"{self.path}: cannot be read ({error.strerror}): check holders, the path and its "
                "rights"
            ) from None
        same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        if not same or len(data) != after.st_size:
            raise Incomplete(f"{self.path}: was written to while it was read: read it again")
        return data

    def _parsed(self, data: bytes) -> Register:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Incomplete(f"{self.path}: is not UTF-8: save it as UTF-8") from None
        if not text.endswith("\n"):
            raise Incomplete(f"{self.path}: the last line is not ended: it is empty or cut off")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=";", strict=True)
        rows: list[tuple[int, list[str]]] = []
        try:
            rows += [(reader.line_num, row) for row in reader if row]
        except csv.Error:
            raise Incomplete(
                f"{self.path}: line {reader.line_num}: quotes do not match: correct it"
            ) from None
        if not rows or [name.strip().lower() for name in rows[0][1]] != HEADER:
            raise Incomplete(f"{self.path}: line 1: is not key;card: write it as the first line")
        return self._register_of(self._without_count(rows[1:]))

    def _without_count(self, rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
        """Return the rows without the last one, if that counts them, and counts them right."""
        counts = bool(rows) and len(rows[-1][1]) == 2 and not rows[-1][1][0]
        if self.counted and not counts:
            raise Incomplete(f"{self.path}: the last line is no count (;N): the file is cut off")
        if counts:
            _, (_, told) = rows.pop()
            if told.strip() != str(len(rows)):
                raise Incomplete(
                    f"{self.path}: {len(rows)} rows and another count in the last line: the file "
                    "is not whole"
                )
        if len(rows) < self.at_least:
            raise Incomplete(
                f"{self.path}: {len(rows)} rows and holders_at_least says {self.at_least}: the "
                "file is not whole"
            )
        return rows

    def _register_of(self, rows: list[tuple[int, list[str]]]) -> Register:
        keys: dict[int, str] = {}
        cards: dict[str, list[int]] = {}
        for line, row in rows:
            if len(row) != 2 or not row[0].strip():
                raise Incomplete(f"{self.path}: line {line}: is no key and card: correct it")
            key, written = row[0], row[1].strip()
            digits = written.isascii() and written.isdigit() and len(written) <= 20
            if not (digits and int(written) in CARDS):
                raise Incomplete(
                    f"{self.path}: line {line}: is no card number from 1 to 4294967294: correct it"
                )
            number = int(written)
            if keys.setdefault(number, key) != key:
                raise Incomplete(
                    f"{self.path}: line {line}: gives a card to a second person: correct it"
                )
            if number not in cards.setdefault(key, []):
                cards[key].append(number)
        return Register({key: tuple(numbers) for key, numbers in cards.items()}, keys)
