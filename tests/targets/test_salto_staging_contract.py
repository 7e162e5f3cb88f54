"""The Salto staging target keeps both contracts, in every form and layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from idsync.model import Cardholder
from idsync.testing.target_kit import Stranger
from tests.fakes.salto import LEVELS, Staging
from tests.targets.salto_contract import CsvContract, StagingContract, administrator


class TestTable(StagingContract):
    pass


class TestTableOfThreeLists(StagingContract):
    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return (LEVELS[0], "zone:Z-HAMN", "door:D-101")


class TestTableWithAKeyColumn(StagingContract):
    settings: ClassVar[dict[str, Any]] = {
        "columns": {"key": "Dummy5", "department": "Dummy3", "mail": "Dummy4", "number": "Dummy1"}
    }


class TestTableWithABlockColumn(StagingContract):
    settings: ClassVar[dict[str, Any]] = {"columns": {"blocked": "Dummy2"}}


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
        write = administrator(system)

        def write_and_run(wanted: Cardholder) -> None:
            write(wanted)
            system.run()

        return write_and_run


class TestFilesThatAreTaken(CsvContract):
    pass


class TestFilesThatAreArchived(CsvContract):
    answers = "archive"


class TestFilesWithAStatusFile(CsvContract):
    answers = "status"
