"""The journal answers what it is asked and no more: of which target, since when, which state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Connection

from idsync.errors import IntegrityError, Unavailable
from idsync.model import Outcome
from idsync.plan.items import ITEMS
from idsync.store import State, open_state
from idsync.store.running import Mine
from idsync.store.witness import Height
from tests.plan.examples import ENTRE, KITCHEN, LATER, NOW, grant, owned
from tests.store.test_journal import adds, done, intend, settle, takes, told

HOUR = timedelta(hours=1)
NOTHING = pl.DataFrame(schema=ITEMS)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(f"sqlite:///{tmp_path / 'idsync.db'}")
    yield opened
    opened.close()


def test_operations_are_asked_for_by_target_time_and_state(state: State) -> None:
    journal = state.journal
    (early,) = intend(state, adds())
    both = [("annex", "id-1", adds()), ("hall", "id-2", adds(key="n2"))]
    annex, late = journal.intend(2, both, NOW + HOUR)
    assert [one.id for one in journal.since("hall", NOW)] == [late]
    assert [one.id for one in journal.since("hall", NOW - HOUR)] == [early, late]
    settle(state, late, "submitted")
    settle(state, early, "submitted")
    assert [one.id for one in journal.submitted()] == [early, late]
    assert [one.id for one in journal.unsettled()] == [annex]
    settle(state, annex, "unknown")
    (open_,) = journal.unsettled()
    assert (open_.state, open_.reason, open_.person_id) == ("unknown", "why", "id-1")
    assert open_.intent_at == (NOW + HOUR).isoformat()
    assert open_.items.equals(adds())  # what was intended, since nobody knows


def test_what_is_refused_with_nothing_left_standing_tells_no_items(state: State) -> None:
    (number,) = intend(state, adds())
    settle(state, number, "refused")
    (refused,) = state.journal.of_person("id-1")
    assert refused.items.is_empty()
    state.journal.fold(["hall"])
    assert state.journal.ledger("hall").is_empty()


def test_several_outcomes_are_written_all_or_none(state: State) -> None:
    first, second = intend(state, adds(), adds("KÖK", key="n2"))

    def outcomes() -> Iterator[tuple[int, Outcome, pl.DataFrame]]:
        yield first, Outcome(status="confirmed"), adds()
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        state.journal.settle_parts(outcomes(), NOW)
    assert [one.id for one in state.journal.unsettled()] == [first, second]


def test_nothing_is_intended_once_it_is_not_allowed(state: State) -> None:
    def refuses(_: Connection) -> None:
        raise Unavailable("another run has taken over")

    with state.journal.only_while(Mine(refuses)), pytest.raises(Unavailable):
        intend(state, adds())
    assert state.journal.unsettled() == []
    assert intend(state, adds()) == [1]


def test_what_is_idsyncs_own_no_longer_is_taken_out_and_the_rest_stays(state: State) -> None:
    entrance, kitchen = owned((1, grant(ENTRE))), owned((1, grant(KITCHEN, None, LATER)))
    with state.engine.begin() as connection:
        state.journal.adopt(connection, "hall", pl.concat([entrance, kitchen]))
    other = owned((1, grant(KITCHEN)))  # the same door at other times
    with state.engine.begin() as connection:
        state.journal.forget(connection, "hall", pl.concat([entrance, other]))
    assert told(state.journal.ledger("hall")) == told(kitchen)


def test_a_ledger_that_is_put_in_place_takes_no_more_from_what_was_done_before(
    state: State,
) -> None:
    done(state, adds(), adds("KÖK", key="n2"))
    done_there = state.journal.intend(1, [("annex", "id-1", adds())], NOW)
    settle(state, done_there[0], "confirmed")
    (pending,) = intend(state, adds("LARM", key="n3"))
    settle(state, pending, "submitted")
    with state.engine.begin() as connection:
        state.journal.replace_ledger(connection, "hall", owned((1, grant(KITCHEN))))
    stands = state.journal.ledger("hall")
    assert sorted(stands["ref"]) == ["KÖK", "LARM"]  # what is not answered yet counts still
    assert state.journal.ledger("annex").height == 1
    settle(state, pending, "confirmed")
    state.journal.fold(["hall", "annex"])
    assert sorted(state.journal.ledger("hall")["ref"]) == ["KÖK", "LARM"]


def test_every_target_is_summed_up_though_one_has_nothing_new(state: State) -> None:
    (number,) = state.journal.intend(1, [("annex", "id-1", adds())], NOW)
    settle(state, number, "confirmed")
    state.journal.fold(["hall", "annex"])
    assert state.frames.names("ledger:") == ["ledger:annex"]


def test_what_an_operation_counts_for_is_its_effect_that_nobody_confirmed(state: State) -> None:
    parts = [
        takes(effect="losing"),
        adds(key="n2", effect="gaining"),
        pl.concat([takes(key="n3", effect="losing"), adds("KÖK", key="n3", effect="gaining")]),
        takes(key="n4", effect="losing", confirmed=True),
        takes(key="n5", effect="losing", exempt=True),
        takes(key="n6", effect="neutral"),
    ]
    intend(state, *parts)
    since = state.journal.changed_since(NOW - HOUR).sort("direction", "person_id")
    assert since.select("direction", "person_id").rows() == [
        ("gaining", "id-2"), ("gaining", "id-3"), ("losing", "id-1"), ("losing", "id-3"),
    ]  # fmt: skip
    assert set(since["target"]) == {"hall"}
    assert set(since["at"]) == {NOW}
    assert state.journal.changed_since(NOW).is_empty()


# ── how far it has come ─────────────────────────────────────────────────────────────────


def test_the_height_of_a_state_is_what_it_has_done(state: State) -> None:
    instance = str(state.instance)
    fresh = Height(instance=instance, epoch=0, runs=0, operations=0, orders=0)
    assert state.height() == fresh
    state.begin_run("sync", NOW)
    intend(state, adds(), adds(key="n2"))
    for person in ("id-1", "id-2", "id-3"):
        state.orders.revoke(person, "ended", "hr", NOW)
    assert state.height() == Height(instance=instance, epoch=0, runs=1, operations=2, orders=3)
    with state.engine.begin() as connection:
        state.remember(connection, "epoch", "7")
    assert state.height().epoch == 7


@pytest.mark.parametrize("name", ["runs", "operations", "orders"])
def test_a_state_reaches_another_that_did_no_more_of_anything(name: str) -> None:
    known = {"runs": 3, "operations": 3, "orders": 3}
    mine = Height(instance="a", epoch=1, **known)
    assert mine.reaches(Height(instance="a", epoch=1, **known))
    assert mine.reaches(Height(instance="a", epoch=1, **known | {name: 2}))
    assert not mine.reaches(Height(instance="a", epoch=1, **known | {name: 4}))
    assert mine.reaches(Height(instance="a", epoch=0, **known | {name: 4}))
    assert not mine.reaches(Height(instance="a", epoch=2, **known | {name: 2}))


def test_an_old_copy_stays_old_until_it_counts_as_the_newest(tmp_path: Path) -> None:
    url, witness = f"sqlite:///{tmp_path / 'idsync.db'}", tmp_path / "folder" / "witness"
    ahead = open_state(f"sqlite:///{tmp_path / 'ahead.db'}", witness=witness, instance="a" * 32)
    ahead.begin_run("sync", NOW)
    ahead.begin_run("sync", NOW)
    ahead.close()
    open_state(url, instance=str(ahead.instance)).close()
    looking = open_state(url, witness=witness, doubtful=True, create=False)
    assert looking.behind() == ahead.height()
    assert looking.remembered("behind") == ""
    looking.close()
    old = open_state(url, witness=witness, doubtful=True)
    assert old.remembered("behind") == "yes"
    for _ in range(3):
        old.begin_run("sync", NOW)
    assert old.behind() is not None  # however far it comes
    old.close()
    with pytest.raises(IntegrityError, match="older than what was done"):
        open_state(url, witness=witness)
    rebuilt = open_state(url, witness=witness, doubtful=True)
    with rebuilt.engine.begin() as connection:
        rebuilt.begin_epoch(connection)
    assert (rebuilt.behind(), rebuilt.height().epoch) == (None, 1)
    rebuilt.note(surely=True)
    rebuilt.close()
    open_state(url, witness=witness).close()
