"""Whoever changes the audit is found: any byte of it, any record, its tail, all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from idsync.model import Outcome
from idsync.store import State, open_state
from idsync.store.audit_checkpoints import WRITTEN, Checkpoints
from idsync.store.audit_records import Record, canonical
from idsync.store.running import Mine
from idsync.store.tables import audit, audit_head, journal, meta
from tests.audit.examples import NOTHING, Site, rewrite, rows_of, site_of
from tests.plan.examples import NOW
from tests.store.test_journal import adds

pytest_plugins = ("tests.servers.state_fixtures",)


def test_a_sound_audit_verifies(site: Site) -> None:
    verdict = site.verdict()
    assert verdict.problems == []
    assert verdict.controllers == {"": 5, "byggnämnden": 5, "kulturnämnden": 6}
    assert (verdict.records, verdict.operations) == (16, 5)
    assert (verdict.checkpoints, verdict.unsigned) == (1, 0)


@pytest.mark.parametrize("many", [3, 4, 5])
def test_many_records_at_once_are_one_chain(
    state: State, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr("idsync.store.audit.AT_ONCE", 2)
    told = [Record(kind="told", facts={"number": number}) for number in range(many)]
    with state.engine.begin() as connection:
        state.audit.append(connection, told, NOW)
    with state.engine.connect() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.controller, audit.c.number)).all()
    mine = [row for row in rows if row.kind == "told" and row.controller == rows[0].controller]
    assert len(mine) == many
    assert all(one.hash == other.previous for one, other in pairwise(mine))


# ── one byte, one record ────────────────────────────────────────────────────────────────

COLUMNS = {column.name: column for column in audit.columns}


def mutations(value: Any) -> Iterator[Any]:
    """Every value that differs from *value* in one byte, or in being longer or shorter."""
    if isinstance(value, int):
        yield from (value + 1000, -value - 1, value ^ 64)  # the next number is taken
        return
    raw = value if isinstance(value, bytes) else value.encode()
    changed = [raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :] for i in range(len(raw))]
    for other in (*changed, raw + b"x", raw[:-1] if raw else b"y"):
        if isinstance(value, bytes):
            yield other
            continue
        try:
            yield other.decode()
        except UnicodeDecodeError:
            yield other.decode("latin-1")


@pytest.mark.parametrize("column", COLUMNS)
def test_every_byte_that_is_changed_is_found(site: Site, column: str) -> None:
    with site.state.engine.connect() as connection:
        rows = rows_of(connection)
    tried = 0
    for row in rows:
        here = (audit.c.controller == row["controller"]) & (audit.c.number == row["number"])
        for other in mutations(row[column]):
            if site.state.engine.dialect.name == "postgresql" and tried % 5:
                tried += 1  # the same judge reads both: there one in five says enough
                continue
            tried += 1
            with site.state.engine.connect() as connection:
                transaction = connection.begin()
                connection.execute(update(audit).where(here).values({column: other}))
                found = judged(site, connection)
                transaction.rollback()
            assert found, f"{row['kind']}: {column} {row[column]!r} became {other!r} unseen"
    assert tried >= len(rows)
    assert site.problems() == []


def judged(site: Site, connection: Connection) -> list[str]:
    """Judge what *connection* sees in its own transaction."""
    from idsync.store import audit_verifying
    from idsync.store.audit_checkpoints import read_checkpoints

    keys = [site.key.public]
    return audit_verifying.verify_in(connection, read_checkpoints(site.file, keys), keys).problems


def drop(connection: Connection, row: dict[str, Any]) -> None:
    connection.execute(
        delete(audit).where(
            audit.c.controller == row["controller"], audit.c.number == row["number"]
        )
    )


def drop_and_close_up(connection: Connection, row: dict[str, Any]) -> None:
    drop(connection, row)
    rows = [one for one in rows_of(connection) if one["controller"] == row["controller"]]
    for one in rows:
        if one["number"] > row["number"]:
            renumber(connection, one, one["number"] - 1)


def insert_a_copy(connection: Connection, row: dict[str, Any]) -> None:
    for one in reversed(rows_of(connection)):
        if one["controller"] == row["controller"] and one["number"] > row["number"]:
            renumber(connection, one, one["number"] + 1)
    connection.execute(insert(audit).values(row | {"number": row["number"] + 1}))


def swap_with_the_next(connection: Connection, row: dict[str, Any]) -> None:
    second = row["number"] + 1
    renumber(connection, row, 10_000)
    renumber(connection, row | {"number": second}, row["number"])
    renumber(connection, row | {"number": 10_000}, second)


def renumber(connection: Connection, row: dict[str, Any], number: int) -> None:
    here = (audit.c.controller == row["controller"]) & (audit.c.number == row["number"])
    connection.execute(update(audit).where(here).values(number=number))


def cut_from_here(connection: Connection, row: dict[str, Any]) -> None:
    """Cut the tail and put the head right: the chain by itself looks whole."""
    here = audit.c.controller == row["controller"]
    connection.execute(delete(audit).where(here, audit.c.number >= row["number"]))
    values = {"number": row["number"] - 1, "hash": row["previous"]}
    connection.execute(
        update(audit_head).where(audit_head.c.controller == row["controller"]).values(values)
    )


def cut_before_here(connection: Connection, row: dict[str, Any]) -> None:
    here = audit.c.controller == row["controller"]
    connection.execute(delete(audit).where(here, audit.c.number <= row["number"]))


HARM = [
    drop, drop_and_close_up, insert_a_copy, swap_with_the_next, cut_from_here, cut_before_here,
]  # fmt: skip


@pytest.mark.case("A13")
@pytest.mark.parametrize("harm", HARM)
def test_every_record_that_is_dropped_inserted_moved_or_cut_is_found(
    site: Site, harm: Callable[[Connection, dict[str, Any]], None]
) -> None:
    with site.state.engine.connect() as connection:
        rows = rows_of(connection)
    ends = {row["controller"]: row["number"] for row in rows}
    for row in rows:
        if harm is swap_with_the_next and row["number"] == ends[row["controller"]]:
            continue
        with site.state.engine.connect() as connection:
            transaction = connection.begin()
            harm(connection, row)
            found = judged(site, connection)
            transaction.rollback()
        assert found, f"{harm.__name__} of {row['controller']} {row['number']} was not seen"
    assert site.problems() == []


@pytest.mark.case("X18")
def test_a_chain_that_is_rewritten_as_a_whole_differs_from_what_was_signed(site: Site) -> None:
    def rewritten(connection: Connection) -> None:
        rows = rows_of(connection)
        [order] = [row for row in rows if row["kind"] == "revoked"]
        order["facts"] = order["facts"].replace("hr", "me")
        rewrite(connection, rows)

    site.change(rewritten)
    assert any("the chain was rewritten" in one for one in site.problems())
    site.file.unlink()  # nothing else tells: the journal was not touched
    empty = Checkpoints(site.file, site.key)
    empty.file.write_bytes(b"")
    assert site.problems() == [
        "checkpoints are missing at the end: 1 were written with the key "
        f"{site.key.name}, the last one here is 0"
    ]


@pytest.mark.case("X18")
def test_audit_and_journal_that_are_altered_together_differ_from_what_was_signed(
    site: Site,
) -> None:
    def altered(connection: Connection) -> None:
        rows = [row for row in rows_of(connection) if row["operation"] != 2]
        connection.execute(delete(journal).where(journal.c.id == 2))
        rewrite(connection, rows)

    site.change(altered)
    assert any("signed checkpoint" in one for one in site.problems())


# ── the journal ─────────────────────────────────────────────────────────────────────────


def test_an_operation_that_only_one_of_journal_and_audit_knows_is_found(site: Site) -> None:
    site.change(lambda c: c.execute(delete(journal).where(journal.c.id == 3)))
    assert site.problems() == ["operation 3 is in the audit and not in the journal"]


def test_an_operation_smuggled_into_the_journal_is_found(site: Site) -> None:
    row = {
        "run": 1, "target": "hall", "person_id": "x", "items": "", "state": "confirmed",
        "reason": "", "intent_at": NOW.isoformat(), "folded": False,
    }  # fmt: skip
    site.change(lambda c: c.execute(insert(journal).values(row)))
    assert site.problems() == ["operation 6 is in the journal and not in the audit"]


@pytest.mark.parametrize("values", [{"state": "refused"}, {"target": "annex"}])
def test_an_operation_of_which_the_journal_says_another_thing_is_found(
    site: Site, values: dict[str, str]
) -> None:
    site.change(lambda c: c.execute(update(journal).where(journal.c.id == 2).values(values)))
    assert [one[:12] for one in site.problems()] == ["operation 2:"]


def test_operations_of_before_the_audit_are_no_fault(state: State, site: Site) -> None:
    def older(connection: Connection) -> None:
        for table in (audit, audit_head):
            connection.execute(table.delete())
        connection.execute(meta.delete().where(meta.c.name.startswith(WRITTEN)))

    site.change(older)
    site.file.unlink()
    state.audit.witnessed_by(Checkpoints(site.file.with_name("new"), site.key))
    site.file = site.file.with_name("new")
    state.journal.settle_part(2, Outcome(status="confirmed"), NOTHING, NOW)
    site.operations(1)
    state.audit.witness()
    assert site.problems() == []


# ── no fork, no gap ─────────────────────────────────────────────────────────────────────


def test_many_that_append_at_once_make_one_chain(state_url: str, site: Site) -> None:
    def work(number: int) -> None:
        other = open_state(state_url)
        other.audit.controllers = site.state.audit.controllers
        for _ in range(10):
            told = [(name, f"id-{number}", adds()) for name in ("hall", "annex")]
            for operation in other.journal.intend(1, told, NOW):
                other.journal.settle_part(operation, Outcome(status="confirmed"), NOTHING, NOW)
        other.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    verdict = site.verdict()
    assert verdict.problems == []
    assert verdict.records == 16 + 4 * 10 * 4


def test_what_is_rolled_back_is_in_neither(site: Site) -> None:
    class Stop(Exception):
        pass

    def refuses(_: Connection) -> None:
        raise Stop

    with pytest.raises(Stop), site.state.journal.only_while(Mine(refuses)):
        site.operations(1)
    assert site.problems() == []


def test_without_its_record_an_operation_is_not_even_intended(site: Site) -> None:
    site.change(lambda c: c.exec_driver_sql("ALTER TABLE audit RENAME TO elsewhere"))
    with pytest.raises(Exception, match=r"audit|lost tables|damaged"):
        site.operations(1)
    site.change(lambda c: c.exec_driver_sql("ALTER TABLE elsewhere RENAME TO audit"))
    with site.state.engine.connect() as connection:
        assert len(connection.execute(select(journal.c.id)).all()) == 5
    assert site.problems() == []


def test_a_number_that_is_not_whole_has_no_place_in_a_record(state: State) -> None:
    with pytest.raises(TypeError):
        state.audit.note(NOW, Record(kind="configured", facts={"limits": [{"percent": 2.5}]}))
    assert canonical({"b": 1, "a": "å"}) == '{"a":"å","b":1}'


def test_a_record_of_another_type_than_was_written_is_found(site: Site) -> None:
    if site.state.engine.dialect.name == "postgresql":
        return  # there a column takes its own type only
    site.change(lambda c: c.exec_driver_sql("UPDATE audit SET sealed = 'x' WHERE kind = 'revoked'"))
    assert site.problems()


def test_the_site_of_another_key_is_not_believed(site: Site, tmp_path: Any) -> None:
    other = site_of(site.state, tmp_path / "other")
    site.key = other.key
    assert any("not signed by a key that is known" in one for one in site.problems())
