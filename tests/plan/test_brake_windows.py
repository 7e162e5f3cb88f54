"""The brake over windows and for the whole city, and what is watched beside its limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
import pytest

from idsync.mapping.catalogue import Right
from idsync.plan.brake import (
    ABSENT,
    ANNOUNCED,
    PAST,
    WAITING,
    Direction,
    HeldPart,
    Known,
    Limit,
    Window,
    brake,
)
from idsync.plan.document import ordered_changes
from idsync.plan.given import TargetPlan
from idsync.plan.items import items
from idsync.plan.scopes import scopes_of
from idsync.plan.watched import STAFF, Watched
from tests.plan.examples import (
    ENTRE,
    KITCHEN,
    NOW,
    City,
    grant,
    holder,
    job,
    links,
    owned,
    person,
)
from tests.plan.test_brake import limits, made

DAY, WEEK, HOUR = timedelta(days=1), timedelta(days=7), timedelta(hours=1)
WIDE: dict[Direction, Limit] = limits(1000)


def windows(day: int = 1000, week: int = 1000, percent: float = 0) -> tuple[Window, ...]:
    """The two windows; for losing these limits, for gaining none that matters."""
    return (
        Window(name="24 hours", span=DAY, limits=limits(day)),
        Window(name="7 days", span=WEEK, limits=limits(week, percent)),
    )


def past(*rows: tuple[str, str, datetime], direction: str = "losing") -> pl.DataFrame:
    """What has changed: target, person and when."""
    told = [(target, direction, who, at) for target, who, at in rows]
    return pl.DataFrame(told, schema=PAST, orient="row")


def went(target: str, people: range, at: datetime) -> pl.DataFrame:
    return past(*((target, f"p{number}", at) for number in people))


def held_by(
    plans: list[TargetPlan],
    limit: dict[Direction, Limit] = WIDE,
    approved: tuple[str, ...] = (),
    **told: object,
) -> tuple[pl.DataFrame, list[HeldPart], list[str]]:
    known = Known(**{"now": NOW, "windows": windows(), **told})  # type: ignore[arg-type]
    return brake(plans, limit, config_digest="c", approved=approved, known=known)


# ── windows ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("S3")
def test_a_little_every_night_is_held_by_the_seven_days() -> None:
    """Ten of 500 a night pass the brake of a run; in seven days 10 % are fewer than fifty."""
    before = past()
    gone = 0
    nights = []
    for night in range(7):
        now = NOW + night * DAY
        plan = made("hall", 10, base=500 - gone, start=10 * night)
        known = Known(now=now, windows=windows(week=3, percent=10), past=before)
        rows, held, _ = brake([plan], limits(3, 3), config_digest="c", known=known)
        nights.append([part.window for part in held])
        if not held:
            gone += 10
            told = went("hall", range(10 * night, 10 * night + 10), now)
            before = pl.concat([before, told])
        else:
            assert rows["held"].null_count() == 0
    assert gone == 40
    assert nights[:4] == [[]] * 4
    assert nights[4:7] == [["7 days"]] * 3


@pytest.mark.parametrize(("ago", "held"), [(DAY - HOUR, True), (DAY, False), (DAY + HOUR, False)])
def test_what_went_within_a_day_counts_for_the_day(ago: timedelta, *, held: bool) -> None:
    before = went("hall", range(50, 53), NOW - ago)
    _, parts, _ = held_by([made("hall", 1)], windows=windows(day=3), past=before)
    assert bool(parts) == held
    if held:
        assert (parts[0].window, parts[0].before, parts[0].people, parts[0].limit) == (
            "24 hours", 3, 1, 3,
        )  # fmt: skip


def test_a_person_counts_once_in_a_window() -> None:
    before = pl.concat([went("hall", range(3), NOW - HOUR), went("hall", range(3), NOW - 2 * HOUR)])
    assert held_by([made("hall", 3)], windows=windows(day=3), past=before)[1] == []
    assert held_by([made("hall", 4)], windows=windows(day=3), past=before)[1][0].before == 3


def test_a_full_window_holds_nobody_whom_it_has_counted_already() -> None:
    before = went("hall", range(9), NOW - HOUR)
    assert held_by([made("hall", 3)], windows=windows(day=3), past=before)[1] == []


def test_a_window_counts_each_direction_by_itself() -> None:
    before = went("hall", range(50, 60), NOW - HOUR).with_columns(direction=pl.lit("gaining"))
    assert held_by([made("hall", 3)], windows=windows(day=3), past=before)[1] == []


def test_a_window_counts_each_target_by_itself_and_its_controller_all() -> None:
    before = went("annex", range(50, 53), NOW - HOUR)
    alone = [made("hall", 3), made("annex", controller="b")]
    assert held_by(alone, windows=windows(day=5), past=before)[1][0].scope == "city"
    ours = [made("hall", 3), made("annex")]
    assert held_by(ours, windows=windows(day=5), past=before)[1][0].scope == "controller skola"
    assert held_by(ours, windows=windows(day=6), past=before)[1] == []


def test_what_went_in_a_target_that_is_down_counts_all_the_same() -> None:
    before = went("annex", range(50, 53), NOW - HOUR)
    plans = [made("hall", 3)]
    scopes = scopes_of(plans, {"hall": "skola", "annex": "skola"})
    _, (part,), _ = held_by(plans, windows=windows(day=5), past=before, scopes=scopes)
    assert (part.scope, part.before) == ("controller skola", 3)


# ── the city ────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("P8")
def test_forty_small_scopes_just_below_their_limit_are_held_for_the_city() -> None:
    plans = [made(f"house-{n}", 2, base=20, controller=f"c-{n}", start=100 * n) for n in range(40)]
    rows, (part,), _ = held_by(plans, limits(3, 2))
    assert (part.scope, part.people, part.limit, part.base) == ("city", 80, 3, 20)
    assert rows["held"].unique().to_list() == [part.digest]
    _, left, used = held_by(plans, limits(3, 2), (part.digest,))
    assert (left, used) == ([], [part.digest])


@pytest.mark.case("P7")
@pytest.mark.parametrize("base", range(1, 51))
def test_a_small_landlord_is_protected_by_a_floor_of_people(base: int) -> None:
    """Two of six may leave in a night; four of six need somebody to look, and so on to fifty."""
    for losing in range(base + 1):
        _, held, _ = held_by([made("hall", losing, base=base)], limits(3, 2))
        assert bool(held) == (losing > 3), f"{losing} of {base}"


# ── effects ─────────────────────────────────────────────────────────────────────────────


def staffed(**more: object) -> City:
    """Six people, each with a grant of idsync's own."""
    everyone = range(6)
    told: dict[str, object] = {
        "persons": [person(n) for n in everyone],
        "jobs": [job(n) for n in everyone],
        "holders": [holder(n, grant(ENTRE)) for n in everyone],
        "owned": owned(*((n, grant(ENTRE)) for n in everyone)),
        "links": links(*everyone),
    }
    return City(**{**told, **more})  # type: ignore[arg-type]


