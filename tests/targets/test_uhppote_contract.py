"""The UHPPOTE target keeps both contracts, with two controllers on UDP and TCP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from idsync.targets.uhppote import UhppoteTarget
from idsync.testing.cardholders import AWKWARD_KEYS, card_of
from idsync.testing.habit_contract import HabitContract
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.targets.uhppote import RIGHTS, Site

KEYS = (
    *(str(number) for number in range(1000, 1045)), *AWKWARD_KEYS,
    "100", "10011", "a1", "A1", "1001 ", " 1001",
)  # fmt: skip


class SiteHabits:
    """The bad habits of the two controllers, as switches."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def lose_answer(self) -> None:
        self._site.habits.lost = 1

    def ignore_write(self) -> None:
        self._site.habits.ignored = 1

    def be_busy(self, times: int) -> None:
        self._site.habits.busy = times

    def between_pages(self, edit: Callable[[], None]) -> None:
        self._site.habits.after_slot.append(edit)

    def paged(self, size: int) -> UhppoteTarget:
        """Each page is one card, whatever the size."""
        return self._site.target()


class TestUhppote(TargetContract, HabitContract):
    many = 40

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        site = Site(tmp_path)
        for key in KEYS:
            site.own(key, int(card_of(key)))
        yield site
        site.close()

    @pytest.fixture
    def target(self, site: Site) -> UhppoteTarget:
        return site.target()

    @pytest.fixture
    def outage(self, site: Site) -> UhppoteTarget:
        target = site.target()
        site.close()
        return target

    @pytest.fixture
    def stranger(self, site: Site) -> Stranger:
        return site.stranger

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return RIGHTS

    @pytest.fixture
    def habits(self, site: Site) -> SiteHabits:
        return SiteHabits(site)
