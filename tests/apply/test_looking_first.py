"""Before a change is sent the record is looked at; after it, only what shows is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from idsync.apply import Done, Work, carry_out
from idsync.apply.one import Manner, Result, carry_out_many, carry_out_one
from idsync.errors import IntegrityError, Refused, Unavailable
from idsync.model import Cardholder, Change, Outcome
from idsync.plan.document import change_of, ordered_changes
from idsync.store import State
from idsync.targets import Target
from idsync.targets.local import LocalTarget
from tests.apply.test_readback import status
from tests.plan.examples import ENTRE, City, grant, holder, job, links, owned, person
from tests.targets.local import new_target

pytest_plugins = ("tests.servers.state_fixtures",)

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)
LOOKING = Manner(look=True)
OLD_MAIL = "gammal@exempel.se"


class Habits(LocalTarget):
    """Fails in the ways of its switches, which are set on each connection."""

    capabilities = replace(LocalTarget.capabilities, batch=10, wire="calls")
    unseen: Exception | None = None  # raised by every look
    unseen_from: int = 0  # looks that succeed before
    loses: bool = False  # carries everything out, and no answer comes
    lies: bool = False  # does nothing, and says yes
    faulty: bool = False  # fails with a fault of its own after it has done what it was told
    mute: bool = False  # many at once get no answer, and nothing is done
    short: bool = False  # answers for one change less than it was sent
    puts: int = 0
    looks: int = 0
    together: tuple[str, ...] = ()  # whose changes came in one call

    def read_one(self, key: str) -> Cardholder | None:
        self.looks += 1
        self.unseen_from -= 1
        if self.unseen is not None and self.unseen_from < 0:
            raise self.unseen
        return super().read_one(key)

    def put(self, change: Change) -> Outcome:
        self.puts += 1
        done = Outcome(status="confirmed") if self.lies else super().put(change)
        if self.faulty:
            raise RuntimeError(change.key)
        if self.loses:
            raise Unavailable("no answer")
        return done

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        if self.mute:
            raise Unavailable("no answer")
        self.together += tuple(change.key for change in changes)
        outcomes = super().put_many(changes)
        return outcomes[:-1] if self.short else outcomes


def newcomers(count: int) -> list[tuple[Change, pl.DataFrame]]:
    """Return the changes of a plan that lets *count* people in."""
    city = City(persons=[person(i) for i in range(count)], jobs=[job(i) for i in range(count)])
    return [(change, items) for _, _, change, items in ordered_changes(city.plan().items)]


def known_one(folder: Path, mail: str = OLD_MAIL) -> tuple[Habits, pl.DataFrame]:
    """Return a system that holds somebody, and a plan's items: the entrance, and a new address."""
    target = new_target(folder, Habits)
    assert isinstance(target, Habits)
    there = holder(0, mail=mail, native_id=None)
    assert target.put(Change(before=None, after=there)).status == "confirmed"
    target.puts = 0
    seen = holder(0, mail=OLD_MAIL)
    plan = City(persons=[person(0)], jobs=[job(0)], holders=[seen], links=links(0)).plan()
    assert sorted(plan.items["part"]) == ["attribute", "grant"]
    return target, plan.items


def send(target: Target, items: pl.DataFrame, manner: Manner = LOOKING) -> Result:
    return carry_out_one(target, change_of(items), items, manner)


# ── looking first ───────────────────────────────────────────────────────────────────────


def test_what_was_edited_meanwhile_is_left_alone_and_the_rest_is_sent(tmp_path: Path) -> None:
    target, items = known_one(tmp_path, mail="avhand@exempel.se")
    result = send(target, items)
    assert result.outcome.status == "refused"
    assert "changed by hand since the plan was made: 1 of 2 parts" in result.outcome.reason
    assert list(result.standing["part"]) == ["grant"]
    shown = target.read_one("n0")
    assert shown is not None
    assert shown.mail == "avhand@exempel.se"
    assert [one.ref for one in shown.grants] == [ENTRE.ref]