DISGUISES = {
    "a swap": staffed(
        jobs=[job(n, "2") for n in range(6)],
        holders=[holder(n, grant(KITCHEN), grant(ENTRE)) for n in range(6)],
        owned=owned(*((n, grant(right)) for n in range(6) for right in (KITCHEN, ENTRE))),
        rules=replace(
            City().rules,
            profiles=tuple(
                replace(p, rights=(KITCHEN, Right("hall", "access", "NY"))) if p.id == "kök" else p
                for p in City().rules.profiles
            ),
        ),
    ),
    "a shortened date": staffed(jobs=[job(n, valid_to=NOW + 30 * DAY) for n in range(6)]),
    "an emptied group": staffed(
        rules=replace(
            City().rules, profiles=tuple(replace(p, rights=()) for p in City().rules.profiles)
        )
    ),
    "a disabled credential": staffed(jobs=[job(n, valid_to=NOW - DAY) for n in range(6)]),
}


@pytest.mark.case("P9")
@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_removal_in_disguise_is_counted_by_what_it_does_to_doors(disguise: str) -> None:
    plan = DISGUISES[disguise].plan()
    if disguise == "a disabled credential":  # by itself, without the grants that go with it
        cards = plan.items.filter(pl.col("value_after") == "suspended")
        plan = replace(plan, items=cards)
    losing = plan.items.filter(pl.col("effect") == "losing")
    assert losing["person_id"].n_unique() == 6
    rows, held, _ = held_by([plan], limits(5))
    assert [(part.direction, part.people) for part in held] == [("losing", 6)]
    assert rows.filter(pl.col("effect") == "losing")["held"].null_count() == 0
    assert held_by([plan], limits(6))[1] == []


