"""Killed at any step, and run again: doors, ledger and orders are as without the kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.city import ENV, Small
from tests.forks import Forks
from tests.servers.postgres import Database

pytest_plugins = ("tests.servers.state_fixtures",)

SHORT_KILLS = {True: 3, False: 5}
"""At how many steps of each scenario, by whether the state is in a server, the short form kills.

The long form kills at all of them, and before and after calls that only ask, too.
"""

CALLS_OF_ONE = 4
"""How many calls one operation may be made of, in the most talkative of the systems."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as waiting:
        yield waiting


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def small(
    request: pytest.FixtureRequest, tmp_path: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Small]:
    database: Database | None = None
    if request.param == "postgresql":
        request.getfixturevalue("postgres_url")
        database = request.getfixturevalue("postgres_database")
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    made = Small(tmp_path / "stad åäö", forks, database=database)
    yield made
    made.close()


# ── what happens in the city ────────────────────────────────────────────────────────────


def nothing_yet(city: Small) -> tuple[str, ...]:
    return ("sync",)


def a_busy_night(city: Small) -> tuple[str, ...]:
    """One leaves, one moves, one comes, and somebody is to leave on a day to come."""
    city.do("sync")
    city.people[0] = ("Hamn / Kaj", "2026-01-31")
    city.people[1] = ("Hamn / Kaj", "")
    city.people[3] = ("Skola / Norr", "2031-06-30")
    city.people[6] = ("Skola / Norr", "")
    city.write()
    return ("sync",)


def a_saved_plan(city: Small) -> tuple[str, ...]:
    a_busy_night(city)
    city.do("plan", "--save", "natt.plan")
    return ("apply", "natt.plan")


def somebody_is_revoked(city: Small) -> tuple[str, ...]:
    city.do("sync")
    return ("revoke", "102", "--reason", "uppsagd")


def one_employment_is_ended(city: Small) -> tuple[str, ...]:
    city.second[2] = "Skola / Norr"
    city.write()
    city.do("sync")
    return ("revoke", "102", "--employment", "e2", "--reason", "uppdraget slut")


def something_is_approved(city: Small) -> tuple[str, ...]:
    city.do("sync")
    city.limit = 0
    city.people[0] = ("Hamn / Kaj", "2026-01-31")
    city.write()
    [part, *_] = city.do("sync", code=3)["held"]
    return ("approve", part["digest"], "--reason", "stämmer")


Scenario = Callable[[Small], tuple[str, ...]]
SCENARIOS: list[Scenario] = [
    nothing_yet, a_busy_night, a_saved_plan, somebody_is_revoked, something_is_approved,
]  # fmt: skip


def kills(steps: int, most: int) -> list[int]:
    """Return at which of *steps* steps to kill: at *most* so many, spread from first to last."""
    if steps <= most:
        return list(range(1, steps + 1))
    return sorted({1 + round(i * (steps - 1) / (most - 1)) for i in range(most)})


Picture = tuple[dict[str, list[str]], dict[str, list[tuple[object, ...]]]]


@dataclass(frozen=True, kw_only=True)
class End:
    """How a scenario ends: what is to be seen, and everything that was sent for it."""

    picture: Picture
    calls: Counter[str]
    events: Counter[str]


def settled(city: Small, codes: tuple[int, ...] = (0, 3)) -> End:
    """Run until nothing is left to do, which the first run must manage; return how it is."""
    first = city.run("sync")
    assert first.code in codes, first
    second = city.run("sync", "--json")
    assert second.document["writes"] == 0, second
    return End(picture=(city.doors(), city.ledger()), calls=city.calls(), events=city.events())


def sweep(city: Small, scenario: Scenario, *, long: bool) -> int:
    """Kill *scenario* at its steps, and hold each to how it ends unkilled; return how many."""
    words = scenario(city)
    before = city.save()
    never = settled(city)
    city.put_back(before)
    whole = city.run(*words, reads=long)
    assert whole.code == 0, whole
    done = settled(city)
    chosen = kills(whole.steps, whole.steps if long else SHORT_KILLS[bool(city.database)])
    for step in chosen:
        city.put_back(before)
        ran = city.run(*words, kill_at=step, reads=long)
        # several lanes are not always equally quick: a run may have a step or two less
        assert ran.killed or step > whole.steps - 3, (step, ran)
        where = f"killed at step {step} of {whole.steps}"
        left_open = city.open_operations()
        ordered = bool(city.orders()) or bool(city.approved())
        end = settled(city)
        wanted = done if ordered or words[0] in ("sync", "apply") else never
        assert end.picture == wanted.picture, where
        assert city.open_operations() == 0, where
        extra = end.calls - wanted.calls
        assert extra.total() <= left_open * CALLS_OF_ONE, (where, extra, left_open)
        assert end.events == wanted.events, f"{where}: something was done twice"
    return len(chosen)


@pytest.mark.case("J1", "J2")
@pytest.mark.parametrize(
    "scenario",
    [*SCENARIOS, pytest.param(one_employment_is_ended, marks=pytest.mark.long)],
    ids=lambda one: one.__name__,
)
def test_killed_at_any_step_the_next_run_ends_as_without_the_kill(
    small: Small, scenario: Scenario, request: pytest.FixtureRequest
) -> None:
    assert sweep(small, scenario, long=request.config.getoption("--long")) >= 2
