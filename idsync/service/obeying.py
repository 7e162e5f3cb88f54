"""Obeys events, after they were answered. They only ever take access away.

An end is believed at once, for a few people in ten minutes a sender; beyond that, and
where the event is older than what somebody has decided since, HR has to say the same in a
fresh read. What is left open is looked at again a minute later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl

from idsync.config import WHOLE_CITY, Config, connect_target
from idsync.errors import IdsyncError
from idsync.mapping.correlate import People
from idsync.model import IdentityLink, schema
from idsync.service.jobs import Jobs, goes_on, grouped
from idsync.service.planning import LINKS, stored_people
from idsync.service.reading import read_sources
from idsync.service.revoking import Closed, close_everywhere
from idsync.store import Event, Settled, State
from idsync.together import workers

AT_ONCE = 25
WITHIN = timedelta(minutes=10)
"""How many people one sender may shut out on its word alone, in how long."""

GIVING = ("employment.restored", "person.changed")
SIDE_BY_SIDE = 8


@dataclass(frozen=True, kw_only=True)
class Worked:
    """What one pass over the inbox did. `reread`: a whole run is wanted soon."""

    states: Mapping[str, int] = field(default_factory=dict)
    closed: Mapping[str, list[Closed]] = field(default_factory=dict)  # by person
    reread: bool = False


def work_off(config: Config, state: State, clock: Callable[[], datetime]) -> Worked:
    """Act on what waits in the inbox, and end the access of those who are ordered out.

    First what needs no look at HR, so that nobody waits for a slow one. A pass that is
    killed is taken up by the next: an event is settled together with its order.
    """
    closed = _close_new(config, state, clock)
    states: Counter[str] = Counter()
    waiting = state.inbox.open(clock())
    if waiting:
        weighing = Weighing(config, state, clock, waiting)
        rest: list[Event] = []
        for ask in (False, True):
            settled = []
            for one in rest if ask else waiting:
                found = weighing.settled(one, ask=ask)
                if found is None:
                    rest.append(one)
                else:
                    settled.append(found)
            with state.urgent():
                state.inbox.settle(settled, clock())
            states.update(one.state for one in settled)
            closed |= _close_new(config, state, clock, weighing.people)
    state.inbox.forget(clock())
    return Worked(states=states, closed=closed, reread=state.inbox.reread_wanted() is not None)


def stay_ready(config: Config, state: State) -> None:
    """Have in memory what an event needs to know of people: whoever tells of an end waits for it.

    What has changed is read again, so that nobody who was erased stays there for longer than
    until this is called again.
    """
    state.frames.drop_changed()
    stored_people(config, state)
    state.frames.load("identity_link", schema(IdentityLink))
    state.frames.load_all({f"link:{name}": LINKS for name in config.targets})


def warm_up(config: Config) -> None:
    """Have every connector in memory before the first event: to load one takes its time."""
    for table in config.targets.values():
        with suppress(IdsyncError):  # what is wrong there, the first call tells
            connect_target(table).close()


def _close_new(
    config: Config, state: State, clock: Callable[[], datetime], people: People | None = None
) -> dict[str, list[Closed]]:
    """Close everybody whose order was not tried anywhere yet; the rest is pursued by runs.

    *people* is everybody as last accepted, where the caller has it.
    """
    untried: dict[str, dict[str, None]] = {}  # by person the targets, each once
    for one in state.closings.unconfirmed(config.targets):
        if not one.outcome:
            untried.setdefault(one.order.person_id, {})[one.target] = None
    if not untried:
        return {}
    everybody = stored_people(config, state) if people is None else people
    with state.urgent(), workers(1) as beside:
        # nobody waits for it: it has to be known where something is written
        begun = beside.submit(state.begin_run, "events", clock())

        def close(person: str) -> list[Closed]:
            return close_everywhere(
                config, state, everybody, list(untried[person]), person, begun.result, clock
            )

        with workers(min(SIDE_BY_SIDE, len(untried))) as pool:
            shown = list(pool.map(close, untried))
        sure = all(one.shut for closed in shown for one in closed)
        state.end_run(begun.result(), "applied" if sure else "partial", {}, clock())
    return dict(zip(untried, shown, strict=True))


# ── weighing ────────────────────────────────────────────────────────────────────────────


class Weighing:
    """What is known while one pass decides what becomes of each event."""

    def __init__(
        self,
        config: Config,
        state: State,
        clock: Callable[[], datetime],
        events: Sequence[Event],
    ) -> None:
        self._config = config
        self._state = state
        self._clock = clock
        self._now = clock()
        self.people = stored_people(config, state)
        links = state.frames.load("identity_link", schema(IdentityLink))
        # of everybody only those whom an event names: a city is large, and somebody waits
        named = {one.person for one in events}
        persons = self.people.persons
        theirs = set(links["person_id"][_where(links["value"], named)])
        asked = {sender.known_by for sender in config.events.senders.values()} - {"key"}
        for name in sorted(asked):
            folded = {_fold(name, one) for one in named}
            values = persons[name].str.to_lowercase() if name == "mail" else persons[name]
            theirs |= set(persons["id"][_where(values, folded)])
        persons = persons[_where(persons["id"], theirs)]
        employments = self.people.employments
        self._links = links[_where(links["person_id"], theirs)]
        self._named = replace(
            self.people, persons=persons,
            employments=employments[_where(employments["person_id"], theirs)],
        )  # fmt: skip
        self._lifted = state.orders.lifted(theirs)
        standing = state.orders.revocations(theirs)
        self._shut = {one.person_id for one in standing if one.employment is None}
        self._jobs = Jobs(config, self._named, standing, self._now)
        self._left: dict[str, int] = {}
        self._hr: dict[str, Mapping[str, set[str]] | None] = {}
        self._keys = grouped(self._links, ["system", "person_id"], "value")
        self._owner = {(row[0], row[1]): row[2] for row in self._links.select(
            "system", "value", "person_id").iter_rows()}  # fmt: skip
        self._known_by: dict[str, Mapping[str, set[str]]] = {}

    def settled(self, one: Event, *, ask: bool) -> Settled | None:
        """Return what becomes of *one*; None where HR has to be asked and *ask* is not set."""
        sender = self._config.events.senders.get(one.issuer)
        if sender is None:
            return Settled(event=one, state="refused", reason="the sender is no longer agreed")
        if one.kind in GIVING:
            return _reread(one, self._person(one), "gives nothing by itself: HR is read again")
        person = self._person(one)
        if person is None:
            return Settled(event=one, state="parked", reason="nobody is known by this key")
        whole = sender.controller == WHOLE_CITY
        if not whole and not self._jobs.employs(sender.controller, person):
            return Settled(
                event=one, state="refused", reason="not a person of its controller",
                alarm="a person of another controller",
            )  # fmt: skip
        return self._of(one, person, sender.controller, ask=ask)

    def _of(self, one: Event, person: str, controller: str, *, ask: bool) -> Settled | None:
        """What becomes of what a sender of *controller* says of *person*."""
        if one.ends is not None and one.ends > self._now:
            return _reread(one, person, "a date to come: HR is read again, and tells it")
        if person in self._shut:
            return _done(one, person, "an order stands already")
        found = self._ended(one, person, controller, ask=ask)
        if found is not None and found.employments:
            self._jobs.end(person, found.employments)
        elif found is not None and found.order:
            self._shut.add(person)
        return found

    def _ended(self, one: Event, person: str, controller: str, *, ask: bool) -> Settled | None:
        """What becomes of an end of now."""
        own, all_live = self._jobs.live(person, controller), self._jobs.live(person)
        if own != all_live and not own and one.employment is None:
            return _reread(one, person, "nothing of its controller's goes on")
        meant = own
        if one.kind != "person.ended" and one.employment is not None:
            meant = {f"{self._source(one)}:{one.employment}"}
            if unfit := self._unfit(one, person, meant, controller):
                return unfit
        elif one.kind != "person.ended" and len(own) > 1:
            return self._narrowed(one, person, own, ask=ask)
        return self._obeyed(one, person, ask=ask, only=meant if all_live - meant else frozenset())

    def _unfit(self, one: Event, person: str, meant: set[str], controller: str) -> Settled | None:
        """Why the named employment is not ended by this; None: it is."""
        if meant <= self._jobs.over(person):
            return _done(one, person, "an order stands already")
        known = self._jobs.known(person)
        if not meant <= known and self._jobs.live(person):
            return Settled(
                event=one, state="parked", person_id=person,
                reason="they have no employment by this key",
            )  # fmt: skip
        if meant & known - self._jobs.known(person, controller):
            return Settled(
                event=one, state="refused", reason="not an employment of its controller",
                person_id=person, alarm="an employment of another controller",
            )  # fmt: skip
        return None

    def _obeyed(
        self, one: Event, person: str, *, ask: bool, why: str = "", only: Set[str] = frozenset()
    ) -> Settled | None:
        """End the person's access, or the employments *only*: at once, or where HR says so too."""
        lifted = self._lifted.get(person)
        older = bool(lifted and one.occurred_at and one.occurred_at.isoformat() < lifted)
        if not older and self._may_at_once(one.issuer):
            self._left[one.issuer] -= 1
            return _order(one, person, why or "on the sender's word", only, at_once=True)
        if not ask:
            return None
        hr = self._in_hr(self._source(one))
        if hr is not None and self._confirms(hr, one, person, only):
            return _order(one, person, "HR says so too", only)
        told = "older than what was decided since" if older else "too many at once"
        return Settled(
            event=one, state="doubtful", reason=f"{told}, and HR does not confirm it",
            person_id=person,
        )  # fmt: skip

    def _confirms(
        self, hr: Mapping[str, set[str]], one: Event, person: str, only: Set[str]
    ) -> bool:
        """Whether HR shows that it is over: all of it, or the employments *only*."""
        source = self._source(one)
        still = {f"{source}:{key}" for key in self._still(hr, one, person)}
        # of another source's employments this one says nothing
        others = {part for part in only if not part.startswith(f"{source}:")}
        return not (still & only or others) if only else not still

    def _narrowed(self, one: Event, person: str, own: set[str], *, ask: bool) -> Settled | None:
        """What becomes of an end of which it is not said which of several employments it is.

        *own* are those that the sender's controller may end.
        """
        if not ask:
            return None
        others = self._jobs.live(person) - own
        only = own if others else frozenset[str]()
        source = self._source(one)
        hr = self._in_hr(source)
        if hr is None:
            return self._suspended(one, person, "HR does not answer", only)
        elsewhere = {job for job in own if not job.startswith(f"{source}:")}
        still = {f"{source}:{key}" for key in self._still(hr, one, person)} | elsewhere
        still -= others | self._jobs.over(person)
        if not still:
            return _order(one, person, "HR says so too", only)
        if own - still:
            return _reread(one, person, "other employments go on, and keep what they give")
        return self._suspended(one, person, "HR shows every employment as going on", only)

    def _suspended(self, one: Event, person: str, why: str, only: Set[str]) -> Settled | None:
        """End all that the sender may end: nothing narrower is known. Somebody has to look."""
        what = "the whole person" if not only else "every employment of its controller"
        found = self._obeyed(one, person, ask=True, why=f"{what}, since {why}", only=only)
        if found is not None and found.order:
            alarm = "a whole person" if not only else "every employment with a controller"
            return replace(found, alarm=f"{alarm} shut out: {why}")
        return found

    # ── what is known ───────────────────────────────────────────────────────────────────

    def _source(self, one: Event) -> str:
        return self._config.events.senders[one.issuer].source

    def _person(self, one: Event) -> str | None:
        sender = self._config.events.senders[one.issuer]
        if sender.known_by == "key":
            return self._owner.get((sender.source, one.person))
        found = self._by(sender.known_by).get(_fold(sender.known_by, one.person), set())
        return next(iter(found)) if len(found) == 1 else None

    def _by(self, attribute: str) -> Mapping[str, set[str]]:
        """Return who has each value of *attribute*; two who share one are not told apart."""
        if attribute not in self._known_by:
            told = grouped(self._named.persons.drop_nulls(attribute), [attribute], "id")
            found: dict[str, set[str]] = {}
            for (value,), persons in told.items():
                found.setdefault(_fold(attribute, value), set()).update(persons)
            self._known_by[attribute] = found
        return self._known_by[attribute]

    def _may_at_once(self, issuer: str) -> bool:
        if issuer not in self._left:
            used = self._state.inbox.at_once(issuer, self._now - WITHIN)
            self._left[issuer] = AT_ONCE - used
        return self._left[issuer] > 0

    def _in_hr(self, source: str) -> Mapping[str, set[str]] | None:
        """Return the employments that go on by a read of now, by person; None: HR is silent."""
        if source not in self._hr:
            alone = replace(self._config, sources={source: self._config.sources[source]})
            read = read_sources(alone, self._state, self._clock(), lambda _: None)[source]
            self._hr[source] = None
            if read.fresh is not None and read.tables is not None:
                table = read.tables["employments"]
                away = read.absent.get("employments")
                if away is not None:
                    gone = away.filter(pl.col("missed") > 0)["key"]
                    table = table.filter(~pl.col("key").is_in(gone.implode()))
                told = grouped(table.filter(goes_on(self._now)), ["person_key"], "key")
                self._hr[source] = {key: jobs for (key,), jobs in told.items()}
        return self._hr[source]

    def _still(self, hr: Mapping[str, set[str]], one: Event, person: str) -> set[str]:
        keys = self._keys.get((self._source(one), person), set())
        return {job for key in keys for job in hr.get(key, ())}


def _where(values: pl.Series, wanted: set[str]) -> pl.Series:
    """Return in which rows a value stands that is wanted."""
    return values.is_in(pl.Series(sorted(wanted), dtype=pl.String).implode()).arg_true()


def _fold(attribute: str, value: str) -> str:
    """Return *value* as it is compared: of a mail address no case counts."""
    return value.lower() if attribute == "mail" else value


def _order(
    one: Event, person: str, why: str, only: Set[str] = frozenset(), *, at_once: bool = False
) -> Settled:
    return Settled(
        event=one, state="done", reason=why, person_id=person, at_once=at_once,
        order=f"event {one.number} of {one.issuer}: {one.kind}, {why}",
        employments=tuple(sorted(only)),
    )  # fmt: skip


def _reread(one: Event, person: str | None, why: str) -> Settled:
    return Settled(event=one, state="done", reason=why, person_id=person, reread=True)


def _done(one: Event, person: str, why: str) -> Settled:
    return Settled(event=one, state="done", reason=why, person_id=person)
