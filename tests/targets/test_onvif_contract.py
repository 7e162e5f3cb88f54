"""The ONVIF target keeps both contracts, on devices that can much and that can little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from idsync.model import Cardholder
from idsync.targets.onvif import OnvifTarget
from idsync.testing.habit_contract import ANOTHER_ZONE, HabitContract
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.fakes.onvif import PASSWORD, USER, Door, FakeOnvif
from tests.fakes.onvif_store import Habits

RIGHTS = ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS Å")


class Switches:
    """The bad habits of the fake, as the contract asks for them."""

    def __init__(self, fake: FakeOnvif, make: Callable[..., OnvifTarget]) -> None:
        self._fake = fake
        self._make = make

    def lose_answer(self) -> None:
        self._fake.lose_next_write = True

    def ignore_write(self) -> None:
        self._fake.ignore_next_write = True

    def be_busy(self, times: int) -> None:
        self._fake.busy = times

    def between_pages(self, edit: Callable[[], None]) -> None:
        self._fake.store.after_page.append(edit)

    def paged(self, size: int) -> OnvifTarget:
        return self._make(page_size=size)


def by_hand(fake: FakeOnvif, wanted: Cardholder, format_type: str) -> None:
    """Write as a local administrator would."""
    tokens = {name: token for token, name in fake.store.profiles.items()}
    links = tuple(tokens[grant.ref] for grant in wanted.grants)
    digits = {"WIEGAND26": 6, "SIMPLE_NUMBER56": 14}[format_type]
    cards = [f"{int(card.number):0{digits}X}" for card in wanted.credentials]
    theirs = [
        each for each in fake.store.credentials.values() if wanted.key and each.holder == wanted.key
    ]
    for held in theirs:
        held.links |= dict.fromkeys(links, (None, None))
        fake.touch(held.token)
    if not theirs and not cards:
        cards = [f"{len(fake.store.credentials) + 0xA000:0{digits}X}"]
    for value in cards:
        fake.credential(
            f"0-by-hand-{value}",
            wanted.key or "",
            value=value,
            format_type=format_type,
            description=wanted.display_name,
            links=links if not theirs else (),
        )


class OnvifContract(TargetContract, HabitContract):
    many = 27

    habits_of_device = Habits()
    door = Door()
    settings: dict[str, Any] = {}  # noqa: RUF012 - never changed

    @pytest.fixture
    def fake(self) -> Iterator[FakeOnvif]:
        running = FakeOnvif(replace(self.habits_of_device), replace(self.door))
        for number, right in enumerate(RIGHTS):
            running.profile(f"profile-{number}", right)
        yield running
        running.close()
        assert running.violations == [], "a message does not fit ONVIF's schema"

    @pytest.fixture
    def make(
        self, fake: FakeOnvif, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Callable[..., OnvifTarget]]:
        monkeypatch.setenv("ONVIF_PASSWORD", PASSWORD)
        made: list[OnvifTarget] = []

        def make(url: str = "", **settings: Any) -> OnvifTarget:
            config = {
                "url": url or fake.url,
                "user": USER,
                "password": {"env": "ONVIF_PASSWORD"},
                "login": self.door.login,
                "format_type": "WIEGAND26",
                "page_size": 10,
                **self.settings,
                **settings,
            }
            made.append(OnvifTarget(OnvifTarget.Config.model_validate(config)))
            return made[-1]

        yield make
        for one in made:
            one.close()

    @pytest.fixture
    def target(self, make: Callable[..., OnvifTarget]) -> OnvifTarget:
        return make()

    @pytest.fixture
    def outage(self, make: Callable[..., OnvifTarget]) -> OnvifTarget:
        return make("http://127.0.0.1:9")

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return RIGHTS

    @pytest.fixture
    def stranger(self, fake: FakeOnvif) -> Stranger:
        return lambda wanted: by_hand(fake, wanted, self.settings.get("format_type", "WIEGAND26"))

    @pytest.fixture
    def habits(self, fake: FakeOnvif, make: Callable[..., OnvifTarget]) -> Switches:
        return Switches(fake, make)


class TestClientTokensAndTimes(OnvifContract):
    habits_of_device = Habits(page=8)


class TestServerTokensAndDays(OnvifContract):
    habits_of_device = Habits(
        client_tokens=False, times=False, days_shown="utc midnight", page=12, stale_starts=True
    )
    door = Door(login="wsse", clock_off_s=-7200, reference_parameters=True)
    settings = {"format_type": "SIMPLE_NUMBER56"}  # noqa: RUF012


class TestLocalDaysElsewhereAndNoReasons(OnvifContract):
    zone = ANOTHER_ZONE
    habits_of_device = Habits(
        client_tokens=False, times=False, days_shown="local midnight", zone=str(ANOTHER_ZONE),
        keeps_reasons=False, unique_cards=False,
    )  # fmt: skip
    settings = {"timezone": str(ANOTHER_ZONE)}  # noqa: RUF012


class TestNoDates(OnvifContract):
    habits_of_device = Habits(dated=False)
    door = Door(services=("credential", "accessrules"))
    settings = {"display_name": "none"}  # noqa: RUF012
