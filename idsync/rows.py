"""Rows: how somebody else's table or file says what a cardholder is, as the settings describe it.

Shared by the sql and the file target, for which a cardholder is the same thing: one row of
texts by column, and its rights either joined in a column of it or as rows of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from idsync.capabilities import Capabilities, profile
from idsync.model import ATTRIBUTES, CredentialState, GrantKind, HolderStatus
from idsync.rows_dates import Dates
from idsync.settings import Settings

FIELDS = ("key", "native_id", "status", *ATTRIBUTES)
"""What `columns` may name."""

RIGHT_FIELDS = ("key", "ref", "kind", "valid_from", "valid_to", "origin")
"""What `rights.columns` may name."""

WORDS: dict[str, tuple[str, ...]] = {
    "status": get_args(HolderStatus),
    "kind": (*get_args(GrantKind), ""),  # "": none of idsync's business
    "state": get_args(CredentialState),
}
"""idsync's words, into which `values` translates the other side's codes."""

NEEDED = {"status": ("active", "suspended"), "kind": (), "state": ("active", "suspended")}

ANSWERS = ("waiting", "taken", "done", "refused")

Row = Mapping[str, str]


class JoinedList(Settings):
    """Rights of one kind, joined in one column of the person's row."""

    column: str = Field(min_length=1)
    separator: str = Field(default=",", min_length=1)
    opening: str = ""
    closing: str = ""
    most: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if bool(self.opening) != bool(self.closing):
            raise ValueError('opening and closing go together, such as "{" and "}"')
        if not self.separator.strip() and self.separator != " ":
            raise ValueError('separator: write what stands between two rights, such as "," or ";"')
        return self


class RightRows(Settings):
    """Rights as rows of their own; their column `key` holds the person's key, or its native id."""

    columns: dict[str, str]
    by: Literal["key", "native_id"] = "key"
    kind: GrantKind = "access"
    per_right: Literal["one", "many"] = "many"
    origin: str = "idsync"
    new_row: dict[str, str] = Field(default_factory=dict)

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str]) -> dict[str, str]:
        must_know(columns, RIGHT_FIELDS, needed=("key", "ref"))
        if ("valid_from" in columns) != ("valid_to" in columns):
            raise ValueError(
                "valid_from and valid_to go together: without one of them a right could not "
                "keep its dates, so name both or neither"
            )
        return columns

    @model_validator(mode="after")
    def _apart(self) -> Self:
        must_differ([*self.columns.values(), *self.new_row])
        return self


class Card(Settings):
    """The columns of one card in the person's row."""

    number: str = Field(min_length=1)
    state: str | None = Field(default=None, min_length=1)
    medium: str = Field(default="card", min_length=1)


class Answer(Settings):
    """A column of the person's row in which the system says what became of a write."""

    column: str = Field(min_length=1)
    codes: dict[str, Literal["waiting", "taken", "done", "refused"]]
    hours: float = Field(default=24, gt=0)

    @field_validator("codes")
    @classmethod
    def _can_wait(cls, codes: dict[str, str]) -> dict[str, str]:
        for word in ("waiting", "done"):
            if word not in codes.values():
                raise ValueError(f'no code means "{word}": add it, such as {{ "0" = "{word}" }}')
        return codes


