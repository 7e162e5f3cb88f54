"""The witness outside the state: whose it is, and what happens where it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from idsync.errors import ConfigError, IntegrityError
from idsync.store import open_state
from tests.plan.examples import NOW


def test_a_state_of_another_instance_is_not_the_one_that_was_seen(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    seen = open_state(f"sqlite:///{tmp_path}/seen.db", witness=witness)
    seen.begin_run("sync", NOW)
    seen.close()
    other = open_state(f"sqlite:///{tmp_path}/other.db")
    for _ in range(3):  # it has come further, elsewhere
        other.begin_run("sync", NOW)
    other.close()
    before = witness.read_bytes()
    with pytest.raises(IntegrityError, match="not the one that this machine has worked on"):
        open_state(f"sqlite:///{tmp_path}/other.db", witness=witness)
    assert witness.read_bytes() == before
    open_state(f"sqlite:///{tmp_path}/seen.db", witness=witness).close()


def test_a_witness_that_cannot_be_read_keeps_the_state_closed(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    witness.mkdir()
    with pytest.raises(ConfigError, match="witness of the state cannot be read"):
        open_state(f"sqlite:///{tmp_path}/idsync.db", witness=witness)


def test_a_witness_that_cannot_be_written_stops_runs_and_no_revocation(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    state = open_state(f"sqlite:///{tmp_path}/idsync.db", witness=folder / "witness")
    folder.write_text("a file, not a folder")
    with pytest.raises(ConfigError, match="witness of the state cannot be written"):
        state.begin_run("sync", NOW)
    with state.urgent():
        state.orders.revoke("id-1", "uppsagd", "hr", NOW)
    assert state.orders.is_revoked("id-1")
    folder.unlink()
    state.begin_run("sync", NOW)
    assert (folder / "witness").exists()
    state.close()
