"""A damaged state is refused, and never read as something else."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select, update

from idsync.errors import IdsyncError, IntegrityError
from idsync.plan.items import LEDGER
from idsync.store import State, open_state
from idsync.store.tables import journal, part, revocation
from tests.plan.examples import ENTRE, NOW, grant, owned
from tests.store.test_journal import adds, done, intend, takes, told

pytest_plugins = ("tests.servers.state_fixtures",)

DAMAGES, SEED = 80, 7


def lived_in(state: State, people: int = 60) -> None:
    """Let something of every kind stand in *state*."""
    rows = [(number, grant(ENTRE)) for number in range(people)]
    with state.engine.begin() as connection:
        state.journal.adopt(connection, "hall", owned(*rows))
        state.remember(connection, "adopted:hall", NOW.isoformat())
    done(state, *(takes(key=f"n{number}") for number in range(0, people, 7)))
    state.journal.fold(["hall"])
    done(state, adds("KÖK", "n1"), adds("KÖK", "n2"))
    intend(state, adds("KÖK", "n3"))
    for number in range(4):
        state.orders.revoke(f"id-{number}", "uppsagd", "hr", NOW)
    state.orders.lift("id-3", "misstag", "hr", NOW)


def said(state: State) -> dict[str, Any]:
    """What a run acts on."""
    return {
        "ledger": told(state.journal.ledger("hall")),
        "open": [(one.id, one.items.rows()) for one in state.journal.unsettled()],
        "revoked": [one.person_id for one in state.orders.revocations()],
    }


@pytest.fixture
def sound(file: Path) -> bytes:
    """The bytes of a state whose log is written back."""
    state = open_state(f"sqlite:///{file}")
    lived_in(state)
    state.close()
    bare = sqlite3.connect(file)
    bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    bare.execute("PRAGMA journal_mode = DELETE")
    bare.close()
    return file.read_bytes()


def _after(file: Path, content: bytes) -> dict[str, Any] | None:
    """What a run is told by a state of these bytes; None where it is refused as damaged."""
    for beside in file.parent.glob("idsync.db*"):
        beside.unlink()
    file.write_bytes(content)
    try:
        state = open_state(f"sqlite:///{file}")
        try:
            with state.run_lock():
                return said(state)
        finally:
            state.close()
    except IntegrityError:
        return None


def _flip(file: Path, sound: bytes, damages: int, seed: int) -> None:
    expected = _after(file, sound)
    dice = random.Random(seed)
    refused = 0
    for _ in range(damages):
        at = dice.randrange(len(sound))
        flipped = bytes([sound[at] ^ dice.randrange(1, 256)])
        found = _after(file, sound[:at] + flipped + sound[at + 1 :])
        assert found in (None, expected), at
        refused += found is None
    assert refused > damages // 20


@pytest.mark.case("J7")
def test_a_flipped_byte_is_refused_or_changes_nothing(file: Path, sound: bytes) -> None:
    _flip(file, sound, DAMAGES, SEED)


@pytest.mark.long
@pytest.mark.case("J7")
def test_no_flipped_byte_is_taken_for_the_truth(file: Path, sound: bytes) -> None:
    _flip(file, sound, 5_000, 1)


@pytest.mark.case("J7")
def test_an_index_that_does_not_fit_its_table_is_refused(file: Path, sound: bytes) -> None:
    expected = _after(file, sound)
    # the name of the target stands in the index by which the ledger finds operations
    places = [at for at in range(len(sound)) if sound.startswith(b"hall", at)]
    lost = 0
    for at in dict.fromkeys((*places[:6], *places[-6:])):
        found = _after(file, sound[:at] + b"hull" + sound[at + 4 :])
        assert found in (None, expected), at
        lost += found is None
    assert lost


@pytest.mark.case("J7")
def test_a_zeroed_or_lost_tail_is_refused(file: Path, sound: bytes) -> None:
    expected = _after(file, sound)
    pages = len(sound) // 4096
    for kept in range(1, pages):
        head = sound[: kept * 4096]
        for damaged in (head, head + bytes(len(sound) - len(head))):
            assert _after(file, damaged) in (None, expected), kept
    assert _after(file, sound[: len(sound) // 2]) is None
    assert _after(file, sound[: 4096 * 2] + bytes(len(sound) - 4096 * 2)) is None


@pytest.mark.case("J7")
@pytest.mark.parametrize("what", ["items", "state", "outcome", "order", "table", "lost part"])
def test_a_row_that_is_not_as_it_was_written_is_refused(state: State, what: str) -> None:
    lived_in(state)
    with state.engine.begin() as connection:
        if what == "items":
            changed = update(journal).values(items=journal.c["items"].op("||")(" "))
        elif what == "state":
            changed = update(journal).values(state="submitted")
        elif what == "outcome":
            changed = update(journal).values(person_id="id-77")
        elif what == "order":
            changed = update(revocation).values(person_id="id-77")
        elif what == "table":
            [(data,)] = connection.execute(select(part.c.data)).all()
            middle = len(data) // 2
            torn = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
            changed = update(part).values(data=torn)
        else:
            changed = update(part).values(number=1)
        connection.execute(changed)
    with pytest.raises(IntegrityError):
        said(state)


def test_what_an_older_program_wrote_has_no_digest_and_is_believed(state: State) -> None:
    lived_in(state)
    before = said(state)
    with state.engine.begin() as connection:
        for table in (journal, part, revocation):
            connection.execute(update(table).values(digest=None))
    assert said(state) == before


def test_an_error_of_a_damaged_state_says_what_to_do(file: Path, sound: bytes) -> None:
    file.write_bytes(sound[:8192])
    with pytest.raises(IdsyncError, match="restore") as told_:
        said(open_state(f"sqlite:///{file}"))
    assert told_.value.exit_code == 5


def test_a_frame_of_several_parts_comes_back(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idsync.store.frames.PART_ROWS", 10)
    rows = owned(*[(number, grant(ENTRE)) for number in range(35)])
    with state.engine.begin() as connection:
        state.frames.save(connection, "ledger:hall", rows)
    assert state.frames.load("ledger:hall", LEDGER).height == 35
    assert isinstance(state.frames.load("ledger:hall", LEDGER), pl.DataFrame)
