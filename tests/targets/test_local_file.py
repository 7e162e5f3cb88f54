"""The file of the local access system: how it begins, and what damage looks like."""

from __future__ import annotations

import re
import sqlite3
import threading
import tomllib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from idsync.errors import ConfigError, Incomplete, Unavailable
from idsync.model import Cardholder, Change, Credential, Grant
from idsync.targets.local import LocalTarget
from tests.targets.local import put, write_initial

MAY = datetime(2031, 5, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "city hall å#%.db"


@pytest.fixture
def target(path: Path) -> LocalTarget:
    return LocalTarget(LocalTarget.Config(path=path, create=True))


@pytest.fixture
def initial(tmp_path: Path) -> Path:
    return write_initial(tmp_path)


# ── the file ────────────────────────────────────────────────────────────────────────────


def test_a_missing_file_is_not_an_empty_system(path: Path) -> None:
    target = LocalTarget(LocalTarget.Config(path=path))
    calls: list[Callable[[], object]] = [
        lambda: list(target.read()),
        lambda: target.read_one("1001"),
        lambda: put(target, Cardholder(key="1001")),
    ]
    for call in calls:
        with pytest.raises(Unavailable, match="check path, or create = true"):
            call()
    assert not path.parent.exists()


def test_the_initial_content_gives_leave_to_create(path: Path, initial: Path) -> None:
    target = LocalTarget(LocalTarget.Config(path=path, initial=initial, create=False))
    with pytest.raises(Unavailable, match="no access system"):
        list(target.read())
    assert list(LocalTarget(LocalTarget.Config(path=path, initial=initial)).read())


def test_reading_makes_no_file(path: Path, initial: Path) -> None:
    target = LocalTarget(LocalTarget.Config(path=path, initial=initial))
    assert [each.native_id for each in target.read()] == ["N1", "N2", "", ""]
    assert target.read_one("1001")
    assert not path.parent.exists()


def test_the_initial_content_is_read_as_it_stands(path: Path, initial: Path) -> None:
    asa, cleaner, *tags = LocalTarget(LocalTarget.Config(path=path, initial=initial)).read()
    assert (asa.display_name, asa.mail) == ("Åsa Öberg", "")
    assert asa.credentials == (Credential(number="7001", medium="tag", state="lost"),)
    assert asa.grants == (Grant(ref="FSK-ENTRE", valid_from=MAY),)
    [because] = asa.grants[0].because
    assert (because.type, because.ref) == ("imported", "migrated")
    assert (cleaner.key, cleaner.status) == (None, "suspended")
    assert tags == [
        Cardholder(key=None, credentials=(Credential(number="7001"),)),
        Cardholder(key=None, credentials=(Credential(number="7002"),)),
    ]


def test_the_first_put_makes_the_file_with_what_was_there(path: Path, initial: Path) -> None:
    target = LocalTarget(LocalTarget.Config(path=path, initial=initial))
    before = list(target.read())
    put(target, Cardholder(key="1002"))
    initial.unlink()
    assert [each for each in target.read() if each.key != "1002"] == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_nobody_else_may_read_the_file(path: Path, target: LocalTarget) -> None:
    put(target, Cardholder(key="1001"))
    assert path.stat().st_mode & 0o077 == 0


def test_many_first_puts_at_once_lose_nothing(path: Path, initial: Path) -> None:
    def one(number: int) -> None:
        target = LocalTarget(LocalTarget.Config(path=path, initial=initial))
        put(target, Cardholder(key=f"200{number}"))

    threads = [threading.Thread(target=one, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    keys = {each.key for each in LocalTarget(LocalTarget.Config(path=path)).read()}
    assert keys == {"1001", None, *(f"200{number}" for number in range(8))}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 4: the line"),
        ('{"key": "1", "grnats": []}', "line 4: grnats"),
        ('{"key": ""}', "line 4: key"),
        ('{"key": "1001"}', "line 4: its key or native_id came before"),
        ('{"key": "1", "grants": [{"ref": "A", "valid_to": "2031-05-01"}]}', "line 4: grants.0"),
        (
            '{"key": "1", "credentials": [{"number": "7", "state": "Hemlig"}]}',
            "credentials.0.state",
        ),
    ],
)
def test_wrong_initial_content_is_named_by_line_and_field_and_never_shown(
    path: Path, initial: Path, line: str, complaint: str
) -> None:
    initial.write_text(initial.read_text() + line + "\n")
    target = LocalTarget(LocalTarget.Config(path=path, initial=initial))
    with pytest.raises(ConfigError, match=complaint) as error:
        list(target.read())
    assert "Hemlig" not in str(error.value)
    with pytest.raises(ConfigError):
        target.put(Change(before=None, after=Cardholder(key="1002")))
    assert not list(path.parent.iterdir())


def test_initial_content_that_is_gone_is_not_an_empty_system(path: Path, tmp_path: Path) -> None:
    target = LocalTarget(LocalTarget.Config(path=path, initial=tmp_path / "gone.ndjson"))
    with pytest.raises(ConfigError, match="check initial"):
        list(target.read())


def test_settings_are_checked_and_lie_beside_the_configuration(tmp_path: Path) -> None:
    config = LocalTarget.Config.model_validate(
        {"path": "var/a.db", "initial": "a.ndjson"}, context={"folder": tmp_path}
    )
    assert (config.path, config.initial) == (tmp_path / "var/a.db", tmp_path / "a.ndjson")
    with pytest.raises(ValidationError):
        LocalTarget.Config.model_validate({"path": "a.db", "rights": "some"})


def test_the_examples_of_the_page_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs/targets/local.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    settings = tomllib.loads(blocks["toml"])["targets"]["cityhall"]
    del settings["type"]
    initial = tmp_path / settings["initial"]
    initial.parent.mkdir(parents=True)
    initial.write_text(blocks["json"], encoding="utf-8")
    target = LocalTarget(LocalTarget.Config.model_validate(settings, context={"folder": tmp_path}))
    put(target, Cardholder(key="10418"))
    monkeypatch.chdir(tmp_path)
    exec(blocks["python"], {})  # the page's own program
    asa, cleaner = (each for each in target.read() if each.native_id in ("N1", "N2"))
    assert [card.number for card in asa.credentials] == ["70001", "70002"]
    assert [grant.ref for grant in asa.grants] == ["FSK-ENTRE"]
    assert cleaner.display_name == "Städ kväll"


# ── damage ──────────────────────────────────────────────────────────────────────────────


def _damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    path.unlink()
    match how:
        case "empty":
            path.touch()
        case "text":
            path.write_text("not a database, but long enough to look like one" * 99)
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "overwritten":
            path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
        case "another":
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("CREATE TABLE holder (native_id, key)")
        case "folder":
            path.mkdir()


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "overwritten", "another", "folder"])
def test_a_damaged_file_is_unavailable_and_never_a_short_answer(
    damage: str, path: Path, target: LocalTarget
) -> None:
    for number in range(30):
        put(target, Cardholder(key=str(number), grants=(Grant(ref="A"), Grant(ref="B"))))
    _damage(path, damage)
    with pytest.raises(Unavailable, match=r"check|restore"):
        list(target.read())