def test_a_record_that_cannot_be_looked_at_is_written_and_its_answer_believed(
    tmp_path: Path,
) -> None:
    target, items = known_one(tmp_path)
    target.unseen, target.unseen_from = Refused("no reading today"), 0
    result = send(target, items)
    assert (target.puts, result.outcome.status) == (1, "confirmed")
    assert result.standing.height == 2


def test_a_system_that_is_silent_when_looked_at_is_sent_nothing(tmp_path: Path) -> None:
    target, items = known_one(tmp_path)
    target.unseen = Unavailable("silence")
    result = send(target, items)
    assert (target.puts, result.sent, result.down) == (0, False, True)
    assert result.standing.is_empty()


def test_a_newcomer_whose_record_somebody_made_meanwhile_is_left_to_the_next_plan(
    tmp_path: Path,
) -> None:
    [(change, items)] = newcomers(1)
    target = new_target(tmp_path, Habits)
    assert isinstance(target, Habits)
    target.put(Change(before=None, after=holder(0, display_name="Åsa Örn", native_id=None)))
    target.puts = 0
    result = carry_out_one(target, change, items, LOOKING)
    assert (target.puts, result.sent, result.outcome.status) == (0, False, "refused")
    assert "changed by hand since the plan was made" in result.outcome.reason
    shown = target.read_one("n0")
    assert shown is not None
    assert (shown.display_name, shown.grants) == ("Åsa Örn", ())


def test_who_is_gone_meanwhile_is_not_made_anew_by_what_takes_away(tmp_path: Path) -> None:
    given = grant(ENTRE)
    city = City(
        persons=[person(0)], jobs=[job(0, valid_to=NOW - timedelta(days=1))],
        holders=[holder(0, given)], owned=owned((0, given)), links=links(0),
    )  # fmt: skip
    items = city.plan().items.filter(pl.col("part").is_in(["grant", "status"]))
    assert sorted(items["part"]) == ["grant", "status"]
    target = new_target(tmp_path, Habits)
    assert isinstance(target, Habits)
    result = send(target, items)
    assert (target.puts, result.sent, result.outcome.status) == (0, False, "confirmed")
    assert target.read_one("n0") is None


def test_what_is_to_be_sent_again_is_sent_whatever_the_look_shows(tmp_path: Path) -> None:
    target, _ = known_one(tmp_path)
    amiss = holder(0, grant(ENTRE), amiss="the lock has not taken it")
    plan = City(
        persons=[person(0)], jobs=[job(0)], holders=[amiss], links=links(0),
        owned=owned((0, grant(ENTRE))),
    ).plan()  # fmt: skip
    assert list(plan.items["part"]) == ["again"]
    send(target, plan.items)
    assert target.puts == 1


def test_an_order_that_comes_between_the_look_and_the_write_stops_the_write(
    tmp_path: Path,
) -> None:
    target, items = known_one(tmp_path)
    reason = "not sent: revoked in the meantime"
    result = send(target, items, Manner(look=True, unwanted=lambda: reason))
    assert (target.puts, result.outcome.status) == (0, "refused")
    assert result.outcome.reason == reason


# ── after the write ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("blind", "reason", "down"),
    [
        (Unavailable("silence"), "not seen afterwards: silence", True),
        (Refused("no"), "not seen afterwards: no", False),
        (RuntimeError("x"), "not seen", False),
    ],
)
def test_what_was_taken_and_cannot_be_seen_to_be_gone_is_unknown(
    tmp_path: Path, blind: Exception, reason: str, down: bool
) -> None:
    given = grant(ENTRE)
    target = new_target(tmp_path, Habits)
    assert isinstance(target, Habits)
    target.put(Change(before=None, after=holder(0, given, native_id=None)))
    city = City(
        persons=[person(0)], jobs=[job(0, valid_to=NOW - timedelta(days=1))],
        holders=[holder(0, given)], owned=owned((0, given)), links=links(0),
    )  # fmt: skip
    items = city.plan().items.filter(pl.col("part") == "grant")
    target.unseen = blind
    result = send(target, items, Manner())
    assert (result.outcome.status, result.outcome.reason) == ("unknown", reason)
    assert (result.down, result.standing.height) == (down, 0)


