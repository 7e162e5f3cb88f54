"""A state machine that lives with the brake: people lose and gain, days pass, somebody approves.

The model beside it is a list of what was done, and the invariant I4 said over that list:
in every scope, window and direction, what was done without a confirmed order and without
a valid approval is never more than the limit.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from types import ModuleType
from typing import Any

import polars as pl
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from idsync.model import Outcome
from idsync.plan import brake as sound_brake
from idsync.plan.given import TargetPlan
from idsync.plan.items import items
from idsync.plan.scopes import scopes_of
from idsync.store import State, open_state
from idsync.store import journal as sound_journal
from idsync.store import orders as sound_orders
from tests.plan.examples import HALL, NOW, City

EMPTY = City().plan()
CONTROLLERS = {"hall": "skola", "annex": "skola", "port": "hamn"}
DIRECTIONS = ("losing", "gaining")
RUN, DAY, WEEK = 3, 4, 5  # people, in every scope: nobody holds anything, so no share counts
SPANS = {"24 hours": (timedelta(hours=24), DAY), "7 days": (timedelta(days=7), WEEK)}
LIVES = timedelta(hours=24)
Part = tuple[str, str]  # a target and a person


@dataclass(frozen=True)
class Wish:
    """What shall happen to somebody in a target."""

    direction: str
    confirmed: bool
    disguised: bool  # by a change, not by a removal


@dataclass(frozen=True)
class Act:
    """What was done, and whether the model knows why it need not be counted."""

    target: str
    person: str
    direction: str
    at: datetime
    excused: bool


class BrakeMachine(RuleBasedStateMachine):
    """The brake, the journal and the approvals, against the list of what was done."""

    brake: ModuleType = sound_brake
    journal: ModuleType = sound_journal
    orders: ModuleType = sound_orders

    @initialize()
    def begin(self) -> None:
        self.state: State = open_state("sqlite:////nowhere/idsync.db", create=False)
        self.state.journal = self.journal.Journal(
            self.state.engine, self.state.frames, self.state.audit
        )
        self.state.orders = self.orders.Orders(self.state.engine, self.state.audit)
        self.now = NOW
        self.wishes: dict[Part, Wish] = {}
        self.done: list[Act] = []
        self.last: dict[Part, Wish] = {}
        self.held: dict[str, frozenset[tuple[Part, Wish]]] = {}  # what waits, by digest
        self.approved: dict[str, tuple[frozenset[tuple[Part, Wish]], datetime]] = {}

    def teardown(self) -> None:
        if hasattr(self, "state"):
            self.state.close()

    # ── what happens ────────────────────────────────────────────────────────────────────

    @rule(
        where=st.sampled_from(sorted(CONTROLLERS)), direction=st.sampled_from(DIRECTIONS),
        first=st.integers(0, 20), many=st.integers(1, 5),
        confirmed=st.booleans(), disguised=st.booleans(),
    )  # fmt: skip
    def wish(
        self, where: str, direction: str, first: int, many: int, *,
        confirmed: bool, disguised: bool,
    ) -> None:  # fmt: skip
        confirmed = confirmed and direction == "losing"
        for number in range(first, first + many):
            self.wishes[where, f"p{number}"] = Wish(direction, confirmed, disguised)

    @precondition(lambda self: self.last)
    @rule()
    def wish_the_same_again(self) -> None:
        self.wishes |= self.last

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        del self.wishes[data.draw(st.sampled_from(sorted(self.wishes)))]

    @rule(hours=st.sampled_from([1, 13, 23, 25, 80]))
    def pass_time(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        digest = data.draw(st.sampled_from(sorted(self.held)))
        self.state.orders.approve(digest, "maja", "checked", self.now)
        self.approved[digest] = (self.held[digest], self.now)

    @rule(refused=st.booleans())
    def run(self, *, refused: bool) -> None:
        """Plan, brake, write down, carry out; where *refused*, the first change is refused."""
        self.now += timedelta(seconds=1)
        rows, parts, used = self._braked()
        self.state.orders.hold(parts, used, self.now)
        self._expect(rows, parts)
        self.held = {
            part.digest: self._told(rows.filter(pl.col("held") == part.digest)) for part in parts
        }
        excused = self._excused(used)
        go = rows.filter(pl.col("held").is_null())
        self.last = {}
        for number, (target, person) in enumerate(sorted(set(go.select(KEY).iter_rows()))):
            mine = go.filter((pl.col("target") == target) & (pl.col("person_id") == person))
            intent = [(target, person, mine)]
            [operation] = self.state.journal.intend(1, intent, self.now)
            fails = refused and number == 0
            outcome = Outcome(status="refused" if fails else "confirmed", reason="")
            self.state.journal.settle_part(operation, outcome, mine.clear(), self.now)
            if fails:
                continue
            wish = self.wishes.pop((target, person))
            self.last[target, person] = wish
            sure = wish.confirmed or ((target, person), wish) in excused
            self.done.append(Act(target, person, wish.direction, self.now, sure))

    # ── what must hold ──────────────────────────────────────────────────────────────────

    @invariant()
    def the_brake_holds(self) -> None:
        """I4, over everything that was done in the newest window of each length."""
        for name, (span, limit) in {"run": (timedelta(seconds=1), RUN), **SPANS}.items():
            counted = [
                act for act in getattr(self, "done", ())
                if act.at > self.now - span and not act.excused
            ]  # fmt: skip
            for scope, targets in self._scopes().items():
                for direction in DIRECTIONS:
                    people = {
                        act.person for act in counted
                        if act.direction == direction and act.target in targets
                    }  # fmt: skip
                    assert len(people) <= limit, f"{scope}, {direction}, {name}: {len(people)}"

    def _expect(self, rows: pl.DataFrame, parts: list[Any]) -> None:
        """Confirmed terminations go; and nothing is held where everything fits."""
        assert rows.filter("confirmed")["held"].is_null().all(), "a confirmed one is held"
        fits = all(
            len(before | now) <= limit
            for targets in self._scopes().values()
            for direction in DIRECTIONS
            for before, limit in self._before(targets, direction)
            for now in [self._wished(targets, direction)]
        )
        assert not (fits and parts), "held although everything fits"

    def _before(self, targets: set[str], direction: str) -> list[tuple[set[str], int]]:
        """Who was counted in each window already, and its limit."""
        found: list[tuple[set[str], int]] = [(set(), RUN)]
        for span, limit in SPANS.values():
            since = [act for act in self.done if act.at > self.now - span and not act.excused]
            mine = {
                act.person for act in since
                if act.direction == direction and act.target in targets
            }  # fmt: skip
            found.append((mine, limit))
        return found

    def _wished(self, targets: set[str], direction: str) -> set[str]:
        return {
            person for (target, person), wish in self.wishes.items()
            if target in targets and wish.direction == direction and not wish.confirmed
        }  # fmt: skip

    def _excused(self, used: list[str]) -> set[tuple[Part, Wish]]:
        """What the approvals of the model let go: each once, for a day, for what it was."""
        found: set[tuple[Part, Wish]] = set()
        for digest in used:
            told, at = self.approved.pop(digest, (frozenset(), self.now))
            if at >= self.now - LIVES:
                found |= told
        self.approved = {
            digest: given for digest, given in self.approved.items() if digest in self.held
        }
        return found

    def _scopes(self) -> dict[str, set[str]]:
        skola = {name for name, owner in CONTROLLERS.items() if owner == "skola"}
        return {
            **{name: {name} for name in CONTROLLERS}, "skola": skola, "city": set(CONTROLLERS)
        }  # fmt: skip

    # ── the brake ───────────────────────────────────────────────────────────────────────

    def _braked(self) -> tuple[pl.DataFrame, list[Any], list[str]]:
        known = self.brake.Known(
            now=self.now,
            windows=[
                self.brake.Window(name=name, span=span, limits=self._limits(limit))
                for name, (span, limit) in SPANS.items()
            ],
            past=self.state.journal.changed_since(self.now - timedelta(days=7)),
            scopes=scopes_of(self._plans()),
        )
        found: tuple[pl.DataFrame, list[Any], list[str]] = self.brake.brake(
            self._plans(), self._limits(RUN), config_digest="c",
            approved=self.state.orders.approved(self.now), known=known,
        )  # fmt: skip
        return found

    def _limits(self, people: int) -> dict[str, Any]:
        return {name: self.brake.Limit(people=people, percent=0) for name in DIRECTIONS}

    def _plans(self) -> list[TargetPlan]:
        return [
            replace(
                EMPTY, target=replace(HALL, name=name, controller=owner), items=self._items(name)
            )
            for name, owner in CONTROLLERS.items()
        ]

    def _items(self, target: str) -> pl.DataFrame:
        """Two rows a person, so that rows and people can be told apart."""
        rows = [
            (
                person, wish.direction, wish.confirmed, ref,
                wish.disguised or wish.direction == "losing",
                wish.disguised or wish.direction == "gaining",
            )
            for (name, person), wish in sorted(self.wishes.items(), key=lambda told: told[0])
            for ref in ("ENTRÉ", "KÖK")
            if name == target
        ]  # fmt: skip
        columns = {
            "person_id": pl.String, "effect": pl.String, "confirmed": pl.Boolean, "ref": pl.String,
            "was": pl.Boolean, "shall": pl.Boolean,
        }  # fmt: skip
        table = pl.DataFrame(rows, schema=columns, orient="row").with_columns(key="person_id")
        return items(table, target=target, part="grant", kind="access", creates=False, because="x")

    def _told(self, rows: pl.DataFrame) -> frozenset[tuple[Part, Wish]]:
        parts = {(target, person) for target, person in rows.select(KEY).iter_rows()}
        return frozenset((part, self.wishes[part]) for part in parts)


KEY = ["target", "person_id"]
_numbers = count()


def broken(module: ModuleType, *changes: tuple[str, str]) -> ModuleType:
    """Return a copy of *module* in which each text of *changes* stands for another."""
    file = module.__file__
    assert file is not None
    with open(file, encoding="utf-8") as source:  # noqa: PTH123 - a name, not a path
        text = source.read()
    for old, new in changes:
        assert text.count(old) == 1, f"planted {text.count(old)} times: {old}"
        text = text.replace(old, new)
    made = ModuleType(f"{module.__name__}_broken_{next(_numbers)}")
    sys.modules[made.__name__] = made
    exec(compile(text, f"{file} (broken)", "exec"), made.__dict__)
    return made


def machine_with(**modules: ModuleType) -> type[RuleBasedStateMachine]:
    """Return the machine living with other modules than the sound ones."""
    return type("BrokenMachine", (BrakeMachine,), dict(modules))
