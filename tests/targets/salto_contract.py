"""What the contract tests of the Salto staging target share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from idsync.model import Cardholder, Change, Grant
from idsync.targets.salto_staging import SaltoStagingTarget
from idsync.testing.habit_contract import HabitContract
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.fakes.salto import LEVELS, Dropped, Staging


class Documents:
    """The habits of a table or file: it is not called, so it loses no answers."""

    def __init__(self, make: Callable[..., SaltoStagingTarget]) -> None:
        self.paged = lambda size: make(page_size=size)

    lose_answer = ignore_write = be_busy = between_pages = None


def target_of(**settings: Any) -> SaltoStagingTarget:
    return SaltoStagingTarget(SaltoStagingTarget.Config.model_validate(settings))


class StagingContract(TargetContract, HabitContract):
    """What both contracts need, for a table in the layout that `system` gives it."""

    many = 45
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def system(self, tmp_path: Path) -> Staging:
        return Staging(f"sqlite:///{tmp_path / 'staging.db'}")

    @pytest.fixture
    def make(self, system: Staging) -> Iterator[Callable[..., SaltoStagingTarget]]:
        made: list[SaltoStagingTarget] = []

        def make(**more: Any) -> SaltoStagingTarget:
            made.append(target_of(url=system.url, **self.settings, **more))
            return made[-1]

        yield make
        for one in made:
            one.close()

    @pytest.fixture
    def target(
        self, system: Staging, make: Callable[..., SaltoStagingTarget]
    ) -> SaltoStagingTarget:
        self.job = system.run
        return make()

    @pytest.fixture
    def outage(self, tmp_path: Path) -> SaltoStagingTarget:
        return target_of(url=f"sqlite:///{tmp_path / 'gone.db'}")

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return LEVELS[:3]

    @pytest.fixture
    def habits(self, make: Callable[..., SaltoStagingTarget]) -> Documents:
        return Documents(make)

    def settle(self, target: object) -> None:
        self.job()

    @pytest.fixture
    def stranger(self, system: Staging) -> Stranger:
        return administrator(system)


def administrator(system: Staging) -> Stranger:
    """Return the hand of a local administrator who edits the staging table."""

    def write(wanted: Cardholder) -> None:
        mine = [row for row in system.rows() if wanted.key and _is_of(row, wanted.key)]
        lists = merged(mine[0] if mine else {}, wanted)
        if mine:
            system.set(mine[0]["ExtID"], **lists, ToBeProcessedBySalto=1)
        else:
            system.add("by hand", **lists)

    return write


def _is_of(row: dict[str, Any], key: str) -> bool:
    return key in (row["ExtID"].removeprefix("idsync-"), row["Dummy5"])


def merged(row: dict[str, Any], wanted: Cardholder) -> dict[str, Any]:
    """Return the lists of *row* with what *wanted* holds added, as a person types it."""
    columns = {"zone": "ExtZoneIDList", "door": "ExtDoorIDList"}
    lists: dict[str, Any] = {}
    for grant in wanted.grants:
        kind, _, id = grant.ref.rpartition(":")
        column = columns.get(kind, "ExtAccessLevelIDList")
        was = (lists.get(column, row.get(column)) or "").strip("{}")
        lists[column] = f"{was}, {id}" if was else id
    return lists


class CsvContract(StagingContract):
    """The same for files; `answers` is what the import job leaves behind."""

    answers = "gone"

    @pytest.fixture
    def files(self, tmp_path: Path) -> Dropped:
        return Dropped(tmp_path, self.answers)

    @pytest.fixture
    def make(self, files: Dropped) -> Callable[..., SaltoStagingTarget]:
        def make(**more: Any) -> SaltoStagingTarget:
            return csv_target(files, **more)

        return make

    @pytest.fixture
    def target(self, files: Dropped, make: Callable[..., SaltoStagingTarget]) -> SaltoStagingTarget:
        self.job = files.run
        return make()

    @pytest.fixture
    def outage(self, tmp_path: Path) -> SaltoStagingTarget:
        return csv_target(Dropped(tmp_path, self.answers), path=tmp_path / "gone" / "state.csv")

    @pytest.fixture
    def stranger(self, files: Dropped) -> Stranger:
        def write(wanted: Cardholder) -> None:
            if not files.state.exists():  # the hand comes first: idsync has written nothing yet
                one = csv_target(files)
                files.run()
                with one._store.session() as session:
                    session.is_changed = True  # type: ignore[attr-defined]  # an empty file
                files.run()
            ext_id = f"idsync-{wanted.key}" if wanted.key else "by hand"
            mine = [row for row in files.state_rows() if row["ExtID"] == ext_id]
            lists = merged(mine[0] if mine else {}, wanted)
            files.edit_state(ext_id, **{name: f"{{{ids}}}" for name, ids in lists.items()})

        return write


def csv_target(files: Dropped, **more: Any) -> SaltoStagingTarget:
    settings = {
        "form": "csv", "path": files.state, "drop": files.drop, "answers": files.answers,
        "archive": files.archive, "status": files.status, "create": True, **more,
    }  # fmt: skip
    target = target_of(**settings)
    files.columns = list(target._store.order)  # type: ignore[attr-defined]  # as the page says
    return target


# ── what the other tests share ───────────────────────────────────────────────────────────

ONE, TWO, THREE = (Grant(ref=level) for level in LEVELS[:3])
ASA = Cardholder(key="1001", given_name="Åsa", family_name="Öberg", grants=(ONE,))
ROW = "idsync-1001"
LEVEL_LIST = "ExtAccessLevelIDList"


def put(target: SaltoStagingTarget, after: Cardholder, before: Cardholder | None = None) -> str:
    return target.put(Change(before=before, after=after)).status


def shown(target: SaltoStagingTarget, key: str = "1001") -> Cardholder:
    found = target.read_one(key)
    assert found is not None
    return found


def suspend(target: SaltoStagingTarget) -> Cardholder:
    before = shown(target)
    put(target, replace(before, status="suspended"), before)
    return shown(target)