def test_what_a_system_confirmed_and_does_not_show_is_refused_and_counted(tmp_path: Path) -> None:
    target, items = known_one(tmp_path)
    target.lies = True
    stands_already = status("suspended", "active").with_columns(key=pl.lit("n0"))
    both = pl.concat([items.filter(part="grant"), stands_already])
    result = send(target, both, Manner())
    assert result.outcome.status == "refused"
    assert "but 1 of 2 parts do not show" in result.outcome.reason
    assert list(result.standing["part"]) == ["status"]


@pytest.mark.parametrize("done", [False, True])
def test_after_a_fault_of_the_connector_what_shows_decides(tmp_path: Path, done: bool) -> None:
    target, items = known_one(tmp_path)
    target.faulty, target.lies = True, not done
    result = send(target, items, Manner())
    status = "confirmed" if done else "refused"
    assert (result.outcome.status, result.standing.height) == (status, 2 if done else 0)
    if not done:
        assert result.outcome.reason == "the connector failed (RuntimeError)"


def test_what_was_edited_is_told_together_with_what_became_of_the_rest(tmp_path: Path) -> None:
    target, items = known_one(tmp_path, mail="avhand@exempel.se")
    target.faulty, target.lies = True, True
    reason = send(target, items).outcome.reason
    assert reason.startswith("changed by hand since the plan was made: 1 of 2 parts")
    assert reason.endswith("; the connector failed (RuntimeError)")


def test_where_the_rest_is_unknown_that_is_what_is_told(tmp_path: Path) -> None:
    target, items = known_one(tmp_path, mail="avhand@exempel.se")
    target.faulty = True
    target.unseen, target.unseen_from = Refused("no"), 1
    assert send(target, items).outcome.status == "unknown"


# ── many in one call ────────────────────────────────────────────────────────────────────


def test_an_answer_for_too_few_is_no_answer_and_each_is_looked_at(tmp_path: Path) -> None:
    changes = newcomers(3)
    target = new_target(tmp_path, Habits)
    assert isinstance(target, Habits)
    target.short = True
    results = carry_out_many(target, changes)
    assert [one.outcome.status for one in results] == ["confirmed"] * 3
    assert target.puts == 3, "what had happened was sent again"


@pytest.mark.parametrize(
    ("blind", "reason", "down"),
    [
        (Unavailable("silence"), "not seen afterwards: silence", True),
        (RuntimeError("x"), "unseen", False),
    ],
)
def test_many_without_an_answer_that_cannot_be_seen_are_unknown(
    tmp_path: Path, blind: Exception, reason: str, down: bool
) -> None:
    target = new_target(tmp_path, Habits)
    assert isinstance(target, Habits)
    target.short, target.unseen = True, blind
    results = carry_out_many(target, newcomers(2))
    assert {(one.outcome.status, one.outcome.reason) for one in results} == {("unknown", reason)}
    assert {one.down for one in results} == {down}


def test_one_who_cannot_be_looked_at_does_not_keep_the_others_from_going_together(
    tmp_path: Path,
) -> None:
    target = new_target(tmp_path, Habits)
    assert isinstance(target, Habits)
    target.unseen, target.unseen_from = Refused("no"), 2
    results = carry_out_many(target, newcomers(3), LOOKING)
    assert [one.outcome.status for one in results] == ["confirmed"] * 3
    assert target.together == ("n0", "n1")
    assert {one.key for one in target.read()} == {"n0", "n1", "n2"}


def test_only_what_finds_everything_as_planned_goes_together(tmp_path: Path) -> None:
    target = new_target(tmp_path, Habits)
    assert isinstance(target, Habits)
    target.put(Change(before=None, after=holder(1, display_name="Åsa Örn", native_id=None)))
    results = carry_out_many(target, newcomers(4), LOOKING)
    assert target.together == ("n0", "n2", "n3")
    assert target.looks == 4 + 1, "a look at each, and one more at who stood there already"
    told = [(one.outcome.status, one.sent, list(one.standing["part"])) for one in results]
    assert told[1] == ("refused", False, [])
    assert {one[0] for one in (told[0], told[2], told[3])} == {"confirmed"}
    assert all("grant" in one[2] for one in (told[0], told[2], told[3]))


