"""What ARX keeps of a person and a card, and what idsync makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args
from xml.etree.ElementTree import Element

from idsync.errors import Refused
from idsync.model import Cardholder, Credential, CredentialState, Grant
from idsync.targets.arx_times import NEVER_OPEN, Clock

Suspend: TypeAlias = Literal["inhibit_cards", "delete_cards", "mark"]

MARK = re.compile(r"\s*\[idsync: ([a-z ]+)\]\s*$")
SUSPENDED = "suspended"
WITH_HOLDER = "suspended with its holder"
"""Marks of idsync, last in a description: on a person that idsync has suspended, and on a
card that is blocked for as long as its holder is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """An access category as a person has it; dates as ARX wrote them, "" where there is none."""

    name: str
    start: str = ""
    end: str = ""

    @property
    def ended_by_us(self) -> bool:
        """Whether idsync has ended it, since leaving it out does not remove it."""
        return self.end[:10] == NEVER_OPEN[1][:10]

    @staticmethod
    def ended(name: str) -> Category:
        """Return a category that opens nothing, to be sent where leaving it out is not enough."""
        return Category(name=name, start=NEVER_OPEN[0], end=NEVER_OPEN[1])

    def grant(self, clock: Clock) -> Grant:
        """Return the grant that this is."""
        return Grant(
            ref=self.name, valid_from=clock.start(self.start), valid_to=clock.end(self.end)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person. `element` is what the export said of them, where it was kept to be sent again.

    `lists_categories` tells whether the export had a place for them, were it empty.
    """

    id: str
    first_name: str = ""
    last_name: str = ""
    description: str = ""
    deleted: bool = False
    categories: tuple[Category, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    lists_categories: bool = field(default=True, compare=False)
    element: Element | None = field(default=None, compare=False, repr=False)

    @property
    def suspended(self) -> bool:
        """Whether idsync's mark stands on this person."""
        return mark_in(self.description) == SUSPENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card. Its number is known together with its format."""

    number: str
    format_name: str = ""
    description: str = ""
    person_id: str = ""
    inhibited: bool = False
    deleted: bool = False
    element: Element | None = field(default=None, compare=False, repr=False)

    @property
    def identity(self) -> tuple[str, str]:
        """By what ARX tells cards apart."""
        return self.number, self.format_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What ARX holds under one id: a person and their cards."""

    person: Person
    cards: tuple[Card, ...] = ()


def mark_in(description: str) -> str:
    """Return idsync's mark in a description, "" if there is none."""
    found = MARK.search(description)
    return found[1] if found else ""


def with_mark(description: str, mark: str) -> str:
    """Return a description with *mark* as its only mark of idsync; "" takes it away."""
    plain = MARK.sub("", description)
    return f"{plain} [idsync: {mark}]".lstrip() if mark else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How records are read and written on this site: the settings, and nothing else."""

    clock: Clock
    id_prefix: str = ""
    suspend: Suspend = "inhibit_cards"
    card_format: str = ""
    card_prefix: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)  # attribute → name of an extra field

    def id_of(self, key: str) -> str:
        """Return the id of the person with this key.

        Raises:
            Refused: ARX could not tell it from others.
        """
        require_text("the key", key)
        require_text("the key", self.id_prefix + key)
        return self.id_prefix + key

    def key_of(self, id: str) -> str | None:
        """Return the key in a person's id, or None if the id is not one of idsync's."""
        if not id.startswith(self.id_prefix) or id == self.id_prefix:
            return None
        return id.removeprefix(self.id_prefix)

    def shown(self, card: Card) -> str:
        """Return the number by which idsync knows a card."""
        return card.number.removeprefix(self.card_prefix) or card.number

    def counts(self, card: Card) -> bool:
        """Whether a card is there: not deleted, or deleted by idsync to block it."""
        return not card.deleted or (self.suspend == "delete_cards" and bool(state_in(card)))

    def blocked(self, card: Card) -> bool:
        """Whether a card opens nothing."""
        return card.inhibited or card.deleted

    def state(self, card: Card) -> CredentialState:
        """Return a card's state; what others have blocked is suspended."""
        return (state_in(card) or "suspended") if self.blocked(card) else "active"

    def cardholder(self, found: Found, *, known: bool = True) -> Cardholder:
        """Return what is shown of a person; without a key where not *known* to be one person."""
        person, cards = found.person, [card for card in found.cards if self.counts(card)]
        open_card = self.suspend != "mark" and not all(map(self.blocked, cards))
        return Cardholder(
            key=self.key_of(person.id) if known else None,
            native_id=person.id,
            given_name=person.first_name,
            family_name=person.last_name,
            **{name: person.extra.get(place, "") for name, place in self.fields.items()},
            status="suspended" if person.suspended else "active",
            credentials=self.credentials(cards),
            grants=tuple(
                category.grant(self.clock)
                for category in person.categories
                if not category.ended_by_us
            ),
            amiss="a card of a suspended person is not blocked"
            if person.suspended and open_card
            else "",
        )

    def credentials(self, cards: Iterable[Card]) -> tuple[Credential, ...]:
        """Return what is shown of cards."""
        return tuple(
            Credential(number=self.shown(card), state=self.state(card))
            for card in cards
            if self.counts(card)
        )


def state_in(card: Card) -> CredentialState | None:
    """Return the state that idsync has written on a card, or None."""
    mark = mark_in(card.description)
    if mark == WITH_HOLDER:
        return "suspended"
    return next((state for state in get_args(CredentialState) if state == mark), None)


def require_text(what: str, text: str, *, exact: bool = True) -> None:
    """Check that ARX can hold *text*; what is to be found again *exact* has no spaces around it.

    The client's documents are ISO-8859-1. XML readers may trim, and lose control characters.

    Raises:
        Refused: it cannot.
    """
    try:
        text.encode("iso-8859-1")
    except UnicodeEncodeError:
        raise Refused(
            f"{what} has letters that ARX cannot hold (its documents are ISO-8859-1): "
            "write it with others"
        ) from None
    if not text.isprintable() or (exact and (not text or text != text.strip())):
        raise Refused(
            f"{what} is empty, has spaces around it, or holds signs that are no letters: correct it"
        )
