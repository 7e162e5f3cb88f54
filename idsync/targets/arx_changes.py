"""What a person and their cards shall be after a change: worked out, and nothing sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from idsync.errors import Refused
from idsync.model import Change, Credential, Grant
from idsync.targets.arx_records import (
    SUSPENDED,
    WITH_HOLDER,
    Card,
    Category,
    Found,
    Person,
    Rules,
    mark_in,
    require_text,
    with_mark,
)

NAMES = ("given_name", "family_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a person shall be, and those of their cards that shall be otherwise."""

    person: Person
    cards: tuple[Card, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One change, and what ARX holds: the change is only ever judged against a fresh read.

    `names` counts the access categories of ARX by name, where it tells them; `taken` are
    numbers of cards that somebody has, asked for only where a card shall be issued.
    """

    change: Change
    now: Found | None
    rules: Rules
    names: Counter[str] | None = None
    taken: frozenset[str] = frozenset()

    @property
    def returning(self) -> bool:
        """Whether somebody is let back in: by this change, planned when they were suspended."""
        before = self.change.before
        wanted = self.change.after.status
        return before is not None and before.status == "suspended" and wanted == "active"

    @property
    def suspended(self) -> bool:
        """Whether the person is suspended afterwards; an older plan does not end that."""
        if self.change.after.status == "suspended":
            return True
        return self.now is not None and self.now.person.suspended and not self.returning

    @property
    def start(self) -> Found:
        """What there is, or a person without anything."""
        return self.now or Found(person=Person(id=self.rules.id_of(self.change.key)))

    # ── what cannot be ──────────────────────────────────────────────────────────────────

    def refusal(self) -> str:
        """Return why what the change gives cannot be, "" if it can: then it only takes away."""
        try:
            for name, value in self.change.attributes.items():
                if name not in NAMES and name not in self.rules.fields:
                    raise Refused(f"{name} has no place in ARX: take it out of release")
                require_text(name, value, exact=False)
            for grant in self.change.added:
                self._require_possible(grant)
            self._wished_cards(less=False)
        except Refused as refused:
            return str(refused)
        return ""

    def _require_possible(self, grant: Grant) -> None:
        if grant.kind != "access":
            raise Refused("ARX has access categories only, no rights of other kinds")
        clock = self.rules.clock
        others = [each for each in self._remaining() if each.name == grant.ref]
        if any(each.grant(clock) == grant for each in others):
            return
        if others or sum(each.ref == grant.ref for each in self.change.after.grants) > 1:
            raise Refused(
                "ARX holds a category once for a person, and it is there with other dates, or "
                "shall be held for two periods: plan again, or correct the profiles"
            )
        if self.suspended and self.rules.suspend == "mark":
            raise Refused(
                'the person is suspended, and with suspend = "mark" a category would open: '
                "plan again when they are back"
            )
        require_text("the name of a category", grant.ref)
        clock.start_text(grant.valid_from)
        clock.end_text(grant.valid_to)
        if self.names is not None and self.names[grant.ref] != 1:
            how_many = "no" if not self.names[grant.ref] else "more than one"
            raise Refused(
                f"ARX has {how_many} access category of this name, and knows them by name: "
                "correct the profile, or the category in ARX"
            )

    # ── what shall be ───────────────────────────────────────────────────────────────────

    def wish(self, *, less: bool) -> Wish:
        """Return how it shall be; with *less* only what is taken away."""
        person, change = self.start.person, self.change
        categories = self._remaining()
        attributes = {} if less else change.attributes
        if not less:
            there = {each.grant(self.rules.clock) for each in categories}
            categories += [self._category(each) for each in change.added if each not in there]
        description = person.description
        if self.suspended and not person.suspended:
            description = with_mark(description, SUSPENDED)
        elif self.returning and not less:
            description = with_mark(description, "")
        fields = self.rules.fields
        extra = {fields[name]: value for name, value in attributes.items() if name in fields}
        return Wish(
            person=replace(
                person,
                first_name=attributes.get("given_name", person.first_name),
                last_name=attributes.get("family_name", person.last_name),
                description=description,
                categories=tuple(categories),
                extra={**person.extra, **extra},
            ),
            cards=tuple(self._wished_cards(less=less)),
        )

    def _remaining(self) -> list[Category]:
        gone = set(self.change.removed)
        return [
            each
            for each in self.start.person.categories
            if not each.ended_by_us and each.grant(self.rules.clock) not in gone
        ]

    def _category(self, grant: Grant) -> Category:
        clock = self.rules.clock
        return Category(
            name=grant.ref,
            start=clock.start_text(grant.valid_from),
            end=clock.end_text(grant.valid_to),
        )

    # ── cards ───────────────────────────────────────────────────────────────────────────

    def _wished_cards(self, *, less: bool) -> list[Card]:
        """Return the cards that shall be otherwise; with *less* only those to be blocked."""
        rules, wanted = self.rules, {each.number: each for each in self.change.credentials}
        if rules.suspend == "mark":
            if wanted and not less:
                raise Refused(
                    'with suspend = "mark" idsync leaves the cards in ARX alone: block them there'
                )
            return []
        made: list[Card] = []
        for card in self.start.cards:
            if not rules.counts(card):
                continue
            named = wanted.pop(rules.shown(card), None)
            if less and named is not None and named.state == "active":
                named = None
            after = self._after(card, named)
            if after != card and (not less or rules.blocked(after)):
                made.append(after)
        if not less:
            made += [self._issued(each) for each in wanted.values() if not self._moved_away(each)]
        return made

    def _after(self, card: Card, named: Credential | None) -> Card:
        """Return a card as it shall be."""
        blocked = self.rules.blocked(card)
        if named is not None and named.state != "active":
            if self.rules.state(card) == named.state:
                return card
            with_holder = self.change.after.status == "suspended" and named.state == "suspended"
            return self._blocked(card, WITH_HOLDER if with_holder else named.state)
        if self.suspended:
            if named is not None and blocked:
                raise Refused("the person is suspended, and their cards stay blocked: plan again")
            return card if blocked else self._blocked(card, WITH_HOLDER)
        ours = mark_in(card.description) == WITH_HOLDER
        if blocked and (named is not None or (self.returning and ours)):
            text = with_mark(card.description, "")
            return replace(card, description=text, inhibited=False, deleted=False)
        return card

    def _blocked(self, card: Card, mark: str) -> Card:
        delete = self.rules.suspend == "delete_cards"
        return replace(
            card,
            description=with_mark(card.description, mark),
            inhibited=card.inhibited or not delete,
            deleted=card.deleted or delete,
        )

    def _moved_away(self, card: Credential) -> bool:
        """Whether a card was in these hands and is not any longer: then it is another's now."""
        before = self.change.before
        return before is not None and card.number in {each.number for each in before.credentials}

    def _issued(self, wanted: Credential) -> Card:
        rules = self.rules
        if not rules.card_format:
            raise Refused(
                "a card that ARX does not have shall be issued, and card_format is not set: "
                "issue it in ARX, or name there the card format that new cards have"
            )
        if self.suspended and wanted.state == "active":
            raise Refused("the person is suspended, and gets no new card: plan again")
        number = rules.card_prefix + wanted.number
        require_text("the number of a card", number)
        if number in self.taken:
            raise Refused("a card of this number is in other hands in ARX: look at it there")
        card = Card(number=number, format_name=rules.card_format, person_id=self.start.person.id)
        return card if wanted.state == "active" else self._blocked(card, wanted.state)

    @property
    def issues(self) -> bool:
        """Whether the change names a card that this person does not have."""
        mine = {self.rules.shown(card) for card in self.start.cards}
        return any(each.number not in mine for each in self.change.credentials)
