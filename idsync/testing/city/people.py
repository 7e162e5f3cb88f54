"""The made-up people, one after the other, never all at once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from idsync.testing.city.dice import Dice, Weighted
from idsync.testing.city.groups import groups_of
from idsync.testing.city.names import family_name, given_name, plain
from idsync.testing.city.posts import YEAR, Post, Story, days, posts_of, terminal_post
from idsync.testing.city.trainings import Completion, completions_of

SMALLEST, BIGGEST = 100, 1_000_000

STORIES: Weighted[Story] = Weighted([("current", 91.5), ("future", 2), ("left", 6.5)])

AT_THE_TERMINAL = range(12, 12 + 6 * 14, 14)
"""Places in the HR file of the six people that the landlord's system holds."""


@dataclass(slots=True)
class Human:
    """One made-up human being, as they really are. Sources and targets show parts of it."""

    number: str  # employee number, never reused
    person_id: str
    entry_id: str  # entryUUID in the directory
    given: str
    family: str
    former_family: str  # "" unless the directory and the access systems still show it
    birth: date
    protection: str
    user_name: str
    mail: str
    story: Story
    posts: list[Post]
    completions: list[Completion] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)  # those named in the directory, not above
    has_account: bool = False

    @property
    def main(self) -> Post:
        """Return the main employment."""
        return next(post for post in self.posts if post.primary)

    @property
    def display(self) -> str:
        """Return the name as HR writes it."""
        return f"{self.given} {self.family}"

    @property
    def listed(self) -> tuple[str, str]:
        """Return given and family name as the directory has them."""
        if self.protection != "none":
            return "Medarbetare", self.number
        return self.given, self.former_family or self.family

    @property
    def kind(self) -> str:
        """Return employee, elected or contractor."""
        form = self.main.form
        return form if form in ("elected", "contractor") else "employee"


class Maker:
    """Makes people from one seed."""

    def __init__(self, people: int, seed: int, today: date) -> None:
        self.dice = Dice(seed)
        self.today = today
        self.first_number = 100_001 if people <= 800_000 else 1_000_001
        self.space = uuid.uuid5(uuid.NAMESPACE_DNS, f"{seed}.stad.example")
        self.addresses: dict[str, int] = {}

    def human(self, index: int, story: Story, *, terminal: bool) -> Human:
        """Return the person with this *index*, counted from 0."""
        dice, today = self.dice, self.today
        number = str(self.first_number + index)
        age = dice.between(20, 66)
        posts = [terminal_post(dice, today)] if terminal else posts_of(dice, story, age - 18, today)
        given, family = given_name(dice), family_name(dice)
        human = Human(
            number=number,
            person_id=str(uuid.uuid5(self.space, f"person {number}")),
            entry_id=str(uuid.uuid5(self.space, f"entry {number}")),
            given=given,
            family=family,
            former_family="",
            birth=today - days(age * YEAR + dice.below(YEAR) + 17),
            protection="none",
            user_name="",
            mail="",
            story=story,
            posts=posts,
        )
        self._rarities(human, terminal=terminal)
        self._addresses(human, index)
        human.has_account = self._account(human, terminal=terminal)
        human.completions = completions_of(dice, posts, today, sure=terminal)
        human.groups = groups_of(dice, posts, today, left=story in ("left", "gone"))
        return human

    def _rarities(self, human: Human, *, terminal: bool) -> None:
        protected, renamed = self.dice.random(), self.dice.random()
        if terminal:
            return
        if protected < 0.0025:
            human.protection = "secrecy_marking"
        elif protected < 0.0035:
            human.protection = "protected_registration"
        elif renamed < 0.01 and human.story == "current":
            human.former_family = family_name(self.dice)

    def _addresses(self, human: Human, index: int) -> None:
        given, family = (plain(part) for part in human.listed)
        human.user_name = f"{given[:2]}{family[:2]}{index:04d}"
        stem = human.user_name if human.protection != "none" else f"{given}.{family}"
        bearers = self.addresses[stem] = self.addresses.get(stem, 0) + 1
        human.mail = f"{stem}{bearers if bearers > 1 else ''}@example.se"

    def _account(self, human: Human, *, terminal: bool) -> bool:
        share = self.dice.random()
        post = human.main
        if human.story == "current":
            return terminal or share < (0.90 if post.form in ("hourly", "elected") else 0.985)
        if human.story == "future":
            return share < 0.7 and post.first <= self.today + days(30)
        if human.story == "left" and post.last and post.last > self.today - days(30):
            return share < 0.8  # the account is closed some weeks after the last day
        return share < 0.08  # forgotten


def population(people: int, seed: int, today: date) -> Iterator[Human]:
    """Return everybody in order of employee number, made as they are asked for.

    Exactly *people* of them are in the HR file. Between them come some who are gone
    from it, but not from everywhere.

    Raises:
        ValueError: the city cannot have this size.
    """
    if not SMALLEST <= people <= BIGGEST:
        raise ValueError(
            f"a city of {people} people cannot be made: choose {SMALLEST} to {BIGGEST}"
        )
    return _everybody(people, Maker(people, seed, today))


def _everybody(people: int, maker: Maker) -> Iterator[Human]:
    index = 0
    for place in range(people):
        if maker.dice.chance(0.04):
            yield maker.human(index, "gone", terminal=False)
            index += 1
        terminal = place in AT_THE_TERMINAL
        story = maker.dice.weighed(STORIES)
        yield maker.human(index, "current" if terminal else story, terminal=terminal)
        index += 1
