"""On which line of a TOML text each key stands, which the standard reader does not tell."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""Where a value is: keys, and positions in lists counted from 0."""

STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'", re.DOTALL
)
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
BARE_VALUE = re.compile(r"[^,\]}#\r\n]*")
BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")


def key_lines(text: str) -> dict[Place, int]:
    """Return the line, counted from 1, of every key, table and list element of *text*.

    A table is on the line where it is first named. *text* must be valid TOML.
    """
    return _Reader(text).read()


def line_of(place: Place, lines: dict[Place, int]) -> int | None:
    """Return the line of *place*, or of the nearest thing around it; None is the whole file."""
    while place:
        if place in lines:
            return lines[place]
        place = place[:-1]
    return None


class _Reader:
    """Walks once through the text, noting lines and forgetting values."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.breaks = [found.start() for found in re.finditer("\n", text)]
        self.lines: dict[Place, int] = {}
        self.list_sizes: dict[Place, int] = {}  # of lists written as [[headers]]

    def read(self) -> dict[Place, int]:
        table: Place = ()
        while self._more():
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self.lines

    def _more(self) -> bool:
        self._take(BLANK)
        return self.at < len(self.text)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError("the text is not TOML")
        self.at = found.end()
        return found.group()

    def _skip(self, sign: str) -> bool:
        self._take(BLANK)
        there = self.text.startswith(sign, self.at)
        self.at += len(sign) if there else 0
        return there

    def _note(self, place: Place, start: int, line: int) -> None:
        """Note *place* and, from *start* on, whatever it opens on its way."""
        for length in range(start, len(place) + 1):
            self.lines.setdefault(place[:length], line)

    def _line(self) -> int:
        return bisect_left(self.breaks, self.at) + 1

    def _header(self) -> Place:
        line = self._line()
        element = self._skip("[[")
        if not element:
            self._skip("[")
        keys = self._keys()
        self._skip("]]" if element else "]")
        place = (*self._inside_lists(keys[:-1]), keys[-1])
        if element:
            self._note(place, 1, line)
            position = self.list_sizes.get(place, 0)
            self.list_sizes[place] = position + 1
            place = (*place, position)
        elif place in self.list_sizes:
            place = (*place, self.list_sizes[place] - 1)
        self._note(place, 1, line)
        return place

    def _inside_lists(self, keys: tuple[str, ...]) -> Place:
        """Return the place of *keys*, where a list stands for its last element so far."""
        place: Place = ()
        for key in keys:
            place = (*place, key)
            if place in self.list_sizes:
                place = (*place, self.list_sizes[place] - 1)
        return place

    def _keys(self) -> tuple[str, ...]:
        keys = [self._key()]
        while self._skip("."):
            keys.append(self._key())
        return tuple(keys)

    def _key(self) -> str:
        self._take(BLANK)
        if self.text[self.at] in "\"'":
            return str(tomllib.loads(f"key = {self._take(STRING)}")["key"])
        return self._take(BARE_KEY)

    def _pair(self, table: Place) -> None:
        line = self._line()
        place = table + self._keys()
        self._note(place, len(table) + 1, line)
        self._skip("=")
        self._value(place)

    def _value(self, place: Place) -> None:
        self._take(BLANK)
        if self._skip("["):
            position = 0
            while not self._skip("]"):
                self.lines[(*place, position)] = self._line()
                self._value((*place, position))
                position += 1
                self._skip(",")
        elif self._skip("{"):
            while not self._skip("}"):
                self._pair(place)
                self._skip(",")
        else:
            self._take(STRING if self.text[self.at] in "\"'" else BARE_VALUE)
