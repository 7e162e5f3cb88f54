"""The journal keeps every intent and outcome, and the ledger is nothing but its sum."""

from __future__ import annotations

from typing import Any, Literal

import polars as pl
import pytest

from idsync.model import Outcome
from idsync.plan.items import ITEMS, LEDGER, items, merged_ledger
from idsync.store import State, open_state
from tests.plan.examples import ENTRE, KITCHEN, LATER, NOW, SOON, grant, owned

pytest_plugins = ("tests.servers.state_fixtures",)

Status = Literal["confirmed", "submitted", "refused", "unknown"]


def adds(ref: str = "ENTRÉ", key: str = "n1", **more: Any) -> pl.DataFrame:
    """The items that give one right."""
    known = {
        "person_id": f"id-{key[1:]}", "key": key, "part": "grant", "kind": "access", "ref": ref,
        "was": False, "shall": True, "because": "rule städ\u2028\"'",
    }  # fmt: skip
    row = {**known, **more}
    table = pl.DataFrame([row], schema={name: ITEMS[name] for name in row})
    return items(table, target="hall")


def takes(ref: str = "ENTRÉ", key: str = "n1", **more: Any) -> pl.DataFrame:
    """The items that take one right."""
    return adds(ref, key, was=True, shall=False, **more)


def intend(state: State, *parts: pl.DataFrame) -> list[int]:
    return state.journal.intend(1, [("hall", part["person_id"][0], part) for part in parts], NOW)


def settle(state: State, number: int, status: Status) -> None:
    nothing = pl.DataFrame(schema=ITEMS)
    state.journal.settle_part(number, Outcome(status=status, reason="why"), nothing, NOW)


def done(state: State, *parts: pl.DataFrame) -> None:
    for number in intend(state, *parts):
        settle(state, number, "confirmed")


def told(ledger: pl.DataFrame) -> list[tuple[object, ...]]:
    columns = ["target", "key", "kind", "ref", "valid_from", "valid_to"]
    return sorted(ledger.select(columns).rows(), key=str)


def test_an_intent_is_there_when_the_state_is_opened_anew(state: State, state_url: str) -> None:
    (number,) = intend(state, adds())
    again = open_state(state_url)
    (operation,) = again.journal.unsettled()
    assert (operation.id, operation.state, operation.target) == (number, "intent", "hall")
    assert operation.items.equals(adds())
    again.close()


@pytest.mark.parametrize(
    ("status", "open_", "own"),
    [("confirmed", False, True), ("submitted", False, True), ("refused", False, False),
     ("unknown", True, False)],
)  # fmt: skip
def test_an_outcome_says_what_is_own_and_what_is_open(
    state: State, status: Status, open_: bool, own: bool
) -> None:
    (number,) = intend(state, adds())
    assert state.journal.ledger("hall").is_empty()
    settle(state, number, status)
    assert [one.id for one in state.journal.unsettled()] == ([number] if open_ else [])
    assert told(state.journal.ledger("hall")) == (told(owned((1, grant(ENTRE, None)))) * own)
    assert state.journal.of_person("id-1")[0].reason == "why"


def test_what_a_refused_operation_left_standing_is_own(state: State) -> None:
    (number,) = intend(state, pl.concat([adds(), adds("KÖK")]))
    state.journal.settle_part(number, Outcome(status="refused", reason="full"), adds("KÖK"), NOW)
    assert told(state.journal.ledger("hall")) == told(owned((1, grant(KITCHEN, None))))
    assert state.journal.unsettled() == []


def test_operations_on_one_cardholder_count_in_their_order(state: State) -> None:
    done(state, adds(), takes(), adds("KÖK"), adds("KÖK", key="n2"), takes("KÖK", key="n2"))
    assert told(state.journal.ledger("hall")) == told(owned((1, grant(KITCHEN, None))))
    done(state, takes("KÖK"), adds(), takes(), adds())
    assert told(state.journal.ledger("hall")) == told(owned((1, grant(ENTRE, None))))


def test_a_redating_leaves_one_row(state: State) -> None:
    done(state, adds(to_after=SOON))
    done(state, adds(was=True, to_before=SOON, to_after=LATER))
    assert told(state.journal.ledger("hall")) == told(owned((1, grant(ENTRE, None, LATER))))


def test_the_ledger_is_the_sum_of_the_journal_folded_or_not(state: State) -> None:
    steps = [
        adds(), adds("KÖK", "n2"), takes(), adds("LARM", kind="alarm"), takes("KÖK", "n2"),
        adds("KÖK", "n2", to_after=LATER), adds(),
    ]  # fmt: skip
    expected = pl.DataFrame(schema=LEDGER)
    for step in steps:
        done(state, step)
        expected = merged_ledger(expected, step)
        assert told(state.journal.ledger("hall")) == told(expected)
        state.journal.fold(["hall"])
        assert told(state.journal.ledger("hall")) == told(expected)


def test_folding_leaves_what_is_open_to_be_counted_later(state: State) -> None:
    first, second = intend(state, adds(), adds("KÖK", key="n2"))
    settle(state, first, "confirmed")
    state.journal.fold(["hall"])
    assert [one.id for one in state.journal.unsettled()] == [second]
    settle(state, second, "confirmed")
    assert told(state.journal.ledger("hall")) == told(
        owned((1, grant(ENTRE, None)), (2, grant(KITCHEN, None)))
    )


def test_each_target_has_a_ledger_of_its_own(state: State) -> None:
    done(state, adds())
    assert state.journal.ledger("annex").is_empty()


def test_what_is_adopted_is_own_once(state: State) -> None:
    done(state, adds("KÖK"))
    rows = owned((1, grant(ENTRE)))
    for _ in range(2):
        with state.engine.begin() as connection:
            state.journal.adopt(connection, "hall", rows)
    expected = told(owned((1, grant(ENTRE)), (1, grant(KITCHEN, None))))
    assert told(state.journal.ledger("hall")) == expected


def test_the_operations_on_a_person_are_found_oldest_first(state: State) -> None:
    done(state, adds(), adds("KÖK", key="n2"), takes())
    assert [one.items["ref"][0] for one in state.journal.of_person("id-1")] == ["ENTRÉ", "ENTRÉ"]
    assert state.journal.of_person("id-9") == []


def test_the_states_of_operations_are_told_by_their_numbers(state: State) -> None:
    first, second, third = intend(state, adds(), adds("KÖK"), adds(key="n2"))
    settle(state, first, "confirmed")
    settle(state, second, "refused")
    assert sorted(state.journal.states([third, first])) == ["confirmed", "intent"]
    assert state.journal.states({second}) == ["refused"]
    assert state.journal.states([third + 1]) == []
    assert state.journal.states([]) == []
