"""The work-order target keeps both contracts, its landlord answering by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from idsync.model import Cardholder
from idsync.targets import Target
from idsync.targets.work_order import WorkOrderTarget
from idsync.testing.habit_contract import HabitContract, Habits
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.fakes.work_order import Landlord, Tenant
from tests.targets.work_order import DOORS, House


class DocumentHabits(Habits):
    """Documents do not lose answers; what is read in pieces elsewhere is one file here."""

    def __init__(self, house: House) -> None:
        self.house = house

    def lose_answer(self) -> None: ...

    def ignore_write(self) -> None: ...

    def be_busy(self, times: int) -> None: ...

    def between_pages(self, edit: Callable[[], None]) -> None: ...

    def paged(self, size: int) -> Target:
        return self.house.target(batch=size)


class TestWorkOrder(TargetContract, HabitContract):
    many = 30
    doors: tuple[str, ...] | None = None

    @pytest.fixture
    def house(self, tmp_path: Path) -> House:
        self.house_now = House(tmp_path)
        return self.house_now

    @pytest.fixture
    def target(self, house: House) -> WorkOrderTarget:
        return house.target(doors=self.doors)

    @pytest.fixture
    def outage(self, house: House) -> WorkOrderTarget:
        return house.target(folder=str(house.root / "not mounted"))

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return DOORS

    @pytest.fixture
    def habits(self, house: House) -> DocumentHabits:
        return DocumentHabits(house)

    @pytest.fixture
    def stranger(self, target: WorkOrderTarget, house: House) -> Stranger:
        def write(wanted: Cardholder) -> None:
            landlord: Landlord = house.landlord
            known = target.read_one(wanted.key) if wanted.key else None
            if known:
                tenant = landlord.tenant(known.native_id)
            else:
                tenant = Tenant(name=wanted.display_name or "")
                landlord.tenants.append(tenant)
            tenant.cards |= dict.fromkeys((card.number for card in wanted.credentials), True)
            tenant.doors |= {grant.ref: ("", "") for grant in wanted.grants}
            landlord.write_list()

        return write

    def settle(self, target: Target) -> None:
        assert self.house_now.landlord.work(), "submitted, and there is no order"


class TestWithAListOfDoors(TestWorkOrder):
    doors = DOORS
