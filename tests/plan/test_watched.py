"""Who counts as the staff of a profile with a floor."""

from __future__ import annotations

import polars as pl

from idsync.plan.holdings import Holdings
from idsync.plan.watched import staff_of
from tests.plan.examples import DAY, ENTRE, KITCHEN, NOW, grant, holder, links

RIGHTS = pl.DataFrame({"target": ["hall"], "kind": [ENTRE.kind], "ref": [ENTRE.ref]})


def test_who_can_use_the_right_now_is_staff_and_nobody_else() -> None:
    there = Holdings.collect(
        [
            holder(0, grant(ENTRE)),
            holder(1, grant(ENTRE, end=NOW + DAY), grant(ENTRE)),  # twice, and one person
            holder(2, grant(ENTRE), status="suspended"),
            holder(3, grant(ENTRE, end=NOW)),
            holder(4, grant(ENTRE, begin=NOW + DAY)),
            holder(5, grant(KITCHEN)),
            holder(6, grant(ENTRE)),  # nobody knows who it is
        ]
    )
    found = staff_of(RIGHTS, {"hall": there}, {"hall": links(*range(6))}, NOW)
    assert sorted(found["person_id"]) == ["id-0", "id-1"]
    assert found.select("target", "kind", "ref").unique().equals(RIGHTS)


def test_of_a_system_that_could_not_be_read_nobody_is_known() -> None:
    assert staff_of(RIGHTS, {}, {}, NOW).is_empty()
