"""The Salto staging target keeps both contracts, in every form and layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from idsync.model import Cardholder
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
    settings: dict[str, Any] = {}

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
        return (LEVELS[0], "zone:Z-HAMN", "door:D-101")

    @pytest.fixture
    def habits(self, make: Callable[..., SaltoStagingTarget]) -> Documents:
        return Documents(make)

    def settle(self, target: object) -> None:
        self.job()

    @pytest.fixture
    def stranger(self, system: Staging) -> Stranger:
        def write(wanted: Cardholder) -> None:
            mine = [
                row
                for row in system.rows()
                if wanted.key and wanted.key in (row["ExtID"].removeprefix("idsync-"), row["Dummy5"])
            ]
            ext_id = mine[0]["ExtID"] if mine else "by hand"
            lists = merged(mine[0] if mine else {}, wanted)
            if mine:
                system.set(ext_id, **lists, ToBeProcessedBySalto=1)
            else:
                system.add(ext_id, **lists)

        return write


def merged(row: dict[str, Any], wanted: Cardholder) -> dict[str, Any]:
    """Return the lists of *row* with what *wanted* holds added, as a person types it."""
    columns = {"zone": "ExtZoneIDList", "door": "ExtDoorIDList"}
    lists: dict[str, Any] = {}
    for grant in wanted.grants:
        kind, _, id = grant.ref.rpartition(":")
        column = columns.get(kind, "ExtAccessLevelIDList")
        was = lists.get(column, row.get(column))
        lists[column] = f"{was}, {id}" if was else id
    return lists


class TestTable(StagingContract):
    pass


class TestTableWithAKeyColumn(StagingContract):
    settings = {
        "columns": {"key": "Dummy5", "department": "Dummy3", "mail": "Dummy4", "number": "Dummy1"}
    }


class TestTableWithABlockColumn(StagingContract):
    settings = {"columns": {"blocked": "Dummy2"}}


class TestTableThatIsBlindForCase(StagingContract):
    """SQL Server compares ids without regard to case, unless told otherwise."""

    @pytest.fixture
    def system(self, tmp_path: Path) -> Staging:
        return Staging(f"sqlite:///{tmp_path / 'staging.db'}", collate="COLLATE NOCASE")


class TestTableWithoutAStamp(StagingContract):
    """Rows that wait are left to the job; here it runs before every change by hand."""

    @pytest.fixture
    def system(self, tmp_path: Path) -> Staging:
        return Staging(f"sqlite:///{tmp_path / 'staging.db'}", stamp=False)

    @pytest.fixture
    def stranger(self, system: Staging) -> Stranger:
        hand: Callable[..., Stranger] = StagingContract.stranger.__wrapped__  # type: ignore[attr-defined]  # the fixture's own function
        write = hand(self, system)

        def write_and_run(wanted: Cardholder) -> None:
            write(wanted)
            system.run()

        return write_and_run


class CsvContract(StagingContract):
    """The same for files; `answers` is what the import job leaves behind."""

    answers = "gone"

    @pytest.fixture
    def files(self, tmp_path: Path) -> Dropped:
        return Dropped(tmp_path, self.answers)

    @pytest.fixture
    def make(self, files: Dropped) -> Callable[..., SaltoStagingTarget]:
        def make(**more: Any) -> SaltoStagingTarget:
            target = csv_target(files, **more)
            return target

        return make

    @pytest.fixture
    def target(self, files: Dropped, make: Callable[..., SaltoStagingTarget]) -> SaltoStagingTarget:  # type: ignore[override]  # another system
        self.job = files.run
        return make()

    @pytest.fixture
    def outage(self, tmp_path: Path) -> SaltoStagingTarget:
        return csv_target(Dropped(tmp_path, self.answers), path=tmp_path / "gone" / "state.csv")

    @pytest.fixture
    def stranger(self, files: Dropped) -> Stranger:  # type: ignore[override]  # another system
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


class TestFilesThatAreTaken(CsvContract):
    pass


class TestFilesThatAreArchived(CsvContract):
    answers = "archive"


class TestFilesWithAStatusFile(CsvContract):
    answers = "status"
