"""The Salto staging table in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy.engine import make_url

from idsync.errors import Denied, Refused, Unavailable
from idsync.model import Cardholder, Change, Grant
from idsync.targets.salto_staging import SaltoStagingTarget
from idsync.testing.target_kit import Stranger
from tests.fakes.salto import LEVELS, Staging
from tests.servers.postgres import OTHER_ADDRESS, OWNER, PASSWORDS, READER, Database
from tests.targets.salto_contract import StagingContract, administrator, target_of

pytest_plugins = ("tests.servers.postgres_fixtures",)
pytestmark = pytest.mark.postgres


@pytest.fixture
def system(postgres_database: Database) -> Staging:
    where = make_url(postgres_database.url()).set(password=PASSWORDS[OWNER])
    written = where.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    return Staging(written)


@pytest.fixture
def make(
    system: Staging, postgres_database: Database, tmp_path: Path
) -> Iterator[Callable[..., SaltoStagingTarget]]:
    made: list[SaltoStagingTarget] = []

    def make(user: str = OWNER, password: str = "", **more: Any) -> SaltoStagingTarget:
        secret = tmp_path / f"password{len(made)}"
        secret.write_text(password or PASSWORDS[user], encoding="utf-8")
        settings = {
            "url": postgres_database.url(user), "password": {"file": str(secret)},
            "ca_file": str(postgres_database.server.certificates.ca), "timeout_s": 5, **more,
        }  # fmt: skip
        made.append(target_of(**settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


class TestPostgres(StagingContract):
    settings: ClassVar[dict[str, Any]] = {
        "defaults": {"AuditOpenings": True, "AutoKeyEdit.ROMCode": "AUTO"}
    }

    @pytest.fixture
    def system(self, system: Staging) -> Staging:
        return system

    @pytest.fixture
    def make(self, make: Callable[..., SaltoStagingTarget]) -> Callable[..., SaltoStagingTarget]:
        return lambda **more: make(**self.settings, **more)

    @pytest.fixture
    def outage(self, make: Callable[..., SaltoStagingTarget]) -> SaltoStagingTarget:
        return make(url="postgresql://idsync@127.0.0.1:9/staging")


def test_the_check_says_what_stands_there(make: Callable[..., SaltoStagingTarget]) -> None:
    target = make()
    target.put(Change(before=None, after=Cardholder(key="1001")))
    stands = "staging table with 1 rows, 1 of them waiting for the job"
    assert target.check() == f"Salto ProAccess Space 6, {stands}"


def test_every_way_to_fail_has_a_sentence_of_its_own(
    make: Callable[..., SaltoStagingTarget], postgres_database: Database
) -> None:
    server = postgres_database.server
    with postgres_database.connect() as connection:
        connection.execute(f'GRANT SELECT ON "SaltoCardholders" TO {READER}')
    faults: dict[str, tuple[SaltoStagingTarget, type[Exception]]] = {
        "user name or the password": (make(password="fel"), Denied),
        "may read the table and not write it": (make(user=READER), Denied),
        "certificate is not trusted": (
            make(ca_file=str(server.certificates.other_ca)),
            Unavailable,
        ),
        "cannot be reached": (make(url="postgresql://a@127.0.0.1:9/x"), Unavailable),
        "no such database": (make(url=server.url("nowhere")), Unavailable),
        "shows no such table": (make(table="Elsewhere"), Unavailable),
    }
    for words, (target, kind) in faults.items():
        with pytest.raises(kind, match=words):
            target.check()


def test_a_certificate_for_another_name_is_told_apart(
    make: Callable[..., SaltoStagingTarget], postgres_database: Database
) -> None:
    elsewhere = make(url=postgres_database.url(host=OTHER_ADDRESS))
    with pytest.raises(Unavailable, match="another name"):
        elsewhere.check()


def test_an_account_that_may_only_read_is_told_what_it_lacks(
    make: Callable[..., SaltoStagingTarget], postgres_database: Database
) -> None:
    with postgres_database.connect() as connection:
        connection.execute(f'GRANT SELECT ON "SaltoCardholders" TO {READER}')
    with pytest.raises(Denied, match="SELECT, INSERT and UPDATE"):
        make(user=READER).put(Change(before=None, after=Cardholder(key="1001")))


def test_a_row_that_the_job_holds_is_waited_for_and_then_left(
    make: Callable[..., SaltoStagingTarget], postgres_database: Database, system: Staging
) -> None:
    target = make()
    before = Cardholder(key="1001", grants=(Grant(ref=LEVELS[0]),))
    target.put(Change(before=None, after=before))
    held = system.row("idsync-1001")
    with postgres_database.connect() as job, job.transaction():
        job.execute('SELECT * FROM "SaltoCardholders" FOR UPDATE')
        with pytest.raises(Unavailable, match="job may be at it"):
            target.put(Change(before=before, after=replace(before, grants=())))
    assert system.row("idsync-1001") == held
    assert target.put(Change(before=before, after=replace(before, grants=()))).status


def test_a_read_is_of_one_moment(make: Callable[..., SaltoStagingTarget], system: Staging) -> None:
    target = make(page_size=1)
    for key in ("1001", "1002", "1003"):
        target.put(Change(before=None, after=Cardholder(key=key)))
    assert sorted(each.key or "" for each in target.read()) == ["1001", "1002", "1003"]


def test_an_edit_by_hand_at_the_same_time_is_kept(
    make: Callable[..., SaltoStagingTarget], system: Staging
) -> None:
    target, hand = make(), administrator(system)
    mine: Stranger = hand
    before = Cardholder(key="1001", grants=(Grant(ref=LEVELS[0]),))
    target.put(Change(before=None, after=before))
    system.run()
    mine(Cardholder(key="1001", grants=(Grant(ref=LEVELS[1]),)))
    target.put(Change(before=before, after=replace(before, grants=())))
    system.run()
    assert system.users["idsync-1001"].lists["ExtAccessLevelIDList"] == (LEVELS[1],)


def test_a_refusal_of_the_database_repeats_nothing(
    make: Callable[..., SaltoStagingTarget], system: Staging
) -> None:
    system._say('ALTER TABLE "SaltoCardholders" ADD COLUMN "Secret" varchar(9) NOT NULL')
    with pytest.raises(Refused, match="give it one in defaults") as caught:
        make().put(Change(before=None, after=Cardholder(key="1001", given_name="Åsa-Lena")))
    assert "Lena" not in str(caught.value)
    assert "1001" not in str(caught.value)
