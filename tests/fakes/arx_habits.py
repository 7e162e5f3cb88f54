"""What a test can make the ARX fake do: every reading of what the documents leave open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo


@dataclass
class Habits:
    """How this ARX reads what nobody wrote down. The defaults are one reading of many."""

    # ── imports ─────────────────────────────────────────────────────────────────────────
    absent_categories: Literal["removed", "kept"] = "removed"
    same_category: Literal["replaced", "doubled"] = "replaced"  # a category that is there already
    absent_elements: Literal["kept", "emptied"] = "emptied"
    unknown_category: Literal["refused", "ignored"] = "refused"
    refuses: Literal["document", "person"] = "document"  # or the others are taken, and OK is said
    refusal: tuple[int, bytes] = (400, b"ERROR: secret detail of the record")
    taken: bytes = b"OK\n"
    drops_cards: bool = False  # a person in a document without cards loses them
    bad_ids: set[str] = field(default_factory=set)  # persons whom it never takes
    inhibited: Literal["known", "ignored", "refused"] = "known"
    deleted_cards: Literal["marked", "gone"] = "marked"
    name_length: int | None = None  # cut in silence
    description_length: int | None = None
    extra_fields: set[str] = field(default_factory=lambda: {"Avdelning", "E-post", "Skåp"})
    folds_ids: bool = False  # "a1" and "A1" are one person to an import

    # ── exports ─────────────────────────────────────────────────────────────────────────
    encoding: Literal["ISO-8859-1", "UTF-8"] = "ISO-8859-1"
    namespace: str = ""
    finds: Literal["right", "everybody", "nobody", "folded", "first", "part", "latin-1"] = "right"
    nothing: Literal["sections", "empty", "404"] = "sections"  # what is shown of nobody
    cards_of_one: bool = True  # an export of one person has cards
    categories_of_one: bool = True  # and categories
    excludes_deleted: bool = True
    shows_pin: bool = True
    timestamp: bool = True
    sections: tuple[str, ...] = ("persons", "cards")
    left_out: set[str] = field(default_factory=set)  # persons whom a whole export lacks
    twice: set[str] = field(default_factory=set)  # persons whom an export shows twice
    tells_categories: bool = True
    reads: tuple[str, ...] = ("GET", "POST")
    doctype: str = ""
    after_export: list[Callable[[], None]] = field(default_factory=list)

    # ── doors ───────────────────────────────────────────────────────────────────────────
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Stockholm"))
    end_inclusive: bool = True


@dataclass
class Trouble:
    """What the next requests get instead of their answer."""

    how: Literal["answer", "ignored", "lost", "cut"] = "answer"
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int = 0  # how many bytes of the answer come


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    document: bytes = b""


class ArxRefusal(Exception):
    """A document, or a person in it, that is not taken."""