# ── who else waits ──────────────────────────────────────────────────────────────────────


def test_the_absent_are_counted_and_stay_absent_where_nothing_trips() -> None:
    plan = made("hall", 3)
    absent = replace(plan, items=plan.items.with_columns(held=pl.lit(ABSENT)))
    rows, held, _ = held_by([absent], limits(3))
    assert held == []
    assert rows["held"].to_list() == [ABSENT] * 3


def test_the_absent_belong_to_the_part_that_trips_and_go_with_its_approval() -> None:
    first = pl.int_range(pl.len()) < 2
    plan = made("hall", 4)
    mixed = replace(plan, items=plan.items.with_columns(held=pl.when(first).then(pl.lit(ABSENT))))
    rows, (part,), _ = held_by([mixed], limits(3))
    assert part.people == 4
    assert rows["held"].to_list() == [part.digest] * 4
    rows, held, used = held_by([mixed], limits(3), (part.digest,))
    assert (held, used) == ([], [part.digest])
    assert rows["held"].null_count() == 4


def waiting(people: range, scope: str = "target hall") -> pl.DataFrame:
    told = [(scope, "losing", f"p{number}") for number in people]
    return pl.DataFrame(told, schema=WAITING, orient="row")


@pytest.mark.case("P11")
def test_who_comes_later_does_not_wait_with_a_forgotten_part() -> None:
    old, new = made("hall", 9), made("hall", 2, start=50)
    both = replace(old, items=pl.concat([old.items, new.items]))
    _, (whole,), _ = held_by([both], limits(3))
    assert whole.people == 11
    rows, (part,), _ = held_by([both], limits(3), waiting=waiting(range(9)))
    assert part.people == 9
    free = rows.filter(pl.col("held").is_null())
    assert sorted(free["person_id"]) == ["p50", "p51"]
    _, (same,), _ = held_by([old], limits(3))
    assert part.digest == same.digest


def test_too_many_who_come_later_are_held_with_it() -> None:
    old, new = made("hall", 9), made("hall", 4, start=50)
    both = replace(old, items=pl.concat([old.items, new.items]))
    assert held_by([both], limits(3), waiting=waiting(range(9)))[1][0].people == 13


# ── announced ends ──────────────────────────────────────────────────────────────────────


def announced(people: range, at: datetime = NOW) -> pl.DataFrame:
    return pl.DataFrame([(f"p{n}", at) for n in people], schema=ANNOUNCED, orient="row")


@pytest.mark.case("S29")
def test_an_announced_mass_end_goes_on_its_day_behind_the_few_that_were_not() -> None:
    temps, few = made("hall", 3000, base=5000), made("hall", 2, confirmed=1, start=9000)
    plan = replace(temps, items=pl.concat([temps.items, few.items]))
    rows, held, _ = held_by([plan], limits(3), announced=announced(range(3000)))
    assert held == []
    assert rows["exempt"].sum() == 3000
    order = [key for _, key, _, _ in ordered_changes(rows)]
    assert order[0] == "p9002"
    assert set(order[1:3]) == {"p9000", "p9001"}
    assert len(order) == 3003


@pytest.mark.parametrize(("at", "spared"), [(NOW, True), (NOW + DAY, False)])
def test_only_what_an_announced_end_takes_is_spared(at: datetime, *, spared: bool) -> None:
    """Who ends tomorrow and loses something today loses it for another reason."""
    _, held, _ = held_by([made("hall", 9)], limits(3), announced=announced(range(9), at))
    assert (held == []) == spared


