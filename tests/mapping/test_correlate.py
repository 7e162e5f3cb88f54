"""Who is who: one person out of what several sources say."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idsync.mapping.correlate import ATTRIBUTES, Matching, People, correlate, empty_people
from idsync.mapping.following import AWAY
from idsync.model import Employment, IdentityLink, Kind, Membership, Person, schema

NOW = datetime(2026, 6, 1, tzinfo=UTC)
INSTANCE = UUID("11111111-2222-3333-4444-555555555555")
PERSONS = pl.Schema({"key": pl.String(), **dict.fromkeys(ATTRIBUTES, pl.String())})
EMPLOYMENTS = pl.Schema(
    {
        "key": pl.String(),
        "person_key": pl.String(),
        **{n: t for n, t in schema(Employment).items() if n not in ("id", "person_id")},
    }
)
MEMBERSHIPS = pl.Schema(
    {
        "person_key": pl.String(),
        **{n: t for n, t in schema(Membership).items() if n != "person_id"},
    }
)
Row = dict[str, Any]


def table(rows: list[Row], columns: pl.Schema) -> pl.DataFrame:
    whole = [[row.get(name) for name in columns] for row in rows]
    return pl.DataFrame(whole, schema=columns, orient="row")


def record(key: str, **more: Any) -> Row:
    """Return what a source says of one person; the number follows from the key."""
    return {"key": key, "employee_number": f"n{key}"} | more


@dataclass(kw_only=True)
class Reading:
    """What the sources say now, and what is remembered."""

    hr: list[Row]
    directory: list[Row] = field(default_factory=list)
    groups: list[Row] = field(default_factory=list)
    matching: Matching = field(default_factory=Matching)
    before: People = field(default_factory=empty_people)
    turned: bool = False
    now: datetime = NOW
    away: tuple[tuple[str, str], ...] = ()

    def people(self) -> People:
        jobs = [{"key": f"j{one['key']}", "person_key": one["key"]} for one in self.hr]
        reads: dict[str, dict[Kind, pl.DataFrame]] = {
            "hr": {"persons": table(self.hr, PERSONS), "employments": table(jobs, EMPLOYMENTS)},
            "directory": {"persons": table(self.directory, PERSONS)},
            "groups": {
                "persons": table([{k: one.get(k) for k in ("key", "employee_number", "birth_date")}
                                  for one in self.groups], PERSONS),
                "memberships": table(
                    [{"person_key": one["key"], "role": "Larm"} for one in self.groups],
                    MEMBERSHIPS,
                ),
            },
        }  # fmt: skip
        if self.turned:
            reads = dict(reversed(reads.items()))
        return correlate(
            reads, self.matching, links=self.before.links, persons_before=self.before.faces,
            instance=INSTANCE, now=self.now,
            away=pl.DataFrame(list(self.away), schema=AWAY, orient="row"),
        )  # fmt: skip


def ids(people: People) -> dict[str, str]:
    """Return the idsync id of each employee number."""
    return dict(people.persons.select("employee_number", "id").iter_rows())


def reasons(people: People) -> set[tuple[str, str, str | None]]:
    return set(people.set_aside.select("key", "reason", "person_id").iter_rows())


# ── one person out of several sources ───────────────────────────────────────────────────


def test_records_with_one_number_are_one_person() -> None:
    people = Reading(
        hr=[record("1", given_name="Åsa")],
        directory=[{"key": "u-1", "employee_number": "n1", "mail": "asa@exempel.se"}],
    ).people()
    assert people.persons.height == 1
    one = people.persons.row(0, named=True)
    assert (one["given_name"], one["mail"]) == ("Åsa", "asa@exempel.se")
    assert people.employments["person_id"].to_list() == [one["id"]]
    assert people.employments["id"].to_list() == ["hr:j1"]
    assert people.links.height == 2


@pytest.mark.parametrize("number", ["", None])
def test_an_empty_or_unknown_number_ties_nobody_to_anybody(number: str | None) -> None:
    rows = [{"key": key, "employee_number": number} for key in ("a", "b")]
    assert Reading(hr=rows).people().persons.height == 2
    joined = Reading(hr=rows[:1], directory=[{"key": "u", "employee_number": number}])
    assert joined.people().persons.height == 2


def test_who_only_stands_in_a_group_is_nobody_and_is_counted() -> None:
    people = Reading(hr=[record("1")], groups=[record("1"), record("2")]).people()
    assert people.persons.height == 1
    assert people.memberships["person_id"].to_list() == people.persons["id"].to_list()
    assert people.unmatched.to_dicts() == [{"source": "groups", "count": 1}]
    assert people.set_aside.is_empty()


def test_the_source_that_is_named_first_is_believed_and_a_disagreement_is_told() -> None:
    said: dict[str, Any] = {
        "hr": [record("1", mail="hr@exempel.se", title="x")],
        "directory": [{"key": "u", "employee_number": "n1", "mail": "kat@exempel.se"}],
    }
    for first in ("hr", "directory"):
        matching = Matching(precedence={"default": ["hr"], "mail": [first]})
        people = Reading(**said, matching=matching).people()
        assert people.persons["mail"][0] == said[first][0]["mail"]
        told = people.disagreements.select("attribute", "sources").rows()
        assert told == [("mail", "directory, hr")]


def test_known_to_be_absent_counts_only_when_nobody_knows_more() -> None:
    known = [{"key": "u", "employee_number": "n1", "mail": "kat@exempel.se"}]
    people = Reading(hr=[record("1", mail="", phone="")], directory=known).people()
    assert people.persons.select("mail", "phone").row(0) == ("kat@exempel.se", "")
    assert people.disagreements.is_empty()


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ((None, None), "none"),  # no source carries marks at all
        (("none", None), "none"),
        (("none", "secrecy_marking"), "secrecy_marking"),
        (("protected_registration", "none"), "protected_registration"),
    ],
)
def test_the_strictest_protection_stands(
    marks: tuple[str | None, str | None], expected: str
) -> None:
    people = Reading(
        hr=[record("1", protection=marks[0])],
        directory=[{"key": "u", "employee_number": "n1", "protection": marks[1]}],
    ).people()
    assert people.persons["protection"].to_list() == [expected]


@pytest.mark.case("A3")
@pytest.mark.parametrize("mark", ["none", "secrecy_marking", "protected_registration"])
def test_a_mark_that_is_not_told_any_longer_stays_as_it_was(mark: str) -> None:
    entry = [{"key": "u", "employee_number": "n1"}]
    before = Reading(hr=[record("1", protection=mark)], directory=entry).people()
    after = Reading(hr=[record("2", protection="none")], directory=entry, before=before).people()
    marks = dict(after.persons.select("employee_number", "protection").iter_rows())
    assert marks == {"n1": mark, "n2": "none"}


@pytest.mark.case("A3")
def test_an_unknown_mark_protects_where_others_carry_marks() -> None:
    people = Reading(hr=[record("1", protection="none"), record("2")]).people()
    assert dict(people.persons.select("employee_number", "protection").iter_rows()) == {
        "n1": "none", "n2": "secrecy_marking",
    }  # fmt: skip


@pytest.mark.case("A3")
def test_an_unknown_mark_protects_where_marks_were_ever_carried() -> None:
    before = Reading(hr=[record("1", protection="secrecy_marking")]).people()
    after = Reading(hr=[record("1"), record("2")], before=before).people()
    assert after.persons["protection"].to_list() == ["secrecy_marking"] * 2


# ── who cannot be told apart ────────────────────────────────────────────────────────────


@pytest.mark.case("S6")
def test_two_records_of_one_source_with_one_number_are_set_aside() -> None:
    twice = [record("1"), {"key": "9", "employee_number": "n1"}, record("2")]
    people = Reading(hr=twice).people()
    assert list(ids(people)) == ["n2"]
    assert {key for key, _, _ in reasons(people)} == {"1", "9"}
    assert people.employments["id"].to_list() == ["hr:j2"]


def test_one_record_described_in_two_ways_is_set_aside() -> None:
    people = Reading(hr=[record("1", given_name="Åsa"), record("1", given_name="Bo")]).people()
    assert people.persons.is_empty()
    [(key, reason, _)] = reasons(people)
    assert (key, "two ways" in reason) == ("1", True)


def test_a_known_person_who_is_set_aside_keeps_their_id_in_the_report() -> None:
    before = Reading(hr=[record("1")]).people()
    twice = [record("1"), {"key": "9", "employee_number": "n1"}]
    after = Reading(hr=twice, before=before).people()
    assert {who for _, _, who in reasons(after)} == {ids(before)["n1"], None}


@pytest.mark.case("S10")
def test_two_known_persons_who_look_like_one_are_set_aside() -> None:
    before = Reading(hr=[record("1")], directory=[{"key": "u", "employee_number": "n2"}]).people()
    assert before.persons.height == 2
    after = Reading(
        hr=[record("1")], directory=[{"key": "u", "employee_number": "n1"}], before=before
    ).people()
    assert after.persons.is_empty()
    assert {who for _, _, who in reasons(after)} == set(before.persons["id"])


@pytest.mark.case("S10")
@pytest.mark.parametrize("turned", [False, True])
def test_a_known_person_who_looks_like_two_is_set_aside(turned: bool) -> None:
    before = Reading(hr=[record("1")], directory=[{"key": "u", "employee_number": "n1"}]).people()
    after = Reading(
        hr=[record("1")],
        directory=[{"key": "u", "employee_number": "n7"}],
        before=before,
        turned=turned,
    ).people()
    assert {reason for _, reason, _ in reasons(after)} == {
        "a person known before now looks like two"
    }
    assert {who for _, _, who in reasons(after)} == {ids(before)["n1"]}
    assert after.persons.is_empty()


# ── the same person every time ──────────────────────────────────────────────────────────


def test_a_person_keeps_the_id_when_the_number_changes() -> None:
    before = Reading(hr=[record("1")]).people()
    after = Reading(hr=[{"key": "1", "employee_number": "n5"}], before=before).people()
    assert list(after.persons["id"]) == list(before.persons["id"])


@pytest.mark.case("S7")
def test_a_number_given_to_another_human_being_does_not_give_the_person_away() -> None:
    before = Reading(hr=[record("1", birth_date="1980-01-01")]).people()
    after = Reading(hr=[record("1", birth_date="1999-09-09")], before=before).people()
    assert set(after.persons["id"]).isdisjoint(before.persons["id"])
    again = Reading(hr=[record("1", birth_date="1999-09-09")], before=after).people()
    assert again.persons.equals(after.persons)
    assert after.links["person_id"].to_list() == after.persons["id"].to_list()


def test_a_stale_record_beside_a_reused_number_does_not_give_the_person_away() -> None:
    stale = [{"key": "u", "employee_number": "n1"}]
    before = Reading(hr=[record("1", birth_date="1980-01-01")], directory=stale).people()
    after = Reading(
        hr=[record("1", birth_date="1999-09-09")], directory=stale, before=before
    ).people()
    assert after.persons.height == 1
    assert ids(after)["n1"] != ids(before)["n1"]


@pytest.mark.case("S7")
def test_a_training_record_does_not_make_its_number_s_new_owner_the_former_one() -> None:
    course = [record("n1", employee_number="n1")]
    before = Reading(hr=[record("1", birth_date="1980-01-01")], groups=course).people()
    taken = {"key": "2", "employee_number": "n1"}
    for born in ("1999-09-09", None):
        after = Reading(hr=[{**taken, "birth_date": born}], groups=course, before=before).people()
        assert ids(after)["n1"] != ids(before)["n1"], born
        again = Reading(hr=[{**taken, "birth_date": born}], groups=course, before=after).people()
        assert ids(again) == ids(after), born
    same = {**taken, "birth_date": "1980-01-01"}
    assert ids(Reading(hr=[same], groups=course, before=before).people()) == ids(before)


def test_a_fingerprint_that_becomes_unknown_is_no_other_human_being() -> None:
    before = Reading(hr=[record("1", birth_date="1980-01-01")]).people()
    for unknown in (None, ""):
        after = Reading(hr=[record("1", birth_date=unknown)], before=before).people()
        assert ids(after) == ids(before)


def test_two_known_fingerprints_that_differ_are_not_one_person() -> None:
    people = Reading(
        hr=[record("1", birth_date="1980-01-01")],
        directory=[{"key": "u", "employee_number": "n1", "birth_date": "1999-09-09"}],
    ).people()
    assert people.persons.is_empty()
    assert people.set_aside.height == 2


def test_whoever_returns_is_known_again() -> None:
    first = Reading(hr=[record("1"), record("2")]).people()
    away = Reading(hr=[record("2")], before=first).people()
    back = Reading(hr=[record("1"), record("2")], before=away).people()
    assert ids(back) == ids(first)


@pytest.mark.case("S7")
@pytest.mark.parametrize(
    "away", [[record("2")], [record("1"), {"key": "9", "employee_number": "n1"}]]
)
def test_a_number_reused_after_an_absence_does_not_give_the_person_away(away: list[Row]) -> None:
    first = Reading(hr=[record("1", birth_date="1980-01-01")]).people()
    gone = Reading(hr=away, before=first).people()
    reused = Reading(hr=[record("1", birth_date="1999-09-09")], before=gone).people()
    assert ids(reused)["n1"] != ids(first)["n1"]
    back = Reading(hr=[record("1", birth_date="1980-01-01")], before=gone).people()
    assert ids(back)["n1"] == ids(first)["n1"]


def test_links_remember_when_a_key_was_first_seen() -> None:
    first = Reading(hr=[record("1")]).people()
    later = Reading(hr=[record("1"), record("2")], before=first, now=NOW + timedelta(1)).people()
    assert dict(later.links.select("value", "first_seen").iter_rows()) == {
        "1": NOW, "2": NOW + timedelta(1),
    }  # fmt: skip


numbers = st.sampled_from(["n1", "n2", "n3", "", None])
records_ = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from("abcd"),
            "employee_number": numbers,
            "birth_date": st.sampled_from(["1980-01-01", "1990-01-01", None]),
            "mail": st.sampled_from(["x@exempel.se", "", None]),
        }
    ),
    max_size=4,
)


def sorted_report(people: People) -> list[list[str]]:
    return [
        sorted(repr(row) for row in frame.iter_rows())
        for frame in (people.employments, people.memberships, people.set_aside,
                      people.links, people.unmatched, people.disagreements)
    ]  # fmt: skip


@given(records_, records_, records_, records_, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_sources_does_not_matter(
    old: list[Row], hr: list[Row], directory: list[Row], groups: list[Row], chance: random.Random
) -> None:
    precedence = Matching(precedence={"default": ["hr", "directory", "groups"]})
    before = Reading(hr=old).people()
    one = Reading(
        hr=hr, directory=directory, groups=groups, before=before, matching=precedence
    ).people()
    mixed = [chance.sample(rows, len(rows)) for rows in (hr, directory, groups)]
    other = Reading(
        hr=mixed[0], directory=mixed[1], groups=mixed[2],
        before=before, matching=precedence, turned=True,
    ).people()  # fmt: skip
    assert one.persons.equals(other.persons)
    assert sorted_report(one) == sorted_report(other)


@given(records_, records_)
def test_reading_the_same_again_finds_the_same_people(hr: list[Row], directory: list[Row]) -> None:
    first = Reading(hr=hr, directory=directory).people()
    again = Reading(hr=hr, directory=directory, before=first).people()
    assert again.persons.equals(first.persons)
    assert again.links.equals(first.links)


@given(records_, records_, records_)
def test_a_person_id_belongs_to_one_person_and_every_record_is_accounted_for(
    old: list[Row], hr: list[Row], directory: list[Row]
) -> None:
    people = Reading(hr=hr, directory=directory, before=Reading(hr=old).people()).people()
    assert people.persons["id"].is_unique().all()
    assert people.links.select("system", "value").is_unique().all()
    aside = set(people.set_aside.select("source", "key").iter_rows())
    owned = {(s, v) for s, v, p in people.links.select("system", "value", "person_id").iter_rows()
             if p in set(people.persons["id"])}  # fmt: skip
    for source, rows in (("hr", hr), ("directory", directory)):
        for one in rows:
            assert (source, one["key"]) in aside | owned


def test_nobody_is_known_before_the_first_read() -> None:
    assert empty_people().persons.schema == schema(Person)
    assert empty_people().links.schema == schema(IdentityLink)
    assert not empty_people().trainings_known
