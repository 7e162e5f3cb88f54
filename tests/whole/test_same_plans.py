"""The same history gives the same plans, whichever database remembers it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from idsync.config import Config, load
from idsync.service.applying import clock, sync
from idsync.service.looking import look
from idsync.service.pursuing import pursue
from idsync.store import State, open_state
from tests.whole.town import Town

pytest_plugins = ("tests.servers.state_fixtures",)

INSTANCE = "11111111-1111-1111-1111-111111111111"
PEOPLE = 16


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str) -> Iterator[list[tuple[Town, Config, State]]]:
    """Two equal towns, one with its state in a file and one in PostgreSQL."""
    made = []
    for name in ("i en fil", "i postgres"):
        town = Town(tmp_path / name / "stad", people=PEOPLE)
        town.write()
        config = load(town.folder / "connectors.toml")
        url = config.idsync.state if name == "i en fil" else postgres_url
        made.append((town, config, open_state(url, instance=INSTANCE)))
    yield made
    for _, _, state in made:
        state.close()


def _step(dice: random.Random, town: Town, config: Config, state: State) -> None:
    town.leavers = {dice.randrange(PEOPLE) for _ in range(dice.randrange(3))}
    town.write_hr()
    person = str(state.frames.load("person", pl.Schema({"id": pl.String()}))["id"].sort()[3])
    if dice.random() < 0.5:
        state.orders.revoke(person, "uppsagd", "hr", clock())
        pursue(config, state, clock)
    elif dice.random() < 0.5:
        state.orders.lift(person, "misstag", "hr", clock())


@pytest.mark.postgres
@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_history_gives_the_same_plans_in_both_databases(
    pair: list[tuple[Town, Config, State]], seed: int
) -> None:
    dice = [random.Random(seed), random.Random(seed)]
    for number in range(4):
        plans = []
        for (town, config, state), die in zip(pair, dice, strict=True):
            if number:
                _step(die, town, config, state)
            plans.append(look(config, state, clock(), lambda _: None).plan)
        first, second = plans
        assert first.items.write_ndjson() == second.items.write_ndjson()
        assert first.digest == second.digest
        assert first.items.height or number, "something is planned"
        for _, config, state in pair:
            sync(config, state, lambda _: None)
    (one, _, _), (other, _, _) = pair
    assert one.doors() == other.doors()
