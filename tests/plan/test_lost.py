"""What hands took away is forgotten; a system that was restored is not taken for hands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idsync.model import Reason
from idsync.plan.holdings import Holdings
from idsync.plan.lost import lost, too_many
from tests.plan.examples import ENTRE, KITCHEN, LATER, NOW, card, grant, holder, owned


def test_what_a_system_does_not_show_any_longer_is_lost_and_nothing_else() -> None:
    by_hand = replace(grant(KITCHEN), because=(Reason(type="manual", ref="Anna"),))
    there = Holdings.collect(
        [
            holder(1, grant(ENTRE), by_hand, credentials=(card("7", "suspended"), card("8"))),
            holder(2, grant(ENTRE, NOW), status="suspended"),
        ]
    )
    kept = [
        (1, grant(ENTRE)), (1, "credential:7"), (2, grant(ENTRE, NOW)), (2, "status"),
    ]  # fmt: skip
    gone = [
        (1, grant(KITCHEN)),  # shown, and somebody gave it by hand
        (1, grant(ENTRE, None)), (1, grant(ENTRE, end=LATER)), (2, grant(ENTRE)),
        (3, grant(ENTRE)), (1, "credential:8"), (1, "credential:9"), (2, "credential:7"),
        (1, "status"),
    ]  # fmt: skip
    ledger, missing = owned(*kept, *gone), owned(*gone)  # type: ignore[arg-type]  # of two kinds
    order = ["key", "kind", "ref", "valid_from", "valid_to"]
    assert lost(ledger, there).sort(order).equals(missing.sort(order))
    assert lost(owned(*kept), there).is_empty()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "of", "expected"),
    [(10, 10, False), (11, 11, True), (11, 219, True), (11, 220, False), (50, 1000, False),
     (51, 1000, True), (0, 0, False)],
)  # fmt: skip
def test_more_than_ten_and_a_twentieth_at_once_is_no_work_of_hands(
    count: int, of: int, expected: bool
) -> None:
    assert too_many(count, of) is expected
