"""Why, and why not: sentences that cannot disagree with what the rules give."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from idsync.mapping.catalogue import Catalogue
from idsync.mapping.explain import Explanation, explain
from idsync.mapping.matching import employment_facts
from idsync.mapping.shortcomings import Case, shortcomings
from idsync.model import Employment, Membership, Person, TrainingCompletion
from tests.mapping.examples import (
    ALARM,
    ENTRE,
    KITCHEN,
    NOW,
    ZONE,
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
from tests.mapping.test_rules import courses_, jobs_, rules_

NEEDS: dict[str, Any] = {"requires": ("brand",), "grace_days": 14}


def told(*rows: Any, asked: bool = True, now: datetime = NOW, **rule: Any) -> Explanation:
    """Return the explanation for the first person and one rule."""
    known = {
        name: rule.pop(name)
        for name in ("set_aside", "trainings_known", "memberships_known")
        if name in rule
    }
    desired = wish(people(*rows, **known), catalogue(rule), now=now)
    return explain("p1", desired, now=now, grant="ENTRÉ" if asked else None)


def why_not(*rows: Any, **rule: Any) -> list[str]:
    """Return what is missing for the entrance."""
    [right] = told(*rows, **rule).rights
    assert not right["given"]
    missing: list[str] = right["why_not"]
    return missing


def reasons(*rows: Any, **rule: Any) -> list[str]:
    """Return why the entrance is given."""
    [right] = told(*rows, **rule).rights
    assert right["given"] is True
    found: list[str] = right["reasons"]
    return found


# ── why ─────────────────────────────────────────────────────────────────────────────────


def test_a_right_is_explained_by_rule_employment_and_dates() -> None:
    found = reasons(job(valid_from=begin("2024-08-12"), valid_to=end("2026-10-25")))
    assert found == ["rule r0, for the employment as Kock in Ängen (from 2024-08-12 to 2026-10-25)"]


def test_every_employment_that_gives_a_right_is_told() -> None:
    assert len(reasons(job(), job(suffix="b", title="Lärare"), job(suffix="c", job_code="2"))) == 2


@pytest.mark.parametrize(
    ("course", "said"),
    [
        (passed(), "brand passed, valid for good"),
        (passed(valid_to=end("2026-12-31")), "brand passed, valid to 2026-12-31 and 14 days"),
        (passed(valid_to=end("2026-05-25")), "expired 2026-05-25, 14 days of grace to 2026-06-08"),
        (None, "brand not yet passed, 14 days of grace to 2026-06-09"),
    ],
)  # fmt: skip
def test_a_required_course_is_told_with_its_dates(
    course: TrainingCompletion | None, said: str
) -> None:
    rows = [job(valid_from=begin("2026-05-27")), *([course] if course else [])]
    [reason] = reasons(*rows, **NEEDS)
    assert said in reason


def test_lead_days_and_leave_are_told() -> None:
    [early] = reasons(job(valid_from=begin("2026-06-04")), lead_days=7)
    assert "access begins 7 days before the first day" in early
    assert "which gives it from 2026-05-28" in early
    [away] = reasons(job(leave_from=begin("2026-05-01")))
    assert "leave from 2026-05-01 changes nothing" in away


def test_rights_that_are_given_alike_share_a_sentence() -> None:
    found = told(job(valid_to=end("2026-10-25")), asked=False, gives=(ENTRE, ALARM)).sentences
    assert found[0] == "Employment as Kock in Ängen, to 2026-10-25: current."
    assert found[1].startswith("hall: ENTRÉ, LARM (alarm) are given to 2026-10-25: rule r0")
    assert len(found) == 2


def test_a_right_that_begins_later_says_when() -> None:
    found = told(job(valid_from=begin("2026-06-04"))).sentences
    assert "hall: ENTRÉ is given from 2026-06-04: rule r0" in found[1]


# ── why not ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("facts", "rule", "said"),
    [
        (
            {"job_code": "301010"},
            {"when": {"job_code": ["1", "2"]}},
            "rule r0 asks that job_code is one of 1, 2; the employment as Kock in Ängen "
            "has job_code 301010",
        ),
        (
            {"job_code": None},
            {},
            "rule r0 asks that job_code is 1; whether the employment as Kock in Ängen fits "
            "is unknown: job_code unknown",
        ),
        (
            {"title": "Kock", "job_code": "2"},
            {"when": {"title": "Kock", "any": [{"job_code": "1"}, {"percent": 50}]}},
            "rule r0 asks that job_code is 1 or percent is 50; the employment as Kock in Ängen "
            "has job_code 2, percent 80",
        ),
        (
            {},
            {"when": {"not": {"job_code": "1"}}},
            "rule r0 asks that not (job_code is 1); the employment as Kock in Ängen has job_code 1",
        ),
        (
            {},
            {"when": {"primary": True}},
            "rule r0 asks that primary is True; the employment as Kock in Ängen has primary false",
        ),
        ({"valid_to": end("2026-05-31")}, {}, "the employment as Kock in Ängen ended 2026-05-31"),
        ({"valid_from": begin("2026-08-17")}, {"lead_days": 0},
         "the employment as Kock in Ängen begins 2026-08-17"),
        (
            {"valid_from": begin("2026-08-17")},
            {"lead_days": 7},
            "the employment as Kock in Ängen begins 2026-08-17; access may begin 2026-08-10, "
            "7 days before",
        ),
        (
            {"leave_from": begin("2026-05-01")},
            {"suspend_after_days": 30},
            "the employment as Kock in Ängen is on leave from 2026-05-01, and the profile r0 is "
            "suspended after 30 days of leave",
        ),
        (
            {"valid_from": begin("2026-05-01")},
            NEEDS,
            "rule r0 requires brand; it has not been passed, and 14 days of grace from the first "
            "day ended 2026-05-14",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(facts: dict[str, Any], rule: dict[str, Any], said: str) -> None:
    known = {"percent_permille": 800, "primary": False, **facts}
    assert why_not(job(**known), **rule) == [said]


def test_an_expired_course_is_said_with_its_grace() -> None:
    assert why_not(job(), passed(valid_to=end("2026-03-29")), **NEEDS) == [
        "rule r0 requires brand; it expired 2026-03-29, and 14 days of grace after it ended "
        "2026-04-12"
    ]


@pytest.mark.parametrize(("roles", "known"), [(["Larm"], True), ([], True), ([], False)])
def test_memberships_and_courses_are_told(roles: list[str], known: bool) -> None:
    rows = [job(), *(Membership(person_id="p1", role=role) for role in roles)]
    when = {"not": {"member_of": "Larm"}} if roles else {"member_of": "Larm"}
    [said] = why_not(*rows, when=when, memberships_known=known)
    ending = "membership in Larm" if roles else "none of the groups"
    assert said.endswith(ending if known else "unknown memberships")


def test_what_nobody_can_say_is_neither_given_nor_refused() -> None:
    found = told(job(), trainings_known=False, **NEEDS)
    assert found.rights[0]["given"] is None
    assert "nobody can say whether ENTRÉ is due; if it is held it stays" in found.sentences[1]
    assert "no source says who has passed it" in found.sentences[1]


def test_an_explanation_changes_at_the_very_instant_at_which_access_does() -> None:
    ends = begin("2026-06-15")
    rows = job(valid_from=begin("2026-06-01")), job(suffix="b", leave_from=begin("2026-06-05"))
    newcomer = told(rows[0], now=ends, **NEEDS)
    assert newcomer.rights[0]["why_not"]
    away = told(rows[1], now=ends, suspend_after_days=10)
    assert "is on leave from 2026-06-05" in away.rights[0]["why_not"][0]


def test_the_closest_employment_is_the_one_told_of() -> None:
    ended = job(valid_to=end("2026-05-31"))
    other = job(suffix="b", job_code="2", title="Lärare")
    assert why_not(ended, other) == ["the employment as Kock in Ängen ended 2026-05-31"]


def test_without_a_question_rules_that_fit_nobody_are_only_named() -> None:
    rules = catalogue(
        {"when": {"job_code": "2"}},
        {"gives": (KITCHEN,), "requires": ("brand",)},
    )
    found = explain("p1", wish(people(job()), rules), now=NOW).sentences
    assert found[1:] == (
        "Not Profil 1: rule r1 requires brand; it has not been passed.",
        "No employment fits the rules of: Profil 0. Ask for one right to see why.",
    )


def test_only_what_is_asked_for_is_told() -> None:
    desired = wish(people(job()), catalogue({"gives": (ENTRE, KITCHEN)}))
    assert [r["ref"] for r in explain("p1", desired, now=NOW, grant="KÖK").rights] == ["KÖK"]
    assert explain("p1", desired, now=NOW, target="skola").rights == []
    nowhere = explain("p1", desired, now=NOW, target="skola", grant="X").sentences[-1]
    assert nowhere.startswith("No profile of the catalogue gives the right X in skola")


def test_who_is_unknown_or_has_no_employment_is_said() -> None:
    desired = wish(people(Person(id="p1"), job(2)), catalogue({}))
    assert explain("p9", desired, now=NOW).sentences == ("No source knows this person.",)
    assert explain("p1", desired, now=NOW, grant="ENTRÉ").sentences == (
        "There is no employment.",
        "hall: ENTRÉ is not given: there is no employment, and every rule asks for one.",
    )


def test_a_person_who_cannot_be_told_apart_is_said_so() -> None:
    aside = [("hr", "7", "one source describes the same record in two ways", "p1")]
    [said] = told(job(2), set_aside=aside).sentences
    assert said.startswith("Source hr cannot be used for this person: one source describes")


def test_no_name_of_a_person_appears() -> None:
    secret = {"given_name": "Hemliga", "family_name": "Namnsson", "display_name": "Hemliga N",
              "mail": "hemlig@exempel.se", "phone": "0701", "user_name": "hemnam",
              "employee_number": "778899", "birth_date": "1980-01-02"}  # fmt: skip
    somebody = Person(id="p1", protection="protected_registration", **secret)
    for asked in (True, False):
        text = repr(told(somebody, job(job_code="2"), job(suffix="b"), asked=asked))
        assert not [value for value in secret.values() if value in text]


HIDDEN = Person(id="p1", protection="secrecy_marking")


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"unit_under": "Vård"}, "another unit, which is not shown"),
        ({"not": {"member_of": ["skyddat"]}}, "membership in one that is not shown"),
    ],
)
def test_where_a_protected_person_works_is_not_told_by_what_is_missing(
    when: dict[str, Any], said: str
) -> None:
    group = Membership(person_id="p1", role="skyddat")
    [missing] = why_not(HIDDEN, job(), group, when=when)
    assert said in missing
    assert "Ängen" not in missing
    assert "has membership in skyddat" not in missing


@pytest.mark.parametrize(
    "leave",
    [
        {"leave_from": begin("2026-05-20")},  # not long enough yet
        {"leave_from": begin("2025-01-01"), "leave_to": end("2026-02-01")},
        {"leave_from": begin("2026-05-01"), "leave_to": end("2026-05-10")},  # too short to matter
    ],
)
def test_a_leave_that_suspends_nothing_now_is_not_named_among_what_is_missing(
    leave: dict[str, Any],
) -> None:
    [missing] = why_not(job(**leave), suspend_after_days=30, requires=("brand",))
    assert "brand" in missing
    assert "leave" not in missing


def test_without_a_question_who_has_no_employment_is_told_just_that() -> None:
    assert told(Person(id="p1"), asked=False).sentences == ("There is no employment.",)


# ── it cannot disagree ──────────────────────────────────────────────────────────────────


@for_all(rules_, jobs_, courses_)
def test_an_explanation_agrees_with_what_the_rules_give(
    rules: Catalogue, jobs: list[Employment], courses: list[TrainingCompletion]
) -> None:
    desired = wish(people(*jobs, *courses), rules)
    certain, doubtful = given(desired), kept(desired)
    for person in desired.people.persons["id"]:
        for right in explain(person, desired, now=NOW).rights:
            pair = (person, right["ref"])
            assert (right["given"] is True) == (pair in certain)
            assert (right["given"] is None) == (pair in doubtful - set(certain))
            assert bool(right["reasons"]) == (pair in certain)
            giving = [r for r in rules.rules if _gives(rules, r.profile, right["ref"])]
            assert bool(right["why_not"]) == (pair not in certain and bool(giving))


def _gives(rules: Catalogue, profile: str, ref: str) -> bool:
    index = rules.profile_index[profile]
    return ref in {right.ref for right in rules.profiles[index].rights}


@for_all(rules_, jobs_, courses_, st.integers(-20, 20), st.integers(0, 10))
def test_nothing_is_missing_exactly_where_a_rule_gives_now(
    rules: Catalogue,
    jobs: list[Employment],
    courses: list[TrainingCompletion],
    days: int,
    shift: int,
) -> None:
    now = NOW + timedelta(days=days, hours=shift)
    everybody = people(*jobs, *courses)
    desired = wish(everybody, rules, now=now, ahead_days=0)
    bases = desired.bases.filter("certain").select("employment", "rule").rows()
    giving = {(everybody.employments["id"][job], rule) for job, rule in bases}
    for person in everybody.persons["id"]:
        case = case_of(person, desired, now)
        for index, rule in enumerate(rules.rules):
            for row, name in enumerate(case.facts["id"]):
                assert (not shortcomings(case, rule, row)) == ((name, index) in giving)


def case_of(person: str, desired: Any, now: datetime) -> Case:
    own = people(
        *[
            Employment(**one)
            for one in desired.people.employments.to_dicts()
            if one["person_id"] == person
        ],
        *[
            TrainingCompletion(**one)
            for one in desired.people.trainings.to_dicts()
            if one["person_id"] == person
        ],
    )
    facts = employment_facts(own, desired.catalogue, now)
    return Case(people=own, facts=facts, catalogue=desired.catalogue, now=now, zone=ZONE)
