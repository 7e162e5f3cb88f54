"""Bulk facts come back as they were saved, whole or one person at a time."""

from __future__ import annotations

import io
import weakref
from datetime import UTC, datetime

import polars as pl
import pytest
from sqlalchemy import delete, select, update

from idsync.errors import IntegrityError
from idsync.store import State, frames, open_state
from idsync.store.frames import part_values
from idsync.store.tables import part

pytest_plugins = ("tests.servers.state_fixtures",)

COLUMNS = pl.Schema(
    {"person_id": pl.String(), "unit": pl.String(), "valid_to": pl.Datetime("us", "UTC")}
)


def table(*rows: tuple[str, str | None]) -> pl.DataFrame:
    end = datetime(2026, 10, 1, tzinfo=UTC)
    return pl.DataFrame([(*row, end) for row in rows], schema=COLUMNS, orient="row")


def save(state: State, name: str, frame: pl.DataFrame) -> None:
    with state.engine.begin() as connection:
        state.frames.save(connection, name, frame)


def parts(state: State, name: str) -> int:
    with state.engine.connect() as connection:
        return len(connection.execute(select(part.c.number).where(part.c.frame == name)).all())


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of three rows, so that a small table has several."""
    monkeypatch.setattr(frames, "PART_ROWS", 3)


def test_a_frame_comes_back_sorted_by_its_first_column(state: State) -> None:
    save(state, "person", table(("ö", "Ängen"), ("a", None), ("å", "")))
    held = state.frames.load("person", COLUMNS)
    assert held.equals(table(("a", None), ("å", ""), ("ö", "Ängen")))


def test_a_frame_never_saved_has_no_rows(state: State) -> None:
    assert state.frames.load("person", COLUMNS).equals(pl.DataFrame(schema=COLUMNS))
    assert state.frames.load_one("person", COLUMNS, "a").height == 0


def test_what_an_older_version_stored_as_a_file_is_read(state: State) -> None:
    rows = table(("a", "Ängen"), ("b", None))
    save(state, "person", rows)
    buffer = io.BytesIO()
    rows.write_ipc(buffer, compression="lz4")
    values = part_values("person", 0, 2, rows["person_id"], buffer.getvalue())
    with state.engine.begin() as connection:
        connection.execute(update(part).values(**values))
    assert state.frames.load("person", COLUMNS).equals(rows)
    assert state.frames.load_one("person", COLUMNS, "b").height == 1


def test_where_nothing_is_kept_nothing_is_let_go(state: State) -> None:
    save(state, "person", table(("a", "x")))
    state.frames.drop_changed()
    assert state.frames.load("person", COLUMNS).height == 1


def test_saving_replaces(state: State) -> None:
    save(state, "person", table(("a", "x"), ("b", "x")))
    save(state, "other", table(("a", "y")))
    save(state, "person", table(("c", "z")))
    assert state.frames.load("person", COLUMNS)["person_id"].to_list() == ["c"]
    assert state.frames.load("other", COLUMNS)["unit"].to_list() == ["y"]
    save(state, "person", table())
    assert state.frames.load("person", COLUMNS).equals(pl.DataFrame(schema=COLUMNS))


def test_a_save_that_is_rolled_back_leaves_the_frame_as_it_was(state: State) -> None:
    save(state, "person", table(("a", "x")))
    with pytest.raises(RuntimeError), state.engine.begin() as connection:
        state.frames.save(connection, "person", table(("b", "y")))
        raise RuntimeError
    assert state.frames.load("person", COLUMNS)["person_id"].to_list() == ["a"]


@pytest.mark.usefixtures("small_parts")
def test_a_large_frame_has_parts_and_comes_back_whole(state: State) -> None:
    rows = [(f"p{row:03}", str(row)) for row in range(20)]
    save(state, "person", table(*rows[::-1]))
    assert parts(state, "person") == 7
    assert state.frames.load("person", COLUMNS).equals(table(*rows))


@pytest.mark.usefixtures("small_parts")
def test_one_person_is_found_also_across_parts(state: State) -> None:
    rows = [("B", "0"), ("a", "1"), ("b", "1"), ("b", "2"), ("b", "3"), ("b", "4"), ("b\0", "5"),
            ("ä", "6"), ("å", "7"), ("ö", "8")]  # fmt: skip
    save(state, "person", table(*rows))
    for who in ("A", "B", "a", "b", "b\0", "b\0\0", "ä", "å", "ö", "c", ""):
        units = [unit for one, unit in rows if one == who]
        assert state.frames.load_one("person", COLUMNS, who)["unit"].to_list() == units


@pytest.mark.usefixtures("small_parts")
def test_one_person_is_found_without_reading_the_other_parts(state: State) -> None:
    save(state, "person", table(*((f"p{row}", "x") for row in range(9))))
    with state.engine.begin() as connection:
        connection.execute(update(part).where(part.c.number != 1).values(data=b"damaged"))
    assert state.frames.load_one("person", COLUMNS, "p4").height == 1
    with pytest.raises(IntegrityError):
        state.frames.load_one("person", COLUMNS, "p8")


STREAM, FILE = b"\xff\xff\xff\xff", b"ARROW1\x00\x00"


@pytest.mark.parametrize(
    "damage", [b"", b"damaged", FILE + b"\xff" * 64, STREAM, STREAM + b"\x00" * 64]
)
def test_a_damaged_part_is_said_to_be_damaged(state: State, damage: bytes) -> None:
    save(state, "person", table(("a", "Hemlig")))
    with state.engine.begin() as connection:
        connection.execute(update(part).values(data=damage))
    with pytest.raises(IntegrityError, match="damaged"):
        state.frames.load("person", COLUMNS)


def test_a_part_that_was_cut_is_damaged(state: State) -> None:
    save(state, "person", table(*((f"p{row}", "x") for row in range(500))))
    with state.engine.begin() as connection:
        whole = connection.execute(select(part.c.data)).scalar_one()
        connection.execute(update(part).values(data=whole[: len(whole) // 2]))
    with pytest.raises(IntegrityError):
        state.frames.load("person", COLUMNS)


def test_a_part_of_another_table_is_damaged(state: State) -> None:
    save(state, "person", pl.DataFrame({"person_id": ["a"], "other": ["b"]}))
    with pytest.raises(IntegrityError):
        state.frames.load("person", COLUMNS)


def test_names_are_listed_by_their_beginning(state: State) -> None:
    for name in ("read:hr:persons", "read:lms:trainings", "person"):
        save(state, name, table(("a", "x")))
    assert state.frames.names("read:") == ["read:hr:persons", "read:lms:trainings"]
    with state.engine.begin() as connection:
        connection.execute(delete(part))
    assert state.frames.names("") == []


# ── kept in memory ──────────────────────────────────────────────────────────────────────


def test_what_is_kept_is_what_stands_there_whoever_wrote_it(
    state: State, state_url: str, small_parts: None
) -> None:
    state.frames.keep(1_000_000)
    save(state, "person", table(("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")))
    first = state.frames.load("person", COLUMNS)
    assert state.frames.load("person", COLUMNS) is first
    narrow = pl.Schema({"person_id": pl.String()})
    assert state.frames.load("person", narrow).columns == ["person_id"]
    other = open_state(state_url)
    save(other, "person", table(("a", "1"), ("b", "1"), ("c", "1"), ("d", "2")))
    assert other.frames.load("person", COLUMNS)["unit"].to_list() == ["1", "1", "1", "2"]
    assert state.frames.load("person", COLUMNS)["unit"].to_list() == ["1", "1", "1", "2"]
    with other.engine.begin() as connection:
        connection.execute(delete(part).where(part.c.frame == "person", part.c.number == 1))
    assert state.frames.load("person", COLUMNS).height == 3
    assert state.frames.load("nothing", COLUMNS).is_empty()
    other.close()


def test_who_was_erased_is_let_go_of_though_nobody_asks_for_them(
    state: State,
) -> None:
    state.frames.keep(1_000_000)
    save(state, "person", table(("a", "1")))
    save(state, "face", table(("a", "1")))
    kept = [weakref.ref(state.frames.load(name, COLUMNS)) for name in ("person", "face")]
    save(state, "person", table(("b", "1")))
    state.frames.drop_changed()
    assert [one() is None for one in kept] == [True, False]


def test_what_is_too_large_is_read_each_time(state: State) -> None:
    save(state, "person", table(("a", "1")))
    state.frames.keep(8)
    first = state.frames.load("person", COLUMNS)
    again = state.frames.load("person", COLUMNS)
    assert first is not again
    assert first.equals(again)


def test_a_part_that_is_damaged_is_refused_when_it_is_read(state: State) -> None:
    state.frames.keep(1_000_000)
    save(state, "person", table(("a", "1")))
    with state.engine.begin() as connection:
        connection.execute(update(part).values(low="b"))
    with pytest.raises(IntegrityError):
        state.frames.load("person", COLUMNS)
