"""Several services on one PostgreSQL: what one leaves undone another does."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from idsync.targets.local_system import LocalSystem
from tests.crash.test_stopped import wait_for
from tests.inbox.office import Office, post
from tests.servers.postgres import Database
from tests.service.test_serving import SLOW, let_a_night_be_due, served
from tests.whole.town import Town

pytest_plugins = ("tests.servers.state_fixtures",)
pytestmark = pytest.mark.postgres

LEADS = "this process obeys events and pursues revocations"
PEOPLE = 30


class Machines:
    """Services of one city, by name, and where they listen."""

    def __init__(
        self, office: Office, configs: dict[str, str], planted: str, stack: ExitStack
    ) -> None:
        self.office = office
        self.all = {
            name: stack.enter_context(served(office.town, planted, config=config))
            for name, config in configs.items()
        }
        self.address = {name: one.until("listening")["address"] for name, one in self.all.items()}
        for one in self.all.values():
            one.until("serving")
        self.leads = self.leader(list(configs))

    def leader(self, among: list[str], before: str = "") -> str:
        """Return which of *among* comes to lead; *before* is whoever did."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for name in among:
                self.read(name)
                if name != before and self.all[name].has_said(LEADS):
                    return name
            time.sleep(0.02)
        raise AssertionError("nobody leads")

    def read(self, name: str) -> None:
        """Take in what a service has said by now."""
        one = self.all[name]
        while not one.lines.empty():
            one.said.append(one.lines.get())

    def tell(self, to: str, person: int, id: str = "") -> None:
        """Let HR tell one of the services that somebody has left, again and again if it must."""
        self.office.now = datetime.now(UTC)
        headers, body = self.office.message(f"p{person}", id=id)
        until = time.monotonic() + 60
        while True:
            answer = post(f"http://{self.address[to]}/events/hr", headers, body)
            if answer.status_code == 202:
                return
            assert answer.status_code == 503, answer.text  # its state does not answer yet
            assert time.monotonic() < until
            time.sleep(0.1)

    def closed(self, person: int, within: float) -> float:
        """Return after how many seconds nothing opens for somebody any longer."""
        begun = time.monotonic()
        while self.office.opens(person):
            assert time.monotonic() - begun < within, f"p{person} still gets in"
            time.sleep(0.02)
        return time.monotonic() - begun


@pytest.fixture
def office(tmp_path: Path, postgres_url: str) -> Iterator[Office]:
    made = Office(
        Town(tmp_path / "en stad", people=PEOPLE, state=postgres_url), now=datetime.now(UTC)
    )
    with (made.town.folder / "connectors.toml").open("a", encoding="utf-8") as file:
        file.write('\n[serve]\nlisten = "127.0.0.1:0"\n')
    yield made
    made.close()


@contextmanager
def machines(office: Office, names: str = "ett två tre", planted: str = "") -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(office, dict.fromkeys(names.split(), "connectors.toml"), planted, stack)


def told(capsys: pytest.CaptureFixture[str], words: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{words}\n")


@pytest.mark.case("C3", "C4")
def test_whoever_dies_or_stalls_another_ends_access_in_its_place(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.sync()
    with machines(office) as three:
        first = three.leads
        others = [name for name in three.all if name != first]
        three.tell(others[0], 1)
        passed_on = three.closed(1, 20)

        three.all[first].process.send_signal(signal.SIGSTOP)
        three.tell(others[1], 2)
        stalled = three.closed(2, 30)
        second = three.leader(others)
        three.all[first].process.send_signal(signal.SIGCONT)

        three.all[second].process.kill()
        [last] = [name for name in others if name != second]
        three.tell(last, 3)
        killed = three.closed(3, 30)
        three.leader([first, last], before=first if three.leads == last else "")
        assert three.all[last].stop()[0] == 0
    told(
        capsys,
        f"an end of access, told to another than who obeys: {passed_on:.2f} s; to one of two when "
        f"the third was stopped: {stalled:.2f} s; killed: {killed:.2f} s",
    )


@pytest.mark.case("C3")
def test_a_night_whose_process_is_stopped_is_run_by_another(
    office: Office, postgres_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    let_a_night_be_due(office.town)
    with machines(office, "ett två", SLOW) as two:
        beginner, other = who_begins(two)
        wait_for(postgres_database, 1)
        two.all[beginner].process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        two.all[other].until("night ended", 120)
        took = time.monotonic() - begun
        written = writes(office)
        two.all[beginner].process.send_signal(signal.SIGCONT)
        two.all[beginner].until("night was taken over", 60)
        assert not two.all[beginner].has_said("night ended")
        assert writes(office) == written, "whoever slept went on when it woke"
        [night] = office.state.nights.last(1)
        assert night.outcome == "applied"
    told(capsys, f"a night that was stopped in its middle was over elsewhere after {took:.1f} s")
    assert all(office.opens(i) for i in range(PEOPLE))


def writes(office: Office) -> int:
    """Return how often anything was written in any system of the city."""
    folder = office.town.folder / "var"
    return sum(len(LocalSystem(folder / f"{name}.db").events()) for name in office.config.targets)


def who_begins(two: Machines) -> tuple[str, str]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for name, one in two.all.items():
            two.read(name)
            if one.has_said("night begins"):
                [other] = [each for each in two.all if each != name]
                return name, other
        time.sleep(0.02)
    raise AssertionError("no night began")


@pytest.mark.case("C4")
def test_a_database_that_is_started_anew_under_load_loses_nothing(
    office: Office, postgres_database: Database
) -> None:
    office.sync()
    server = postgres_database.server
    with machines(office, "ett två") as two:
        for person in (1, 2, 3):
            two.tell("ett", person)
        server.stop()
        time.sleep(1)
        server.start()
        for person in (1, 2, 3):
            two.closed(person, 60)
        two.tell("två", 4)
        two.closed(4, 60)
        for one in two.all.values():
            assert one.stop()[0] == 0
