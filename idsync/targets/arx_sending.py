"""Many changes in one document, each judged by what ARX shows afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from idsync.errors import Refused, Unavailable
from idsync.model import Outcome
from idsync.targets.arx_changes import Wish, Work
from idsync.targets.arx_people import People
from idsync.targets.arx_records import Card, Category, Found, Person, Rules
from idsync.targets.arx_wire import Wire
from idsync.targets.arx_xml import document

CategoriesAbsent: TypeAlias = Literal["unknown", "removed", "kept"]

CONFIRMED = Outcome(status="confirmed")
KEPT = (
    "ARX keeps categories that a document leaves out. idsync has ended them instead; to go on "
    'like that set categories_absent = "kept"'
)


@dataclass(kw_only=True)
class Job:
    """One change on its way. `reason` is why not all of it can be; `told` what ARX said to it."""

    work: Work
    told: str = ""
    broken: bool = False
    ends: bool = False  # what leaves is ended, since it does not go by being left out
    reason: str = field(init=False)
    wish: Wish = field(init=False)

    def __post_init__(self) -> None:
        self.reason = self.work.refusal()
        self.wish = self.work.wish(less=bool(self.reason))

    @property
    def changes_person(self) -> bool:
        """Whether the person shall be otherwise; nobody is made without what they shall have."""
        now = self.work.now
        return not self.reason if now is None else _open(now.person) != self.wish.person

    @property
    def changes(self) -> bool:
        """Whether anything is to be sent."""
        return self.changes_person or bool(self.wish.cards)

    @property
    def leaves(self) -> list[str]:
        """The names of categories that shall go altogether."""
        gone = {each.name for each in _open(self.work.start.person).categories}
        return sorted(gone - {each.name for each in self.wish.person.categories})

    def lessen(self) -> bool:
        """Go on with what is taken away only; tell whether that is anything."""
        if self.work.now is None or self.reason:
            return False
        self.reason = f"ARX refused it ({self.told}): look at names and categories"
        self.wish = self.work.wish(less=True)
        self.told, self.broken = "", False
        return self.changes_person


class Sending:
    """Carries out jobs: persons first, then cards, then a look at each."""

    def __init__(
        self, wire: Wire, people: People, *, absent: CategoriesAbsent, empty_pin: bool
    ) -> None:
        self._wire = wire
        self._people = people
        self._absent = absent
        self._empty_pin = empty_pin

    def carry_out(self, jobs: list[Job]) -> list[Outcome]:
        """Send all jobs and return what became of each.

        Raises:
            Unavailable, Denied: of all of them; some may have happened.
        """
        self._send_persons([job for job in jobs if job.changes_person])
        self._send([job for job in jobs if job.wish.cards], self._cards)
        return [self._outcome(job) for job in jobs]

    def _send_persons(self, jobs: list[Job]) -> None:
        self._send(jobs, self._persons)
        again = [
            job for job in jobs if job.told and _shortfall(job, self._seen(job)) and job.lessen()
        ]
        self._send(again, self._persons)
        if self._absent == "unknown":
            self._end([job for job in jobs if job.leaves and not job.told])

    def _end(self, jobs: list[Job]) -> None:
        """Close what was left out, and is there all the same; but somebody has to say so."""
        kept = [job for job in jobs if left_over(job, self._seen(job))]
        for job in kept:
            job.ends = True
            job.reason = job.reason or KEPT
        self._send(kept, self._persons)

    def _send(self, jobs: list[Job], build: Callable[[list[Job]], bytes]) -> None:
        """Import *jobs* in one document, and in ever smaller ones if ARX does not say OK.

        One person whom ARX refuses may make it refuse the whole document.
        """
        answers: list[bool] = []
        waiting = [jobs] if jobs else []
        while waiting:
            some = waiting.pop()
            taken = self._wire.take(build(some))
            if taken.ok:
                answers.append(True)
            elif len(some) > 1:
                half = len(some) // 2
                waiting += [some[half:], some[:half]]
            else:
                some[0].told, some[0].broken = taken.told, taken.broken
                answers.append(not taken.broken)
            if answers.count(False) > 1 and not any(answers):
                raise Unavailable(f"ARX: import {taken.told} every time: idsync tries again later")

    def _persons(self, jobs: list[Job]) -> bytes:
        return document(
            self._stamp(jobs),
            persons=[self._to_send(job) for job in jobs],
            empty_pin=self._empty_pin,
        )

    def _cards(self, jobs: list[Job]) -> bytes:
        cards = [card for job in jobs for card in job.wish.cards]
        return document(self._stamp(jobs), cards=cards)

    def _stamp(self, jobs: list[Job]) -> str:
        return jobs[0].work.rules.clock.stamp()

    def _to_send(self, job: Job) -> Person:
        """Return the person with all that remains: right whatever becomes of what is absent."""
        ends = job.ends or self._absent == "kept"
        ended = [Category.ended(name) for name in job.leaves] if ends else []
        person = job.wish.person
        return replace(person, categories=(*person.categories, *ended))

    # ── what became of it ───────────────────────────────────────────────────────────────

    def _seen(self, job: Job) -> Found | None:
        try:
            return self._people.seek(job.wish.person.id).found
        except Refused:  # two of one id now: neither is the one that was meant
            return None

    def _outcome(self, job: Job) -> Outcome:
        shortfall = _shortfall(job, self._seen(job)) if job.changes else ""
        if shortfall and job.broken:
            return Outcome(status="unknown", reason=f"ARX: import {job.told}, {shortfall}")
        if shortfall and job.told:
            shortfall = f"ARX refused it ({job.told}): {shortfall}"
        reason = shortfall or job.reason
        return Outcome(status="refused", reason=reason) if reason else CONFIRMED


def _shortfall(job: Job, found: Found | None) -> str:
    """Return what ARX does not show as it shall be, "" if all is well."""
    if found is None or found.person.deleted:
        return (
            "the person does not show: look whether ARX has them twice, as deleted, or under an "
            "id that differs in case only"
        )
    if left_over(job, found):
        return (
            "categories that should be gone are still there: take them away in ARX, and set "
            "categories_absent to what this ARX does with those that a document leaves out"
        )
    rules, person, wish = job.work.rules, found.person, job.wish.person
    there = {each.grant(rules.clock) for each in person.categories}
    wanted = {each.grant(rules.clock) for each in wish.categories}
    names = (person.first_name, person.last_name)
    checks = {
        "not every category is there, or not with its dates: compare its name with ARX's": (
            wanted <= there
        ),
        "the mark in the description did not stay: look how long a description may be": (
            person.suspended == wish.suspended
        ),
        "a name is not as it was sent: look how long it may be in ARX": (
            names == (wish.first_name, wish.last_name)
        ),
        "an extra field is not as it was sent: look whether ARX has a field of this name": all(
            person.extra.get(place, "") == wish.extra.get(place, "")
            for place in rules.fields.values()
        ),
        "cards of the person are gone since the person was sent: before others are written, look "
        "whether an import without cards takes them away": (
            {card.identity for card in job.work.start.cards if not rules.blocked(card)}
            <= {card.identity for card in found.cards} | {card.identity for card in job.wish.cards}
        ),
        f"a card is not blocked or not released as it shall be: look at it in ARX, and whether "
        f"suspend = {rules.suspend!r} works there": all(
            _card_stands(rules, card, found) for card in job.wish.cards
        ),
    }
    return next((told for told, well in checks.items() if not well), "")


def _card_stands(rules: Rules, wanted: Card, found: Found) -> bool:
    """Whether a card is blocked or open as it shall be; one that is gone opens nothing."""
    now = next((card for card in found.cards if card.identity == wanted.identity), None)
    if rules.blocked(wanted):
        return now is None or rules.blocked(now)
    return now is not None and not rules.blocked(now)


def _open(person: Person) -> Person:
    return replace(
        person, categories=tuple(each for each in person.categories if not each.ended_by_us)
    )


def left_over(job: Job, found: Found | None) -> bool:
    """Whether a person still has what was to be taken away."""
    if found is None:
        return False
    clock = job.work.rules.clock
    there = {each.grant(clock) for each in _open(found.person).categories}
    return not there.isdisjoint(job.work.change.removed)
