"""One nightly run a local date, whatever the clock, the machine or another process does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from idsync.config import Config, load
from idsync.errors import ConfigError, Unavailable
from idsync.service.nightly import FAILED, Nightly, Ran
from idsync.store import Settled, State, Told, open_state
from idsync.store.nights import BEFORE, MISSED

pytest_plugins = ("tests.servers.state_fixtures",)

STOCKHOLM = ZoneInfo("Europe/Stockholm")
SPRING = [date(2026, 3, 29), date(2027, 3, 28), date(2028, 3, 26)]
AUTUMN = [date(2026, 10, 25), date(2027, 10, 31), date(2028, 10, 29)]


@dataclass
class Machine:
    """A machine with a clock of its own; what it runs is noted by true time."""

    state: State
    config: Config
    true: datetime
    off_by: timedelta = timedelta(0)
    runs: list[datetime] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    fails: Callable[[], None] = lambda: None
    nightly: Nightly = field(init=False)

    def __post_init__(self) -> None:
        self.boot()

    def clock(self) -> datetime:
        return self.true + self.off_by

    def boot(self) -> None:
        """Start the service, which knows no more than its state."""

        def tell(event: str, **_: object) -> None:
            self.told.append(event)

        self.nightly = Nightly(self.state, self.clock, self.run, "a machine", tell)
        self.nightly.begin(self.config)

    def run(self, sources: bool) -> Ran:
        assert sources
        self.fails()
        self.runs.append(self.clock())
        return Ran(outcome="applied", run=len(self.runs))

    def live(self, until: datetime, every: timedelta = timedelta(minutes=10)) -> None:
        """Tick until true time is *until*."""
        while self.true < until:
            self.nightly.tick(self.config)
            self.true += every

    def dates(self) -> Counter[date]:
        """How often it ran by each local date of its own clock."""
        return Counter(at.astimezone(STOCKHOLM).date() for at in self.runs)


def at(text: str) -> datetime:
    """An instant, from local time."""
    return datetime.fromisoformat(text).replace(tzinfo=STOCKHOLM).astimezone(UTC)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "connectors.toml"
    file.write_text("[schedule]\nnightly = '02:30'\n", encoding="utf-8")
    return load(file)


@pytest.fixture
def machine(tmp_path: Path, config: Config) -> Iterator[Machine]:
    state = open_state(f"sqlite:///{tmp_path}/var/idsync.db")
    yield Machine(state, config, at("2026-01-01T12:00"))
    state.close()


def every_date(first: date, last: date) -> Counter[date]:
    return Counter(first + timedelta(days=count) for count in range((last - first).days + 1))


@pytest.mark.case("K1", "K2")
def test_three_years_have_one_run_a_local_date(machine: Machine) -> None:
    machine.live(at("2029-01-01T12:00"))
    assert machine.dates() == every_date(date(2026, 1, 2), date(2029, 1, 1))
    local = [run.astimezone(STOCKHOLM) for run in machine.runs]
    odd = {run.date(): run.strftime("%H:%M") for run in local if run.strftime("%H:%M") != "02:30"}
    assert odd == dict.fromkeys(SPRING, "03:30")
    assert [run.fold for run in local if run.date() in AUTUMN] == [0, 0, 0]
    assert "night was missed" not in machine.told


@pytest.mark.case("K1", "K2")
@pytest.mark.parametrize("day", [*SPRING, *AUTUMN])
def test_reboots_all_night_and_steps_of_an_hour_make_no_second_run(
    machine: Machine, day: date
) -> None:
    machine.true = at(f"{day - timedelta(days=1)}T12:00")
    machine.state.nights.note(day - timedelta(days=1), BEFORE, machine.true)
    machine.live(at(f"{day}T00:00"))
    while machine.true < at(f"{day}T12:00"):
        step = len(machine.told) + machine.true.minute // 20 % 3
        machine.off_by = (timedelta(0), timedelta(hours=-1), timedelta(hours=1))[step % 3]
        machine.boot()
        machine.live(machine.true + timedelta(minutes=7), timedelta(minutes=1))
    machine.off_by = timedelta(0)
    machine.live(at(f"{day + timedelta(days=1)}T12:00"))
    assert machine.dates() == every_date(day, day + timedelta(days=1))


def test_a_clock_that_was_years_ahead_keeps_no_later_night_from_running(machine: Machine) -> None:
    machine.off_by = timedelta(days=3650)
    machine.live(machine.true + timedelta(hours=1))
    machine.off_by = timedelta(0)
    machine.live(at("2026-01-05T12:00"))
    assert [run.date().day for run in machine.runs if run.year == 2026] == [2, 3, 4, 5]


@pytest.mark.case("K4")
@pytest.mark.parametrize(
    ("back", "dates", "missed"),
    [
        ("2026-01-03T04:00", [3], []),  # over the slot
        ("2026-01-04T01:00", [4, 4], []),  # before the next: that of the 3rd, then of the 4th
        ("2026-01-07T09:00", [7], [3, 4, 5, 6]),
    ],
)
def test_a_machine_that_was_off_over_the_slot_catches_up_once_and_says_late(
    machine: Machine, back: str, dates: list[int], missed: list[int]
) -> None:
    machine.live(at("2026-01-02T20:00"))
    machine.runs.clear()
    machine.true = at(back)
    machine.boot()
    machine.live(machine.true + timedelta(hours=3))
    assert [run.astimezone(STOCKHOLM).day for run in machine.runs] == dates
    nights = machine.state.nights.last(30)
    assert sorted(one.local_date.day for one in nights if one.outcome == MISSED) == missed
    late = [one.local_date for one in nights if one.late]
    assert late == [date(2026, 1, 3) if dates != [7] else date(2026, 1, 7)]


def test_a_first_start_waits_for_its_first_night(machine: Machine) -> None:
    machine.live(at("2026-01-02T02:29"))
    assert machine.runs == []
    assert [one.outcome for one in machine.state.nights.last()] == [BEFORE]


def test_a_night_that_another_run_stood_in_the_way_of_is_run_when_that_has_ended(
    machine: Machine,
) -> None:
    def busy() -> None:
        if machine.true < at("2026-01-02T04:00"):
            raise Unavailable("another idsync run is at work")

    machine.fails = busy
    machine.true = at("2026-01-02T02:20")
    with pytest.raises(Unavailable):
        machine.live(at("2026-01-02T12:00"))
    while machine.true < at("2026-01-02T12:00"):
        try:
            machine.live(at("2026-01-02T12:00"), timedelta(minutes=1))
        except Unavailable:
            machine.true += timedelta(minutes=1)
    assert machine.runs == [at("2026-01-02T04:00")]


def test_a_night_that_waiting_does_not_mend_is_not_tried_again(machine: Machine) -> None:
    def wrong() -> None:
        raise ConfigError("no source has ever been accepted")

    machine.fails = wrong
    machine.true = at("2026-01-02T02:30")
    with pytest.raises(ConfigError):
        machine.nightly.tick(machine.config)
    machine.live(at("2026-01-03T02:00"))
    [night] = machine.state.nights.last(1)
    assert (night.outcome, machine.runs) == (FAILED, [])


@pytest.mark.case("K5")
def test_a_claim_whose_run_is_still_at_work_is_left_alone(machine: Machine) -> None:
    machine.true = at("2026-01-02T02:30")
    machine.state.nights.claim(date(2026, 1, 2), "another", machine.true)
    machine.true += timedelta(hours=3)
    with machine.state.run_lock():
        machine.nightly.tick(machine.config)
    assert machine.runs == []
    machine.nightly.tick(machine.config)  # it has died
    assert len(machine.runs) == 1


@pytest.mark.case("C3")
def test_a_night_whose_process_died_is_taken_over_at_the_next_tick(machine: Machine) -> None:
    machine.true = at("2026-01-02T02:30")
    machine.state.nights.claim(date(2026, 1, 2), "another", machine.true)
    machine.true += timedelta(seconds=9)  # it may not have come as far as its lock
    machine.nightly.tick(machine.config)
    assert machine.runs == []
    machine.true += timedelta(seconds=1)
    machine.nightly.tick(machine.config)
    assert len(machine.runs) == 1


def test_a_fault_in_a_night_is_tried_again_after_a_while_and_not_at_once(
    machine: Machine,
) -> None:
    def breaks() -> None:
        raise RuntimeError("made up")

    machine.fails = breaks
    machine.true = at("2026-01-02T02:30")
    tries = 0
    for _ in range(10):
        try:
            machine.nightly.tick(machine.config)
        except RuntimeError:
            tries += 1
        machine.true += timedelta(minutes=1)
    assert tries == 2


# ── what events ask for ─────────────────────────────────────────────────────────────────


def asked_at(machine: Machine, when: datetime) -> None:
    """Let a sender say at *when* that HR has something new."""
    inbox = machine.state.inbox
    inbox.receive(
        Told(
            issuer="hr", id=f"msg-{when.timestamp()}", digest="0" * 64, kind="person.changed",
            person="p1", occurred_at=when,
        ),
        when,
    )  # fmt: skip
    [one] = inbox.open(when)
    inbox.settle([Settled(event=one, state="done", reason="", reread=True)], when)


def test_an_event_has_hr_read_again_an_hour_after_the_run_before_and_once(
    machine: Machine,
) -> None:
    state = machine.state

    def begins_and_ends() -> None:
        number = state.begin_run("sync", machine.clock())
        state.end_run(number, "applied", {}, machine.clock())

    machine.fails = begins_and_ends
    machine.true = at("2026-01-02T02:30")
    machine.nightly.tick(machine.config)
    asked_at(machine, at("2026-01-02T02:45"))
    machine.true = at("2026-01-02T03:29")
    machine.nightly.tick(machine.config)
    assert machine.runs == [at("2026-01-02T02:30")]
    machine.true = at("2026-01-02T03:30")
    machine.nightly.tick(machine.config)
    assert machine.runs[1:] == [at("2026-01-02T03:30")]
    assert "an event asks for a fresh read" in machine.told
    state.inbox.reread_done(machine.clock())
    machine.live(at("2026-01-03T01:00"))
    assert len(machine.runs) == 2


# ── several processes ───────────────────────────────────────────────────────────────────

CLAIMS = """
import sys, time
from datetime import UTC, date, datetime
from idsync.store import open_state
state = open_state(sys.argv[1])
print("ready", flush=True)
begin = float(sys.stdin.readline())
for day in range(1, 29):
    time.sleep(max(0.0, begin + day * 0.05 - time.time()))  # all at the same moment
    if state.nights.claim(date(2026, 2, day), sys.argv[2], datetime.now(UTC)):
        print(day, flush=True)