class Described(Settings):
    """What both targets say of their rows, in a [targets.NAME] table."""

    columns: dict[str, str]
    values: dict[str, dict[str, str]]
    lists: dict[GrantKind, JoinedList] = Field(default_factory=dict)
    rights: RightRows | None = None
    cards: tuple[Card, ...] = ()
    dates: Dates | None = None
    answer: Answer | None = None
    new_row: dict[str, str] = Field(default_factory=dict)
    every_write: dict[str, str] = Field(default_factory=dict)
    lengths: dict[str, int] = Field(default_factory=dict)

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        must_know(columns, FIELDS, needed=("key", "status"))
        return columns

    @field_validator("values")
    @classmethod
    def _known_words(cls, values: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        must_know(values, WORDS, needed=("status",))
        for name, codes in values.items():
            for word in codes.values():
                if word not in WORDS[name]:
                    known = ", ".join(filter(None, WORDS[name]))
                    raise ValueError(f"{name}: their code = our word, and ours are {known}")
            for word in NEEDED[name]:
                if word not in codes.values():
                    raise ValueError(f'{name}: no code means "{word}": add it')
        return values

    @field_validator("lengths")
    @classmethod
    def _known_lengths(cls, lengths: dict[str, int]) -> dict[str, int]:
        must_know(lengths, ("key", *ATTRIBUTES))
        if any(most < 1 for most in lengths.values()):
            raise ValueError("write the most characters that fit, at least 1")
        return lengths

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.lists) == bool(self.rights):
            raise ValueError(
                "say where rights stand: lists (joined in a column) or rights (rows of their "
                "own), one of the two"
            )
        dated = self.rights is not None and "valid_from" in self.rights.columns
        if dated != (self.dates is not None):
            raise ValueError(
                "dates and rights.columns valid_from and valid_to go together: say how their "
                "texts are written, or leave both out"
            )
        if self.rights and self.rights.by not in self.columns:
            raise ValueError('rights.by = "native_id": name the column native_id in columns')
        coded = self.rights is not None and "kind" in self.rights.columns
        if coded != ("kind" in self.values):
            raise ValueError("values.kind and rights.columns kind go together")
        if any(card.state for card in self.cards) != ("state" in self.values):
            raise ValueError("values.state and the state column of a card go together")
        for name in self.lengths:
            if name not in self.columns:
                raise ValueError(f"lengths: {name} has no column")
        must_differ([*self.person_columns(), *self.new_row])
        must_differ([*self.person_columns(), *self.every_write])
        return self

    def person_columns(self) -> list[str]:
        """Return the columns of a person's row that idsync reads or writes."""
        found = [*self.columns.values(), *(each.column for each in self.lists.values())]
        for card in self.cards:
            found += [card.number, *([card.state] if card.state else [])]
        return [*found, *([self.answer.column] if self.answer else [])]

    def right_columns(self) -> list[str]:
        """Return the columns of a right's own row."""
        return list(self.rights.columns.values()) if self.rights else []

    def code(self, name: str, word: str) -> str | None:
        """Return what is written for idsync's *word*: the first code that means it."""
        return next((code for code, ours in self.values[name].items() if ours == word), None)


def capabilities_of(described: Described, name: str, **more: Any) -> Capabilities:  # noqa: ANN401
    """Return the profile *name* as the description fills it in; *more* are any of its fields."""
    dates, rights, lists = described.dates, described.rights, described.lists
    told: dict[str, Any] = {
        "attributes": tuple(each for each in ATTRIBUTES if each in described.columns),
        "lengths": described.lengths,
        "dated_grants": dates is not None,
        "grants_per_right": rights.per_right if rights and dates else "one",
        "writes": "delta" if rights else "replace",
        "kinds": _kinds(described),
        "answer_hours": described.answer.hours if described.answer else 0,
        "grants_text": min((each.most for each in lists.values() if each.most), default=None),
    }
    if dates:
        told |= {
            "granularity": dates.granularity,
            "end_inclusive": dates.end_inclusive,
            "time_zone": "utc" if dates.timezone.key in ("UTC", "Etc/UTC") else "system",
        }
    if described.cards:
        states = all(card.state for card in described.cards)
        told["credential"] = ("read", "update") if states else ("read",)
        told["cards_per_holder"] = len(described.cards)
    return profile(name, **told | more)


def _kinds(described: Described) -> tuple[GrantKind, ...]:
    if described.rights is None:
        return tuple(described.lists)
    if "kind" not in described.rights.columns:
        return (described.rights.kind,)
    words = described.values["kind"].values()
    return tuple(kind for kind in get_args(GrantKind) if kind in words)


# ── checking names ──────────────────────────────────────────────────────────────────────


def nearest(wanted: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: the known name that *wanted* may have been meant for."""
    folded = {each.casefold(): each for each in known}
    found = get_close_matches(wanted.casefold(), folded, n=1)
    return f"did you mean {folded[found[0]]}?" if found else f"known: {', '.join(folded.values())}"


def must_know(names: Mapping[str, Any], known: Iterable[str], needed: tuple[str, ...] = ()) -> None:
    """Raise ValueError if one of *names* is not *known*, or one that is *needed* is missing."""
    known = tuple(known)
    for name in names:
        if name not in known:
            raise ValueError(f"{name} is no field here; {nearest(name, known)}")
    for name in needed:
        if name not in names:
            raise ValueError(f"{name} is missing: name what holds it")


def must_differ(columns: list[str]) -> None:
    """Raise ValueError if one column is named twice, or not at all."""
    if not all(columns):
        raise ValueError("a column has an empty name: write it")
    for column in columns:
        if columns.count(column) > 1:
            raise ValueError("one column is named for two things: name each once")
