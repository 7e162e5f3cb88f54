"""The Salto staging table: what the job answers, what others write, what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from idsync.errors import Refused, Unavailable
from idsync.model import Cardholder, Grant
from idsync.targets.salto_staging import SaltoStagingTarget
from tests.fakes.salto import CUT, DUPLICATE, LEVELS, UNKNOWN, Staging, now
from tests.targets.salto_contract import (
    ASA,
    LEVEL_LIST,
    ONE,
    ROW,
    TWO,
    put,
    shown,
    suspend,
    target_of,
)


@pytest.fixture
def system(tmp_path: Path) -> Staging:
    return Staging(f"sqlite:///{tmp_path / 'staging.db'}")


@pytest.fixture
def target(system: Staging) -> SaltoStagingTarget:
    return target_of(url=system.url)


@pytest.fixture
def without_stamp(tmp_path: Path) -> Staging:
    return Staging(f"sqlite:///{tmp_path / 'plain.db'}", stamp=False)


# ── answers ─────────────────────────────────────────────────────────────────────────────


def test_what_is_put_is_in_the_product_after_the_job(
    target: SaltoStagingTarget, system: Staging
) -> None:
    assert put(target, ASA) == "submitted"
    assert shown(target).pending
    assert system.users == {}
    system.run()
    assert not shown(target).pending
    user = system.users[ROW]
    assert (user.name, user.opens(LEVELS[0])) == ("1001 Åsa Öberg", True)
    assert put(target, shown(target), shown(target)) == "confirmed"


REFUSALS: dict[int, Cardholder] = {
    DUPLICATE: replace(ASA, key="1002", given_name="1001 Åsa"),
    UNKNOWN: replace(ASA, grants=(Grant(ref="NO-SUCH-LEVEL"),)),
    CUT: replace(ASA, grants=tuple(Grant(ref=f"{number:0204}") for number in range(5))),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_shown_by_its_code_and_sent_again_by_an_empty_change(
    system: Staging, code: int
) -> None:
    target = target_of(url=system.url, columns={"number": ""})
    put(target, replace(ASA, key="9", given_name="1001 Åsa", grants=()))
    system.run()
    wanted = REFUSALS[code]
    put(target, wanted)
    system.run()
    found = shown(target, wanted.key or "")
    assert found.amiss == f"the import job refused the row (ErrorCode {code})"
    told = system.row(f"idsync-{wanted.key}")["ErrorMessage"]
    assert "Öberg" in told, "the stand-in's message must repeat the name, or this proves nothing"

    system.known[LEVEL_LIST] |= {grant.ref for grant in wanted.grants}
    system.users.pop("idsync-9")
    assert put(target, found, found) == "submitted"
    assert shown(target, wanted.key or "").pending
    assert not shown(target, wanted.key or "").amiss
    assert system.row(f"idsync-{wanted.key}")["ErrorMessage"] is None
    system.run()
    assert bool(shown(target, wanted.key or "").amiss) == (code == CUT)


def test_a_row_is_written_with_its_flag_by_one_statement(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.run()
    with system.engine.begin() as connection:
        connection.execute(text("CREATE TABLE seen (flag, listed)"))
        connection.execute(
            text(
                'CREATE TRIGGER watch AFTER UPDATE ON "SaltoCardholders" BEGIN INSERT INTO seen '
                'VALUES (NEW."ToBeProcessedBySalto", NEW."ExtAccessLevelIDList"); END'
            )
        )
    put(target, replace(ASA, grants=(ONE, TWO)), ASA)
    with system.engine.connect() as connection:
        seen = connection.execute(text("SELECT * FROM seen")).all()
    assert [tuple(each) for each in seen] == [(1, f"{LEVELS[0]},{LEVELS[1]}")]


def test_a_job_that_read_the_row_before_cannot_hide_a_removal(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    picked = system.pick()
    put(target, replace(ASA, grants=()), ASA)
    system.finish(picked)
    assert system.users[ROW].opens(LEVELS[0]), "the slow job must have worked on the older row"
    found = shown(target)
    assert found.amiss.startswith("it was written again")
    assert put(target, found, found) == "submitted"
    system.run()
    assert not system.users[ROW].opens(LEVELS[0])
    assert not shown(target).amiss


def test_without_a_stamp_a_row_that_waits_is_left_to_the_job(without_stamp: Staging) -> None:
    target = target_of(url=without_stamp.url)
    put(target, ASA)
    waiting = without_stamp.row(ROW)
    with pytest.raises(Refused, match="has not answered the last write"):
        put(target, replace(ASA, grants=()), ASA)
    assert without_stamp.row(ROW) == waiting
    assert put(target, ASA) == "submitted"
    without_stamp.run()
    assert put(target, replace(ASA, grants=()), ASA) == "submitted"
    without_stamp.run()
    assert not without_stamp.users[ROW].opens(LEVELS[0])


def test_a_row_that_somebody_holds_is_not_written(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    with system.engine.connect() as job:
        job.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="job may be at it"):
            put(target, replace(ASA, grants=()), ASA)
    assert shown(target).grants == (ONE,)


def test_an_edit_by_hand_in_the_product_is_not_seen_and_is_overwritten(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.run()
    system.users[ROW].lists[LEVEL_LIST] = (LEVELS[0], LEVELS[2])
    assert shown(target).grants == (ONE,)
    put(target, replace(ASA, grants=(ONE, TWO)), shown(target))
    system.run()
    assert system.users[ROW].lists[LEVEL_LIST] == (LEVELS[0], LEVELS[1])


# ── rows of others, and what others wrote into ours ─────────────────────────────────────


def test_what_is_typed_into_a_row_by_hand_stays(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.run()
    typed = {LEVEL_LIST: f"{{{LEVELS[0]} , STADSHUS}}", "ExtDoorIDList": '{{"D-101",6,,}}'}
    system.set(ROW, **typed)
    before = shown(target)
    assert {each.ref for each in before.grants} == {LEVELS[0], "STADSHUS", 'door:{"D-101",6,,}'}
    after = replace(before, grants=(*(g for g in before.grants if g != ONE), TWO))
    put(target, after, before)
    row = system.row(ROW)
    assert row[LEVEL_LIST] == f"{{STADSHUS,{LEVELS[1]}}}"
    assert row["ExtDoorIDList"] == '{{"D-101",6,,}}'
    put(target, replace(after, grants=(*after.grants, Grant(ref="door:D-102"))), after)
    assert system.row(ROW)["ExtDoorIDList"] == '{{"D-101",6,,},D-102}'


def test_two_rows_with_one_key_are_shown_without_it_and_never_written(system: Staging) -> None:
    target = target_of(url=system.url, columns={"key": "Dummy5"})
    for ext_id in ("A", "B"):
        system.add(ext_id, Dummy5="1001", **{LEVEL_LIST: LEVELS[0]})
    assert [each.key for each in target.read()] == [None, None]
    for call in (lambda: target.read_one("1001"), lambda: put(target, ASA)):
        with pytest.raises(Refused, match="2 rows carry one key"):
            call()


def test_a_row_that_went_is_not_made_again_by_an_old_plan(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.run()
    system.remove(ROW)
    for after in (replace(ASA, grants=()), replace(ASA, status="suspended")):
        with pytest.raises(Refused, match="may still stand in Salto"):
            put(target, after, ASA)
    assert system.rows() == []


def test_a_lost_card_that_waits_to_be_cancelled_is_not_forgotten(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.run()
    system.set(ROW, Action=8, ToBeProcessedBySalto=1)
    with pytest.raises(Refused, match="Action 8"):
        put(target, replace(ASA, grants=(ONE, TWO)), ASA)
    system.run()
    assert system.users[ROW].key_cancelled
    assert put(target, replace(ASA, grants=(ONE, TWO)), ASA) == "submitted"


def test_somebody_whom_others_banned_stays_out(target: SaltoStagingTarget, system: Staging) -> None:
    put(target, replace(ASA, grants=(ONE, TWO)))
    system.run()
    system.set(ROW, Action=9, ToBeProcessedBySalto=1)
    system.run()
    before = shown(target)
    assert before.status == "suspended"
    put(target, replace(before, grants=(ONE,)), before)
    system.run()
    assert shown(target).grants == (ONE,)
    assert shown(target).status == "suspended"
    assert not system.users[ROW].opens(LEVELS[0])
    with pytest.raises(Refused, match="by hand"):
        put(target, replace(shown(target), status="active"), shown(target))
    assert shown(target).status == "suspended"


def test_somebody_whom_others_deleted_is_not_made_again(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.run()
    system.set(ROW, Action=4, ToBeProcessedBySalto=1)
    for _ in range(2):
        found = shown(target)
        assert (found.status, found.grants) == ("suspended", ())
        wanted = replace(found, grants=(TWO,))
        for after in (wanted, replace(wanted, status="active")):
            with pytest.raises(Refused, match="asked Salto to delete"):
                put(target, after, found)
        assert put(target, replace(found, status="suspended"), ASA) in ("submitted", "confirmed")
        assert system.row(ROW)["Action"] == 4
        system.run()
    assert ROW not in system.users


# ── shutting out and letting in ─────────────────────────────────────────────────────────


def test_who_is_suspended_is_out_once_the_job_has_run(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.run()
    before = suspend(target)
    system.run()
    assert not system.users[ROW].opens(LEVELS[0])
    old_plan = replace(ASA, family_name="Söder")
    put(target, old_plan, ASA)
    system.run()
    assert shown(target).status == "suspended", "a plan older than the suspension let somebody in"
    put(target, replace(before, status="active"), before)
    system.run()
    assert system.users[ROW].opens(LEVELS[0])
    assert system.row(ROW)["dtExpiration"] is None


def test_an_end_of_others_is_not_lost_by_a_suspension(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.run()
    system.set(ROW, dtExpiration=now() + timedelta(days=30))
    before = suspend(target)
    assert before.status == "suspended"
    with pytest.raises(Refused, match="dates that others had set"):
        put(target, replace(before, status="active"), before)
    assert shown(target).status == "suspended"


def test_who_is_suspended_before_the_first_day_is_out_now(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.set(ROW, dtActivation=now() + timedelta(days=2))
    before = suspend(target)
    system.run()
    system.run()
    row = system.row(ROW)
    assert (before.status, row["ErrorCode"]) == ("suspended", 0)
    assert row["dtActivation"] < row["dtExpiration"] < now()
    with pytest.raises(Refused, match="dates that others had set"):
        put(target, replace(before, status="active"), before)


def test_an_end_that_has_passed_is_shown_and_not_lifted(
    target: SaltoStagingTarget, system: Staging
) -> None:
    put(target, ASA)
    system.set(ROW, dtExpiration=now() - timedelta(hours=1))
    before = shown(target)
    assert before.status == "suspended"
    with pytest.raises(Refused, match="others have shut the person out"):
        put(target, replace(before, status="active"), before)
    assert shown(target).status == "suspended"


@pytest.mark.parametrize("end", ["2000-01-01 00:00:00", "2099-01-01 00:00:00", None])
def test_an_end_that_is_none_or_far_off_shuts_nobody_out(
    target: SaltoStagingTarget, system: Staging, end: str | None
) -> None:
    put(target, ASA)
    system.set(ROW, dtExpiration=end and datetime.fromisoformat(end))
    assert shown(target).status == "active"
