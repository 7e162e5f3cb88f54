"""Between a machine and PostgreSQL the network is cut, or swallows what is sent into it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest
import requests
from sqlalchemy.engine import make_url

from tests.crash.test_stopped import wait_for
from tests.inbox.office import Office
from tests.servers.cable import WAYS, Cable, Way
from tests.servers.postgres import Database
from tests.service.test_machines import PEOPLE, Machines, office, told, who_begins, writes
from tests.service.test_serving import SLOW, let_a_night_be_due

__all__ = ["office"]  # the fixture

pytest_plugins = ("tests.servers.state_fixtures",)
pytestmark = pytest.mark.postgres

ANSWERED_S = 14.0
"""Within what an event is answered whatever the network does, with room for a slow machine."""


@contextmanager
def cabled(
    office: Office, names: str = "ett två", planted: str = ""
) -> Iterator[tuple[Machines, dict[str, Cable]]]:
    """Services that reach PostgreSQL by a cable each."""
    folder, address = office.town.folder, make_url(office.town.state)
    assert address.port is not None
    with ExitStack() as stack:
        cables = {name: stack.enter_context(Cable(address.port)) for name in names.split()}
        whole = (folder / "connectors.toml").read_text(encoding="utf-8")
        for name, cable in cables.items():
            text = whole.replace(f":{address.port}/", f":{cable.port}/")
            assert text != whole
            (folder / f"{name}.toml").write_text(text, encoding="utf-8")
        configs = {name: f"{name}.toml" for name in cables}
        yield Machines(office, configs, planted, stack), cables


def answer_of(two: Machines, name: str, person: int, id: str) -> tuple[int, float]:
    """Tell a machine that somebody has left; return its answer, and how long that took."""
    two.office.now = datetime.now(UTC)
    headers, body = two.office.message(f"p{person}", id=id)
    begun = time.monotonic()
    given = {each.decode(): value.decode() for each, value in headers}
    try:
        status = requests.post(
            f"http://{two.address[name]}/events/hr", data=body, headers=given, timeout=ANSWERED_S
        ).status_code
    except requests.Timeout:
        status = 0
    return status, time.monotonic() - begun


def break_off(cable: Cable, ways: tuple[Way, ...]) -> None:
    if ways:
        cable.swallow(*ways)
    else:
        cable.cut()


def obeys_elsewhere(
    office: Office, ways: tuple[Way, ...], planted: str = ""
) -> tuple[float, float]:
    """Cut off the machine that obeys, and mend that again.

    Return after how long another obeyed, and after how long who was cut off refused an event.
    """
    with cabled(office, planted=planted) as (two, cables):
        first = two.leads
        [other] = [name for name in two.all if name != first]
        break_off(cables[first], ways)
        begun = time.monotonic()
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(answer_of, two, first, 1, "msg_cut_off")
            two.tell(other, 2)
            two.closed(2, 20)
            over = time.monotonic() - begun
            status, took = asked.result()
        assert status == 503, "what may not be kept is not acknowledged"
        assert two.all[first].get(two.address[first], "/ready")[0] == 503
        assert office.opens(1), "nobody was told of it"

        cables[first].mend()
        two.tell(first, 1, id="msg_cut_off")
        two.closed(1, 30)
        two.tell(other, 3)
        two.closed(3, 30)
        assert two.leader([other]) == other
        assert all(one.stop()[0] == 0 for one in two.all.values())
    assert sorted(office.orders()) == ["p1", "p2", "p3"], "each event is obeyed once"
    assert not office.state.journal.unsettled()
    return over, took


@pytest.mark.case("C4")
@pytest.mark.parametrize(
    "ways",
    [
        pytest.param(WAYS, id="nothing-comes-through"),
        pytest.param(("to server",), id="nothing-to-the-server", marks=pytest.mark.long),
        pytest.param(("to client",), id="no-answers", marks=pytest.mark.long),
        pytest.param((), id="broken-off", marks=pytest.mark.long),
    ],
)
def test_another_obeys_while_the_one_that_did_is_cut_off_and_no_event_is_lost(
    office: Office, capsys: pytest.CaptureFixture[str], ways: tuple[Way, ...]
) -> None:
    office.sync()
    over, took = obeys_elsewhere(office, ways)
    told(
        capsys,
        f"cut off ({' and '.join(ways) or 'RST'}): another obeyed after {over:.1f} s, an event "
        f"told to who was cut off was refused after {took:.1f} s",
    )


WAITS_FOR_EVER = """
import idsync.service.hearing, idsync.store.postgres, idsync.store.sessions
idsync.store.postgres.PATIENCE["connect_timeout"] = 600
idsync.service.hearing.KEPT_S = 600
idsync.store.sessions.SIGN_S = idsync.store.sessions.Session.sign_s = 600
"""
NEVER_TAKES_OVER = """
import idsync.store.turns as turns
turns.END_SILENT = turns.text("SELECT 1 WHERE :lock + :silent < 0 AND :beats = ''")
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "told_of"), [(WAITS_FOR_EVER, "acknowledged"), (NEVER_TAKES_OVER, "gets in")]
)
def test_a_program_that_waits_for_ever_or_takes_nothing_over_is_found_out(
    office: Office, fault: str, told_of: str
) -> None:
    office.sync()
    with pytest.raises(AssertionError, match=told_of):
        obeys_elsewhere(office, WAYS, fault)


@pytest.mark.case("C3", "C4")
@pytest.mark.long
@pytest.mark.parametrize("ways", [WAYS, ("to server",), ("to client",)])
def test_a_night_whose_machine_is_cut_off_is_run_by_another(
    office: Office,
    postgres_database: Database,
    capsys: pytest.CaptureFixture[str],
    ways: tuple[Way, ...],
) -> None:
    let_a_night_be_due(office.town)
    with cabled(office, planted=SLOW) as (two, cables):
        beginner, other = who_begins(two)
        wait_for(postgres_database, 1)
        cables[beginner].swallow(*ways)
        begun = time.monotonic()
        two.all[other].until("night ended", 120)
        took = time.monotonic() - begun
        written = writes(office)
        cables[beginner].mend()
        assert two.all[beginner].stop()[0] == 0
        two.all[beginner].until("ended")
        assert not two.all[beginner].has_said("night ended")
        assert writes(office) == written, "whoever was cut off went on when it was back"
        [night] = office.state.nights.last(1)
        assert night.outcome == "applied"
        assert two.all[other].stop()[0] == 0
    told(capsys, f"nothing {' and '.join(ways)}: a night was over elsewhere after {took:.1f} s")
    assert all(office.opens(i) for i in range(PEOPLE))
