"""Which texts may be written into somebody else's table or file."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from idsync.errors import Refused

FORMULAS = tuple("=+-@")
"""How a cell begins that a spreadsheet program would run (ASVS 5.0, 1.2.10; CWE-1236)."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Judges the texts that idsync brings along; what stands there already is not judged.

    `codec` is Python's name of what the other side can write. `formulas`: may a text
    begin as a spreadsheet's formula does. `trims`: the other side may drop blanks around
    a text, so two keys could become one.
    """

    codec: str = "utf-8"
    lengths: Mapping[str, int]
    formulas: bool = True
    trims: bool = False

    def check(self, name: str, text: str) -> None:
        """Raise Refused, without the text, if it cannot be written as *name*."""
        most = self.lengths.get(name)
        if most is not None and len(text) > most:
            raise Refused(
                f"{name} has {len(text)} characters and {most} fit: shorten it at its source"
            )
        try:
            text.encode(self.codec)
        except UnicodeEncodeError:
            raise Refused(
                f"{name} holds a letter that {self.codec} cannot write: correct the record"
            ) from None
        if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in text):
            raise Refused(f"{name} holds a line break or another control: correct the record")
        if self.trims and name == "key" and text != text.strip():
            raise Refused("the key has blanks around it, which may get lost: correct the record")
        if name == "key" and not text:
            raise Refused("the key is empty: correct the record")
        if not self.formulas and text.startswith(FORMULAS):
            raise Refused(
                f"{name} begins as a spreadsheet's formula does (= + - @): correct the record, or "
                'set formulas = "keep" where nobody opens the file in a spreadsheet'
            )
