"""What is signed outside the database: every line follows the last, and nobody else's counts."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from idsync.errors import ConfigError, IntegrityError
from idsync.store import State, open_state
from idsync.store import audit as audit_module
from idsync.store.audit_checkpoints import Checkpoints, last_checkpoint, read_checkpoints
from idsync.store.audit_records import Record
from idsync.store.audit_signing import read_public_keys, signing_key_in
from idsync.store.tables import meta
from tests.audit.examples import MINUTE, Site
from tests.audit.town import Life
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)


@pytest.fixture
def lines(site: Site) -> Site:
    """A site with four checkpoints."""
    for number in range(3):
        site.operations(1)
        site.state.audit.note(NOW, Record(kind="configured", facts={"digest": str(number)}))
        site.state.audit.witness()
    assert len(site.file.read_bytes().splitlines()) == 4
    assert site.problems() == []
    return site


def test_a_line_tells_where_everything_stands(site: Site) -> None:
    told = last_checkpoint(site.file)
    assert told is not None
    assert (told["number"], told["runs"], told["operations"]) == (1, 1, 5)
    assert {name: head[0] for name, head in told["heads"].items()} == site.verdict().controllers
    assert told["instance"] == str(site.state.instance)
    assert last_checkpoint(site.file.with_name("nothing")) is None


def test_nothing_new_is_not_signed_again(site: Site) -> None:
    for _ in range(3):
        site.state.audit.witness()
    assert len(site.file.read_bytes().splitlines()) == 1


def test_who_appends_does_not_wait_for_who_signs(site: Site) -> None:
    """Signing wants the database, which is held by whoever appends: one of them must not wait."""
    state, done = site.state, threading.Event()
    site.operations(1)  # so that there is something to sign
    with state.engine.begin() as connection:
        connection.execute(update(meta).values(value=meta.c.value))  # the turn to write is held
        signing = threading.Thread(target=state.audit.sign_off, daemon=True)
        signing.start()
        until = time.monotonic() + 10
        while not state.audit._signing.locked() and signing.is_alive():
            assert time.monotonic() < until
            time.sleep(0.001)

        def append() -> None:
            state.audit.append(connection, [Record(kind="started", facts={"run": 9})], NOW)
            done.set()

        threading.Thread(target=append, daemon=True).start()
        assert done.wait(10), "they wait for each other"
    signing.join(30)
    assert not signing.is_alive()


def test_every_byte_of_the_checkpoints_that_is_changed_is_found(lines: Site) -> None:
    whole = lines.file.read_bytes()
    keys = [lines.key.public]
    for place in range(0, len(whole), 3):
        lines.file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        witness = read_checkpoints(lines.file, keys)
        found = witness.problems or len(witness.lines) < 4  # the state remembers how many
        assert found, f"byte {place}: {whole[place - 9 : place + 9]!r}"
    lines.file.write_bytes(whole)
    assert lines.problems() == []


CUTS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "the first": lambda all_: all_[1:],
    "one between": lambda all_: [all_[0], *all_[2:]],
    "the last": lambda all_: all_[:-1],
    "all": lambda _: [],
    "two change places": lambda all_: [all_[0], all_[2], all_[1], all_[3]],
    "one comes twice": lambda all_: [*all_[:2], *all_[1:]],
}


@pytest.mark.parametrize("which", CUTS)
def test_a_checkpoint_that_is_missing_or_moved_is_found(lines: Site, which: str) -> None:
    whole = lines.file.read_bytes().splitlines(keepends=True)
    lines.file.write_bytes(b"".join(CUTS[which](whole)))
    assert lines.problems() != []


def test_a_line_torn_by_a_crash_is_no_fault_and_the_next_one_is_whole(lines: Site) -> None:
    whole = lines.file.read_bytes()
    lines.file.write_bytes(whole + b'{"at":"2026-11-2')
    assert last_checkpoint(lines.file) == json.loads(whole.splitlines()[-1])
    lines.operations(1)
    lines.state.audit.witness()
    assert lines.problems() == []
    told = last_checkpoint(lines.file)
    assert told is not None
    assert told["number"] == 5


def test_for_a_state_that_is_older_than_what_was_signed_nothing_is_signed(lines: Site) -> None:
    told = last_checkpoint(lines.file)
    assert told is not None
    told["heads"]["kulturnämnden"][0] += 100
    with lines.file.open("ab") as handle:
        handle.write(json.dumps(told).encode() + b"\n")
    with pytest.raises(IntegrityError, match="an old copy was brought back"):
        lines.state.audit.witness()


def test_after_a_state_was_rebuilt_the_file_begins_anew_and_the_old_one_stays(lines: Site) -> None:
    whole = lines.file.read_bytes()
    old = Checkpoints(lines.file, lines.key).start_over(lines.state.engine, NOW + MINUTE)
    assert old.read_bytes() == whole
    assert lines.problems() == []
    assert lines.verdict().checkpoints == 1


def test_the_file_of_another_state_is_not_written(lines: Site, tmp_path: Path) -> None:
    other = open_state(f"sqlite:///{tmp_path / 'other.db'}")
    other.audit.witnessed_by(Checkpoints(lines.file, lines.key))
    other.audit.note(NOW, Record(kind="configured"))
    with pytest.raises(ConfigError, match="another state"):
        other.audit.witness()
    other.close()
    assert other.audit.unwitnessed


@pytest.mark.case("A13")
def test_what_is_appended_is_signed_within_a_minute_though_nothing_follows(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert audit_module.MOST_S < 60
    monkeypatch.setattr(audit_module, "MOST_S", 0.2)
    before = site.verdict().checkpoints
    site.state.audit.note(NOW, Record(kind="configured", facts={"digest": "later"}))
    assert site.verdict().unsigned == 1
    waiting = threading.Event()
    for _ in range(100):
        if site.verdict().checkpoints > before:
            break
        waiting.wait(0.1)
    verdict = site.verdict()
    assert (verdict.checkpoints, verdict.unsigned) == (before + 1, 0)
    assert verdict.problems == []


# ── the key ─────────────────────────────────────────────────────────────────────────────


def test_the_key_is_made_once_for_its_owner_alone_and_its_public_half_beside_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "nyckel" / "audit.key"
    first, second = signing_key_in(file), signing_key_in(file)
    assert first.name == second.name
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [public] = read_public_keys([tmp_path / "nyckel" / "audit.pub"])
    assert public.name == first.name
    assert public.verifies(first.sign(b"text"), b"text")
    assert not public.verifies(first.sign(b"text"), b"tekst")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        signing_key_in(file)


def test_no_part_of_the_key_is_in_the_database(life: Life) -> None:
    life.sync()
    key = (life.town.folder / "var" / "audit.key").read_text().splitlines()[1]
    for file in (life.town.folder / "var").glob("idsync.db*"):
        assert key.encode() not in file.read_bytes()
        assert key[-40:].encode() not in file.read_bytes()


def test_the_audit_is_verified_elsewhere_with_the_public_key_alone(life: Life) -> None:
    life.sync()
    town, var = life.town, life.town.folder / "var"
    copies = life.town.folder.parent / "revisor"
    copies.mkdir()
    for name in ("audit.pub", "idsync.db.checkpoints"):
        (copies / name).write_bytes((var / name).read_bytes())
    (var / "audit.key").unlink()
    words = ["--checkpoints", str(copies / "idsync.db.checkpoints")]
    words += ["--public-key", str(copies / "audit.pub")]
    told = town.json("audit", "verify", *words, code=0)
    assert told["checkpoints"] >= 1
    assert told["unsigned"] == 0
    signing_key_in(copies / "another.key")
    words[-1] = str(copies / "another.pub")
    answer = town.run("audit", "verify", *words)
    assert answer.code == 5
    assert "not signed by a key that is known" in answer.out


def test_where_nothing_can_be_signed_nothing_is_sent_but_a_revocation_goes(life: Life) -> None:
    life.sync()
    (life.town.folder / "var" / "audit.key").chmod(0o644)
    answer = life.town.run("sync")
    assert answer.code == 2
    assert "chmod 600" in answer.err
    order = life.town.run("revoke", "200010", "--reason", "uppsagd", "--json")
    assert order.code == 0
    assert json.loads(order.out)["confirmed"]
    assert "not signed" in order.err
    (life.town.folder / "var" / "audit.key").chmod(0o600)
    assert life.problems() == []


def test_a_state_that_nobody_gave_a_place_signs_nothing(state: State) -> None:
    state.audit.note(NOW, Record(kind="configured"))
    state.audit.witness()
    assert state.audit.unwitnessed == ""
