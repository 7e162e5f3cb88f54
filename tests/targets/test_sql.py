"""What is peculiar to a staging table: its job answers later, and others own most of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import ConnectorError, Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Credential, Grant
from idsync.targets.sql import SqlTarget
from idsync.testing.cardholders import holding, only, refs
from tests.fakes.sql import DONE, ERROR, TAKEN, WAITING, ListDatabase, RowsDatabase

pytest_plugins = ("tests.targets.sql_fixtures",)

Make = Callable[..., SqlTarget]
ASA = Cardholder(key="1001", display_name="Åsa Öberg")
DOOR, HALL, SECOND_DOOR = "FSK-ENTRE", "STADSHUS Å", "SKOLA-ENTRE"


def new(target: SqlTarget, *rights: str) -> Cardholder:
    target.put(Change(before=None, after=holding(ASA, *rights)))
    return only(target, ASA.key)


@pytest.fixture
def rows(tmp_path: Path) -> RowsDatabase:
    return RowsDatabase(tmp_path / "rows.db")


@pytest.fixture
def listed(tmp_path: Path) -> ListDatabase:
    return ListDatabase(tmp_path / "list.db")


@pytest.fixture
def of_rows(rows: RowsDatabase, sql_target: Make) -> SqlTarget:
    return sql_target(rows.description())


@pytest.fixture
def of_list(listed: ListDatabase, sql_target: Make) -> SqlTarget:
    return sql_target(listed.description())


# ── the job that answers later ──────────────────────────────────────────────────────────


def test_what_is_written_comes_true_when_the_job_has_run(
    listed: ListDatabase, of_list: SqlTarget
) -> None:
    assert of_list.put(Change(before=None, after=holding(ASA, DOOR))).status == "submitted"
    assert only(of_list, "1001").pending
    assert listed.doors == {}
    assert listed.run("SELECT behandla, atgard FROM import") == [(WAITING, 3)]
    listed.process()
    assert not only(of_list, "1001").pending
    assert listed.doors == {"1001": {DOOR}}


def test_what_the_job_refuses_is_amiss_and_an_empty_change_sends_it_again(
    listed: ListDatabase, of_list: SqlTarget
) -> None:
    before = new(of_list, DOOR)
    listed.refuses.add("1001")
    listed.process()
    amiss = only(of_list, "1001")
    assert amiss.amiss == "the system refused the last write"  # its own text holds the key
    assert not amiss.pending
    assert refs(amiss) == {DOOR}
    assert of_list.put(Change(before=amiss, after=amiss)).status == "submitted"
    listed.process()
    assert only(of_list, "1001").amiss == ""
    assert listed.doors == {"1001": {DOOR}}
    assert of_list.put(Change(before=before, after=before)).status == "confirmed"


def test_nothing_is_written_where_everything_stands(
    listed: ListDatabase, of_list: SqlTarget
) -> None:
    before = new(of_list, DOOR)
    listed.process()
    once = listed.run("SELECT * FROM import")
    assert of_list.put(Change(before=None, after=holding(ASA, DOOR))).status == "confirmed"
    assert of_list.put(Change(before=before, after=before)).status == "confirmed"
    assert listed.run("SELECT * FROM import") == once


def test_a_row_that_the_job_is_at_work_on_is_not_written(
    listed: ListDatabase, of_list: SqlTarget
) -> None:
    """Else the job would answer for what it has never seen, and a block would be lost."""
    before = new(of_list, DOOR)
    gone = Change(before=before, after=replace(holding(before), status="suspended"))

    def meanwhile() -> None:
        with pytest.raises(Unavailable, match="at work") as raised:
            of_list.put(gone)
        assert raised.value.retry_after_s == 5

    listed.process(between=meanwhile)
    assert listed.doors == {"1001": {DOOR}}
    assert of_list.put(gone).status == "submitted"
    listed.process()
    assert listed.doors == {"1001": set()}


def test_an_answer_that_nobody_described_is_amiss(listed: ListDatabase, of_list: SqlTarget) -> None:
    new(of_list, DOOR)
    listed.run("UPDATE import SET behandla = 77")
    shown = only(of_list, "1001")
    assert "answer.codes does not name" in shown.amiss
    assert of_list.put(Change(before=shown, after=shown)).status == "submitted"
    assert listed.run("SELECT behandla FROM import") == [(WAITING,)]


def test_codes_of_the_stand_are_kept_apart(listed: ListDatabase, of_list: SqlTarget) -> None:
    new(of_list, DOOR)
    for code, stand in ((WAITING, "pending"), (TAKEN, "pending"), (ERROR, "amiss"), (DONE, "")):
        listed.run("UPDATE import SET behandla = ?", code)
        shown = only(of_list, "1001")
        assert bool(shown.pending) == (stand == "pending")
        assert bool(shown.amiss) == (stand == "amiss")


# ── what others own ─────────────────────────────────────────────────────────────────────


def test_everything_that_is_not_described_survives(rows: RowsDatabase, of_rows: SqlTarget) -> None:
    before = new(of_rows, DOOR)
    rows.run('UPDATE "Personer" SET "Foto" = ?, "order" = ?', b"\x00\xff'", "rör ej; \"'")
    rows.run(
        'INSERT INTO "Behörigheter" ("Person", "Namn", "Typ", "Från", "Till", "Schema") '
        "VALUES (1, 'P-HUS', 'P', 'igår', NULL, X'00FF'), (1, 'FSK-ENTRE', 'D', '', '', 'natt')"
    )
    theirs = rows.run('SELECT * FROM "Behörigheter" WHERE "Av" IS NULL')
    assert refs(only(of_rows, "1001")) == {DOOR}  # a car park is none of idsync's business
    of_rows.put(Change(before=before, after=replace(holding(before, HALL), status="suspended")))
    assert rows.run('SELECT "Foto", "order", "Källa", "Spärr" FROM "Personer"') == [
        (b"\x00\xff'", "rör ej; \"'", "HR", 1)
    ]
    assert rows.run('SELECT * FROM "Behörigheter" WHERE "Av" IS NULL') == theirs


def test_of_two_equal_rights_idsyncs_own_goes(rows: RowsDatabase, of_rows: SqlTarget) -> None:
    new(of_rows, DOOR)
    rows.by_hand(Cardholder(key="1001", grants=(Grant(ref=DOOR),)))
    rows.run('UPDATE "Behörigheter" SET "Rad" = -1 WHERE "Av" = \'Anna\'')  # hers stands first
    shown = only(of_rows, "1001")
    assert [bool(grant.because) for grant in shown.grants] == [True, False]
    for _ in range(2):
        of_rows.put(Change(before=shown, after=holding(shown)))
        assert rows.run('SELECT "Av" FROM "Behörigheter"') == [("Anna",)]


def test_a_plan_older_than_a_suspension_lets_nobody_in(
    rows: RowsDatabase, of_rows: SqlTarget
) -> None:
    before = new(of_rows, DOOR)
    rows.run('UPDATE "Personer" SET "Spärr" = 2')
    of_rows.put(Change(before=before, after=holding(before, DOOR, HALL)))
    assert only(of_rows, "1001").status == "suspended"
    assert rows.run('SELECT "Spärr" FROM "Personer"') == [(2,)]
    of_rows.put(Change(before=before, after=replace(before, status="suspended")))
    assert rows.run('SELECT "Spärr" FROM "Personer"') == [(2,)]  # blocked in their own code


def test_rows_that_share_a_key_are_nobodys(rows: RowsDatabase, of_rows: SqlTarget) -> None:
    rows.script('CREATE TABLE two AS SELECT * FROM "Personer"; DROP TABLE "Personer";')
    rows.script('ALTER TABLE two RENAME TO "Personer"')
    for number in (1, 2):
        rows.run(
            "INSERT INTO \"Personer\" (Id, Anstnr, Spärr, Källa) VALUES (?, '7', 0, '')", number
        )
    assert [each.key for each in of_rows.read()] == [None, None]
    for call in (
        lambda: of_rows.read_one("7"),
        lambda: of_rows.put(Change(before=None, after=Cardholder(key="7", status="suspended"))),
    ):
        with pytest.raises(Refused, match="2 rows have one key"):
            call()


def test_rights_that_wait_for_a_new_person_are_not_given(
    rows: RowsDatabase, sql_target: Make
) -> None:
    told = rows.description()
    target = sql_target(rows.description(rights=told["rights"] | {"by": "key"}))
    rows.run('INSERT INTO "Behörigheter" ("Person", "Namn", "Typ") VALUES (1001, ?, \'D\')', HALL)
    [stray] = target.read()
    assert (stray.key, refs(stray)) == (None, {HALL})
    with pytest.raises(Refused, match="nobody has"):
        new(target, DOOR)
    assert rows.run('SELECT count(*) FROM "Personer"') == [(0,)]


def test_a_list_keeps_what_others_wrote_as_they_wrote_it(
    listed: ListDatabase, of_list: SqlTarget
) -> None:
    before = new(of_list, DOOR)
    listed.run("UPDATE import SET grupper = ?", f" HISS A;{DOOR} ;;GARAGE;")
    assert refs(only(of_list, "1001")) == {"HISS A", DOOR, "GARAGE"}
    of_list.put(Change(before=before, after=holding(before, HALL)))
    assert listed.run("SELECT grupper FROM import") == [(f" HISS A;;GARAGE;{HALL};",)]


# ── what does not fit ───────────────────────────────────────────────────────────────────


def test_a_list_that_grows_too_long_is_refused_and_what_shall_go_goes(
    listed: ListDatabase, of_list: SqlTarget
) -> None:
    before = new(of_list, DOOR, HALL)
    too_many = holding(before, HALL, *(f"KORRIDOR-{number}" for number in range(9)))
    with pytest.raises(Refused, match="60 fit"):
        of_list.put(Change(before=before, after=too_many))
    assert refs(only(of_list, "1001")) == {HALL}
    assert listed.run("SELECT behandla FROM import") == [(WAITING,)]


@pytest.mark.parametrize("right", ["A;B", "", " A", "A\n"])
def test_a_right_that_would_fall_apart_is_refused(of_list: SqlTarget, right: str) -> None:
    with pytest.raises(Refused):
        new(of_list, right)
    assert of_list.read_one("1001") is None


def test_a_block_goes_through_although_the_rest_is_refused(
    rows: RowsDatabase, of_rows: SqlTarget
) -> None:
    before = new(of_rows, DOOR)
    after = replace(
        before,
        status="suspended",
        display_name="Åsa\nÖberg",
        grants=(Grant(ref=HALL, kind="access"),),
        credentials=(Credential(number="1"),),
    )
    with pytest.raises(Refused):
        of_rows.put(Change(before=before, after=after))
    found = only(of_rows, "1001")
    assert (found.status, refs(found), found.display_name) == ("suspended", set(), "Åsa Öberg")


def test_a_right_held_once_is_not_held_twice(rows: RowsDatabase, sql_target: Make) -> None:
    told = rows.description()
    target = sql_target(rows.description(rights=told["rights"] | {"per_right": "one"}))
    before = new(target, DOOR)
    rows.by_hand(Cardholder(key="1001", grants=(Grant(ref=HALL),)))
    dated = Grant(ref=HALL, valid_from=datetime(2031, 3, 3, tzinfo=UTC))
    with pytest.raises(Refused, match="held once"):
        target.put(Change(before=before, after=replace(before, grants=(*before.grants, dated))))
    assert len(only(target, "1001").grants) == 2


def test_the_tables_own_rules_are_a_refusal(rows: RowsDatabase, of_rows: SqlTarget) -> None:
    rows.script('CREATE UNIQUE INDEX one_mail ON "Personer" ("E-post")')
    of_rows.put(Change(before=None, after=replace(ASA, mail="a@example.org")))
    with pytest.raises(Refused, match="rules do not allow") as raised:
        of_rows.put(Change(before=None, after=replace(ASA, key="1002", mail="a@example.org")))
    assert "example" not in str(raised.value)
    assert of_rows.read_one("1002") is None


def test_a_card_gets_only_a_state_that_has_a_code(rows: RowsDatabase, of_rows: SqlTarget) -> None:
    new(of_rows, DOOR)
    rows.by_hand(Cardholder(key="1001", credentials=(Credential(number="70001"),)))
    before = only(of_rows, "1001")
    lost = replace(before, credentials=(Credential(number="70001", state="lost"),))
    of_rows.put(Change(before=before, after=lost))
    assert rows.run('SELECT "Läge 1" FROM "Personer"') == [("F",)]
    stolen = replace(before, credentials=(Credential(number="70001", state="stolen"),))
    with pytest.raises(Refused, match="cannot be stolen"):
        of_rows.put(Change(before=before, after=stolen))


# ── reading ─────────────────────────────────────────────────────────────────────────────

STRANGE = {
    "status": ('UPDATE "Personer" SET "Spärr" = 5', r"values\.status does not name"),
    "kind": ('UPDATE "Behörigheter" SET "Typ" = \'Hemlig\'', r"values\.kind does not name"),
    "state": (
        "UPDATE \"Personer\" SET \"Kort 2\" = '7', \"Läge 2\" = 'Hemlig'", r"values\.state does",
    ),
    "date": ('UPDATE "Behörigheter" SET "Till" = \'Hemlig\'', r"dates\.format"),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "told"), STRANGE.values(), ids=STRANGE)
def test_a_row_that_is_not_as_described_is_incomplete(
    rows: RowsDatabase, of_rows: SqlTarget, statement: str, told: str
) -> None:
    before = new(of_rows, DOOR)
    rows.run(statement)
    for call in (lambda: list(of_rows.read()), lambda: of_rows.read_one("1001")):
        with pytest.raises(Incomplete, match=told) as raised:
            call()
        assert "Hemlig" not in str(raised.value)
    # whoever shall be blocked is blocked all the same
    of_rows.put(Change(before=before, after=replace(before, status="suspended")))
    assert rows.run('SELECT "Spärr" FROM "Personer"') == [(1,)]


def test_a_missing_file_is_unavailable_and_stays_missing(
    rows: RowsDatabase, sql_target: Make, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.db"
    target = sql_target(rows.description(url=f"sqlite:///{gone}"))
    for call in (lambda: list(target.read()), target.check, lambda: new(target, DOOR)):
        with pytest.raises(Unavailable, match="no such file"):
            call()
    assert not gone.exists()


def test_what_is_no_database_is_unavailable(
    rows: RowsDatabase, sql_target: Make, tmp_path: Path
) -> None:
    file = tmp_path / "text.db"
    file.write_text("not a database " * 100)
    with pytest.raises(Unavailable, match="no SQLite database"):
        list(sql_target(rows.description(url=f"sqlite:///{file}")).read())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"table": "Personal"}, "no such table"),
        ({"columns": {"key": "Anstnr", "status": "Sparr", "native_id": "Id"}}, "mean Spärr"),
    ],
)
def test_a_table_that_is_not_as_described_is_unavailable(
    rows: RowsDatabase, sql_target: Make, change: dict[str, Any], told: str
) -> None:
    target = sql_target(rows.description(**change))
    for call in (lambda: list(target.read()), target.check):
        with pytest.raises(Unavailable, match=told):
            call()


def test_another_writer_is_waited_for_and_then_unavailable(
    rows: RowsDatabase, sql_target: Make
) -> None:
    target = sql_target(rows.description(timeout_s=1))
    with closing(sqlite3.connect(rows.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="another program is writing"):
            new(target, DOOR)
        other.execute("ROLLBACK")
    assert refs(new(target, DOOR)) == {DOOR}


def test_check_says_what_answered(rows: RowsDatabase, of_rows: SqlTarget) -> None:
    new(of_rows, DOOR)
    assert of_rows.check().startswith("sqlite 3.")
    assert of_rows.check().endswith(", 1 rows")


def test_an_empty_cell_is_empty_or_null_as_described(
    listed: ListDatabase, sql_target: Make
) -> None:
    for empty, expected in (("text", ""), ("null", None)):
        target = sql_target(listed.description(empty=empty))
        before = new(target, DOOR)
        target.put(Change(before=before, after=holding(before)))
        assert listed.run("SELECT grupper FROM import") == [(expected,)]
        assert refs(only(target, "1001")) == set()


def test_a_key_in_a_column_of_numbers_is_compared_as_text(
    rows: RowsDatabase, of_rows: SqlTarget
) -> None:
    rows.script(
        'ALTER TABLE "Personer" RENAME TO old; CREATE TABLE "Personer" AS SELECT * FROM old;'
        'ALTER TABLE "Personer" DROP COLUMN "Anstnr"; ALTER TABLE "Personer" ADD "Anstnr" NUMERIC'
    )
    rows.run("INSERT INTO \"Personer\" (Id, Anstnr, Spärr, Källa) VALUES (5, 1001, 0, '')")
    assert only(of_rows, "1001").native_id == "5"
    for key in ("1001 ", "1001.0", "01001", "1e3"):
        assert of_rows.read_one(key) is None


def test_no_message_holds_what_was_sent(listed: ListDatabase, of_list: SqlTarget) -> None:
    secret = "Hemlig-Namnsdotter"
    told = []
    for wanted in (
        replace(ASA, key=secret * 3),
        replace(ASA, display_name=secret * 5),
        replace(ASA, display_name=f"{secret}\n"),
        holding(ASA, f"{secret};"),
        holding(ASA, *(f"{secret}-{number}" for number in range(9))),
        replace(ASA, grants=(Grant(ref=secret, kind="alarm"),)),
        replace(ASA, mail=f"{secret}@example.org"),
    ):
        with pytest.raises(ConnectorError) as raised:
            of_list.put(Change(before=None, after=wanted))
        told.append(str(raised.value))
    assert len(told) == 7
    assert not any(secret in sentence for sentence in told)
    assert listed.run("SELECT count(*) FROM import") == [(0,)]
