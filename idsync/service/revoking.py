"""Ends one person's access in every target, now; and gives it back by the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from idsync.apply import Work, carry_out
from idsync.config import Config, connect_target
from idsync.errors import IdsyncError, IntegrityError, NoRoom
from idsync.mapping.correlate import People
from idsync.mapping.rules import Desired
from idsync.model import Cardholder
from idsync.plan.document import ordered_changes
from idsync.plan.given import Orders
from idsync.plan.holdings import Holdings
from idsync.service.planning import (
    LINKS,
    Remembered,
    desire_of,
    plan_all,
    remembered,
    stored_people,
)
from idsync.service.planning import orders_of as standing_orders
from idsync.store import State
from idsync.together import workers

HEAD_START_S = 0.01
"""For how long idsync leaves the processor to asking the targets: none answers much sooner."""

UNDECIDED = (
    "their records cannot be told from somebody else's, so nobody knows what the employment gave: "
    "end the whole person with `idsync revoke`, or have the records put right"
)


@dataclass(frozen=True, kw_only=True)
class Closed:
    """What one target shows of a person after an order."""

    target: str
    # confirmed, submitted (answered later), nothing (of theirs), refused, unknown, unavailable
    outcome: str
    at: datetime
    reason: str = ""
    offline_hours: int = 0  # how long an offline lock may honour a tag of theirs yet

    @property
    def open_until(self) -> datetime | None:
        """Until when an offline lock may let them in yet; None: no lock does."""
        return self.at + timedelta(hours=self.offline_hours) if self.offline_hours else None

    @property
    def shut(self) -> bool:
        """Whether nothing is left to do: it is seen, or asked and answered later."""
        return self.outcome in ("confirmed", "nothing", "submitted")


def close_person(
    config: Config,
    state: State,
    person_id: str,
    run: int,
    clock: Callable[[], datetime],
    *,
    names: Sequence[str] | None = None,
    giving: bool = False,
) -> list[Closed]:
    """Bring one person in every target (or those of *names*) to where orders and rules want them.

    The order stands in the state before this is called; each target is planned and
    written by the same line as every run, for this one person, side by side. Where orders
    stand on employments of theirs alone, what these gave goes and nothing else is done;
    unless it is *giving*: an order was lifted.
    """
    asked = list(config.targets) if names is None else list(names)
    everybody = stored_people(config, state)
    return close_everywhere(
        config, state, everybody, asked, person_id, lambda: run, clock, giving=giving
    )


def close_everywhere(
    config: Config,
    state: State,
    everybody: People,
    names: Sequence[str],
    person_id: str,
    run: Callable[[], int],
    clock: Callable[[], datetime],
    *,
    giving: bool = False,
) -> list[Closed]:
    """Do as `close_person` in the targets *names*; *everybody* is everybody as last accepted.

    Every target is asked first of all; what idsync knows itself is put together while they
    answer. No target waits for another one's answer. *run* gives the run's number when
    something is to be written.
    """
    keys = keys_of(config, state, everybody, names, person_id)
    # two for each: one that waits for a silent target's answer keeps no other from its turn
    with workers(2 * len(names)) as pool:
        asked = {name: pool.submit(_looked, config, name, keys[name]) for name in names}
        wait(asked.values(), timeout=HEAD_START_S)
        people = only(everybody, person_id)
        mine = orders_on(state, people, person_id)
        desired = desire_of(config, people, mine, clock())
        known = {name: _known(config, state, name) for name in names}

        def one(name: str) -> Closed:
            to_do = _ToDo(name, person_id, mine, desired, known[name], giving)
            return _noted(config, state, to_do, asked[name].result(), run, clock)

        return list(pool.map(one, names))


def orders_on(state: State, people: People, person_id: str) -> Orders:
    """Return the orders that stand on one person, as if none were seen to be done yet."""
    return standing_orders(state, people, of=[person_id], seen=False)


def only(people: People, person_id: str) -> People:
    """Return *people* with everything of one person alone."""

    def theirs(table: pl.DataFrame, column: str = "person_id") -> pl.DataFrame:
        # by row numbers: a filter is handed to other threads, which costs more than the work
        return table[(table[column] == person_id).arg_true()]

    return replace(
        people,
        persons=theirs(people.persons, "id"),
        employments=theirs(people.employments),
        trainings=theirs(people.trainings),
        memberships=theirs(people.memberships),
        links=theirs(people.links),
        set_aside=theirs(people.set_aside),
        disagreements=theirs(people.disagreements),
    )


def keys_of(
    config: Config, state: State, people: People, names: Sequence[str], person_id: str
) -> dict[str, list[str]]:
    """Return by target the keys under which each of *names* may know the person.

    Column by column: somebody waits, and to filter a whole table takes several times as long.
    """
    links = state.frames.load_all({f"link:{name}": LINKS for name in names})
    row = (people.persons["id"] == person_id).arg_true()
    found = {}
    for name in names:
        link = links[f"link:{name}"]
        keys = link["key"].gather((link["person_id"] == person_id).arg_true()).to_list()
        if not keys and row.len():
            wished = people.persons[config.targets[name].key][row[0]]
            keys = [wished] if wished and not (link["key"] == wished).any() else []
        found[name] = list(dict.fromkeys(keys))
    return found


def _shown(found: Sequence[Cardholder | None]) -> tuple[str, str]:
    """What the records of somebody say, where nothing is left to send: outcome and reason."""
    there = [holder for holder in found if holder is not None]
    for holder in there:
        if holder.amiss:
            return "refused", holder.amiss
    for holder in there:
        if holder.pending:
            return "submitted", holder.pending
    return ("confirmed" if there else "nothing"), ""


def close_in(
    config: Config,
    state: State,
    people: People,
    orders: Orders,
    name: str,
    person_id: str,
    run: int,
    clock: Callable[[], datetime],
    *,
    known: Mapping[str, Remembered] | None = None,
) -> Closed:
    """Bring one person in the target *name* to where *orders* and rules want them, and look.

    *people* is that person alone. *known* is what is remembered of the target, where the
    caller has it. What an order came to is kept with it.
    """
    keys = keys_of(config, state, people, [name], person_id)[name]
    found = _looked(config, name, keys)
    desired = desire_of(config, people, orders, clock())
    to_do = _ToDo(name, person_id, orders, desired, known or _known(config, state, name))
    return _noted(config, state, to_do, found, lambda: run, clock)


AGAIN = pl.col("part") == "again"
"""What is sent once more since the system does not hold it as it shows it."""


@dataclass(frozen=True)
class _ToDo:
    """What is to be done at one target, and what idsync knows by itself.

    `known` is what is remembered of the target, or why that target cannot be worked with.
    """

    target: str
    person_id: str
    orders: Orders
    desired: Desired
    known: Mapping[str, Remembered] | str
    giving: bool = False

    @property
    def whole(self) -> bool:
        """Whether everything about the person is brought in order, not only what they lose."""
        return self.giving or self.orders.ended.is_empty() or not self.orders.revoked.is_empty()

    @property
    def undecided(self) -> bool:
        """Whether nobody can tell what the employment gave that an order has ended."""
        theirs = (self.orders.frozen == self.person_id).any()
        return theirs and not self.orders.ended.is_empty() and self.orders.revoked.is_empty()

    def due(self, items: pl.DataFrame) -> pl.DataFrame:
        """Return what of their *items* is sent."""
        return items if self.whole else items.filter(pl.col("confirmed") | AGAIN)


@dataclass(frozen=True)
class _Found:
    """What a target shows of a person, and how long its offline locks may honour their tag."""

    holders: Sequence[Cardholder | None]
    offline_hours: int


def _looked(config: Config, name: str, keys: Sequence[str]) -> _Found | str:
    """Return what the target *name* shows under *keys*, or why it shows nothing."""
    try:
        adapter = connect_target(config.targets[name])
        try:
            offline = adapter.capabilities.offline_hours
            return _Found([adapter.read_one(key) for key in keys], offline)
        finally:
            adapter.close()
    except (IntegrityError, NoRoom):
        raise  # the state's own
    except IdsyncError as error:
        return str(error)


def _known(config: Config, state: State, name: str) -> Mapping[str, Remembered] | str:
    """Return what is remembered of the target *name*, or why it cannot be worked with."""
    try:
        return remembered(config, state, [name])
    except (IntegrityError, NoRoom):
        raise  # the state's own
    except IdsyncError as error:
        return str(error)


def _noted(
    config: Config,
    state: State,
    to_do: _ToDo,
    found: _Found | str,
    run: Callable[[], int],
    clock: Callable[[], datetime],
) -> Closed:
    """Close, and keep with the order what it came to."""
    if isinstance(found, str) or isinstance(to_do.known, str):
        reason = found if isinstance(found, str) else str(to_do.known)
        closed = Closed(target=to_do.target, outcome="unavailable", at=clock(), reason=reason)
    else:
        closed = _closed(config, state, to_do, to_do.known, found, run, clock)
    state.closings.note(
        to_do.person_id, closed.target, closed.outcome, closed.reason, closed.at,
        planned=to_do.orders.newest,
    )  # fmt: skip
    return closed


def _closed(
    config: Config,
    state: State,
    to_do: _ToDo,
    known: Mapping[str, Remembered],
    found: _Found,
    run: Callable[[], int],
    clock: Callable[[], datetime],
) -> Closed:
    name, mine, offline = to_do.target, pl.col("person_id") == to_do.person_id, found.offline_hours
    try:
        held = Holdings.collect(holder for holder in found.holders if holder is not None)
        now = clock()
        [planned] = plan_all(known, to_do.desired, {name: held}, to_do.orders, now)
        # an order of a person's own: no limit counts it
        items = to_do.due(planned.items.filter(mine)).with_columns(exempt=pl.lit(True))
        work = [
            Work(target=target, person_id=person, change=change, items=rows)
            for target, person, change, rows in ordered_changes(items)
        ]
        done = carry_out(
            run() if work else 0,
            work,
            lambda _: connect_target(config.targets[name]),
            state,
            clock,
            urgent=True,
            limits={name: config.targets[name].calls_per_second},
            planned=to_do.orders.newest,
        )
    except (IntegrityError, NoRoom):
        raise  # the state's own
    except IdsyncError as error:
        return Closed(target=name, outcome="unavailable", at=clock(), reason=str(error))
    if not work:
        # where employments alone were ended, it does not matter what others cannot give
        told = mine if to_do.whole else mine & (pl.col("ref") == "")
        doubt = planned.refusals.filter(told)["reason"].to_list()
        doubt += [UNDECIDED] if to_do.undecided else []
        if doubt and held.cardholders.height:
            return Closed(target=name, outcome="refused", at=clock(), reason=doubt[0])
        outcome, reason = _shown(found.holders)
        return Closed(
            target=name, outcome=outcome, at=clock(), reason=reason, offline_hours=offline
        )
    result = done[name]
    reason = result.problems[0][1] if result.problems else ""
    outcome = "refused" if result.refused else "unknown"
    if result.confirmed + result.submitted == len(work):
        outcome = "submitted" if result.submitted else "confirmed"
    return Closed(target=name, outcome=outcome, at=clock(), reason=reason, offline_hours=offline)
