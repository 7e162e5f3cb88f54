"""The brake holds the doubtful part, lets the rest go, and yields to one approval of one digest."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idsync.plan.brake import Direction, HeldPart, Limit, brake
from idsync.plan.given import TargetPlan
from idsync.plan.items import ITEMS, items
from tests.plan.examples import ENTRE, HALL, NOW, City, grant, holder, job, links, owned, person

EMPTY = City().plan()
NOT_SEEN = ("target", "held", "exempt")  # what the scope says, and what the brake itself writes


def made(
    name: str,
    losing: int = 0,
    gaining: int = 0,
    *,
    base: int = 0,
    confirmed: int = 0,
    controller: str = "skola",
    start: int = 0,
) -> TargetPlan:
    """A plan in which so many people lose, others gain, and some lose for certain."""
    rows = [
        (f"p{start + row}", effect, sure)
        for row, (effect, sure) in enumerate(
            [("losing", False)] * losing + [("gaining", False)] * gaining
            + [("losing", True)] * confirmed
        )
    ]  # fmt: skip
    table = pl.DataFrame(
        rows,
        schema={"person_id": pl.String, "effect": pl.String, "confirmed": pl.Boolean},
        orient="row",
    )
    table = table.with_columns(key="person_id", shall=pl.col("effect") == "gaining")
    return replace(
        EMPTY,
        target=replace(HALL, name=name, controller=controller),
        items=items(
            table.with_columns(was=~pl.col("shall")),
            target=name, part="grant", kind="access", ref="ENTRÉ", creates=False, because="x",
        ),
        holders=pl.DataFrame(
            {"person_id": [f"h{row}" for row in range(base)]}, schema={"person_id": pl.String}
        ),
    )  # fmt: skip


def limits(people: int, percent: float = 0, gaining: int = 1000) -> dict[Direction, Limit]:
    return {
        "losing": Limit(people=people, percent=percent),
        "gaining": Limit(people=gaining, percent=0),
    }


def held_of(
    plans: list[TargetPlan], limit: dict[Direction, Limit], approved: tuple[str, ...] = ()
) -> tuple[pl.DataFrame, list[HeldPart], list[str]]:
    return brake(plans, limit, config_digest="c", approved=approved)


@settings(max_examples=100)
@given(
    st.integers(1, 50), st.integers(0, 60), st.integers(0, 10), st.sampled_from([0, 2, 10, 50, 100])
)
def test_a_part_is_held_when_it_is_above_both_the_floor_and_the_share(
    base: int, losing: int, floor: int, percent: int
) -> None:
    rows, held, _ = held_of([made("hall", losing, base=base)], limits(floor, percent))
    allowed = max(floor, base * percent // 100)
    assert bool(held) == (losing > allowed)
    assert rows.filter(pl.col("held").is_null()).height == (0 if losing > allowed else losing)
    if held:
        assert (held[0].people, held[0].limit, held[0].base) == (losing, allowed, base)


def test_people_are_counted_and_not_their_grants() -> None:
    plan = made("hall", 3)
    twice = replace(plan, items=pl.concat([plan.items, plan.items.with_columns(ref=pl.lit("B"))]))
    assert held_of([twice], limits(3))[1] == []
    assert held_of([twice], limits(2))[1][0].people == 3


@pytest.mark.parametrize(("direction", "rest"), [("losing", "gaining"), ("gaining", "losing")])
def test_each_direction_is_held_by_itself(direction: Direction, rest: Direction) -> None:
    both: dict[Direction, Limit] = {
        direction: Limit(people=4, percent=0),
        rest: Limit(people=5, percent=0),
    }
    rows, held, _ = held_of([made("hall", 5, 5)], both)
    assert [(part.scope, part.direction) for part in held] == [("target hall", direction)]
    assert set(rows.filter(pl.col("held").is_null())["effect"]) == {rest}


def test_one_held_target_does_not_hold_another() -> None:
    plans = [made("hall", 5, controller="a"), made("annex", 2, controller="b", start=50)]
    rows, _, _ = held_of(plans, limits(3))
    assert set(rows.filter(pl.col("held").is_null())["target"]) == {"annex"}


def test_small_changes_in_many_targets_are_held_for_their_controller() -> None:
    plans = [made("hall", 3), made("annex", 3, start=50), made("other", 3, controller="b")]
    rows, held, _ = held_of(plans, limits(3))
    assert [(part.scope, part.people) for part in held] == [("controller skola", 6)]
    assert set(rows.filter(pl.col("held").is_null())["target"]) == {"other"}


def test_one_person_in_two_targets_is_one_person_of_the_controller() -> None:
    assert held_of([made("hall", 3), made("annex", 3)], limits(3))[1] == []


@given(st.integers(0, 20), st.integers(0, 20))
def test_the_confirmed_are_never_counted_nor_held(losing: int, confirmed: int) -> None:
    plans = [made("hall", losing, confirmed=confirmed), made("annex", confirmed=confirmed)]
    rows, held, _ = held_of(plans, limits(3))
    assert rows.filter("confirmed")["held"].is_null().all()
    assert bool(held) == (losing > 3)


def test_an_approval_lets_exactly_its_part_go() -> None:
    plans = [made("hall", 5, controller="a"), made("annex", 5, controller="b", start=50)]
    _, held, _ = held_of(plans, limits(3))
    assert len({part.digest for part in held}) == 2
    rows, left, used = held_of(plans, limits(3), (held[0].digest,))
    assert (left, used) == ([held[1]], [held[0].digest])
    assert set(rows.filter(pl.col("held").is_null())["target"]) == {"hall"}


def test_what_was_approved_in_a_target_does_not_count_for_its_controller() -> None:
    plans = [made("hall", 5), made("annex", 3, start=50)]
    _, held, _ = held_of(plans, limits(3))
    assert [part.scope for part in held] == ["target hall"]
    rows, left, used = held_of(plans, limits(3), (held[0].digest,))
    assert (left, used) == ([], [held[0].digest])
    assert dict(rows.group_by("exempt").len().iter_rows()) == {True: 5, False: 3}


def test_an_approval_that_nothing_needs_is_not_used() -> None:
    assert held_of([made("hall", 2)], limits(3), ("0" * 64,))[2] == []


@pytest.mark.parametrize("column", [name for name in ITEMS if name not in NOT_SEEN])
def test_an_approval_dies_when_an_item_changes(column: str) -> None:
    plan = made("hall", 5)
    _, (held,), _ = held_of([plan], limits(3))
    value = {
        pl.String(): pl.lit("annat"), pl.Boolean(): ~pl.col(column).fill_null(False),
        ITEMS["to_after"]: pl.lit(NOW),
    }[ITEMS[column]]  # fmt: skip
    first = pl.int_range(pl.len()) == 0
    changed = plan.items.with_columns(
        pl.when(first).then(value).otherwise(column).cast(ITEMS[column]).alias(column)
    )
    rows, left, used = held_of([replace(plan, items=changed)], limits(3), (held.digest,))
    assert used == []
    assert [part.digest for part in left] != [held.digest]
    assert rows.filter(pl.col("held").is_not_null()).height == (4 if not left else left[0].people)


def test_an_approval_dies_under_another_configuration() -> None:
    plan = made("hall", 5)
    _, (held,), _ = held_of([plan], limits(3))
    _, (other,), used = brake([plan], limits(3), config_digest="d", approved=[held.digest])
    assert used == []
    assert other.digest != held.digest


def test_the_digest_does_not_depend_on_the_order_of_rows() -> None:
    plan = made("hall", 9)
    mixed = replace(plan, items=plan.items.sample(fraction=1, shuffle=True, seed=3))
    assert held_of([plan], limits(3))[1] == held_of([mixed], limits(3))[1]


def test_a_cardholder_is_not_made_while_all_its_grants_are_held() -> None:
    newcomers = City(persons=[person(n) for n in range(4)], jobs=[job(n) for n in range(4)]).plan()
    rows, (held,), _ = held_of([newcomers], limits(9, gaining=3))
    assert rows["held"].to_list() == [held.digest] * rows.height
    rows, _, _ = held_of([newcomers], limits(9, gaining=3), (held.digest,))
    assert rows["held"].is_null().all()


def test_a_wave_of_leavers_is_held_and_a_revocation_among_them_goes() -> None:
    everyone = range(10)
    city = City(
        persons=[person(n) for n in everyone],
        holders=[holder(n, grant(ENTRE)) for n in everyone],
        owned=owned(*((n, grant(ENTRE)) for n in everyone)),
        links=links(*everyone), revoked=["id-3"],
    )  # fmt: skip
    rows, (held,), _ = held_of([city.plan()], limits(3, 50))
    assert held.people == 9
    assert set(rows.filter(pl.col("held").is_null())["key"]) == {"n3"}


def test_no_plan_at_all_holds_nothing() -> None:
    rows, held, used = held_of([], limits(0))
    assert (rows.schema, rows.height, held, used) == (ITEMS, 0, [], [])
