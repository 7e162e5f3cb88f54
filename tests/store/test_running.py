"""One run at a time, also where locks do not hold; and what a lost commit leaves."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from idsync.apply import Work, carry_out, settle_unknown
from idsync.errors import ConfigError, Unavailable
from idsync.model import Change, Outcome
from idsync.plan.document import ordered_changes
from idsync.store import State, open_state
from idsync.store.engines import LOCKS
from idsync.store.sqlite import refuse_shared
from idsync.targets.local import LocalTarget
from tests.plan.examples import City, job, person
from tests.servers.postgres import OWNER, PASSWORDS, Database
from tests.servers.proxy import Proxy
from tests.store.test_journal import adds, intend
from tests.targets.local import new_target

pytest_plugins = ("tests.servers.state_fixtures",)

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)

MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:25 / /dev/shm rw,nosuid - tmpfs tmpfs rw
40 22 0:40 / /srv/delad\\040disk rw,relatime - nfs4 fil.example.se:/delad rw
41 40 0:41 / /srv/delad\\040disk/egen rw,relatime - ext4 /dev/vdb1 rw
42 22 0:42 / /mnt/win rw,relatime shared:9 - cifs //fil/delad rw
"""


@pytest.mark.case("J11")
@pytest.mark.parametrize(
    ("file", "kind"),
    [("/srv/delad disk/idsync.db", "nfs4"), ("/mnt/win/var/idsync.db", "cifs"),
     ("/srv/delad disk/egen/idsync.db", ""), ("/var/idsync.db", ""), ("/mnt/window/i.db", "")],
)  # fmt: skip
def test_a_state_on_a_network_share_is_refused_as_it_is_opened(file: str, kind: str) -> None:
    if not kind:
        refuse_shared(Path(file), MOUNTS)
        return
    with pytest.raises(ConfigError, match=f"network share .{kind}."):
        refuse_shared(Path(file), MOUNTS)


@pytest.mark.case("J11")
def test_where_locks_do_not_hold_the_replaced_run_sends_nothing_more(file: Path) -> None:
    url = f"sqlite:///{file}"
    first, second = open_state(url), open_state(url)
    with first.run_lock():
        assert intend(first, adds())
        # as on a share without locks: the other machine's lock is another file
        file.with_name(file.name + ".lock").unlink()
        with second.run_lock():
            assert intend(second, adds(key="n2"))
            with pytest.raises(Unavailable, match="taken this state over"):
                intend(first, adds(key="n3"))
    assert len(second.journal.unsettled()) == 2
    first.close()
    second.close()