def test_the_date_of_an_announced_end_may_be_written_before_its_day() -> None:
    end = NOW + 30 * DAY
    plan = staffed(jobs=[job(n, valid_to=end) for n in range(6)]).plan()
    told = pl.DataFrame([(f"id-{n}", end) for n in range(6)], schema=ANNOUNCED, orient="row")
    assert held_by([plan], limits(3), announced=told)[1] == []
    other = told.with_columns(valid_to=pl.lit(end + DAY))
    assert held_by([plan], limits(3), announced=other)[1][0].people == 6


# ── floors of staff ─────────────────────────────────────────────────────────────────────

NIGHT = pl.DataFrame([("hall", "access", "ENTRÉ")], schema=["target", "kind", "ref"], orient="row")


def staff(people: range) -> pl.DataFrame:
    rows = [("hall", "access", "ENTRÉ", f"p{number}") for number in people]
    return pl.DataFrame(rows, schema=STAFF, orient="row")


def night(floor: int = 2) -> list[Watched]:
    return [Watched(name="natt", rights=NIGHT, floor=floor)]


@pytest.mark.case("P12")
def test_the_last_of_a_critical_profile_do_not_go_without_a_person() -> None:
    plan = made("hall", 2)
    rows, (part,), _ = held_by([plan], watched=night(), staff=staff(range(3)))
    assert (part.scope, part.window, part.people, part.limit, part.base) == (
        "profile natt", "floor", 2, 2, 3,
    )  # fmt: skip
    assert rows["held"].to_list() == [part.digest] * 2
    assert held_by([plan], watched=night(), staff=staff(range(4)))[1] == []
    rows, held, used = held_by([plan], WIDE, (part.digest,), watched=night(), staff=staff(range(3)))
    assert (held, used) == ([], [part.digest])
    assert rows["held"].null_count() == 2


@pytest.mark.case("P12")
def test_a_confirmed_termination_goes_below_the_floor_and_lessens_the_staff() -> None:
    plan = made("hall", 1, confirmed=1)  # p0 is doubtful, p1 confirmed
    rows, (part,), _ = held_by([plan], watched=night(), staff=staff(range(3)))
    assert part.people == 1
    assert rows.filter(pl.col("held").is_null())["person_id"].to_list() == ["p1"]
    alone = made("hall", confirmed=3)
    assert held_by([alone], watched=night(), staff=staff(range(3)))[1] == []


def test_a_blocked_cardholder_is_no_staff_any_more() -> None:
    suspended = items(
        pl.DataFrame({"person_id": ["p0", "p1"], "key": ["p0", "p1"]}),
        target="hall", part="status", kind="", ref="status", was=True, shall=True,
        value_before="active", value_after="suspended", effect="losing", confirmed=False,
        creates=False, because="x",
    )  # fmt: skip
    plan = replace(made("hall"), items=suspended)
    _, (part,), _ = held_by([plan], watched=night(), staff=staff(range(3)))
    assert (part.scope, part.people) == ("profile natt", 2)


def test_an_announced_end_is_held_by_a_floor() -> None:
    told = announced(range(2))
    _, (part,), _ = held_by(
        [made("hall", 2)], watched=night(), staff=staff(range(3)), announced=told
    )
    assert part.window == "floor"


def test_who_loses_another_right_does_not_touch_the_floor() -> None:
    plan = made("hall", 2)
    other = replace(plan, items=plan.items.with_columns(ref=pl.lit("KÖK")))
    assert held_by([other], watched=night(), staff=staff(range(2)))[1] == []


# ── sensitive profiles ──────────────────────────────────────────────────────────────────


@pytest.mark.case("P1")
def test_a_rule_that_gives_everybody_the_harbour_needs_two_people() -> None:
    harbour = [Watched(name="hamn", rights=NIGHT, sensitive=Limit(people=3, percent=1))]
    plan = made("hall", gaining=30, base=200)
    rows, (part,), _ = held_by([plan], watched=harbour)
    assert (part.scope, part.direction, part.approvals, part.limit) == (
        "profile hamn", "gaining", 2, 3,
    )  # fmt: skip
    assert rows["held"].null_count() == 0
    assert held_by([made("hall", gaining=3, base=200)], watched=harbour)[1] == []
    assert held_by([made("hall", gaining=30, base=3000)], watched=harbour)[1] == []
