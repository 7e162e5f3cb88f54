"""`idsync serve` subscribes at Graph by itself, hears of a change, and reads again: no more."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.graph import FakeGraph
from tests.inbox.graphed import STATE, GraphOffice
from tests.service.test_machines import machines
from tests.service.test_serving import Served, add, served
from tests.whole.town import Town

pytest_plugins = ("tests.servers.state_fixtures",)

EAGER = """
from datetime import timedelta
import idsync.service.scheduling as scheduling
import idsync.service.subscribing as subscribing
scheduling.REREAD_AFTER = timedelta(seconds=1)
serving.TICK = timedelta(seconds=1)
subscribing.IDLE_S = 0.5
"""
"""What takes an hour takes a second."""


def test_the_service_subscribes_hears_of_a_change_and_reads_again(tmp_path: Path) -> None:
    with FakeGraph() as graph:
        office = GraphOffice(tmp_path, graph)
        office.now = datetime.now(UTC) - timedelta(hours=2)
        office.sync()
        graph.now = lambda: datetime.now(UTC)
        file = office.town.folder / "connectors.toml"
        with file.open("a", encoding="utf-8") as out:
            out.write(f'[serve]\nlisten = "127.0.0.1:{office.port}"\n')
        with served(office.town, EAGER) as running:
            address = running.until("listening")["address"]
            for resource in ("users", "groups"):
                running.until("subscribed", sender="entra", resource=resource)
            running.until("an event asks for a fresh read")
            until(running, lambda: not office.wants_reread())
            shown = json.loads(running.get(address, "/health")[1])
            assert shown["subscriptions"]["entra"]["users"]["left_s"] > 27 * 86400
            assert 'sender="entra"' in running.get(address, "/metrics")[1]

            before = office.opens(1)
            graph.changed("users", "deleted", "p1")
            assert graph.deliver() == [202]
            until(running, lambda: not office.wants_reread())
            assert office.opens(1) == before != [], "HR says nothing of it"

            office.jobs[1] = [office.row(1, "e1", end="2026-11-01")]
            office.write_hr()
            graph.changed("users", "updated", "p1")
            assert graph.deliver(twice=True) == [202, 202]
            running.until("read again", outcome="applied")
            assert office.opens(1) == []

            graph.loses("users")
            office.agree(STATE[::-1])
            until(running, lambda: [one["clientState"] for one in graph.living().values()]
                  == [STATE[::-1]] * 2)  # fmt: skip
            file.write_text(file.read_text(encoding="utf-8").replace('"graph"', '"set"'))
            running.process.send_signal(signal.SIGHUP)
            running.until("configuration refused, the old one stays")
            assert running.stop()[0] == 0
            assert running.until("ended")["under_way"] == []
        office.close()
        said = json.dumps(running.said)
        assert STATE not in said
        assert "p1" not in said


@pytest.mark.long
@pytest.mark.postgres
@pytest.mark.case("C4")
def test_of_several_machines_one_subscribes_and_when_it_dies_another_goes_on(
    tmp_path: Path, postgres_url: str
) -> None:
    with FakeGraph() as graph:
        town = Town(tmp_path / "en stad", people=4, state=postgres_url)
        office = GraphOffice(tmp_path, graph, town=town)
        office.now = datetime.now(UTC)
        office.sync()
        graph.now = lambda: datetime.now(UTC)
        add(town, '[serve]\nlisten = "127.0.0.1:0"\n')
        # what Graph sends comes to a third machine, behind the same address
        with office.reachable(), machines(office, "ett två", EAGER) as two:
            first, [other] = two.leads, [name for name in two.all if name != two.leads]
            until(two.all[first], lambda: office.has_kept("users") and office.has_kept("groups"))
            ids, at = set(graph.living()), office.kept().kept_at
            two.all[first].process.kill()
            graph.asks("reauthorizationRequired", "users")
            office.now = datetime.now(UTC)
            assert graph.deliver() == [202]
            until(two.all[other], lambda: office.kept().kept_at > at)
            assert set(graph.living()) == ids
            assert graph.calls.count("POST subscriptions") == 2
            assert two.all[other].stop()[0] == 0
        office.close()


def until(running: Served, there: Callable[[], bool]) -> None:
    """Wait until it is so, while the service lives."""
    for _ in range(600):
        if there():
            return
        os.kill(running.process.pid, 0)
        time.sleep(0.05)
    raise AssertionError(running.said)
