"""A worker that dies in the middle of its work: it is told, and nothing is lost or done twice."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from idsync.apply import Work, carry_out, settle_unknown
from idsync.model import Change, Outcome
from idsync.plan.document import ordered_changes
from idsync.store import open_state
from idsync.targets import Target
from idsync.targets.local import LocalTarget
from tests.plan.examples import City, job, person
from tests.targets.local import new_target

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)


class Dies(LocalTarget):
    """Does what it is told, and takes its thread with it at one key."""

    sent: ClassVar[list[str]] = []

    def put(self, change: Change) -> Outcome:
        done = super().put(change)
        self.sent.append(change.key)
        if change.key == "n1":
            raise SystemExit
        return done


@pytest.mark.case("C9")
def test_a_worker_that_dies_is_told_and_the_next_run_settles_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dies, "sent", [])
    city = City(persons=[person(i) for i in range(3)], jobs=[job(i) for i in range(3)])
    work = [
        Work(target=name, person_id=who, change=change, items=items)
        for _, who, change, items in ordered_changes(city.plan().items)
        for name in ("hall", "other")
    ]
    (tmp_path / "hall").mkdir()
    (tmp_path / "other").mkdir()

    def connect(name: str) -> Target:
        return new_target(tmp_path / name, Dies if name == "hall" else LocalTarget)

    state = open_state(f"sqlite:///{tmp_path}/state.db")
    done = carry_out(1, work, connect, state, lambda: NOW)
    assert done["other"].confirmed == 3, "the other system goes on"
    assert done["hall"].down
    assert "a worker ended in the middle of its work (SystemExit)" in done["hall"].reason
    left = [one.person_id for one in state.journal.unsettled()]
    assert "id-1" in left, "what it had sent is not known"
    assert {one.target for one in state.journal.unsettled()} == {"hall"}

    settle_unknown(state, lambda name: new_target(tmp_path / name), lambda: NOW)
    assert state.journal.unsettled() == []
    again = [one for one in work if one.target == "hall" and one.change.key not in Dies.sent]
    carry_out(2, again, lambda name: new_target(tmp_path / name), state, lambda: NOW)
    assert state.journal.ledger("hall").height == state.journal.ledger("other").height == 3
    state.close()
