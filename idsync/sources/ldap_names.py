"""Distinguished names, in one form whatever way a server spells them.

A group names its members by distinguished name, and the same name can be written in many
ways: case, spaces, escapes, the order in a multi-valued part (RFC 4514, section 2;
RFC 4517, section 4.2.15; RFC 4518, section 2).
"""

from __future__ import annotations

import re
import unicodedata

AWKWARD = re.compile(r'[\\"+#;<>\t\r\n]| [ ,=]|[,=] |^ | $')
HEX = re.compile(r"[0-9A-Fa-f]{2}")
SPACES = re.compile(r"\s+")
SPECIAL = re.compile(r"[\\,+]|^#")


def normal_name(name: bytes) -> str:
    """Return the form of *name* that is equal for equal names.

    Raises:
        ValueError: *name* is not a distinguished name.
    """
    text = name.decode("utf-8")
    if not AWKWARD.search(text) and unicodedata.is_normalized("NFKC", text):
        if not text or text.startswith("=") or "=" not in text:
            raise ValueError("not a distinguished name")
        return text.casefold()
    return ",".join(
        "+".join(sorted(_normal_part(part) for part in _split(relative, "+")))
        for relative in _split(text, ",;")
    )


def _split(text: str, separators: str) -> list[str]:
    """Return the pieces of *text* between *separators* that are neither escaped nor quoted."""
    pieces = []
    start = position = 0
    quoted = False
    while position < len(text):
        letter = text[position]
        if letter == "\\":
            position += 1
        elif letter == '"':
            quoted = not quoted
        elif letter in separators and not quoted:
            pieces.append(text[start:position])
            start = position + 1
        position += 1
    pieces.append(text[start:])
    return pieces


def _normal_part(part: str) -> str:
    kind, equals, value = part.partition("=")
    kind = kind.strip().casefold()
    if not equals or not kind:
        raise ValueError("not a distinguished name")
    value = value.lstrip()
    if value.startswith("#"):
        return f"{kind}={value.rstrip().casefold()}"
    plain = unicodedata.normalize("NFKC", _unescape(value)).casefold()
    # Spaces at the ends and repeated ones do not tell names apart: RFC 4518, section 2.6.1.
    plain = SPACES.sub(" ", plain).strip()
    return f"{kind}={SPECIAL.sub(lambda found: chr(92) + found[0], plain)}"


def _unescape(value: str) -> str:
    octets = bytearray()
    position = 0
    while position < len(value):
        letter = value[position]
        if letter == '"':
            position += 1
            continue
        if letter == "\\":
            pair = value[position + 1 : position + 3]
            if HEX.fullmatch(pair):
                octets.append(int(pair, 16))
                position += 3
                continue
            position += 1
            letter = value[position : position + 1]
        octets += letter.encode()
        position += 1
    return octets.decode("utf-8")