@pytest.mark.case("J11")
def test_a_lock_that_holds_nobody_out_is_no_lock(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = open_state(f"sqlite:///{file}")
    monkeypatch.setattr("fcntl.flock", lambda *_: None)  # as a share that only says yes
    with pytest.raises(ConfigError, match="no lock holds"), state.run_lock():
        pytest.fail("a run without a lock")
    state.close()


def test_where_no_lock_can_be_had_no_run_begins(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    state = open_state(f"sqlite:///{file}")
    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", refuses)  # as a share whose lock service is away
        with pytest.raises(ConfigError, match="no lock holds"), state.run_lock():
            pytest.fail("a run without a lock")
    with state.run_lock():
        assert intend(state, adds())
    state.close()


def test_where_the_lock_cannot_be_made_no_run_begins(file: Path) -> None:
    state = open_state(f"sqlite:///{file}")
    file.with_name(file.name + ".lock").mkdir()
    with pytest.raises(ConfigError, match="no run can be kept out"), state.run_lock():
        pytest.fail("a run without a lock")
    state.close()


def test_a_lock_that_somebody_holds_who_has_told_no_name_keeps_runs_out(file: Path) -> None:
    state = open_state(f"sqlite:///{file}")
    with file.with_name(file.name + ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="on this state: wait for"), state.run_lock():
            pytest.fail("two runs at once")
    with state.run_lock():
        other = open_state(f"sqlite:///{file}")
        named = rf"on this state \(process {os.getpid()} on .*, since 20.* UTC\): wait for"
        with pytest.raises(Unavailable, match=named), other.run_lock():
            pytest.fail("two runs at once")
        other.close()
    state.close()


@pytest.mark.postgres
def test_a_lock_of_postgresql_that_somebody_holds_who_has_told_no_name_keeps_runs_out(
    postgres_database: Database, postgres_url: str
) -> None:
    state = open_state(postgres_url)
    with postgres_database.connect() as session:
        session.execute(f"SELECT pg_advisory_lock({LOCKS})".encode())
        with pytest.raises(Unavailable, match="on this state: wait for"), state.run_lock():
            pytest.fail("two runs at once")
    state.close()


# ── a commit whose answer is lost ───────────────────────────────────────────────────────


class CutsCommits(Proxy):
    """While it is `armed`, breaks the connection off in place of the answer to a commit."""

    armed = False

    def _backward(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while piece := server.recv(16384):
                if self.armed and self.sent.endswith(b"COMMIT\0"):
                    type(self).armed = False
                    self._fail(client)
                    return
                client.sendall(piece)
        except OSError:
            pass


class Counting(LocalTarget):
    """Writes down which keys it was sent; `before` is called as it is sent one."""

    sent: ClassVar[list[str]] = []
    proxy: ClassVar[CutsCommits | None] = None

    def put(self, change: Change) -> Outcome:
        self.sent.append(change.key)
        if self.proxy is not None and len(self.sent) == 1:
            type(self.proxy).armed = True
        return super().put(change)


@pytest.fixture
def cut(
    postgres_database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[CutsCommits, State]]:
    """A way to the state that can be cut; and the state, reached by it."""
    assert postgres_url
    monkeypatch.setattr(Counting, "sent", [])
    monkeypatch.setattr(Counting, "proxy", None)
    monkeypatch.setenv("PGPASSWORD", PASSWORDS[OWNER])
    with CutsCommits(postgres_database.server.port, fault="reset") as proxy:
        address = f"postgresql://{OWNER}@127.0.0.1:{proxy.port}/{postgres_database.name}"
        state = open_state(f"{address}?sslmode=disable")
        yield proxy, state
        state.close()


@pytest.mark.postgres
@pytest.mark.case("J10")
@pytest.mark.parametrize("at", ["intent", "outcome"])
def test_a_commit_whose_answer_is_lost_is_looked_for_and_nothing_is_done_twice(
    cut: tuple[CutsCommits, State], postgres_url: str, tmp_path: Path, at: str
) -> None:
    proxy, state = cut
    city = City(persons=[person(i) for i in range(3)], jobs=[job(i) for i in range(3)])
    work = [
        Work(target=target, person_id=who, change=change, items=items)
        for target, who, change, items in ordered_changes(city.plan().items)
    ]
    if at == "intent":
        CutsCommits.armed = True
    else:
        Counting.proxy = proxy
    done = carry_out(1, work, lambda _: new_target(tmp_path, Counting), state, lambda: NOW)
    assert done["hall"].down
    assert "PostgreSQL server of the state" in done["hall"].reason
    assert not CutsCommits.armed
    Counting.proxy = None
    if at == "intent":
        assert Counting.sent == [], "nothing is sent before its intent is known to be durable"

    again = open_state(postgres_url)
    numbers = [one.id for one in again.journal.of_person("id-0")]
    assert len(numbers) == 1, "the operation is there, once"
    settle_unknown(again, lambda _: new_target(tmp_path, Counting), lambda: NOW)
    assert again.journal.unsettled() == []
    missing = [one for one in work if one.change.key not in Counting.sent]
    carry_out(1, missing, lambda _: new_target(tmp_path, Counting), again, lambda: NOW)
    assert sorted(Counting.sent) == ["n0", "n1", "n2"], "nobody was sent twice"
    assert again.journal.ledger("hall").height == 3
    again.close()


# ── after a crash ───────────────────────────────────────────────────────────────────────


@pytest.mark.long
def test_ten_thousand_unknown_operations_are_settled_within_fifteen_seconds(
    state: State, tmp_path: Path
) -> None:
    city = City(persons=[person(i) for i in range(10_000)], jobs=[job(i) for i in range(10_000)])
    changes = list(ordered_changes(city.plan().items))
    target = new_target(tmp_path)
    for start in range(0, len(changes), 500):
        some = changes[start : start + 500]
        state.journal.intend(1, [(name, who, items) for name, who, _, items in some], NOW)
    for _, _, change, _ in changes[::2]:
        target.put(change)
    target.close()
    begun = datetime.now(UTC)
    assert settle_unknown(state, lambda _: new_target(tmp_path), lambda: NOW) == {}
    took = (datetime.now(UTC) - begun).total_seconds()
    assert state.journal.unsettled() == []
    assert state.journal.ledger("hall").height == 5_000
    assert took < 15, took
