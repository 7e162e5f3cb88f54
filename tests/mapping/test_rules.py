"""Who should hold what, from when to when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from idsync.mapping.catalogue import Catalogue
from idsync.model import Employment, TrainingCompletion
from tests.mapping.examples import (
    ALARM,
    ENTRE,
    KITCHEN,
    NOW,
    begin,
    catalogue,
    end,
    given,
    job,
    kept,
    passed,
    people,
    wish,
)

MINE = ("p1", "ENTRÉ")
DAY = timedelta(days=1)


def interval(*rows: Any, **rule: Any) -> tuple[datetime | None, datetime | None] | None:
    """Return from when to when one rule gives the first person the entrance."""
    return given(wish(people(*rows), catalogue(rule))).get(MINE)


# ── dates ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("last", "over"),
    [
        ("2026-03-28", "2026-03-28T23:00:00+00:00"),
        ("2026-03-29", "2026-03-29T22:00:00+00:00"),  # 23 hours long
        ("2026-10-24", "2026-10-24T22:00:00+00:00"),
        ("2026-10-25", "2026-10-25T23:00:00+00:00"),  # 25 hours long
    ],
)
def test_access_ends_at_the_local_midnight_after_the_last_day(last: str, over: str) -> None:
    at = datetime.fromisoformat(over)
    held = people(job(valid_to=end(last)))
    before = wish(held, catalogue({}), now=at - timedelta(microseconds=1))
    assert given(before) == {MINE: (None, at)}
    assert given(wish(held, catalogue({}), now=at)) == {}


@pytest.mark.parametrize("first", ["2026-03-29", "2026-03-30", "2026-10-25", "2026-10-26"])
def test_lead_days_are_local_days_over_a_clock_change(first: str) -> None:
    early = datetime.fromisoformat(first).date() - 3 * DAY
    at = begin(early.isoformat())
    desired = wish(people(job(valid_from=begin(first))), catalogue({"lead_days": 3}), now=at)
    assert given(desired) == {MINE: (at, None)}


def test_what_begins_after_the_days_ahead_is_not_written_yet() -> None:
    held = people(job(valid_from=NOW + 15 * DAY))
    assert given(wish(held, catalogue({}))) == {}
    assert given(wish(held, catalogue({}), ahead_days=15)) == {MINE: (NOW + 15 * DAY, None)}


def test_an_employment_that_ends_before_it_begins_gives_nothing() -> None:
    assert interval(job(valid_from=NOW + 2 * DAY, valid_to=NOW + DAY)) is None


# ── several employments ─────────────────────────────────────────────────────────────────


@pytest.mark.case("S11")
def test_ending_one_of_two_employments_leaves_what_the_other_gives() -> None:
    ended, other = job(valid_to=NOW), job(suffix="b")
    assert interval(ended, other) == (None, None)


def test_a_gap_between_two_employments_is_not_bridged() -> None:
    first, second = job(valid_to=NOW + 3 * DAY), job(suffix="b", valid_from=NOW + 5 * DAY)
    assert interval(first, second) == (None, NOW + 3 * DAY)


def test_employments_that_touch_are_one() -> None:
    first, second = job(valid_to=NOW + 3 * DAY), job(suffix="b", valid_from=NOW + 3 * DAY)
    assert interval(first, second) == (None, None)


windows = st.lists(
    st.tuples(st.integers(-6, 6), st.integers(0, 6), st.sampled_from(["1", "2"])), max_size=6
)


@pytest.mark.case("S11")
@for_all(windows)
def test_the_union_gives_an_instant_where_some_employment_does_and_no_other(
    spans: list[tuple[int, int, str]],
) -> None:
    jobs = [
        job(suffix=str(n), job_code=code, valid_from=NOW + a * DAY, valid_to=NOW + (a + b) * DAY)
        for n, (a, b, code) in enumerate(spans)
    ]
    rules = catalogue({}, {"when": {"job_code": "2"}, "gives": (ENTRE, KITCHEN)})
    found = given(wish(people(*jobs), rules, ahead_days=30)).get(MINE)
    days = {a + n for a, b, _ in spans for n in range(b) if a + n >= 0}
    if not days:
        assert found is None
        return
    assert found is not None
    first, last = ((at - NOW) // DAY for at in found if at is not None)
    block = next(n for n in range(min(days), 99) if n not in days)
    assert (max(first, 0), last) == (min(days), block)


# ── leave ───────────────────────────────────────────────────────────────────────────────


LEAVE: dict[str, Any] = {"leave_from": begin("2026-05-20"), "leave_to": end("2026-06-30")}


@pytest.mark.case("S12")
@pytest.mark.parametrize(
    ("suspend", "now", "expected"),
    [
        (None, "2026-06-01", (None, None)),
        (0, "2026-05-19", (None, begin("2026-05-20"))),
        (0, "2026-06-01", None),
        (0, "2026-06-25", (end("2026-06-30"), None)),  # the return is written ahead
        (0, "2026-07-01", (end("2026-06-30"), None)),
        (30, "2026-06-01", (None, begin("2026-06-19"))),
        (30, "2026-06-19", (end("2026-06-30"), None)),
        (60, "2026-06-01", (None, None)),  # back before it would have been suspended
    ],
)
def test_leave_suspends_as_the_profile_says(
    suspend: int | None, now: str, expected: tuple[datetime | None, datetime | None] | None
) -> None:
    rules = catalogue({"suspend_after_days": suspend})
    assert given(wish(people(job(**LEAVE)), rules, now=begin(now))).get(MINE) == expected


@pytest.mark.case("S12")
def test_leave_without_an_end_suspends_until_there_is_one() -> None:
    rule = {"suspend_after_days": 0}
    assert interval(job(leave_from=begin("2026-05-20")), **rule) is None


def test_leave_from_one_employment_leaves_what_the_other_gives() -> None:
    assert interval(job(**LEAVE), job(suffix="b"), suspend_after_days=0) == (None, None)


def test_one_profile_may_suspend_where_another_keeps() -> None:
    rules = catalogue({"suspend_after_days": 0}, {"gives": (KITCHEN,)})
    assert given(wish(people(job(**LEAVE)), rules)) == {("p1", "KÖK"): (None, None)}


# ── training ────────────────────────────────────────────────────────────────────────────

NEEDS = {"requires": ("brand",), "grace_days": 14}


def test_a_newcomer_has_grace_from_the_first_day() -> None:
    first = begin("2026-05-25")
    assert interval(job(valid_from=first), **NEEDS) == (first, end("2026-06-07"))


def test_grace_for_newcomers_is_counted_from_the_first_day_and_not_from_the_lead() -> None:
    first = begin("2026-06-05")
    found = interval(job(valid_from=first), lead_days=7, **NEEDS)
    assert found == (begin("2026-05-29"), end("2026-06-18"))


def test_whoever_never_took_the_course_has_nothing_after_the_grace() -> None:
    assert interval(job(valid_from=begin("2026-05-01")), **NEEDS) is None
    assert interval(job(), **NEEDS) is None


def test_without_grace_the_course_comes_first() -> None:
    assert interval(job(valid_from=NOW), requires=("brand",)) is None


def test_grace_goes_on_from_the_expiry() -> None:
    expired = passed(valid_to=begin("2026-05-25"))
    assert interval(job(), expired, **NEEDS) == (None, begin("2026-06-08"))
    assert interval(job(), passed(valid_to=begin("2026-05-01")), **NEEDS) is None


def test_the_last_expiry_of_a_course_counts() -> None:
    old, new = passed(valid_to=begin("2020-01-01")), passed(valid_to=begin("2026-12-01"))
    assert interval(job(), old, new, **NEEDS) == (None, begin("2026-12-15"))
    assert interval(job(), old, passed(), **NEEDS) == (None, None)


def test_a_course_taken_late_gives_access_from_the_day_it_was_passed() -> None:
    late = passed(completed_at=begin("2026-05-20"))
    first = begin("2026-01-01")
    assert interval(job(valid_from=first), late, **NEEDS) == (begin("2026-05-20"), None)


def test_a_failed_course_is_not_passed() -> None:
    failed = passed(result="failed")
    assert interval(job(), failed, requires=("brand",)) is None
    assert interval(job(), replace(failed, result="exempt"), requires=("brand",)) == (None, None)


def test_a_course_that_will_be_passed_does_not_renew_one_that_expired() -> None:
    old = passed(completed_at=begin("2020-01-01"), valid_to=begin("2022-01-01"))
    booked = passed(completed_at=begin("2026-09-01"), valid_to=begin("2028-09-01"))
    assert interval(job(), old, booked, requires=("brand",)) is None


def test_every_required_course_must_be_valid() -> None:
    rule = {"requires": ("brand", "hlr")}
    until = begin("2026-08-01")
    assert interval(job(), passed(), **rule) is None
    assert interval(job(), passed(), passed(course="hlr", valid_to=until), **rule) == (None, until)


def test_training_is_unknown_where_no_source_tells_of_it() -> None:
    nobody_tells = people(job(), trainings_known=False)
    for rule in ({"requires": ("brand",)}, {"when": {"has_training": "brand"}}):
        desired = wish(nobody_tells, catalogue(rule))
        assert given(desired) == {}
        assert kept(desired) == {MINE}


def test_memberships_are_unknown_where_no_source_tells_of_them() -> None:
    desired = wish(
        people(job(), memberships_known=False), catalogue({"when": {"not": {"member_of": "x"}}})
    )
    assert given(desired) == {}
    assert kept(desired) == {MINE}


# ── unknown facts ───────────────────────────────────────────────────────────────────────

FACTS = ("unit", "employer", "kind", "title", "job_code")
words = st.sampled_from(["1", "2", "Skola", "Skola / Ängen", ""])
tests = st.one_of(
    st.dictionaries(st.sampled_from(FACTS), words, min_size=1, max_size=2),
    st.builds(lambda word: {"unit_under": word or "Skola"}, words),
    st.builds(lambda field: {field: {"glob": "S*"}}, st.sampled_from(FACTS)),
    st.just({"job_code": {"between": ["1", "2"]}}),
)
conditions = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)
rules_ = st.lists(
    st.builds(
        lambda when, gives, days, requires: {
            "when": when, "gives": gives, "suspend_after_days": days, "requires": requires,
        },
        conditions,
        st.sampled_from([(ENTRE,), (ENTRE, KITCHEN), (ALARM,)]),
        st.sampled_from([None, 0]),
        st.sampled_from([(), ("brand",)]),
    ),
    min_size=1,
    max_size=4,
).map(lambda rules: catalogue(*rules))  # fmt: skip
jobs_ = st.lists(
    st.builds(
        lambda number, last, facts: (number, last, facts),
        st.integers(1, 3),
        st.sampled_from([None, 3, 9]),
        st.fixed_dictionaries(dict.fromkeys(FACTS, st.none() | words)),
    ),
    min_size=1,
    max_size=4,
).map(
    lambda rows: [
        job(number, str(n), valid_to=None if last is None else NOW + last * DAY, **facts)
        for n, (number, last, facts) in enumerate(rows)
    ]
)
courses_ = st.lists(st.builds(passed, st.integers(1, 3)), max_size=2)


@pytest.mark.case("P3")
@for_all(rules_, jobs_, courses_, st.data())
def test_forgetting_facts_never_widens_and_never_takes_away(
    rules: Catalogue, jobs: list[Employment], courses: list[TrainingCompletion], data: st.DataObject
) -> None:
    blurred = [
        replace(one, **dict.fromkeys(data.draw(st.sets(st.sampled_from(FACTS)))))  # type: ignore[arg-type]  # text facts only
        for one in jobs
    ]
    everything = given(wish(people(*jobs, *courses), rules))
    desired = wish(people(*blurred, *courses), rules)
    certain, doubtful = given(desired), kept(desired)
    assert set(certain) <= set(everything)
    for pair, (_, last) in certain.items():
        before = everything[pair][1]
        assert before is None or (last is not None and last <= before)
    assert set(everything) <= set(certain) | doubtful


@for_all(rules_, jobs_, courses_, st.randoms(use_true_random=False))
def test_the_order_of_rules_and_rows_does_not_matter(
    rules: Catalogue, jobs: list[Employment], courses: list[TrainingCompletion], chance: Any
) -> None:
    one = wish(people(*jobs, *courses), rules)
    shuffled = list(rules.rules)
    chance.shuffle(shuffled)
    jobs = jobs[::-1]
    other = wish(people(*jobs, *courses), replace(rules, rules=tuple(shuffled)))
    assert given(one) == given(other)
    assert kept(one) == kept(other)


def test_no_rules_and_no_people_give_nothing() -> None:
    assert given(wish(people(job()), catalogue())) == {}
    assert given(wish(people(), catalogue({}))) == {}
