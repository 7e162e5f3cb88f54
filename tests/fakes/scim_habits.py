"""What a test can make the SCIM fake do wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Habits:
    """How this service differs from the RFC. The defaults are a well-behaved one."""

    config: bool = True  # has a ServiceProviderConfig
    patch: bool = True
    says_patch: bool | None = None  # what ServiceProviderConfig says, if something else
    put: bool = True
    etag: Literal["none", "offered", "required"] = "none"
    page_limit: int = 1000
    honours_start: bool = True
    after_end: Literal["empty", "refused"] = "empty"
    total_off: int = 0  # totalResults is wrong by this many
    total_of_page: bool = False  # totalResults counts the page only
    total_grows: bool = False  # totalResults is one more on each page
    lose_last_page: bool = False
    left_out: set[str] = field(default_factory=set)  # ids that lists do not show
    hides_blocked: bool = False
    filters: Literal["right", "ignored", "refused", "blind", "folded"] = "right"
    members_in_lists: bool = True
    members_on_request: bool = False  # shown only if the request names the attribute
    members_cut: int | None = None  # shows only so many members
    user_groups: bool = False  # users show the groups they are in
    removal: Literal["filter", "value", "wipes"] = "filter"
    repeats: Literal["ignored", "refused"] = "ignored"  # adding a member, removing a stranger
    forgets: set[str] = field(default_factory=set)  # attributes that a new user loses
    refuses_paths: set[str] = field(default_factory=set)
    after_page: list[Any] = field(default_factory=list)  # called once after the next page of users
    after_read: list[Any] = field(
        default_factory=list
    )  # called once after the next GET of a record


@dataclass
class Trouble:
    """What the next request of a kind gets instead of its answer."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    committed: bool = False  # the request is carried out all the same
    how: Literal["answer", "drop", "half", "slow head", "slow body"] = "answer"


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class ScimError(Exception):
    """An answer that says no."""

    def __init__(self, status: int, scim_type: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.scim_type = scim_type
