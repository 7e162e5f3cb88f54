"""What is old enough goes by itself, class by class; what is kept by law stays; all verifies."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import Column, func, select, update

from idsync.service import retaining
from idsync.service.auditing import checkpoints_of
from idsync.service.erasing import Decision, keep_person, release_person
from idsync.service.history import LOCAL
from idsync.store import State
from idsync.store.audit_keys import keys_for
from idsync.store.tables import approval, audit, audit_cut, journal, revocation, run, snapshot
from tests.audit.test_erasing import GONE, bytes_of
from tests.audit.town import DAY, Life

CLASSES = """
[retention]
operations = 100
runs = 50
orders = 60
sources = 70
local = 80
people = 90
audit = 200
"""
WHY = Decision(reason="tvist", by="juristen")


def oldest(state: State, column: Column[str]) -> str:
    with state.engine.connect() as connection:
        found: str | None = connection.execute(select(func.min(column))).scalar()
    return found or "9999"


def test_each_class_goes_at_its_own_age_and_nothing_older_is_left(life: Life) -> None:
    life.settings(CLASSES)
    life.sync()
    with life.state() as state:
        person = life.person(state, 8)
        state.orders.revoke(person, "utredning", "hr", life.clock())
        state.orders.lift(person, "klart", "hr", life.clock())
    life.sync()
    limits = {
        run.c.started_at: 50, revocation.c.lifted_at: 60, journal.c.outcome_at: 100,
        audit.c.at: 200, approval.c.seen_at: 60,
    }  # fmt: skip
    seen_gone = set()
    for day in range(1, 30):
        life.town.leavers ^= {7}  # somebody comes and goes, so that there is always something
        life.town.write_hr()
        life.sync(days=10)
        with life.state() as state:
            for column, days in limits.items():
                bound = (life.now - days * DAY - timedelta(minutes=10)).isoformat()
                assert oldest(state, column) >= bound, f"day {day * 10}: {column} is older"
                if day * 10 > days:
                    seen_gone.add(column.table.name)
        assert life.problems() == [], f"day {day * 10}"
    assert len(seen_gone) == 5
    with life.state() as state, state.engine.connect() as connection:
        cuts = {row.controller: row.number for row in connection.execute(select(audit_cut))}
        assert cuts[""] > 5
        assert set(cuts) == {"", "skola", "stadshuset"}
        runs = connection.execute(select(func.count()).select_from(run)).scalar_one()
        assert 4 <= runs <= 7
        # what is in force is still known to be idsync's own
        assert state.journal.ledger("skola").height >= 76


@pytest.mark.case("A8")
def test_who_left_is_erased_by_the_clock_and_who_is_kept_is_not(life: Life) -> None:
    life.settings(CLASSES)
    life.sync()
    life.everywhere_gone(GONE, 5)
    for _ in range(3):
        life.sync()
    with life.state() as state:
        keep_person(state, life.person(state, 5), WHY, life.clock())
    life.sync(days=80)
    assert b"200004" in bytes_of(life.town.folder)
    life.sync(days=12)
    assert b"200004" not in bytes_of(life.town.folder)
    assert b"200005" in bytes_of(life.town.folder)
    assert life.problems() == []
    life.sync(days=400)  # nothing that tells of them is cut
    with life.state() as state:
        person = life.person(state, 5)
        with state.engine.begin() as connection:
            alias = keys_for(connection, [person])[person].alias
            theirs = select(audit.c.number).where(audit.c.person == alias)
            assert len(connection.execute(theirs).all()) >= 4
        release_person(state, person, WHY, life.clock())
    life.sync()
    assert b"200005" not in bytes_of(life.town.folder)
    assert life.problems() == []


def test_while_everything_is_on_hold_nothing_goes(life: Life) -> None:
    life.settings(CLASSES + "hold = true\n")
    life.sync()
    life.everywhere_gone(GONE)
    for _ in range(3):
        life.sync()
    life.sync(days=1000)
    assert b"200004" in bytes_of(life.town.folder)
    with life.state() as state, state.engine.connect() as connection:
        assert connection.execute(select(func.min(run.c.id))).scalar() == 1
        assert connection.execute(select(audit_cut)).all() == []


def test_what_a_source_said_goes_when_it_is_no_longer_configured(life: Life) -> None:
    life.settings(CLASSES)
    life.sync()
    file = life.town.folder / "connectors.toml"
    text = file.read_text(encoding="utf-8")
    start, end = text.index("[sources.lms]"), text.index("[targets.stadshuset]")
    file.write_text(text[:start] + text[end:], encoding="utf-8")
    life.sync(days=60)
    with life.state() as state:
        assert state.frames.names("read:lms:")
    life.sync(days=20)
    with life.state() as state:
        assert state.frames.names("read:lms:") == []
        assert state.frames.names("read:hr:")
        with state.engine.connect() as connection:
            known = connection.execute(select(snapshot.c.source)).scalars().all()
    assert known == ["hr"]


def test_an_old_local_grant_that_has_ended_goes_and_one_that_stands_stays(life: Life) -> None:
    life.settings(CLASSES)
    life.sync()
    with life.state() as state:
        local = state.frames.load("local:stadshuset", LOCAL)
        assert set(local["ref"]) == {"GYM"}
        ended = local.with_columns(seen_to=local["seen_from"]).head(2)
        with state.engine.begin() as connection:
            kept = local.tail(local.height - 2)
            state.frames.save(connection, "local:stadshuset", ended.vstack(kept))
    life.sync(days=100)
    with life.state() as state:
        after = state.frames.load("local:stadshuset", LOCAL)
    # the two that only the history took for gone were seen again
    assert after.filter(after["seen_to"].is_not_null()).is_empty()
    assert after.height == local.height


def test_the_work_of_one_night_is_bounded(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retaining, "RECORDS", 10)
    life.settings(CLASSES.replace("audit = 200", "audit = 30"))
    for _ in range(4):
        life.sync(days=2)
    life.sync(days=35)
    first = cut_up_to(life)
    life.sync(days=1)
    assert 0 < first < cut_up_to(life)
    assert life.problems() == []


@pytest.mark.parametrize(
    "change",
    [{"at": "2026-01-01T00:00:00+00:00"}, {"heads": {"": [9, "ab"]}}, {"heads": 7}, {"key": 0}],
)
def test_a_line_that_somebody_put_among_the_checkpoints_cuts_nothing(
    life: Life, change: dict[str, object]
) -> None:
    """It is dated back, and tells the true hashes: whoever reads the database knows them."""
    life.settings(CLASSES.replace("audit = 200", "audit = 30"))
    for _ in range(3):
        life.sync(days=1)
    file = checkpoints_of(life.config)
    lines = file.read_bytes().splitlines(keepends=True)
    back = {"at": "2026-01-01T00:00:00+00:00", **change}
    forged = json.dumps(json.loads(lines[-1]) | back, sort_keys=True, separators=(",", ":"))
    file.write_bytes(b"".join([forged.encode() + b"\n", *lines]))
    life.sync(days=1)
    assert cut_up_to(life) == 0
    assert any("it is forged" in one for one in life.problems())
    life.sync(days=40)
    assert cut_up_to(life) > 0, "the genuine ones behind it still count"


def cut_up_to(life: Life) -> int:
    with life.state() as state, state.engine.connect() as connection:
        query = select(audit_cut.c.number).where(audit_cut.c.controller == "")
        return connection.execute(query).scalar() or 0


def test_a_beginning_that_somebody_else_cut_is_found(life: Life) -> None:
    life.settings(CLASSES.replace("audit = 200", "audit = 30"))
    life.sync()
    life.sync(days=2)
    life.sync(days=40)
    with life.state() as state, state.engine.begin() as connection:
        row = connection.execute(select(audit_cut).where(audit_cut.c.controller == "")).one()
        nxt = (audit.c.controller == "") & (audit.c.number == row.number + 1)
        further = connection.execute(select(audit).where(nxt)).one()
        connection.execute(audit.delete().where(nxt))
        told = json.loads(row.statement) | {"last": row.number + 1, "hash": further.hash.hex()}
        forged = {
            "number": row.number + 1, "hash": further.hash,
            "statement": json.dumps(told, sort_keys=True, separators=(",", ":")),
        }  # fmt: skip
        connection.execute(update(audit_cut).where(audit_cut.c.controller == "").values(forged))
    assert any("is not genuine" in one for one in life.problems())
