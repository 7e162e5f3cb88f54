"""The judge of the audit tells what is wrong, whatever stands in the tables, and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, update

from idsync.store.audit_records import Record, chained
from idsync.store.audit_verifying import MOST_PROBLEMS, verify
from idsync.store.tables import audit, audit_head, journal, meta
from tests.audit.examples import Site, rewrite, rows_of

pytest_plugins = ("tests.servers.state_fixtures",)


def unwitnessed(site: Site) -> list[str]:
    """What is wrong as far as the database alone tells."""
    return verify(site.state.engine, None, [site.key.public]).problems


def test_without_checkpoints_the_audit_is_held_against_itself_and_the_journal(site: Site) -> None:
    verdict = verify(site.state.engine, None, [site.key.public])
    assert (verdict.problems, verdict.records, verdict.operations) == ([], 16, 5)
    assert (verdict.checkpoints, verdict.last_checkpoint, verdict.unsigned) == (0, "", 0)
    site.change(lambda c: c.execute(update(audit).values(at="x").where(audit.c.kind == "revoked")))
    assert [one[-32:] for one in unwitnessed(site)] == ["was changed: its hash is another"]


def test_of_many_problems_the_first_ones_are_told(site: Site) -> None:
    numbers = site.operations(MOST_PROBLEMS + 10)
    site.change(lambda c: c.execute(delete(journal).where(journal.c.id.in_(numbers))))
    assert site.problems() == [
        f"operation {number} is in the audit and not in the journal"
        for number in numbers[:MOST_PROBLEMS]
    ]


def test_an_audit_that_was_emptied_beside_a_journal_is_found(site: Site) -> None:
    def emptied(connection: Connection) -> None:
        connection.execute(audit.delete())
        connection.execute(audit_head.delete())

    site.change(emptied)
    assert unwitnessed(site) == [
        "the journal has operations, and the audit has no record at all",
        *(f"operation {one} is in the journal and not in the audit" for one in range(1, 6)),
    ]
    site.change(lambda c: c.execute(journal.delete()))
    assert unwitnessed(site) == []  # a state in which nothing happened yet
    assert any("its tail was cut" in one for one in site.problems())


def test_a_journal_whose_end_was_cut_is_older_than_a_checkpoint(site: Site) -> None:
    site.change(lambda c: c.execute(delete(journal).where(journal.c.id >= 4)))
    assert site.problems() == [
        "a signed checkpoint saw operation 5, and the journal ends with 3: an older state was "
        "brought back, or its tail was cut",
        "operation 4 is in the audit and not in the journal",
        "operation 5 is in the audit and not in the journal",
    ]


# ── chains that were made to fit ────────────────────────────────────────────────────────


def remade(site: Site, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the records, and put every hash and head right, as whoever can compute would."""

    def doing(connection: Connection) -> None:
        rows = rows_of(connection)
        change(rows)
        rewrite(connection, rows)

    site.change(doing)


def record(rows: list[dict[str, Any]], kind: str, operation: int = 0) -> dict[str, Any]:
    return next(row for row in rows if (row["kind"], row["operation"]) == (kind, operation))


def test_an_operation_that_is_intended_twice_is_found(site: Site) -> None:
    def twice(rows: list[dict[str, Any]]) -> None:
        row = record(rows, "intended", 2)
        rows.insert(rows.index(row), dict(row))

    remade(site, twice)
    assert unwitnessed(site) == ["operation 2 is intended twice in the audit"]


def test_only_a_record_that_settles_an_operation_says_how_it_ended(site: Site) -> None:
    remade(site, lambda rows: record(rows, "settled", 2).update(kind="configured"))
    assert unwitnessed(site) == [
        "operation 2: the journal says confirmed in hall, the audit another"
    ]


SHAPELESS = [
    "", "x", "7", "[]", "{}", '{"state":{}}', '{"operations":5}', '{"operations":[["a","b"]]}',
    '{"operations":[1,2]}', '{"operations":"many"}', "[" * 100_000,
]  # fmt: skip
TOLD = "tells what idsync never wrote"


