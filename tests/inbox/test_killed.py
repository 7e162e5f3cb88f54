"""Killed at any step between socket and door: what was accepted is neither lost nor done twice."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from idsync.config import load
from idsync.service.subscriptions import subscription
from idsync.store import open_state
from tests.fakes.graph import FakeGraph
from tests.inbox.graphed import GraphOffice
from tests.inbox.office import Office, keys_of, post, town_in
from tests.inbox.polled import Polled, transmitting
from tests.inbox.serving import STEPS, STOP, clock

SHORT = 10
PEOPLE = ("p1", "p2", "p4")


class Serving:
    """The process that forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.inbox.serving"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def tell(self, office: Office, folder: Path, kill_at: int = 0) -> tuple[int, set[str]]:
        """Let it listen in *folder*, send it every message, return its end and who was accepted."""
        (folder / STOP).unlink(missing_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        order = {"folder": str(folder), "port": port, "kill_at": kill_at}
        self._send(order)
        accepted: set[str] = set()
        office.now = datetime.now(UTC)
        for person in PEOPLE:
            headers, body = office.message(person, id=f"msg-{person}")
            for _ in range(100):
                try:
                    answer = post(f"http://127.0.0.1:{port}/events/hr", headers, body)
                except requests.ConnectionError:
                    if accepted:
                        break
                    time.sleep(0.02)
                    continue
                assert answer.status_code == 202
                accepted.add(person)
                break
        (folder / STOP).touch()
        return int(self._out.readline()), accepted

    def poll(self, folder: Path, kill_at: int = 0) -> int:
        """Let it poll in *folder*; return its end."""
        self._send({"folder": str(folder), "kill_at": kill_at, "polls": 2})
        return int(self._out.readline())

    def keep(self, folder: Path, kill_at: int = 0) -> int:
        """Let it keep the subscriptions in *folder* once; return its end."""
        self._send({"folder": str(folder), "kill_at": kill_at, "keeps": 1})
        return int(self._out.readline())

    def notify(self, folder: Path, port: int, graph: FakeGraph, kill_at: int = 0) -> int:
        """Let it listen in *folder* while Graph tries to deliver; return its end."""
        (folder / STOP).unlink(missing_ok=True)
        self._send({"folder": str(folder), "port": port, "kill_at": kill_at})
        for _ in range(500):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        graph.deliver()
        (folder / STOP).touch()
        return int(self._out.readline())

    def _send(self, order: dict[str, Any]) -> None:
        self._in.write(json.dumps(order) + "\n")
        self._in.flush()

    def close(self) -> None:
        self._in.close()
        self._process.wait(timeout=20)
        self._out.close()


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    made = Serving()
    yield made
    made.close()


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long"))


def standing(folder: Path) -> tuple[list[str], dict[str, str], int]:
    """Return whom orders shut out, what became of each event, and how many orders ever were."""
    state = open_state(load(folder / "connectors.toml").idsync.state)
    try:
        with state.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT person, state FROM event").all()
            ever = connection.exec_driver_sql("SELECT count(*) FROM revocation").scalar_one()
        assert len(rows) == len({person for person, _ in rows})
        return keys_of(state), dict(tuple(row) for row in rows), int(ever)
    finally:
        state.close()


@pytest.mark.case("W13")
def test_killed_at_any_step_what_was_accepted_is_done_once_and_all_of_it(
    tmp_path: Path, serving: Serving, long: bool
) -> None:
    office = Office(town_in(tmp_path), now=datetime.now(UTC))
    office.sync()
    office.close()
    folder = office.town.folder
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    code, accepted = serving.tell(office, folder)
    assert (code, accepted) == (0, set(PEOPLE))
    wanted = office.doors()
    assert not any(office.opens(int(person[1:])) for person in PEOPLE)
    steps = int((folder / STEPS).read_text())
    assert steps > 20
    killed = 0
    some = range(1, steps + 1) if long else range(1, steps + 1, max(1, steps // SHORT))
    for kill_at in some:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        code, accepted = serving.tell(office, folder, kill_at)
        killed += code == -9
        orders, states, ever = standing(folder)
        assert accepted <= set(states), "what was accepted is there"
        assert {person for person, how in states.items() if how == "done"} == set(orders)
        code, _ = serving.tell(office, folder)  # the sender tries all of them again
        assert code == 0
        orders, states, ever = standing(folder)
        assert orders == sorted(PEOPLE)
        assert set(states.values()) == {"done"}
        assert ever == len(PEOPLE), "each is ordered once"
        assert office.doors() == wanted, kill_at
    assert killed > len(some) // 2


@pytest.mark.case("W13")
def test_killed_at_any_step_a_token_is_acknowledged_only_when_it_is_kept_and_done_once(
    tmp_path: Path, serving: Serving, long: bool
) -> None:
    with transmitting() as fake:
        office = Polled(tmp_path, fake)
        office.sync()
        office.close()
        folder, ids = office.town.folder, {office.has(person) for person in PEOPLE}
        kept = tmp_path / "kept"
        shutil.copytree(folder, kept)
        told = dict(fake.pending)
        assert serving.poll(folder) == 0
        assert set(fake.acked) == ids
        steps = int((folder / STEPS).read_text())
        assert steps > 15
        killed = 0
        some = range(1, steps + 1) if long else range(1, steps + 1, max(1, 2 * steps // SHORT))
        for kill_at in some:
            shutil.rmtree(folder)
            shutil.copytree(kept, folder)
            fake.pending, fake.acked = dict(told), []
            killed += serving.poll(folder, kill_at) == -9
            _, states, _ = standing(folder)
            assert {id_.removeprefix("jti-") for id_ in fake.acked} <= set(states), kill_at
            assert serving.poll(folder) == 0
            orders, states, ever = standing(folder)
            assert set(fake.acked) == ids
            assert orders == sorted(PEOPLE)
            assert set(states.values()) == {"done"}
            assert ever == len(PEOPLE), "each is ordered once"
        assert killed > len(some) // 2


@pytest.mark.case("W13")
def test_killed_at_any_step_a_notification_was_answered_only_when_it_is_kept(
    tmp_path: Path, serving: Serving, long: bool
) -> None:
    with FakeGraph() as graph:
        office = GraphOffice(tmp_path, graph)
        with office.reachable():
            office.keep()
        office.forget_reread()
        office.graph.changed("users")
        office.close()
        folder, owed = office.town.folder, list(graph.undelivered)
        kept = tmp_path / "kept"
        shutil.copytree(folder, kept)
        assert serving.notify(folder, office.port, graph) == 0
        assert (graph.undelivered, wants_reread(folder)) == ([], True)
        steps = int((folder / STEPS).read_text())
        assert steps >= 4
        killed = 0
        some = range(1, steps + 1) if long else range(1, steps + 1, max(1, steps // SHORT))
        for kill_at in some:
            shutil.rmtree(folder)
            shutil.copytree(kept, folder)
            graph.undelivered = list(owed)
            killed += serving.notify(folder, office.port, graph, kill_at) == -9
            assert graph.undelivered or wants_reread(folder), kill_at
            assert serving.notify(folder, office.port, graph) == 0
            assert (graph.undelivered, wants_reread(folder)) == ([], True)
        assert killed > len(some) // 2


def test_killed_at_any_step_the_subscriptions_are_two_in_the_end_and_all_is_read(
    tmp_path: Path, serving: Serving, long: bool
) -> None:
    with FakeGraph() as graph:
        office = GraphOffice(tmp_path, graph)
        office.close()
        graph.now = clock
        folder = office.town.folder
        kept = tmp_path / "kept"
        shutil.copytree(folder, kept)
        with office.reachable():
            assert serving.keep(folder) == 0
            steps = int((folder / STEPS).read_text())
            assert steps > 10
            killed = 0
            some = range(1, steps + 1) if long else range(1, steps + 1, max(1, 2 * steps // SHORT))
            for kill_at in some:
                shutil.rmtree(folder)
                shutil.copytree(kept, folder)
                graph.subscriptions.clear()
                killed += serving.keep(folder, kill_at) == -9
                assert serving.keep(folder) == 0
                state = open_state(load(folder / "connectors.toml").idsync.state)
                found = [subscription(state, "entra", name) for name in ("users", "groups")]
                state.close()
                assert {one.id for one in found if one} == set(graph.living()), kill_at
                assert len(graph.living()) == 2
                assert wants_reread(folder)
            assert killed > len(some) // 2


def wants_reread(folder: Path) -> bool:
    state = open_state(load(folder / "connectors.toml").idsync.state)
    try:
        return state.inbox.reread_wanted() is not None
    finally:
        state.close()
