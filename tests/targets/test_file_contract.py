"""A described file keeps every promise of a target, also with its import's bad habits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from idsync.targets import Target
from idsync.targets.file import FileTarget
from idsync.testing.habit_contract import HabitContract
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.fakes.documents import DocumentHabits
from tests.fakes.file import ALARMS, RIGHTS, BracedCsv, DeltaXml, NightlyCsv


def described(description: dict[str, Any]) -> FileTarget:
    return FileTarget(FileTarget.Config.model_validate(description))


class FileContract(TargetContract, HabitContract):
    """What both contracts need, for any folder that `vendor` gives."""

    many = 40

    @pytest.fixture
    def target(self, vendor: Any) -> FileTarget:
        return described(vendor.description())

    @pytest.fixture
    def outage(self, vendor: Any, tmp_path: Path) -> FileTarget:
        nowhere = str(tmp_path / "nowhere" / "list")
        return described(vendor.description(path=nowhere, create=False))

    @pytest.fixture
    def habits(self, vendor: Any) -> DocumentHabits:
        return DocumentHabits(lambda: described(vendor.description()))

    @pytest.fixture
    def stranger(self, vendor: Any) -> Stranger:
        by_hand: Stranger = vendor.by_hand
        return by_hand

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return RIGHTS


class TestFullCsvWithDays(FileContract):
    @pytest.fixture
    def vendor(self, tmp_path: Path) -> NightlyCsv:
        return NightlyCsv(tmp_path)

    @pytest.fixture
    def alarm_rights(self) -> tuple[str, ...]:
        return ALARMS


class TestXmlChangesWithReceipts(FileContract):
    @pytest.fixture
    def vendor(self, tmp_path: Path) -> DeltaXml:
        self.job = DeltaXml(tmp_path)
        return self.job

    def settle(self, target: Target) -> None:
        self.job.pick_up()


class TestCsvListInUtf8(FileContract):
    """Joined lists in braces, everything quoted, no header, one answering column."""

    @pytest.fixture
    def vendor(self, tmp_path: Path) -> BracedCsv:
        self.job = BracedCsv(tmp_path)
        return self.job

    def settle(self, target: Target) -> None:
        self.job.night()