def test_where_nobody_is_found_as_planned_nothing_is_sent_together(tmp_path: Path) -> None:
    target = new_target(tmp_path, Habits)
    assert isinstance(target, Habits)
    for number in range(2):
        there = holder(number, display_name="Åsa Örn", native_id=None)
        target.put(Change(before=None, after=there))
    target.puts = 0
    results = carry_out_many(target, newcomers(2), LOOKING)
    assert (target.together, target.puts) == ((), 0)
    assert [one.outcome.status for one in results] == ["refused"] * 2


def test_of_many_without_an_answer_what_had_not_happened_is_sent_again(tmp_path: Path) -> None:
    target = new_target(tmp_path, Habits)
    assert isinstance(target, Habits)
    changes = newcomers(2)
    target.put(changes[0][0])
    target.puts = 0
    target.mute = True
    results = carry_out_many(target, changes)
    assert [one.outcome.status for one in results] == ["confirmed"] * 2
    assert target.puts == 1, "what had happened was sent again"
    assert {one.key for one in target.read()} == {"n0", "n1"}


# ── the line of one system ──────────────────────────────────────────────────────────────


def work_of(changes: Sequence[tuple[Change, pl.DataFrame]]) -> list[Work]:
    return [
        Work(target="hall", person_id=items["person_id"][0], change=change, items=items)
        for change, items in changes
    ]


def test_a_system_that_falls_silent_is_sent_nothing_of_what_comes_after(
    state: State, tmp_path: Path
) -> None:
    calls: list[str] = []

    class Silent(LocalTarget):
        capabilities = replace(LocalTarget.capabilities, lanes=1)

        def read_one(self, key: str) -> Cardholder | None:
            calls.append(key)
            raise Unavailable("silence")

    queue = work_of(newcomers(150))
    done = carry_out(1, queue, lambda _: new_target(tmp_path, Silent), state, lambda: NOW)["hall"]
    assert (done.down, done.written, done.unsent) == (True, 0, 150 - 64)
    assert len(set(calls)) == 3, "it was asked on after three silences"


def test_a_state_that_cannot_be_written_ends_the_run_and_not_only_one_line(
    state: State, tmp_path: Path
) -> None:
    def broken(_: str) -> Target:
        raise IntegrityError("the state is damaged")

    with pytest.raises(IntegrityError):
        carry_out(1, work_of(newcomers(1)), broken, state, lambda: NOW)


def test_an_order_that_cannot_be_carried_out_at_once_is_told_as_unknown(
    state: State, tmp_path: Path
) -> None:
    class Ordered(LocalTarget):
        def put(self, change: Change) -> Outcome:
            done = super().put(change)
            state.orders.revoke("id-0", "lost his keys", "Örjan", NOW)
            return done

    def close_again(target: str, person_id: str) -> str:
        return f"{person_id} is not closed in {target}"

    done: Done = carry_out(
        1, work_of(newcomers(1)), lambda _: new_target(tmp_path, Ordered), state, lambda: NOW,
        close_again=close_again,
    )["hall"]  # fmt: skip
    assert (done.confirmed, done.unknown) == (1, 1)
    assert done.problems == [("id-0", "id-0 is not closed in hall")]


def test_a_system_known_to_show_late_is_looked_at_again_within_its_time(tmp_path: Path) -> None:
    class Late(Habits):
        capabilities = replace(Habits.capabilities, settles_s=0.1)

        def read_one(self, key: str) -> Cardholder | None:
            found = super().read_one(key)
            stale = found is not None and self.looks == 1
            return replace(found, status="active") if found is not None and stale else found

    target = new_target(tmp_path, Late)
    assert isinstance(target, Late)
    target.put(Change(before=None, after=holder(0, native_id=None)))
    result = send(target, status().with_columns(key=pl.lit("n0")), Manner())
    assert (result.outcome.status, target.looks) == ("confirmed", 2)


def test_a_change_whose_answer_was_lost_is_looked_at_and_not_sent_again(tmp_path: Path) -> None:
    target, items = known_one(tmp_path)
    target.loses = True
    assert send(target, items, Manner()).outcome.status == "confirmed"
    assert target.puts == 1
