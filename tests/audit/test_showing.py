"""Who could open what, when and why, as the audit and the runs have it."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from idsync.config import connect_target
from idsync.errors import ConfigError
from idsync.model import Change, Grant, Outcome
from idsync.service.applying import clock
from idsync.service.replaying import Span
from idsync.service.revoking import close_person
from idsync.service.showing_access import (
    access_of_person,
    access_to_door,
    everything_about,
)
from idsync.store import State
from tests.audit.test_erasing import WHY
from tests.audit.town import DAY, Life
from tests.store.test_journal import adds


def spans(life: Life, number: int, at: datetime, until: datetime | None = None) -> list[Span]:
    with life.state() as state:
        person = life.person(state, number)
        return access_of_person(life.config, state, person, at, until or at).spans


def opened(life: Life, number: int, at: datetime) -> set[str]:
    return {f"{span.target}:{span.ref}" for span in spans(life, number, at)}


def test_a_grant_opens_from_when_it_was_sent_to_when_its_end_was_confirmed(life: Life) -> None:
    before = life.now
    life.sync()
    given = life.now
    life.sync(30)
    life.town.leavers = {4}
    life.town.write_hr()
    for _ in range(3):
        life.sync()
    assert opened(life, 4, before) == set()
    school = {"stadshuset:ENTRE", "skola:SKOLA", "skola:LARM-SKOLA"}
    assert opened(life, 4, given) == school
    assert opened(life, 4, given + 29 * DAY) == school
    assert opened(life, 4, life.now) == set()
    told = {span.ref: span for span in spans(life, 4, before, life.now)}
    assert told["SKOLA"].because == "rule skola: Lärare in Norr, to 2099-01-24"
    assert told["SKOLA"].ended_because
    assert told["SKOLA"].known_to is not None
    assert told["ENTRE"].origin == "adopted"
    assert all(span.certain for span in told.values())


def test_who_was_suspended_could_open_nothing_until_it_was_given_back(life: Life) -> None:
    life.sync()
    before = life.clock()
    with life.state() as state:
        person = life.person(state, 10)
        run = state.begin_run("revoke", life.clock())
        state.orders.revoke(person, "uppsagd", "hr", life.clock())
        close_person(life.config, state, person, run, life.clock)
        ended = life.clock()
    life.now += DAY
    with life.state() as state:
        state.orders.lift(person, "misstag", "hr", life.clock())
        run = state.begin_run("restore", life.clock())
        close_person(life.config, state, person, run, life.clock)
    assert "stadshuset:GYM" in opened(life, 10, before)
    assert opened(life, 10, ended) == set()  # local grants rest with the suspended cardholder
    assert {"stadshuset:GYM", "stadshuset:ENTRE"} <= opened(life, 10, life.now)


def test_what_others_gave_is_told_as_the_runs_saw_it(life: Life) -> None:
    life.sync()
    first = life.now
    target = connect_target(life.config.targets["stadshuset"])
    holder = target.read_one("200002")
    assert holder is not None
    more = (*holder.grants, Grant(ref="VIND"))
    target.put(Change(before=holder, after=type(holder)(key=holder.key, grants=more)))
    life.sync(2)
    seen = life.now
    holder = target.read_one("200002")
    assert holder is not None
    fewer = tuple(grant for grant in holder.grants if grant.ref != "VIND")
    target.put(Change(before=holder, after=type(holder)(key=holder.key, grants=fewer)))
    life.sync(5)
    target.close()
    [span] = [one for one in spans(life, 2, first, life.now) if one.ref == "VIND"]
    assert span.origin == "local"
    assert span.known_from is not None
    assert span.known_to is not None
    assert first < span.known_from <= seen < span.known_to <= life.now
    assert "stadshuset:VIND" not in opened(life, 2, first)


def test_a_door_tells_everybody_who_could_open_it(life: Life) -> None:
    life.sync()
    then = life.now
    life.town.leavers = {4}
    life.town.write_hr()
    for _ in range(3):
        life.sync()

    def who(door: str, at: datetime) -> set[str]:
        with life.state() as state:
            answer = access_to_door(life.config, state, door, at, at)
            assert all(span.ref == door.partition(":")[2] for span in answer.spans)
            return {span.person for span in answer.spans}

    with life.state() as state:
        person, other = life.person(state, 4), life.person(state, 5)
    assert len(who("skola:SKOLA", then)) == 40
    assert person in who("skola:SKOLA", then)
    assert person not in who("skola:SKOLA", life.now)
    assert other in who("skola:SKOLA", life.now)
    assert len(who("stadshuset:GYM", then)) == 6
    assert who("skola:ENTRE", then) == set()
    for wrong in ("skola", "skola:", "rådhuset:ENTRE"):
        with pytest.raises(ConfigError, match="TARGET:RIGHT"):
            who(wrong, then)


def outcome_of(life: Life, state: State, person: str, status: str) -> None:
    (number,) = state.journal.intend(1, [("skola", person, adds("KÄLLARE"))], life.clock())
    told = Outcome(status=status)  # type: ignore[arg-type]
    state.journal.settle_part(number, told, adds().clear(), life.clock())


def test_what_is_not_known_for_certain_is_told_and_what_was_refused_is_not(life: Life) -> None:
    life.sync()
    with life.state() as state:
        outcome_of(life, state, life.person(state, 1), "unknown")
        outcome_of(life, state, life.person(state, 2), "submitted")
        outcome_of(life, state, life.person(state, 3), "refused")
    told = [
        [span.certain for span in spans(life, number, life.now) if span.ref == "KÄLLARE"]
        for number in (1, 2, 3)
    ]
    assert told == [[False], [False], []]


def test_what_is_ones_own_since_before_the_history_begins_is_told_as_that(life: Life) -> None:
    life.settings("\n[retention]\naudit = 30\n")
    life.sync()
    life.sync(60)
    life.sync(1)
    told = {span.ref: span for span in spans(life, 4, life.now)}
    assert told["SKOLA"].origin == "ledger"
    assert told["SKOLA"].known_from is None
    with life.state() as state:
        person = life.person(state, 4)
        answer = access_of_person(life.config, state, person, life.now, life.now)
    assert answer.complete_from > (life.now - 40 * DAY).isoformat()


def test_the_erased_are_shown_without_a_name(life: Life) -> None:
    from idsync.service.erasing import erase

    life.sync()
    then = life.now
    life.everywhere_gone(4)
    for _ in range(3):
        life.sync()
    with life.state() as state:
        person = life.person(state, 4)
        erase(state, person, WHY, life.clock())
        answer = access_to_door(life.config, state, "skola:SKOLA", then, then)
    assert len(answer.spans) == 40  # that somebody could is still told
    assert person not in {span.person for span in answer.spans}
    nameless = [span for span in answer.spans if span.person not in answer.names]
    assert [span.because for span in nameless] == [""]


# ── the command ─────────────────────────────────────────────────────────────────────────


def test_the_command_answers_in_local_time_and_notes_who_looked(life: Life) -> None:
    town = life.town
    town.json("sync", code=0)
    tomorrow = f"{datetime.now(life.config.idsync.timezone) + DAY:%Y-%m-%d}"
    shown = town.run("audit", "show", "--person", "200004", "--at", tomorrow, "--by", "maja")
    assert shown.code == 0
    assert "could open skola:SKOLA from 20" in shown.out
    assert "rule skola: Lärare in Norr" in shown.out
    assert "Örjan Nuñez" in shown.out
    door = town.json("audit", "show", "--door", "stadshuset:GYM", "--by", "maja", code=0)
    assert {one["origin"] for one in door["rights"]} == {"local"}
    assert len(door["rights"]) == 6
    long_ago = town.run("audit", "show", "--person", "200004", "--at", "2020-01-01")
    assert "nothing that idsync gave or saw could be opened" in long_ago.out
    since = town.json("audit", "show", "--person", "200004", "--from", "2020-01-01", code=0)
    assert len(since["rights"]) == 3
    told = town.json("audit", "show", "--person", "200004", "--all", code=0)
    looks = [one["facts"] for one in told["records"] if one["kind"] == "shown"]
    assert [look["by"] for look in looks][:1] == ["maja"]
    assert town.json("audit", "verify", code=0)["ok"]


@pytest.mark.parametrize(
    "words",
    [[], ["--person", "x", "--door", "a:b"], ["--door", "skola:SKOLA", "--all"],
     ["--person", "200004", "--at", "igår"], ["--person", "200004", "--at", "2026-01-01", "--to",
      "2026-01-02"], ["--person", "200004", "--from", "2026-01-02", "--to", "2026-01-01"]],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_answered_with_what_to_write(
    life: Life, words: list[str]
) -> None:
    life.sync()
    assert life.town.run("audit", "show", *words).code == 2


# ── subject access ──────────────────────────────────────────────────────────────────────


@pytest.mark.case("A7")
def test_everything_about_one_person_in_one_controller_is_told_and_the_protected_marked(
    life: Life,
) -> None:
    file = life.town.folder / "connectors.toml"
    text = file.read_text(encoding="utf-8")
    text = text.replace('valid_from = "From"', 'protection = "Skydd", valid_from = "From"')
    file.write_text(text, encoding="utf-8")
    rows = [
        f"{row};{'secrecy_marking' if i == 4 else ''}" for i, row in enumerate(life.town.hr_rows())
    ]
    head = "PersonId;Nr;Förnamn;Efternamn;AnstId;Enhet;Titel;From;Tom;Skydd"
    lines = [head, *rows, f"#ANTAL;{len(rows)}"]
    (life.town.folder / "hr.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    life.sync()
    with life.state() as state:
        person = life.person(state, 4)
        state.orders.revoke(person, "utredning", "hr", life.clock())
        told = everything_about(life.config, state, person, clock(), "skola")
        plain = everything_about(life.config, state, life.person(state, 5), clock(), "skola")
        other = everything_about(life.config, state, person, clock(), "stadshuset")
        with pytest.raises(ConfigError, match="no target has this controller"):
            everything_about(life.config, state, person, clock(), "hamnen")
    assert json.dumps(told, default=str, ensure_ascii=False).count("200005") == 0
    assert told["identity"]["family_name"] == "Nuñez"
    assert told["sources"] == {"hr": ["p4"], "lms": ["200004"]}
    assert [one["title"] for one in told["employments"]] == ["Lärare"]
    assert [one["course_id"] for one in told["trainings"]] == ["brand"]
    assert told["keys"] == {"skola": ["200004"]}
    assert {one["ref"] for one in told["rights"]} == {"SKOLA", "LARM-SKOLA"}
    assert {one["ref"] for one in other["rights"]} == {"ENTRE"}
    kinds = [one["kind"] for one in told["records"]]
    assert kinds == ["intended", "settled", "revoked"]
    assert told["records"][0]["personal"]["key"] == "200004"
    assert told["records"][2]["personal"] == {"reason": "utredning"}
    sections = {"identity", "employments", "keys", "rights", "records", "records.by"}
    assert set(told["secrecy_review"]) == sections
    assert plain["secrecy_review"] == ["records.by"]
