"""Which letters an order can show: a letter that its font lacks is never lost in silence."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from fpdf import FPDF
from fpdf.fonts import TTFFont

from idsync.errors import ConfigError

LATIN_1 = frozenset(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x100)])) - {"\xad"}
"""What PDF's own fonts hold without being sent along; the soft hyphen cannot be seen."""

FAMILY = "order"
FONTS = (b"\x00\x01\x00\x00", b"OTTO", b"true", b"ttcf")  # how TrueType, OpenType files begin

LONGEST, LONGEST_CARD = 100, 40
"""How many characters of a name or door, and of a card number, a row has room for."""

FORMULA = ("=", "+", "-", "@")
"""A field that begins so is run as a formula by office programs."""


class Letters:
    """The letters of PDF's own fonts, or of a font file."""

    def __init__(self, font: Path | None) -> None:
        self.font = font
        self._known = frozenset(map(chr, _in_font(font))) if font else LATIN_1

    def flaw(self, text: str, longest: int = LONGEST) -> str:
        """Return what makes *text* unfit for an order; "" if nothing does."""
        text = composed(text)
        if len(text) > longest:
            return f"is longer than {longest} characters"
        if any(not letter.isprintable() for letter in text):
            return "holds a character that cannot be seen"
        if not self._known.issuperset(text):
            return "has letters that the order's font lacks"
        if text.startswith(FORMULA):
            return "begins as a formula does, and a spreadsheet would run it"
        if text != text.strip():
            return "begins or ends with a space"
        return ""

    def printable(self, text: str) -> str:
        """Return *text* with each letter that cannot be shown as its number: {U+0160}."""
        return "".join(
            letter if letter in self._known and letter.isprintable() else f"{{U+{ord(letter):04X}}}"
            for letter in composed(text)
        )


def composed(text: str) -> str:
    """Return *text* with a letter and its accent as one character, as fonts have it."""
    return unicodedata.normalize("NFC", text)


def as_field(text: str) -> str:
    """Return *text* as a field of a table that no spreadsheet runs as a formula."""
    text = "".join(letter if letter.isprintable() else " " for letter in composed(text))
    return f"'{text}" if text.startswith(FORMULA) else text


def _in_font(path: Path) -> list[int]:
    try:
        with path.open("rb") as file:
            if file.read(4) not in FONTS:
                raise ValueError
        paper = FPDF()
        paper.add_font(FAMILY, fname=path)
        font = paper.fonts[FAMILY]
        if not isinstance(font, TTFFont):
            raise TypeError
        known = [number for number in font.cmap if chr(number).isprintable()]
        font.close()
    except Exception:  # whatever a file that is no font brings about in the font reader
        raise ConfigError(
            f"font {path} is no TrueType or OpenType font that can be read: correct `font`"
        ) from None
    return known
