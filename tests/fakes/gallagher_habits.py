"""What a test can make the Command Centre fake do wrong, and what its operator may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

VIEW = {"view cardholders", "view groups", "view fields", "view site", "view memberships"}
EDIT = {"create cardholders", "edit cardholders", "modify access control"}


@dataclass
class Habits:
    """How this server differs from a new one that nobody has spoilt."""

    version: str = "9.50.1234.0"
    licences: set[str] = field(default_factory=lambda: {"RESTCardholders", "RESTConfiguration"})
    privileges: set[str] = field(default_factory=lambda: VIEW | EDIT)
    divisions: set[int] | None = None  # where the operator has them; None: everywhere
    most_cardholders: int | None = None  # the licence's limit
    page_limit: int = 1000
    calls_itself: str | None = None  # scheme, host and port in its links
    link_query: str = ""  # what its links carry already
    next_forgets: bool = False  # a next link says only where to go on
    pages_by_offset: bool = False  # a removal between two pages hides somebody
    ignores_sort: bool = False
    circles: bool = False  # the next link leads to the first page
    empty_pages: int = 0  # so many pages hold nothing before the first
    left_out: set[int] = field(default_factory=set)  # people whom searches do not find
    twice: set[int] = field(default_factory=set)  # people whom searches find twice
    blank_takes_default: bool = False  # an empty date of a new holding is no date said
    empty_field: Literal["null", "absent"] = "null"  # a field asked for that has no value
    patched: Literal[200, 204] = 204
    feed: bool = True
    tells_old_fields: bool = True  # the feed shows what stood in personal data fields
    forgets_bookmarks: bool = False
    only_memberships_of: set[str] | None = None  # groups in which it may put people
    after_page: list[Callable[[], None]] = field(default_factory=list)
    after_search: list[Callable[[], None]] = field(default_factory=list)
    hidden: Literal["", "results"] = ""  # what an answer leaves out


@dataclass
class Trouble:
    """What the next request of a kind gets: instead of its answer, or with nothing done."""

    status: int = 503
    committed: bool = False  # the request is carried out all the same
    how: Literal["answer", "drop"] = "answer"
    message: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """A request as it arrived, and its answer."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any
    status: int = 0
    answer: Any = None


class Refusal(Exception):
    """The server says no, and why."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
