"""A described staging table keeps every promise of a target, also with its bad habits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from idsync.targets import Target
from idsync.targets.sql import SqlTarget
from idsync.testing.habit_contract import HabitContract
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.fakes.documents import DocumentHabits
from tests.fakes.sql import ALARMS, RIGHTS, Database, ListDatabase, RowsDatabase
from tests.fakes.sql_postgres import PostgresRows
from tests.servers.postgres import Database as PostgresDatabase

pytest_plugins = ("tests.servers.postgres_fixtures", "tests.targets.sql_fixtures")

Make = Callable[..., SqlTarget]


class SqlContract(TargetContract, HabitContract):
    """What both contracts need, for any database that `database` gives."""

    many = 40

    @pytest.fixture
    def target(self, database: Database, sql_target: Make) -> SqlTarget:
        return sql_target(database.description())

    @pytest.fixture
    def outage(self, database: Database, sql_target: Make, tmp_path: Path) -> SqlTarget:
        return sql_target(database.description(url=f"sqlite:///{tmp_path}/nowhere.db"))

    @pytest.fixture
    def habits(self, database: Database, sql_target: Make) -> DocumentHabits:
        return DocumentHabits(lambda: sql_target(database.description()))

    @pytest.fixture
    def stranger(self, database: Any) -> Stranger:
        by_hand: Stranger = database.by_hand
        return by_hand

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return RIGHTS


class TestRightsAsRowsWithDates(SqlContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        return RowsDatabase(tmp_path / "passage å 100%?.db")

    @pytest.fixture
    def alarm_rights(self) -> tuple[str, ...]:
        return ALARMS


class TestJoinedListAnsweredLater(SqlContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> ListDatabase:
        self.job = ListDatabase(tmp_path / "import.db")
        return self.job

    def settle(self, target: Target) -> None:
        self.job.process()


@pytest.mark.postgres
class TestPostgresql(SqlContract):
    @pytest.fixture
    def database(self, postgres_database: PostgresDatabase) -> PostgresRows:
        return PostgresRows(postgres_database)

    @pytest.fixture
    def outage(self, database: PostgresRows, sql_target: Make) -> SqlTarget:
        return sql_target(database.description(url="postgresql://idsync@127.0.0.1:9/passage"))

    @pytest.fixture
    def alarm_rights(self) -> tuple[str, ...]:
        return ALARMS
