"""Changes that went half way, were answered later, or are amiss: none is believed, none lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest

from idsync.apply import Done, Work, carry_out, settle_unknown
from idsync.apply.one import carry_out_one
from idsync.apply.readback import left
from idsync.errors import ConfigError, Refused
from idsync.model import Cardholder, Change, Grant, Outcome
from idsync.plan.document import change_of
from idsync.plan.items import items
from idsync.store import State, open_state
from idsync.targets import Target
from idsync.targets.local import LocalTarget
from tests.targets.local import new_target

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)
LATER, SOON = NOW + timedelta(days=30), NOW + timedelta(days=3)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(f"sqlite:///{tmp_path}/state.db")
    yield opened
    opened.close()


def dated(before: datetime | None, after: datetime | None) -> pl.DataFrame:
    """The item that gives ENTRÉ of n1 another end."""
    row = pl.DataFrame(
        {"person_id": ["id-1"], "key": ["n1"], "to_before": [before], "to_after": [after]},
        schema_overrides={name: pl.Datetime("us", "UTC") for name in ("to_before", "to_after")},
    )
    return items(
        row, target="hall", part="grant", kind="access", ref="ENTRÉ", was=True, shall=True,
        effect="losing", confirmed=False, creates=False, because="a rule",
    )  # fmt: skip


def suspending(*, again: bool = False) -> pl.DataFrame:
    row = pl.DataFrame({"person_id": ["id-1"], "key": ["n1"]})
    what = {"part": "again", "ref": "again"} if again else {"part": "status", "ref": "status"}
    return items(
        row, target="hall", kind="", was=True, shall=True, creates=False, confirmed=True,
        value_before="active", value_after="suspended", effect="losing", because="x", **what,
    )  # fmt: skip


class Showing(LocalTarget):
    """Says what it is told to say, and shows what it is told to show."""

    says: ClassVar[Outcome | Exception] = Outcome(status="confirmed")
    shows: ClassVar[Cardholder | None] = None

    def put(self, change: Change) -> Outcome:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def read_one(self, key: str) -> Cardholder | None:
        return self.shows


def showing(folder: Path, holder: Cardholder, says: Outcome | Exception) -> Target:
    target = new_target(folder, Showing)
    Showing.says, Showing.shows = says, holder
    return target


GONE = Cardholder(key="n1", status="suspended")
YES = Outcome(status="confirmed")


@pytest.mark.parametrize(
    ("says", "shown", "status"),
    [
        (YES, GONE, "confirmed"),
        (YES, replace(GONE, amiss="a card opens"), "refused"),
        (YES, replace(GONE, pending="since today"), "submitted"),
        (Refused("half"), replace(GONE, amiss="a card opens"), "refused"),
        (RuntimeError("x"), replace(GONE, pending="since today"), "submitted"),
    ],
)
def test_taking_away_is_known_by_what_is_shown(
    says: Outcome | Exception, shown: Cardholder, status: str, tmp_path: Path
) -> None:
    told = suspending()
    result = carry_out_one(showing(tmp_path, shown, says), change_of(told), told)
    assert result.outcome.status == status
    assert result.standing.height == 1


def test_what_is_sent_again_is_not_believed_either(tmp_path: Path) -> None:
    told = suspending(again=True)
    target = showing(tmp_path, replace(GONE, amiss="a card opens"), YES)
    assert carry_out_one(target, change_of(told), told).outcome.status == "refused"


def test_letting_back_in_is_not_believed_since_the_ledger_forgets_the_block(
    tmp_path: Path,
) -> None:
    back = suspending().with_columns(
        value_before=pl.lit("suspended"), value_after=pl.lit("active"), effect=pl.lit("gaining")
    )
    result = carry_out_one(showing(tmp_path, GONE, YES), change_of(back), back)
    assert result.outcome.status == "refused"
    assert result.standing.is_empty()


def test_a_grant_that_lost_its_old_dates_and_has_no_new_ones_is_gone() -> None:
    item = dated(None, LATER)
    nothing = Cardholder(key="n1")
    [row] = left(item, nothing).to_dicts()
    assert (row["was"], row["shall"], row["to_after"]) == (True, False, None)
    whole = Cardholder(key="n1", grants=(Grant(ref="ENTRÉ", valid_to=LATER),))
    assert left(item, whole).equals(item)
    old = Cardholder(key="n1", grants=(Grant(ref="ENTRÉ"),))
    assert left(item, old).is_empty()


class Later(LocalTarget):
    """Takes changes without a word, and shows them as done."""

    def put(self, change: Change) -> Outcome:
        super().put(change)
        return Outcome(status="submitted")


def test_a_change_overtaken_before_its_answer_leaves_nothing_behind(
    state: State, tmp_path: Path
) -> None:
    target = new_target(tmp_path)
    target.put(Change(before=None, after=Cardholder(key="n1", grants=(Grant(ref="ENTRÉ"),))))
    made = items(
        dated(None, None).select("person_id", "key"), target="hall", part="grant", kind="access",
        ref="ENTRÉ", was=False, shall=True, effect="gaining", confirmed=False, creates=True,
        because="a rule",
    )  # fmt: skip
    [number] = state.journal.intend(1, [("hall", "id-1", made)], NOW)
    state.journal.settle_part(number, YES, made, NOW)
    for told in (dated(None, LATER), dated(LATER, SOON)):
        work = [Work(target="hall", person_id="id-1", change=change_of(told), items=told)]
        done = carry_out(1, work, lambda _: new_target(tmp_path, Later), state, lambda: NOW)
        assert done["hall"].submitted == 1
    settle_unknown(state, lambda _: new_target(tmp_path), lambda: NOW)
    state.journal.fold(["hall"])
    assert state.journal.ledger("hall")["valid_to"].to_list() == [SOON]


def test_what_a_system_confirmed_is_known_though_another_run_took_it_for_lost(
    state: State,
) -> None:
    told = dated(None, LATER)
    [number] = state.journal.intend(1, [("hall", "id-1", told)], NOW)
    state.journal.settle_part(
        number, Outcome(status="refused", reason="not seen"), told.clear(), NOW
    )
    state.journal.settle_part(number, YES, told, NOW)
    assert state.journal.ledger("hall")["valid_to"].to_list() == [LATER]


def test_a_target_that_cannot_be_worked_with_does_not_end_the_others(
    state: State, tmp_path: Path
) -> None:
    told = suspending()

    def connect(name: str) -> Target:
        if name == "yard":
            raise ConfigError("yard is not in connectors.toml")
        return showing(tmp_path, GONE, YES)

    work = [
        Work(target=name, person_id="id-1", change=change_of(told), items=told)
        for name in ("hall", "yard")
    ]
    done: dict[str, Done] = carry_out(1, work, connect, state, lambda: NOW)
    assert done["hall"].confirmed == 1
    assert done["yard"].down
    assert done["yard"].reason == "yard is not in connectors.toml"
