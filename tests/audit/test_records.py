"""What the audit says of a write: to everybody what changed at which door, and the rest sealed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select

from idsync.model import Outcome
from idsync.store import Snapshot, State, open_state
from idsync.store.audit_cutting import cut, cuts_of, read_cuts
from idsync.store.audit_keys import keep, kept, keys_for, release
from idsync.store.audit_reading import begins_at, of_person, of_right
from idsync.store.audit_records import adopted_records, refuse_floats, told_items
from idsync.store.erasing import erase_rows, unfinished
from idsync.store.retaining import Limits, let_go
from idsync.store.tables import audit
from tests.audit.examples import NOTHING, Site
from tests.plan.examples import ENTRE, KITCHEN, LATER, NOW, SOON, grant, owned
from tests.store.test_journal import adds, takes
from tests.store.test_orders import part

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[State]:
    opened = open_state(f"sqlite:///{tmp_path / 'idsync.db'}")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("item", "told", "hidden"),
    [
        (adds(effect="gaining"),
         {"part": "grant", "kind": "access", "ref": "ENTRÉ", "after": [None, None],
          "effect": "gaining"}, {}),
        (takes(from_before=NOW, to_before=SOON, effect="losing", confirmed=True),
         {"part": "grant", "kind": "access", "ref": "ENTRÉ",
          "before": [NOW.isoformat(), SOON.isoformat()], "effect": "losing", "confirmed": True},
         {}),
        (adds(was=True, to_before=SOON, from_after=SOON, to_after=LATER, effect="neutral"),
         {"part": "grant", "kind": "access", "ref": "ENTRÉ", "before": [None, SOON.isoformat()],
          "after": [SOON.isoformat(), LATER.isoformat()]}, {}),
        (adds("5511", part="credential", kind="card", was=True, value_after="disabled"),
         {"part": "credential", "kind": "card", "before": True, "after": True,
          "value": "disabled"}, {"number": "5511"}),
        (adds("email", part="attribute", kind="", value_after="a@b.example"),
         {"part": "attribute", "ref": "email", "after": True}, {"value": "a@b.example"}),
    ],
)  # fmt: skip
def test_numbers_values_and_reasons_are_sealed_and_the_rest_is_told(
    item: pl.DataFrame, told: dict[str, Any], hidden: dict[str, Any]
) -> None:
    because = {"because": "rule städ\u2028\"'"}
    assert told_items(item) == ([told], {"key": "n1", "items": [because | hidden]})


def test_of_nothing_nothing_is_told() -> None:
    assert told_items(NOTHING) == ([], {"key": None, "items": []})


def test_what_is_adopted_is_told_person_by_person() -> None:
    rows = owned((1, grant(ENTRE, None, LATER)), (2, grant(KITCHEN)), (1, grant(KITCHEN, SOON)))
    first, second = adopted_records(rows, "kulturnämnden")
    assert (first.kind, first.controller, first.target) == ("adopted", "kulturnämnden", "hall")
    assert [one.person_id for one in (first, second)] == ["id-1", "id-2"]
    refs = [one["ref"] for one in first.facts["items"]]
    ends = [one["after"] for one in first.facts["items"]]
    assert refs == ["ENTRÉ", "KÖK"]
    assert ends == [[None, LATER.isoformat()], [SOON.isoformat(), None]]
    assert first.sealed == {"keys": ["n1"]}
    assert {one["kind"] for one in second.facts["items"]} == {"access"}


@pytest.mark.parametrize("facts", [1.5, {"a": {"b": 1.0}}, [1, [2, 0.5]], ({"a": (0.1,)},)])
def test_a_number_that_is_not_whole_is_never_told(facts: object) -> None:
    refuse_floats({"a": [1, "1.5", None, True, {"b": (2,)}]})
    with pytest.raises(TypeError):
        refuse_floats(facts)


# ── reading ─────────────────────────────────────────────────────────────────────────────


def test_what_is_read_back_is_what_was_written(site: Site) -> None:
    intended, settled, *_ = of_person(site.state.engine, "id-0")
    assert (intended.kind, intended.target, intended.person_id) == ("intended", "hall", "id-0")
    assert (intended.controller, intended.at) == ("kulturnämnden", NOW.isoformat())
    assert intended.facts["run"] == 1
    assert intended.hidden["key"] == "n0"
    assert (settled.kind, settled.operation) == ("settled", intended.operation)
    assert (settled.facts, settled.hidden) == ({"state": "confirmed"}, {})
    assert settled.alias == intended.alias


def test_who_was_suspended_at_a_target_may_be_asked_at_each_of_its_doors(site: Site) -> None:
    blocked = adds("status", "n8", part="status", kind="", value_after="suspended")
    (number,) = site.state.journal.intend(1, [("hall", "id-8", blocked)], NOW)
    told = of_right(site.state.engine, "hall", "KÖK")
    assert [(one.kind, one.operation, one.person_id) for one in told] == [
        ("intended", number, "id-8")
    ]
    assert of_right(site.state.engine, "annex", "ENTRÉ")[0].target == "annex"


def cut_at(site: Site, number: int, **other: Any) -> object:
    known = {"controller": "kulturnämnden", "limit_days": 30, "kept": [], "now": NOW + DAY}
    with site.state.engine.begin() as connection:
        mine = (audit.c.controller == "kulturnämnden") & (audit.c.number == number)
        stored = connection.execute(select(audit.c.hash).where(mine)).scalar_one()
        given = {"hash_": stored.hex(), "key": site.key, **known, **other}
        return cut(connection, number=number, **given)


def test_what_is_cut_off_is_told_and_the_chain_tells_from_when_it_goes_on(site: Site) -> None:
    site.now = NOW + DAY
    site.operations(1)
    chains = ["kulturnämnden", "byggnämnden"]
    assert begins_at(site.state.engine, chains) == ""
    with site.state.engine.begin() as connection:
        alias = keys_for(connection, ["id-1"])["id-1"].alias
    assert cut_at(site, 6, kept=[alias]) is None
    assert cut_at(site, 6, hash_="00" * 32) is None
    record: Any = cut_at(site, 6)
    assert record.kind == "cut"
    assert record.controller == "kulturnämnden"
    facts = dict(record.facts)
    del facts["hash"]
    assert facts == {
        "format": "idsync.cut/1", "controller": "kulturnämnden", "first": 1, "last": 6,
        "records": 6, "operations": 3, "limit_days": 30, "at": (NOW + DAY).isoformat(),
        "key": site.key.name,
    }  # fmt: skip
    assert begins_at(site.state.engine, chains) == (NOW + DAY).isoformat()
    assert begins_at(site.state.engine, ["byggnämnden"]) == ""
    with site.state.engine.connect() as connection:
        told: list[str] = []
        assert cuts_of(connection) == {"kulturnämnden": 6}
        (stands,) = read_cuts(connection, [site.key.public], told.append).values()
        assert (stands[0], stands[2], told) == (6, 3, [])
        assert read_cuts(connection, [], told.append) == {}
    assert len(told) == 1


# ── keeping and letting go ──────────────────────────────────────────────────────────────


def test_who_is_kept_is_kept_until_released(empty: State) -> None:
    with empty.engine.begin() as connection:
        keys = keys_for(connection, ["id-1", "id-2"])
        keep(connection, "id-1", "tvist", "juristen", NOW)
        keep(connection, "id-3", "tvist", "juristen", NOW)
        held = kept(connection)
        assert held.keys() == {"id-1", "id-3"}
        assert held["id-1"] == keys["id-1"].alias
        assert not release(connection, "id-2")
        assert release(connection, "id-1")
        assert not release(connection, "id-1")
        assert kept(connection).keys() == {"id-3"}


LIMITS = Limits(operations=10, runs=20, orders=30, sources=40)
"""In days, each class another."""


def gone_after(state: State, age: timedelta, *, keeping: str = "") -> dict[str, Any]:
    """What goes when all that was done at NOW is so old."""
    with state.engine.begin() as connection:
        (*told,) = let_go(connection, LIMITS, ["lms"], [keeping], NOW + age)
    return dict(told[0].facts) if told else {}


def lived(state: State) -> None:
    """Let one thing of each class be done with at NOW, and one of each not be."""
    first = state.begin_run("sync", NOW)
    state.begin_run("sync", NOW)
    told = [("hall", f"id-{n}", adds(key=f"n{n}")) for n in range(5)]
    numbers = state.journal.intend(first, told, NOW)
    for number, status in zip(numbers, ("refused", "confirmed", "submitted"), strict=False):
        outcome = Outcome(status=status)  # type: ignore[arg-type]
        state.journal.settle_part(number, outcome, NOTHING, NOW)
    for person in ("id-1", "id-2", "id-3"):
        state.orders.revoke(person, "ended", "hr", NOW)
    for person in ("id-1", "id-2"):
        state.orders.lift(person, "came back", "hr", NOW)
    state.orders.hold([part("ab" * 32), part("cd" * 32)], [], NOW)
    state.orders.approve("ab" * 4, "maja", "checked", NOW)
    state.orders.hold([part("cd" * 32)], ["ab" * 32], NOW)
    read = Snapshot(accepted_at=NOW.isoformat(), records=1, content="c", proof="p", cursor=None)
    with state.engine.begin() as connection:
        for source in ("hr", "lms"):
            state.accept(connection, source, read)
            state.frames.save(connection, f"read:{source}:persons", adds().select("key"))


def test_each_class_goes_when_it_is_older_than_its_days(empty: State) -> None:
    lived(empty)
    assert gone_after(empty, 10 * DAY) == {}
    assert gone_after(empty, 10 * DAY + SECOND, keeping="id-0") == {}
    only = {"runs": 0, "orders": 0, "sources": [], "operations": []}
    assert gone_after(empty, 10 * DAY + SECOND) == only | {"operations": [[1, 1]]}
    empty.journal.fold(["hall"])  # what is not summed up in the ledger stays
    assert gone_after(empty, 20 * DAY) == only | {"operations": [[2, 2]]}
    assert gone_after(empty, 20 * DAY + SECOND) == only | {"runs": 1}
    assert gone_after(empty, 30 * DAY) == {}
    assert gone_after(empty, 30 * DAY + SECOND, keeping="id-1") == only | {"orders": 2}
    assert gone_after(empty, 30 * DAY + SECOND) == only | {"orders": 1}
    assert gone_after(empty, 40 * DAY) == {}
    assert gone_after(empty, 40 * DAY + SECOND) == only | {"sources": ["hr"]}
    assert gone_after(empty, 900 * DAY) == {}
    assert [one.state for one in empty.journal.since("hall", NOW - DAY)] == [
        "submitted", "intent", "intent"
    ]  # fmt: skip
    assert [one.person_id for one in empty.orders.revocations()] == ["id-3"]
    assert [one.digest for one in empty.orders.waiting()] == ["cd" * 32]
    assert empty.frames.names("read:") == ["read:lms:persons"]
    assert empty.snapshot("lms") is not None


def test_who_is_erased_stands_in_no_stored_table_and_nobody_else_goes(empty: State) -> None:
    by_id = pl.DataFrame({"id": ["id-1", "id-2"], "name": ["a", "b"]})
    by_person = pl.DataFrame({"person": ["id-1", "id-2"], "key": ["p1", "p2"]})
    by_key = pl.DataFrame({"person_key": ["p1", "p2"], "unit": ["u", "u"]})
    of_key = pl.DataFrame({"key": ["p1", "p2"]})
    linked = pl.DataFrame({"source": ["hr", "lms", "hr"], "key": ["p1", "p1", "p2"]})
    tables = {
        "person": by_id, "face": by_id, "later": by_person, "read:hr:employments": by_key,
        "read:hr:persons": of_key, "read:lms:persons": of_key, "ledger:hr": of_key,
        "link:hr": of_key, "employment": linked, "unit": by_id,
    }  # fmt: skip
    with empty.engine.begin() as connection:
        for name, rows in tables.items():
            empty.frames.save(connection, name, rows)
        assert erase_rows(connection, "id-1", {"hr": ["p1"]}) == []
    left = {name: empty.frames.load(name, rows.schema) for name, rows in tables.items()}
    for name in ("person", "face", "later", "read:hr:employments", "read:hr:persons"):
        assert left[name].rows() == tables[name].rows()[1:], name
    for name in ("read:lms:persons", "ledger:hr", "link:hr", "unit"):
        assert left[name].equals(tables[name]), name
    assert sorted(left["employment"].rows()) == [("hr", "p2"), ("lms", "p1")]


def test_operations_without_an_answer_are_unfinished(empty: State) -> None:
    told = [("hall", "id-1", adds())] * 4 + [("hall", "id-2", adds(key="n2"))]
    numbers = empty.journal.intend(1, told, NOW)
    with empty.engine.connect().execution_options(reads=True) as connection:
        assert unfinished(connection, "id-1") == 4
    for number, status in zip(numbers, ("submitted", "unknown", "confirmed"), strict=False):
        outcome = Outcome(status=status)  # type: ignore[arg-type]
        empty.journal.settle_part(number, outcome, NOTHING, NOW)
    with empty.engine.connect().execution_options(reads=True) as connection:
        assert unfinished(connection, "id-1") == 3
    with empty.engine.begin() as connection:
        assert erase_rows(connection, "id-1", {}) == [[1, 4]]
