"""What is asked of a landlord: one task for one person, and the line of an order it stands on.

The orders are the record. What the other system holds follows from the lines, the newest
line on a door, card, name or block deciding; nothing is kept twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

from idsync.errors import Unavailable
from idsync.model import CredentialState

Action: TypeAlias = Literal[
    "register", "add", "change", "remove", "suspend", "resume", "rename",
    "add_card", "block_card", "return_card",
]  # fmt: skip
State: TypeAlias = Literal["open", "done", "refused", "overtaken"]
Item: TypeAlias = tuple[str, ...]
Value: TypeAlias = tuple[datetime | None, datetime | None] | str | None

DOORS = ("add", "change", "remove")
CARDS = ("add_card", "block_card", "return_card")
TAKES = ("remove", "suspend", "block_card")

PERSON: Item = ("person",)
NAME: Item = ("name",)
STATUS: Item = ("status",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to do for one person. What it is about is its `item`; how it shall be, its `value`.

    `ref` is a door or a card number. `name` and `cards` are what the landlord finds the
    person by; a person without a released name has only the alias of idsync's own.
    """

    key: str
    action: Action
    urgent: bool = False
    ref: str = ""
    medium: str = ""
    card_state: CredentialState | Literal[""] = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    name: str | None = None
    cards: tuple[str, ...] = ()

    @property
    def item(self) -> Item:
        """What this is about: a door, a card, the name, the block, or the person."""
        if self.action in DOORS:
            return ("door", self.ref)
        if self.action in CARDS:
            return ("card", self.medium, self.ref)
        return {"rename": NAME, "register": PERSON}.get(self.action, STATUS)

    @property
    def value(self) -> Value:
        """How that shall be: an interval, a state, a name; None is: it shall be gone."""
        if self.action == "remove":
            return None
        if self.action in DOORS:
            return (self.valid_from, self.valid_to)
        if self.action in CARDS:
            return self.card_state
        blocks = {"suspend": "suspended", "resume": "active"}
        return blocks.get(self.action, self.name if self.action == "rename" else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A task as line *number* of an order, with what the landlord answered."""

    order: int
    number: int
    alias: str
    code: str
    task: Task
    replaces: tuple[int, int] | None = None  # an older line, which is not to be carried out
    replaced: bool = False
    state: State = "open"
    reason: str = ""
    done_on: date | None = None

    @property
    def open(self) -> bool:
        """Whether an answer is awaited."""
        return self.state == "open" and not self.replaced

    @property
    def amiss(self) -> bool:
        """Whether the landlord could not do it, or an older order has undone it."""
        return self.state in ("refused", "overtaken") and not self.replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One numbered document: revocations (urgent), or everything else."""

    number: int
    urgent: bool
    made_at: datetime
    deadline: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """A numbered document that refers to an order which is overdue."""

    number: int
    order: Order
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """Everything that was ever asked for one person, the newest line last."""

    key: str
    alias: str
    lines: tuple[Line, ...]

    @property
    def standing(self) -> dict[Item, Line]:
        """The line that decides each item: the newest about it."""
        return {line.task.item: line for line in self.lines}

    @property
    def name(self) -> str | None:
        """The name on the newest line."""
        return self.lines[-1].task.name


def people_of(lines: Iterable[Line]) -> list[Person]:
    """Return the people of *lines*, which come person by person, the oldest line first."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.task.key, []).append(line)
    return [Person(key, mine[0].alias, tuple(mine)) for key, mine in found.items()]


class Wrong(Exception):
    """Something a landlord wrote does not fit; the sentence names place and number, no person."""


def unreadable(what: str, error: Exception) -> Unavailable:
    """Return the error for a file or folder that does not answer."""
    name = type(error).__name__
    return Unavailable(f"{what} does not answer ({name}): check path, disk and rights")