state.close()
"""


@pytest.mark.case("C2")
def test_of_eight_processes_that_start_the_same_night_one_gets_it(
    state: State, state_url: str
) -> None:
    claiming = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMS, state_url, str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(8)
    ]  # fmt: skip
    for one in claiming:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    begin = time.time() + 0.2
    for one in claiming:
        assert one.stdin is not None
        one.stdin.write(f"{begin}\n")
        one.stdin.flush()
    got = [int(day) for one in claiming for day in one.communicate(timeout=120)[0].split()]
    assert [one.returncode for one in claiming] == [0] * 8
    assert sorted(got) == list(range(1, 29))
    assert len({one.claimed_by for one in state.nights.last(40)}) > 1, "they did not compete"


def test_of_two_that_take_a_night_over_one_gets_it(state: State) -> None:
    day, now = date(2026, 2, 1), datetime(2026, 2, 1, 3, tzinfo=UTC)
    assert state.nights.claim(day, "first", now)
    left = state.nights.of(day)
    assert left is not None
    later = now + timedelta(hours=1)
    assert [state.nights.take_over(left, by, later) for by in ("second", "third")] == [True, False]
    assert not state.nights.end(day, "first", 6, "partial", later), "it is not its night any longer"
    assert state.nights.end(day, "second", 7, "applied", later)
    ended = state.nights.of(day)
    assert ended is not None
    assert (ended.claimed_by, ended.run, ended.outcome) == ("second", 7, "applied")
    assert not state.nights.take_over(ended, "fourth", later)
