"""The ARX target keeps the contract, whatever its documents mean by what they leave out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest

from idsync.model import Cardholder
from idsync.settings import Secret
from idsync.targets.arx import ArxTarget
from idsync.testing.habit_contract import ANOTHER_ZONE, HabitContract
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.fakes.arx import PASSWORD, USER, FakeArx, FakePerson
from tests.fakes.arx_habits import Habits, Trouble

RIGHTS = ("FSK-ENTRE", "SKOLA & HALL", "STADSHUS Å")
PREFIX = "HR-"
FORM = "%Y-%m-%d %H:%M:%S"


class Hand:
    """The switches of the habit contract, on a fake."""

    def __init__(self, fake: FakeArx, make: Callable[..., ArxTarget]) -> None:
        self._fake, self._make = fake, make

    def lose_answer(self) -> None:
        self._fake.next("import", Trouble("lost"))

    def ignore_write(self) -> None:
        self._fake.next("import", Trouble("ignored"))

    def be_busy(self, times: int) -> None:
        self._fake.next("", *[Trouble(status=503) for _ in range(times)])

    def between_pages(self, edit: Callable[[], None]) -> None:
        self._fake.habits.after_export.append(edit)  # there are no pages: the answer is the page

    def paged(self, size: int) -> ArxTarget:
        return self._make()


class ArxContract(TargetContract, HabitContract):
    """What the contract needs, for an ARX with the habits and settings of a subclass."""

    many = 25
    arx_habits: ClassVar[dict[str, Any]] = {}
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def fake(self) -> Iterator[FakeArx]:
        running = FakeArx(*RIGHTS, habits=Habits(zone=self.zone, **self.arx_habits))
        yield running
        running.close()

    @pytest.fixture
    def make(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ArxTarget]]:
        monkeypatch.setenv("ARX_PASSWORD", PASSWORD)
        made: list[ArxTarget] = []

        def start(url: str) -> ArxTarget:
            config = ArxTarget.Config(
                url=url,
                user=USER,
                password=Secret("env", "ARX_PASSWORD"),
                timezone=self.zone,
                **{"id_prefix": PREFIX, **self.settings},
            )
            made.append(ArxTarget(config))
            return made[-1]

        yield start
        for one in made:
            one.close()

    @pytest.fixture
    def target(self, fake: FakeArx, make: Callable[..., ArxTarget]) -> ArxTarget:
        return make(fake.url)

    @pytest.fixture
    def outage(self, make: Callable[..., ArxTarget]) -> ArxTarget:
        return make("http://127.0.0.1:9")

    @pytest.fixture
    def habits(self, fake: FakeArx, make: Callable[..., ArxTarget]) -> Hand:
        return Hand(fake, lambda: make(fake.url))

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return RIGHTS

    @pytest.fixture
    def stranger(self, fake: FakeArx) -> Stranger:
        def write(wanted: Cardholder) -> None:
            person = fake.people.get(PREFIX + (wanted.key or "")) or self._made(fake, wanted)
            person.categories += [
                (
                    grant.ref,
                    grant.valid_from.astimezone(self.zone).strftime(FORM)
                    if grant.valid_from
                    else "",
                    grant.valid_to.astimezone(self.zone).strftime(FORM) if grant.valid_to else "",
                )
                for grant in wanted.grants
            ]
            for card in wanted.credentials:
                fake.card(card.number, person.id)

        return write

    def _made(self, fake: FakeArx, wanted: Cardholder) -> FakePerson:
        return fake.person(first_name=wanted.given_name or "", last_name=wanted.family_name or "")


class TestAbsentIsRemoved(ArxContract):
    """The settings as they come, on an ARX that takes what a document says for everything."""


class TestAbsentIsRemovedAndTold(ArxContract):
    arx_habits: ClassVar[dict[str, Any]] = {
        "absent_elements": "kept",
        "encoding": "UTF-8",
        "namespace": "urn:arx",
    }
    settings: ClassVar[dict[str, Any]] = {
        "categories_absent": "removed",
        "end_inclusive": False,
        "read_with": "post",
    }


class TestAbsentIsKept(ArxContract):
    arx_habits: ClassVar[dict[str, Any]] = {
        "absent_categories": "kept",
        "unknown_category": "ignored",
        "finds": "part",
    }
    settings: ClassVar[dict[str, Any]] = {"categories_absent": "kept"}


class TestAbsentIsKeptAndCardsAreDeleted(ArxContract):
    arx_habits: ClassVar[dict[str, Any]] = {
        "absent_categories": "kept",
        "refuses": "person",
        "finds": "folded",
    }
    settings: ClassVar[dict[str, Any]] = {
        "categories_absent": "kept", "suspend": "delete_cards", "card_format": "kort",
        "card_prefix": "00", "mail_field": "E-post", "department_field": "Avdelning",
    }  # fmt: skip


class TestPoorExports(ArxContract):
    """No filter that works, no list of categories, and deleted cards are really gone."""

    arx_habits: ClassVar[dict[str, Any]] = {
        "finds": "nobody",
        "tells_categories": False,
        "shows_pin": False,
    }
    settings: ClassVar[dict[str, Any]] = {"suspend": "mark"}


class TestAnotherZone(ArxContract):
    zone: ZoneInfo = ANOTHER_ZONE
    arx_habits: ClassVar[dict[str, Any]] = {"finds": "everybody", "excludes_deleted": False}
