"""What events do once they are answered: they take access away, and never give any."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from idsync.service.receiving import receive
from tests.inbox.office import MINUTE, NEW, Office, headers_of, post, town_in

ENDED = "person.ended"


def test_an_end_shuts_the_doors_everywhere_and_only_theirs(office: Office) -> None:
    before = office.doors()
    assert office.opens(1)
    assert office.tell("p1").status == 202
    assert office.opens(1), "nothing is done before it is answered"
    worked = office.work()
    assert office.opens(1) == []
    assert office.orders() == ["p1"]
    [closed] = worked.closed.values()
    assert {one.outcome for one in closed} == {"confirmed"}
    for name, held in office.doors().items():
        before[name].pop(office.town.number(1), None)
        assert held == before[name]
    assert office.work().states == {}


def test_a_later_sync_does_not_give_it_back(office: Office) -> None:
    office.tell("p1")
    office.work()
    office.now += timedelta(days=1)
    office.sync()
    assert office.opens(1) == []


@pytest.mark.case("W1")
def test_the_same_message_after_seventy_hours_is_accepted_and_does_nothing(office: Office) -> None:
    assert office.tell("p1", id="msg_same").status == 202
    office.work()
    [person] = [one.person_id for one in office.state.orders.revocations()]
    office.state.orders.lift(person, "åter", "maja", office.clock())
    office.now += timedelta(hours=70)
    assert office.tell("p1", id="msg_same").status == 202
    assert office.work().states == {}
    assert office.orders() == []
    office.now += timedelta(hours=118)
    assert office.tell("p1", id="msg_same").status == 202
    office.work()
    assert office.orders() == []


@pytest.mark.case("W3")
@pytest.mark.long
def test_four_events_in_any_order_leave_the_door_shut(office: Office) -> None:
    monday = office.now - timedelta(days=2)
    told = [
        ("employment.ended", 0), ("employment.restored", 1), ("employment.ended", 2),
        ("employment.restored", 3),
    ]  # fmt: skip
    for number, order in enumerate(permutations(told)):
        for kind, hours in order:
            at = (monday + timedelta(hours=hours)).isoformat()
            answer = office.tell("p1", kind, id=f"m{number}-{hours}", timestamp=at, sequence=hours)
            assert answer.status == 202
            if number % 2:
                office.work()
        office.work()
        assert office.orders() == ["p1"], order
        assert office.opens(1) == [], order
        office.now += 11 * MINUTE
        [person] = [one.person_id for one in office.state.orders.revocations()]
        # somebody looks, with newer evidence than all four: none of them counts any longer
        office.state.orders.lift(person, "återanställd", "maja", office.clock())
        monday = office.now + MINUTE
        office.now += timedelta(hours=4)


@pytest.mark.case("W3")
def test_an_end_older_than_a_restoration_counts_only_as_hr_says_the_same(office: Office) -> None:
    told = office.now.isoformat()
    office.tell("p1")
    office.work()
    [person] = [one.person_id for one in office.state.orders.revocations()]
    office.state.orders.lift(person, "fel person", "maja", office.clock())
    office.tell("p1", timestamp=told)
    assert office.work().states == {"doubtful": 1}
    assert office.orders() == []
    assert "not confirmed by HR" in office.alarms()
    office.jobs[1] = [office.row(1, "e1", end="2026-11-01")]
    office.write_hr()
    office.now += 2 * MINUTE
    assert office.work().states == {"done": 1}
    assert office.orders() == ["p1"]


@pytest.mark.case("W14")
def test_a_restoring_event_gives_nothing_and_restore_gives_what_the_rules_give(
    office: Office,
) -> None:
    before = office.doors()
    office.tell("p1")
    office.work()
    office.now += MINUTE
    office.tell("p1", "employment.restored")
    assert office.work().reread
    office.sync()
    assert office.opens(1) == []
    assert office.orders() == ["p1"]
    [person] = [one.person_id for one in office.state.orders.revocations()]
    office.state.orders.lift(person, "misstag", "maja", office.clock())
    office.sync()
    assert office.doors() == before
    assert not office.work().reread, "the run has read HR again"


@pytest.mark.case("W8")
def test_a_sender_of_one_controller_ends_nothing_of_anothers_people(office: Office) -> None:
    assert office.tell("p3", to="skolan").status == 202  # of stadskontoret
    assert office.tell("p1", to="skolan").status == 202
    assert office.work().states == {"refused": 1, "done": 1}
    assert office.orders() == ["p1"]
    assert office.opens(3)
    assert office.alarms() == ["a person of another controller"]


@pytest.mark.case("W8")
def test_a_sender_of_one_controller_leaves_what_another_gives(office: Office) -> None:
    office.jobs[1] = [office.row(1, "e1"), office.row(1, "x1", "Stadskontoret")]
    office.write_hr()
    office.sync()
    assert office.tell("p1", to="skolan").status == 202
    office.work()
    assert (office.orders(), office.ended()) == ([], ["hr:e1"])
    assert office.opens(1) == ["ENTRE"]
    assert office.tell("p1", to="skolan").status == 202
    assert office.work().states == {"done": 1}
    assert (office.orders(), office.ended()) == ([], ["hr:e1"]), "nothing of its own goes on"
    assert office.opens(1) == ["ENTRE"]


@pytest.mark.case("W8")
def test_a_sender_of_one_controller_ends_no_employment_of_anothers(office: Office) -> None:
    office.jobs[1] = [office.row(1, "e1"), office.row(1, "x1", "Stadskontoret")]
    office.jobs[2] = [
        office.row(2, "e2", end="2026-11-01"), office.row(2, "x2", "Stadskontoret"),
    ]  # fmt: skip
    office.write_hr()
    office.sync()
    for person, job in (("p1", "x1"), ("p2", "x2")):
        office.tell(person, "employment.ended", employment=job, to="skolan")
    assert office.work().states == {"refused": 2}
    assert (office.orders(), office.ended()) == ([], [])
    assert office.alarms() == ["an employment of another controller"]
    office.tell("p1", "employment.ended", to="skolan")
    office.work()
    assert office.ended() == ["hr:e1"], "which one it is needs not be said: one is its own"


@pytest.mark.case("W8")
def test_a_kind_that_is_not_agreed_is_refused(office: Office) -> None:
    assert office.tell("p1", "employment.ending", to="skolan", ends="2026-12-31").status == 400
    assert office.tell("p1", "person.changed").status == 400
    assert office.work().states == {}
    assert office.alarms() == ["a kind of event that is not agreed"] * 2


@pytest.mark.case("W9")
def test_somebody_unknown_is_parked_and_shut_out_once_they_are_known(office: Office) -> None:
    assert office.tell("p77").status == 202
    assert office.work().states == {"parked": 1}
    assert office.alarms() == []
    office.now += 16 * MINUTE
    assert office.work().states == {"parked": 1}
    assert office.alarms() == ["person not known"]
    office.jobs[77] = [office.row(77, "e77")]
    office.write_hr()
    office.sync()
    assert office.opens(77)
    office.now += 2 * MINUTE
    assert office.work().states == {"done": 1}
    assert office.orders() == ["p77"]
    assert office.opens(77) == []
    assert office.alarms() == []


def test_an_event_that_is_never_settled_is_given_up_after_eight_days_and_said_so(
    office: Office,
) -> None:
    office.tell("p77")
    office.work()
    office.now += timedelta(days=8, minutes=1)
    office.work()
    assert office.work().states == {}
    assert office.alarms() == ["given up after 8 days, never settled"]


@pytest.mark.case("C6")
def test_a_hundred_messages_at_once_about_one_person_are_one_order(office: Office) -> None:
    office.now = datetime.now(UTC)
    messages = [office.message("p1") for _ in range(100)]
    with office.listening() as url, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda one: post(f"{url}hr", *one).status_code, messages))
        assert answers == [202] * 100
    worked = [*ThreadPoolExecutor(2).map(lambda _: office.work(), range(2))]
    assert sum(one.states.get("done", 0) for one in worked) >= 100
    assert office.orders() == ["p1"]
    assert office.opens(1) == []
    with office.state.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM revocation").scalar_one() == 1


def test_status_tells_what_somebody_has_to_look_at(office: Office) -> None:
    office.now = datetime.now(UTC)
    office.tell("p3", to="skolan")
    office.work()
    office.state.audit.sign_off()
    done = office.town.run("status", "--json")
    assert done.code == 0, done
    [alarm] = json.loads(done.out)["events"]
    assert (alarm["issuer"], alarm["what"]) == ("skolan", "a person of another controller")
    assert "EVENTS of skolan" in office.town.run("status").out


# ── several employments ─────────────────────────────────────────────────────────────────


def two_jobs(office: Office, *ends: str) -> None:
    office.jobs[1] = [
        office.row(1, "e1", end=ends[0] if ends else ""),
        office.row(1, "x1", "Stadskontoret", ends[1] if len(ends) > 1 else ""),
    ]
    office.write_hr()


@pytest.mark.case("W10")
def test_of_two_employments_what_hr_shows_as_ended_ends_and_the_other_stays(
    office: Office,
) -> None:
    two_jobs(office)
    office.sync()
    assert "SKOLA" in office.opens(1)
    two_jobs(office, "2026-11-01")
    office.tell("p1", "employment.ended")
    worked = office.work()
    assert worked.reread
    assert office.orders() == []
    office.sync()
    assert office.opens(1) == ["ENTRE"]


@pytest.mark.case("W10")
def test_of_two_employments_all_is_shut_while_hr_does_not_answer(office: Office) -> None:
    two_jobs(office)
    office.sync()
    (office.town.folder / "hr.csv").unlink()
    office.tell("p1", "employment.ended")
    office.work()
    assert office.orders() == ["p1"]
    assert office.opens(1) == []
    assert office.alarms() == ["a whole person shut out: HR does not answer"]


def test_of_two_employments_both_ended_at_hr_all_is_shut(office: Office) -> None:
    two_jobs(office)
    office.sync()
    two_jobs(office, "2026-11-01", "2026-11-01")
    office.tell("p1", "employment.ended")
    office.work()
    assert office.orders() == ["p1"]
    assert office.alarms() == []


@pytest.mark.case("S11", "W10")
def test_an_end_of_one_employment_takes_at_once_what_it_alone_gave(office: Office) -> None:
    two_jobs(office)
    office.sync()
    before = office.doors()
    office.tell("p1", "employment.ended", employment="e1")
    worked = office.work()
    assert worked.states == {"done": 1}
    assert {one.outcome for [*closed] in worked.closed.values() for one in closed} == {"confirmed"}
    assert (office.orders(), office.ended(), office.opens(1)) == ([], ["hr:e1"], ["ENTRE"])
    office.tell("p1", "employment.ended", employment="e1")
    assert office.work().states == {"done": 1}
    for _ in range(2):
        office.now += timedelta(days=1)
        office.sync()  # HR shows it as going on yet
    assert office.opens(1) == ["ENTRE"]
    [order] = office.state.orders.revocations()
    office.state.orders.lift(
        order.person_id, "misstag", "maja", office.clock(), employment=order.employment
    )
    office.sync()
    assert office.doors() == before


def test_the_end_of_the_second_of_two_is_that_of_the_person(office: Office) -> None:
    two_jobs(office)
    office.sync()
    office.tell("p1", "employment.ended", employment="e1")
    office.tell("p1", "employment.ended", employment="x1")
    assert office.work().states == {"done": 2}
    assert (office.orders(), office.ended(), office.opens(1)) == (["p1"], ["hr:e1"], [])


@pytest.mark.case("W9")
def test_an_employment_that_is_not_known_waits_and_is_told(office: Office) -> None:
    two_jobs(office)
    office.sync()
    office.tell("p1", "employment.ended", employment="e2")  # somebody else's
    office.tell("p1", "employment.ended", employment="y1")
    assert office.work().states == {"parked": 2}
    assert office.alarms() == []
    office.now += 16 * MINUTE
    office.work()
    assert office.alarms() == ["employment not known"]
    office.jobs[1].append(office.row(1, "y1", "Skola / Syd"))
    office.write_hr()
    office.sync()
    office.now += 2 * MINUTE
    assert office.work().states == {"done": 1, "parked": 1}
    assert office.ended() == ["hr:y1"]
    assert office.opens(2), "the other one's employment goes on"


@pytest.mark.case("W3")
def test_an_end_of_an_employment_older_than_its_restoration_needs_hr(office: Office) -> None:
    two_jobs(office)
    office.sync()
    told = office.now.isoformat()
    office.tell("p1", "employment.ended", employment="e1")
    office.work()
    [order] = office.state.orders.revocations()
    office.state.orders.lift(
        order.person_id, "misstag", "maja", office.clock(), employment="hr:e1"
    )  # fmt: skip
    office.tell("p1", "employment.ended", employment="e1", timestamp=told)
    assert office.work().states == {"doubtful": 1}
    assert office.ended() == []
    two_jobs(office, "2026-11-01")
    office.now += 2 * MINUTE
    assert office.work().states == {"done": 1}
    assert office.ended() == ["hr:e1"]


@pytest.mark.case("W8")
def test_all_employments_of_a_controller_end_by_one_message_and_one_write(office: Office) -> None:
    office.jobs[1] = [
        office.row(1, "e1"), office.row(1, "y1", "Skola / Syd"),
        office.row(1, "x1", "Stadskontoret"),
    ]  # fmt: skip
    office.write_hr()
    office.sync()
    office.tell("p1", to="skolan")
    [closed] = office.work().closed.values()
    assert sorted(one.target for one in closed) == ["skola", "stadshuset"]
    assert (office.ended(), office.opens(1)) == (["hr:e1", "hr:y1"], ["ENTRE"])
    assert office.state.closings.unconfirmed(office.config.targets) == []


OWN_WORDS = """
[events.lon]
controller = "*"
source = "hr"
keys = [{ file = "FOLDER/new" }]
kinds = ["employment.ended"]
words = { "AVSLUT" = "employment.ended" }
map = { kind = "händelse", person = "anställd.id", employment = "anställd.anställning" }
"""


def test_hr_tells_of_an_employment_in_its_own_words(tmp_path: Path) -> None:
    office = Office(town_in(tmp_path), more=OWN_WORDS)
    two_jobs(office)
    office.sync()
    told = {"händelse": "AVSLUT", "anställd": {"id": "p1", "anställning": "e1"}}
    body, stamp = json.dumps(told).encode(), str(int(office.now.timestamp()))
    headers = headers_of("m1", stamp, body, NEW)
    answer = receive(office.config, office.state, "lon", headers, body, office.clock())
    assert answer.status == 202
    office.work()
    assert (office.ended(), office.opens(1)) == (["hr:e1"], ["ENTRE"])
    office.close()


# ── dates ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("W15")
def test_an_end_to_come_is_a_date_in_every_system_and_shuts_nothing_today(office: Office) -> None:
    office.jobs[1] = [office.row(1, "e1", end="2026-12-31")]
    office.write_hr()
    assert office.tell("p1", "employment.ending", ends="2026-12-31").status == 202
    worked = office.work()
    assert worked.reread
    assert office.orders() == []
    assert office.opens(1)
    office.sync()
    state = office.state.journal
    ends = {str(at) for at in state.ledger("skola").filter(key=office.town.number(1))["valid_to"]}
    assert ends == {"2026-12-31 23:00:00+00:00"}


@pytest.mark.case("W15")
def test_an_end_without_a_date_is_now(office: Office) -> None:
    assert office.tell("p1", "employment.ending").status == 400
    assert office.tell("p1", "employment.ended").status == 202
    assert office.tell("p2", "employment.ending", ends="2026-11-22").status == 202
    assert office.tell("p4", "employment.ended", ends="2026-11-23").status == 202  # last day today
    office.work()
    assert office.orders() == ["p1", "p2"]


# ── a leaked key ────────────────────────────────────────────────────────────────────────


@pytest.mark.case("W11")
def test_of_a_flood_of_ends_25_count_at_once_and_the_rest_as_hr_confirms(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    office = Office(town_in(tmp_path_factory.mktemp("flood"), people=400))
    try:
        office.sync()
        for i in range(400):
            assert office.tell(f"p{i}").status == 202
        left = {300, 301}
        office.town.leavers |= left
        office.write_hr()
        worked = office.work()
        assert worked.states == {"done": 27, "doubtful": 373}
        shut = office.orders()
        assert sorted(f"p{i}" for i in [*range(25), *left]) == shut
        assert office.alarms() == ["not confirmed by HR"]
        office.now += 9 * MINUTE
        assert office.work().states == {"doubtful": 373}
    finally:
        office.close()
