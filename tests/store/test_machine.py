"""Whatever happens in whatever order, the state says what a small model of it says."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from idsync.errors import ConfigError
from idsync.model import Grant, Outcome
from idsync.plan.brake import HeldPart
from idsync.store import Journal, State, open_state
from tests.plan.examples import NOW, owned
from tests.servers.postgres import Postgres
from tests.store.test_journal import adds, takes

pytest_plugins = ("tests.servers.state_fixtures",)

KEYS, REFS = ("n1", "n2", "n3"), ("ENTRÉ", "KÖK")
PEOPLE = ("id-1", "id-2")
DIGESTS = ("a" * 64, "b" * 64)
Right = tuple[str, str]


class Store(RuleBasedStateMachine):
    """The state beside a model: sets, and a list of what is open."""

    url = ""

    @initialize()
    def begin(self) -> None:
        memory = Path("/dev/shm")  # nothing here has to outlive a power cut
        within = memory if memory.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="idsync-machine-", dir=within))
        self.address = self.new_url()
        self.now = NOW
        self.state = open_state(self.address)
        self.open: dict[int, tuple[bool, Right]] = {}  # operation: gives, right
        self.effects: dict[int, tuple[bool, Right]] = {}  # of those that stand, in their order
        self.adopted: set[Right] = set()
        self.revoked: set[str] = set()
        self.held: dict[str, tuple[str, datetime | None]] = {}  # digest: state, approved at

    def new_url(self) -> str:
        return f"sqlite:///{self.folder}/idsync.db"

    def teardown(self) -> None:
        if hasattr(self, "state"):
            self.state.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # ── what may happen ─────────────────────────────────────────────────────────────────

    @rule(gives=st.booleans(), key=st.sampled_from(KEYS), ref=st.sampled_from(REFS))
    def intend(self, gives: bool, key: str, ref: str) -> None:
        if any(right == (key, ref) for _, right in self.open.values()):
            return  # one lane a cardholder and right
        items = (adds if gives else takes)(ref, key)
        [number] = self.state.journal.intend(1, [("hall", f"id-{key[1:]}", items)], self.now)
        assert number not in self.open
        assert number not in self.effects
        self.open[number] = (gives, (key, ref))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), status=st.sampled_from(("confirmed", "submitted", "refused", "unknown")))
    def settle(self, data: st.DataObject, status: Any) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        gives, (key, ref) = self.open[number]
        items = (adds if gives else takes)(ref, key)
        standing = items.clear() if status in ("refused", "unknown") else items
        self.state.journal.settle_part(number, Outcome(status=status), standing, self.now)
        if status in ("confirmed", "submitted"):
            self.effects[number] = self.open.pop(number)
        elif status == "refused":
            del self.open[number]

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def half_done(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        gives, (key, ref) = self.open.pop(number)
        items = (adds if gives else takes)(ref, key)
        self.state.journal.settle_part(number, Outcome(status="refused"), items, self.now)
        self.effects[number] = (gives, (key, ref))

    @rule()
    def fold(self) -> None:
        self.state.journal.fold(["hall"])

    @rule(key=st.sampled_from(KEYS), ref=st.sampled_from(REFS))
    def adopt(self, key: str, ref: str) -> None:
        if self.open or self.effects:
            return  # a system is taken over once, before anything is sent
        rows = owned((int(key[1:]), Grant(ref=ref)))
        with self.state.engine.begin() as connection:
            self.state.journal.adopt(connection, "hall", rows)
        self.adopted.add((key, ref))

    @rule()
    def crash(self) -> None:
        self.state.close()
        self.state = open_state(self.address)

    @rule(person=st.sampled_from(PEOPLE))
    def revoke(self, person: str) -> None:
        self.state.orders.revoke(person, "uppsagd", "hr", self.now)
        self.revoked.add(person)

    @rule(person=st.sampled_from(PEOPLE))
    def lift(self, person: str) -> None:
        lifted = self.state.orders.lift(person, "misstag", "hr", self.now)
        assert lifted == (person in self.revoked)
        self.revoked.discard(person)

    @rule(seen=st.sets(st.sampled_from(DIGESTS)), use=st.booleans())
    def hold(self, seen: set[str], use: bool) -> None:
        used = [digest for digest in self.approved() if use]
        seen = seen - set(used)
        parts = [
            HeldPart(scope=digest[0], direction="losing", people=9, base=20, limit=3, digest=digest)
            for digest in sorted(seen)
        ]
        self.state.orders.hold(parts, used, self.now)
        kept = {digest: self.held[digest] for digest in seen if self.held.get(digest, "")}
        self.held = {
            digest: kept[digest] if digest in kept and kept[digest][1] else ("held", None)
            for digest in seen
        }

    @rule(digest=st.sampled_from(DIGESTS))
    def approve(self, digest: str) -> None:
        if digest in self.held:
            self.state.orders.approve(digest[:12], "chef", "stämmer", self.now)
            self.held[digest] = ("approved", self.now)
        else:
            with pytest.raises(ConfigError):
                self.state.orders.approve(digest[:12], "chef", "stämmer", self.now)

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    # ── what always holds ───────────────────────────────────────────────────────────────

    def approved(self) -> set[str]:
        day = timedelta(hours=24)
        return {name for name, (_, at) in self.held.items() if at and at >= self.now - day}

    @invariant()
    def says_what_the_model_says(self) -> None:
        if not hasattr(self, "state"):
            return
        journal, orders = self.state.journal, self.state.orders
        own = set(self.adopted)
        for _, (gives, right) in sorted(self.effects.items()):
            (own.add if gives else own.discard)(right)
        assert {(row["key"], row["ref"]) for row in journal.ledger("hall").to_dicts()} == own
        assert {one.id for one in journal.unsettled()} == set(self.open)
        assert {one.person_id for one in orders.revocations()} == self.revoked
        assert {one for one in PEOPLE if orders.is_revoked(one)} == self.revoked
        assert {one.digest: one.state for one in orders.waiting()} == {
            digest: state for digest, (state, _) in self.held.items()
        }
        assert set(orders.approved(self.now)) == self.approved()
        assert {one.order.person_id for one in self.state.closings.unconfirmed(["hall"])} == (
            self.revoked
        )


def run(machine: type[Store], examples: int, steps: int, *, shrink: bool = True) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None,
            suppress_health_check=list(HealthCheck), print_blob=False, database=None,
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        ),
    )  # fmt: skip


def test_the_state_says_what_the_model_says_on_sqlite() -> None:
    run(Store, 15, 25)


@pytest.mark.long
def test_the_state_says_what_the_model_says_on_sqlite_for_long() -> None:
    run(Store, 1500, 60)


@pytest.mark.postgres
def test_the_state_says_what_the_model_says_on_postgresql(
    postgres: Postgres, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(password_file))

    class OnPostgres(Store):
        def new_url(self) -> str:
            return postgres.new_database().verified_url()

    run(OnPostgres, 2, 15)


# ── the machine finds what it is for ────────────────────────────────────────────────────


def _forgets_unknown(self: Journal) -> list[Any]:
    return [one for one in UNSETTLED(self) if one.state == "intent"]


def _folds_what_waits(self: Journal, targets: Any) -> None:
    FOLD(self, targets)
    with self._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE journal SET folded = TRUE WHERE state = 'submitted'")


def _lifts_nothing(self: State, person: str, *rest: Any) -> bool:
    return False


UNSETTLED, FOLD = Journal.unsettled, Journal.fold


LONG = pytest.mark.long


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("idsync.store.orders.Orders.lift", _lifts_nothing),
        ("idsync.store.orders.WAITING", ("held",)),
        pytest.param("idsync.store.journal.Journal.unsettled", _forgets_unknown, marks=LONG),
        pytest.param("idsync.store.journal.Journal.fold", _folds_what_waits, marks=LONG),
        pytest.param("idsync.store.journal.DONE", ("confirmed", "submitted"), marks=LONG),
        pytest.param("idsync.store.orders.APPROVAL_LIVES", timedelta(hours=240), marks=LONG),
    ],
)
def test_the_machine_finds_a_planted_fault(
    monkeypatch: pytest.MonkeyPatch, where: str, fault: Any
) -> None:
    monkeypatch.setattr(where, fault)
    with pytest.raises(Exception):  # noqa: B017 - the machine's own, of many kinds
        run(Store, 200, 30, shrink=False)
