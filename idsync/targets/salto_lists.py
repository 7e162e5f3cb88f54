"""Lists of ids in one text, as Salto keeps a user's access levels, zones and doors.

A list is written `A,B,C`, and in files `{A,B,C}`. An item can be a group of its own, as
in the product's exports of doors: `{{"DOOR",6,,}}`, a door with its timetable. What an
item means is the product's affair: items are kept exactly as they stand.

Wire facts: access-systems.md, section 10 (1,024 characters, braces in files); the
staging table and permission scripts of Tools4everBV/HelloID-Conn-Prov-Target-SaltoSpace
(assets/createStagingDBTable.SQL: nvarchar(1024); permissions: items joined by commas).
"""

from __future__ import annotations

from typing import Literal

LIST_LENGTH = 1024
"""Characters that one list has room for; what is longer would be cut."""

Empty = Literal["null", "text", "braces"]
"""How a list without items is written: NULL, an empty text, or `{}`."""

KINDS = {"levels": "", "zones": "zone:", "doors": "door:"}
"""The lists of a user, and what the ref of a grant from each begins with."""

LEVEL = "level:"
"""Stands before an access level whose own id begins like a zone's or door's ref."""


def items_of(text: str | None) -> tuple[str, ...]:
    """Return the items of the list *text*, each once, in their order."""
    inner = (text or "").strip()
    if _encloses(inner):
        inner = inner[1:-1]
    return tuple(dict.fromkeys(filter(None, map(_bare, _parts(inner)))))


def text_of(items: tuple[str, ...], *, braces: bool, empty: Empty) -> str | None:
    """Return the list of *items* as it is written."""
    if not items:
        return {"null": None, "text": "", "braces": "{}"}[empty]
    joined = ",".join(items)
    # a group that stood alone without braces around it would be read as a list
    return f"{{{joined}}}" if braces or _encloses(joined) else joined


def is_whole(text: str | None) -> bool:
    """Tell whether every brace and quote in the list *text* has its other half."""
    text = text or ""
    return text.count("{") == text.count("}") and text.count('"') % 2 == 0


def has_braces(text: str | None) -> bool:
    """Tell whether the list *text* is written in braces."""
    return _encloses((text or "").strip())


def ref_of(kind: str, item: str) -> str:
    """Return the ref of the grant that *item* in the list *kind* is."""
    prefixes = (LEVEL, *filter(None, KINDS.values()))
    if kind == "levels" and item.startswith(prefixes):
        return LEVEL + item
    return KINDS[kind] + item


def place_of(ref: str) -> tuple[str, str]:
    """Return the list and the item in it that the grant *ref* stands for."""
    for kind, prefix in KINDS.items():
        if prefix and ref.startswith(prefix):
            return kind, ref.removeprefix(prefix)
    return "levels", ref.removeprefix(LEVEL)


def is_item(text: str) -> bool:
    """Tell whether *text*, put into a list, is read back as just this one item."""
    return text.isprintable() and all(
        items_of(text_of(items, braces=braces, empty="null")) == items
        for items in ((text,), (text, f"{text}x"))
        for braces in (False, True)
    )


def _encloses(text: str) -> bool:
    """Tell whether one pair of braces holds all of *text*, not only the ends of two groups."""
    if not (text.startswith("{") and text.endswith("}")):
        return False
    depth = 0
    for place, letter in enumerate(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return place == len(text) - 1
    return False


def _parts(text: str) -> list[str]:
    """Return what stands between the commas of *text* that are outside groups and quotes."""
    if not is_whole(text):
        return text.split(",")  # cut or made by hand: each part is still somebody's
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        if not quoted:
            depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _bare(part: str) -> str:
    """Return *part* without blanks around it, and without quotes around a single id."""
    part = part.strip()
    if len(part) > 1 and part[0] == part[-1] == '"' and part.count('"') == 2:
        inner = part[1:-1]
        return part if "," in inner or "{" in inner or "}" in inner else inner
    return part
