"""The Gallagher target keeps both contracts, on a Command Centre of its own and on worse ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from idsync.model import Cardholder
from idsync.targets import Target
from idsync.targets.gallagher import GallagherTarget
from idsync.testing.habit_contract import HabitContract
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.fakes.gallagher import FakeGallagher
from tests.fakes.gallagher_described import description
from tests.fakes.gallagher_habits import Habits, Trouble
from tests.targets.gallagher_site import ALARM_RIGHTS, RIGHTS, Targets, furnished, write

SITES = {
    "as described": Habits(),
    "older and poorer": Habits(
        version="8.70.2113", patched=200, page_limit=20, link_query="site=1&v=2",
        next_forgets=True, empty_field="absent", empty_pages=2,
    ),
    "defaults win": Habits(blank_takes_default=True, licences={"RESTCardholders", "RESTEvents"}),
}  # fmt: skip


@dataclass
class BadHabits:
    """The switches of the second contract."""

    fake: FakeGallagher
    make: Targets

    def lose_answer(self) -> None:
        self.fake.troubles["write"].append(Trouble(committed=True, how="drop"))

    def ignore_write(self) -> None:
        self.fake.troubles["write"].append(Trouble(status=204))

    def be_busy(self, times: int) -> None:
        self.fake.troubles["any"].extend(Trouble(status=503) for _ in range(times))

    def between_pages(self, edit: Callable[[], None]) -> None:
        self.fake.habits.after_page.append(edit)

    def paged(self, size: int) -> Target:
        return self.make(self.fake, page_size=size)


class TestGallagher(TargetContract, HabitContract):
    many = 45

    @pytest.fixture(params=SITES)
    def fake(self, request: pytest.FixtureRequest) -> Iterator[FakeGallagher]:
        running = furnished(FakeGallagher(replace(SITES[request.param])))
        yield running
        running.close()
        if vendor := description():
            carried = frozenset(dict(parse_qsl(running.habits.link_query)))
            for seen in running.seen:
                assert vendor.complaints(seen, carried) == []

    @pytest.fixture
    def gallagher_target(self, tmp_path: Path) -> Iterator[Targets]:
        targets = Targets(tmp_path)
        yield targets
        targets.close()

    @pytest.fixture
    def target(self, fake: FakeGallagher, gallagher_target: Targets) -> GallagherTarget:
        return gallagher_target(fake, page_size=20)

    @pytest.fixture
    def outage(self, gallagher_target: Targets) -> GallagherTarget:
        return gallagher_target(None, url="http://127.0.0.1:9")

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return RIGHTS

    @pytest.fixture
    def alarm_rights(self) -> tuple[str, ...]:
        return ALARM_RIGHTS

    @pytest.fixture
    def stranger(self, fake: FakeGallagher) -> Stranger:
        def hand(wanted: Cardholder) -> None:
            write(fake.system, wanted)

        return hand

    @pytest.fixture
    def habits(self, fake: FakeGallagher, gallagher_target: Targets) -> BadHabits:
        return BadHabits(fake, gallagher_target)