def test_a_row_that_belongs_to_nobody_makes_a_read_incomplete(
    path: Path, target: LocalTarget
) -> None:
    put(target, Cardholder(key="1001", grants=(Grant(ref="A"),)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM holder")
    with pytest.raises(Incomplete, match=r"0 grants, but counts 0, 0 and 1"):
        list(target.read())


def test_a_damaged_value_is_unavailable_and_not_shown(path: Path, target: LocalTarget) -> None:
    put(target, Cardholder(key="1001", credentials=(Credential(number="7001"),)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE card SET state = 'Hemlig'")
    with pytest.raises(Unavailable, match=r"damaged values in 0\.state") as error:
        list(target.read())
    assert "Hemlig" not in str(error.value)


def test_a_file_that_goes_away_is_unavailable_at_once(path: Path, target: LocalTarget) -> None:
    put(target, Cardholder(key="1001"))
    path.rename(path.with_suffix(".away"))
    with pytest.raises(Unavailable, match="has gone"):
        target.read_one("1001")


def test_a_busy_system_is_unavailable_and_keeps_nothing(
    path: Path, target: LocalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(target, Cardholder(key="1001"))
    monkeypatch.setattr("idsync.targets.local_system.store.BUSY_MS", 50)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="SQLITE_BUSY"):
            target.put(Change(before=None, after=Cardholder(key="1002")))
        assert target.read_one("1001"), "reading goes on while another writes"
    assert target.read_one("1002") is None


def test_a_read_shows_one_moment(target: LocalTarget) -> None:
    for number in range(50):
        put(target, Cardholder(key=str(number)))
    reading = target.read()
    next(reading)
    put(target, Cardholder(key="later"))
    assert len([*reading]) == 49
    assert len([*target.read()]) == 51
