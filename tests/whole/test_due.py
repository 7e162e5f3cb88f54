"""A system without dates: its changes come on the day, also with every source down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from idsync.config import Config, connect_target, load
from idsync.errors import ConfigError
from idsync.service import applying
from idsync.service.applying import Run, sync
from idsync.service.nightly import Nightly, Ran
from idsync.service.waiting import due
from idsync.store import State, open_state
from tests.fakes.scim import TOKEN, FakeScim

CONFIG = """
[idsync]
state = "sqlite:///var/idsync.db"
ahead_days = 30

[sources.hr]
type = "csv"
kind = "employments"
path = "hr.csv"
map = {{ key = "a", person_key = "b", employee_number = "c", valid_from = "d", valid_to = "e" }}

[targets.hall]
type = "scim"
url = "{url}"
token = {{ env = "SCIM_TOKEN" }}
key = "employee_number"

[[profiles]]
id = "alla"
name = "Alla"
grants = {{ hall = ["ENTRE"] }}

[[rules]]
profile = "alla"
when = {{}}
"""
MIDNIGHT = datetime(2026, 12, 1, 23, tzinfo=UTC)  # in Stockholm the second of December begins
BEFORE, AFTER = MIDNIGHT - timedelta(hours=2), MIDNIGHT + timedelta(minutes=1)


class Clock:
    now = BEFORE

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(applying, "clock", made)
    return made


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Config, State]]:
    monkeypatch.setenv("SCIM_TOKEN", TOKEN)
    fake = FakeScim()
    fake.group("ENTRE")
    file = tmp_path / "connectors.toml"
    file.write_text(CONFIG.format(url=fake.url), encoding="utf-8")
    rows = ["a,b,c,d,e", "e1,p1,1001,2020-01-01,2026-12-01", "e2,p2,1002,2026-12-02,"]
    (tmp_path / "hr.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    config = load(file)
    state = open_state(config.idsync.state)
    yield config, state
    state.close()
    fake.close()


def holding(config: Config) -> set[str | None]:
    target = connect_target(config.targets["hall"])
    found = {holder.key for holder in target.read() if holder.grants}
    target.close()
    return found


def run(config: Config, state: State, *, sources: bool = True) -> Run:
    return sync(config, state, lambda _: None, sources=sources)


def test_what_is_due_is_done_on_its_day_with_the_source_gone(
    hall: tuple[Config, State], clock: Clock
) -> None:
    config, state = hall
    run(config, state)
    assert holding(config) == {"1001"}
    [told] = due(config, state, clock())
    assert (told.now, told.later, told.next) == (0, 2, MIDNIGHT)

    (config.folder / "hr.csv").unlink()
    early = run(config, state, sources=False)
    assert early.writes == 0, "something happened before its day"
    clock.now = AFTER
    assert due(config, state, clock())[0].now == 2
    on_the_day = run(config, state, sources=False)
    assert on_the_day.outcome == "applied"
    assert holding(config) == {"1002"}
    assert run(config, state, sources=False).writes == 0
    assert due(config, state, clock()) == []


def test_what_is_due_is_not_asked_of_a_state_that_knows_nobody(
    hall: tuple[Config, State], clock: Clock
) -> None:
    with pytest.raises(ConfigError, match="no source has ever been accepted"):
        run(*hall, sources=False)


def test_the_service_acts_on_a_date_at_the_tick_after_it_with_the_source_gone(
    hall: tuple[Config, State], clock: Clock
) -> None:
    config, state = hall
    run(config, state)
    (config.folder / "hr.csv").unlink()
    runs: list[tuple[datetime, bool]] = []

    def noted(sources: bool) -> Ran:
        runs.append((clock.now, sources))
        done = run(config, state, sources=sources)
        return Ran(outcome=done.outcome, run=done.number)

    nightly = Nightly(state, clock, noted, "a machine", lambda *_, **__: None)
    nightly.begin(config)
    clock.now = MIDNIGHT - timedelta(minutes=5)
    while clock.now < AFTER + timedelta(minutes=30):
        nightly.tick(config)
        clock.now += timedelta(seconds=30)
    assert runs == [(MIDNIGHT, False)]
    assert holding(config) == {"1002"}
