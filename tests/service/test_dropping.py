"""Lists that are dropped into a folder end access, whole, and once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from idsync.config import Config, load
from idsync.errors import ConfigError
from idsync.service.dropping import take_lists
from idsync.store import State, open_state
from tests.service.test_serving import add, served
from tests.whole.test_main_job import by_key, rights
from tests.whole.town import Town

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)
LATER = datetime(2026, 10, 1, 7, tzinfo=UTC)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path / "en stad", people=12)
    made.write()
    made.json("sync", code=0)
    add(made, '\n[serve]\nurgent = "var/urgent"\n')
    (made.folder / "var" / "urgent").mkdir()
    return made


@pytest.fixture
def opened(town: Town) -> Iterator[tuple[Config, State]]:
    config = load(town.folder / "connectors.toml")
    state = open_state(config.idsync.state, witness=config.idsync.witness)
    yield config, state
    state.close()


@pytest.fixture
def drop(town: Town) -> Callable[..., Path]:
    def dropped(text: str, name: str = "lista.csv", *, age: float = 10, mode: int = 0o640) -> Path:
        file = town.folder / "var" / "urgent" / name
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
        then = time.time() - age
        os.utime(file, (then, then))
        return file

    return dropped


def endings(town: Town) -> list[str]:
    """Return what the files in the folder end in."""
    names = sorted(entry.name for entry in (town.folder / "var" / "urgent").iterdir())
    return [name.rpartition(".")[2] for name in names]


def test_everybody_in_a_list_has_an_order_and_lines_of_nobody_are_told_beside_it(
    town: Town, opened: tuple[Config, State], drop: Callable[..., Path]
) -> None:
    config, state = opened
    drop("person\n200001\n999999\n200003\n")
    [taken] = list(take_lists(config, state, lambda: NOW))
    assert (taken.orders, [one.line for one in taken.unknown], taken.refused) == (2, [3], "")
    standing = state.orders.revocations()
    assert {(one.reason, one.ordered_by) for one in standing} == {
        ("urgent list", "root" if os.getuid() == 0 else standing[0].ordered_by)
    }
    assert len(standing) == 2
    assert endings(town) == ["done", "unknown"]
    [told] = (town.folder / "var" / "urgent").glob("*.unknown")
    assert told.read_text(encoding="utf-8").startswith("line 3: nobody is known by this")
    assert "999999" not in told.read_text(encoding="utf-8")
    assert list(take_lists(config, state, lambda: NOW)) == []


def test_a_list_that_names_employments_ends_those_alone(
    opened: tuple[Config, State], drop: Callable[..., Path]
) -> None:
    config, state = opened
    drop("person;employment\n200001;e1\n200003;e1\n200005;\n")
    [taken] = list(take_lists(config, state, lambda: NOW))
    assert (taken.orders, [one.line for one in taken.unknown]) == (2, [3])
    assert [one.employment for one in state.orders.revocations()] == ["hr:e1", None]


def test_a_list_of_a_run_that_died_is_taken_up_and_gives_the_same_orders(
    town: Town, opened: tuple[Config, State], drop: Callable[..., Path]
) -> None:
    config, state = opened
    drop("200001\n")
    list(take_lists(config, state, lambda: NOW))
    [done] = (town.folder / "var" / "urgent").iterdir()
    done.rename(done.with_suffix(".taking"))  # the machine died before the last renaming
    drop("200003\n")  # and there is another list of the same name by now
    assert [one.orders for one in take_lists(config, state, lambda: LATER)] == [1, 1]
    assert len(state.orders.revocations()) == 2
    assert endings(town) == ["done", "done"]


def test_a_list_that_is_still_written_to_waits(
    town: Town, opened: tuple[Config, State], drop: Callable[..., Path]
) -> None:
    drop("200001\n", age=0)
    drop("200003\n", "lista.csv.part")
    drop("200003\n", ".lista.csv")
    assert list(take_lists(*opened, lambda: NOW)) == []
    assert opened[1].orders.revocations() == []
    assert endings(town) == ["csv", "csv", "part"]


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [("", 0o640, "names nobody"), ("200001\n", 0o646, "anybody may write to it")],
)
def test_a_list_that_cannot_be_taken_is_put_aside_and_says_why(
    town: Town, opened: tuple[Config, State], drop: Callable[..., Path], text: str, mode: int,
    said: str,
) -> None:  # fmt: skip
    drop(text, "Åsa Öberg.csv", mode=mode)
    [taken] = list(take_lists(*opened, lambda: NOW))
    assert said in taken.refused
    assert "Öberg" not in taken.refused, "its name may be a person's"
    assert opened[1].orders.revocations() == []
    assert endings(town) == ["refused", "why"]


def test_a_link_is_not_followed(town: Town, opened: tuple[Config, State], tmp_path: Path) -> None:
    (tmp_path / "annan.csv").write_text("200001\n", encoding="utf-8")
    link = town.folder / "var" / "urgent" / "lista.csv"
    link.symlink_to(tmp_path / "annan.csv")
    os.utime(link, (1, 1), follow_symlinks=False)
    [taken] = list(take_lists(*opened, lambda: NOW))
    assert "symbolic link" in taken.refused
    assert opened[1].orders.revocations() == []


def test_a_folder_that_is_not_there_is_told(town: Town, opened: tuple[Config, State]) -> None:
    (town.folder / "var" / "urgent").rmdir()
    with pytest.raises(ConfigError, match=r"\[serve\] urgent cannot be read"):
        list(take_lists(*opened, lambda: NOW))


def test_without_a_folder_nothing_is_looked_for(town: Town) -> None:
    file = town.folder / "connectors.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("urgent =", "# urgent ="))
    config = load(file)
    state = open_state(config.idsync.state, witness=config.idsync.witness)
    assert list(take_lists(config, state, lambda: NOW)) == []
    state.close()


def test_a_service_takes_a_list_and_closes_within_seconds(
    town: Town, drop: Callable[..., Path]
) -> None:
    with served(town) as service:
        service.until("serving")
        drop("200001\n999999\n")
        told = service.until("urgent list")
        assert (told["orders"], told["lines_of_nobody"], told["level"]) == (1, [2], "warning")
        for _ in range(2):  # systems
            assert service.until("revocation pursued")["outcome"] in ("confirmed", "nothing")
        assert service.stop()[0] == 0
    held = (by_key(holders).get("200001") for holders in town.doors().values())
    assert not any(rights(one) for one in held if one is not None)