@pytest.mark.parametrize("facts", SHAPELESS, ids=lambda facts: facts[:12])
def test_a_record_that_fits_and_tells_in_another_form_is_told_with_its_place(
    plain: Site, facts: str
) -> None:
    note = Record(kind="retired", facts={"operations": [[90, 91]]})
    plain.state.audit.note(plain.now, note)
    assert plain.problems() == []
    remade(plain, lambda rows: record(rows, "retired").update(facts=facts))
    assert f"chain of the city, record 6 {TOLD}" in unwitnessed(plain)
    remade(plain, lambda rows: record(rows, "settled", 2).update(facts=facts))
    assert f"chain 'kulturnämnden', record 5 {TOLD}" in unwitnessed(plain)


def test_a_record_whose_operation_is_no_number_is_told_with_its_place(plain: Site) -> None:
    remade(plain, lambda rows: record(rows, "intended", 2).update(operation="två"))
    assert f"chain 'kulturnämnden', record 2 {TOLD}" in unwitnessed(plain)


# ── values of another type than was written ─────────────────────────────────────────────

OTHER_TYPES = {
    "UPDATE audit_head SET hash = 'x' WHERE controller = ''": [
        "chain of the city ends with record 5, its head says another"
    ],
    "UPDATE audit_head SET number = 'x' WHERE controller = ''": [
        "chain of the city ends with record 5, its head says another"
    ],
    "UPDATE audit SET hash = 'x' WHERE controller = '' AND number = 5": [
        "chain of the city, record 5 was changed: its hash is another",
        "chain of the city, record 5 is another than a signed checkpoint says: the chain was "
        "rewritten",
        "chain of the city ends with record 5, its head says another",
    ],
    "UPDATE audit SET number = 'x' WHERE controller = '' AND number = 5": [
        "chain of the city: a record has no number, but 'x'",
        "chain of the city ends with record 4, and a signed checkpoint saw 5: its tail was cut, "
        "or an older state brought back",
        "chain of the city ends with record 4, its head says another",
    ],
    "UPDATE audit SET number = 2.5 WHERE controller = '' AND number = 2": [
        "chain of the city: a record has no number, but 2.5",
        "chain of the city, record 3: 2 to 2 are missing or out of their order",
        "chain of the city, record 3 does not follow the one before it",
    ],
    "UPDATE audit SET controller = X'00' WHERE controller = '' AND number = 5": [
        "chain of the city ends with record 4, and a signed checkpoint saw 5: its tail was cut, "
        "or an older state brought back",
        "chain of the city ends with record 4, its head says another",
        r"chain b'\x00', record 5: 1 to 4 are missing or out of their order",
        r"chain b'\x00', record 5 does not follow the one before it",
        r"chain b'\x00', record 5 was changed: its hash is another",
        r"chain b'\x00' ends with record 5, its head says another",
    ],
}


@pytest.mark.parametrize("statement", OTHER_TYPES, ids=range(len(OTHER_TYPES)))
def test_a_value_of_another_type_is_found_like_any_other(plain: Site, statement: str) -> None:
    plain.change(lambda c: c.exec_driver_sql(statement))
    assert plain.problems() == OTHER_TYPES[statement]


@pytest.mark.parametrize("name", ["operations retired", "checkpoints:"])
def test_a_count_that_was_changed_into_none_is_told(site: Site, name: str) -> None:
    changed = meta.c.name.startswith(name)
    site.change(lambda c: c.execute(delete(meta).where(changed)))
    row = {"name": name + (site.key.name if name.endswith(":") else ""), "value": "många"}
    site.change(lambda c: c.execute(insert(meta).values(row)))
    [problem] = site.problems()
    assert problem == f"what the state remembers as {row['name']!r} is no number: it was changed"


def test_a_gap_in_the_numbers_is_found_though_every_hash_fits(site: Site) -> None:
    def skipped(connection: Connection) -> None:
        rows = [one for one in rows_of(connection) if one["controller"] == "kulturnämnden"]
        last = dict(rows[-1])
        mine = (audit.c.controller == last["controller"]) & (audit.c.number == last["number"])
        last["number"] += 3
        told = [last[name] for name in (
            "previous", "controller", "number", "at", "kind", "target", "person", "operation",
            "facts", "sealed",
        )]  # fmt: skip
        new = {"number": last["number"], "hash": chained(*told)}
        connection.execute(update(audit).where(mine).values(new))
        head = audit_head.c.controller == last["controller"]
        connection.execute(update(audit_head).where(head).values(new))

    assert unwitnessed(site) == []
    site.change(skipped)
    assert unwitnessed(site) == [
        "chain 'kulturnämnden', record 9: 6 to 8 are missing or out of their order"
    ]
