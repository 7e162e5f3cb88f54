"""From a change to tasks: what takes away first, and nothing that cannot be said exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from idsync.model import Cardholder, Change, Credential, Grant
from idsync.targets.work_order_letters import LONGEST_CARD, Letters
from idsync.targets.work_order_tasks import (
    CARDS,
    NAME,
    PERSON,
    STATUS,
    TAKES,
    Action,
    Line,
    Task,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an order of this landlord can say."""

    zone: ZoneInfo
    letters: Letters
    doors: frozenset[str] | None
    name_length: int


@dataclass(slots=True)
class Wanted:
    """The tasks of one change, and why parts of it cannot be ordered."""

    takes: list[Task] = field(default_factory=list)
    gives: list[Task] = field(default_factory=list)
    instead: list[Task] = field(default_factory=list)  # of what gives, where it may not
    flaws: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> list[Task]:
        """What is ordered. A flaw stops everything that gives, and nothing that takes away."""
        return self.takes + (self.instead if self.flaws else self.gives)


def wanted(
    change: Change, shown: Cardholder | None, failed: Sequence[Line], limits: Limits
) -> Wanted:
    """Return what to order so that a person, shown fresh, looks as the change says.

    *failed* are lines that the landlord could not do: what the change still wants of them
    is ordered again.
    """
    found = Wanted()
    if shown is None and change.after.status == "suspended":
        return found
    now = shown or Cardholder(key=change.key)
    name = _name(change, now, found, limits)
    _status(change, now, found)
    _cards(change, now, found, limits)  # a card is there before doors are put on it
    _doors(change, now, found, limits)
    if shown is None and not found.gives and not found.takes:
        found.gives.append(Task(key=change.key, action="register"))
    elif shown is not None and name is not None and name != (now.display_name or ""):
        found.gives.append(Task(key=change.key, action="rename"))
    _again(change, failed, found)
    # What takes away names a person as the landlord knows them; a new name comes afterwards.
    old = now.display_name if shown or found.flaws else name
    new = name if name is not None and not found.flaws else now.display_name
    cards = _numbers(now, found)
    for tasks, called in ((found.takes, old), (found.instead, old), (found.gives, new)):
        tasks[:] = [
            replace(task, name=called, cards=(task.ref,) if task.action in CARDS else cards)
            for task in tasks
        ]
    return found


def _name(change: Change, now: Cardholder, found: Wanted, limits: Limits) -> str | None:
    """Return the name that the change gives; None: it gives none, or one that does not fit."""
    name = change.attributes.get("display_name")
    if name is None or name == now.display_name:
        return name
    if len(name) > limits.name_length:
        found.flaws.append(f"a name longer than {limits.name_length} characters: shorten it")
    elif flaw := limits.letters.flaw(name):
        found.flaws.append(
            f"a name that {flaw}: correct it, give a `font` that fits, or leave display_name "
            "out of `release`"
        )
    return name


# ── doors ───────────────────────────────────────────────────────────────────────────────


def _doors(change: Change, now: Cardholder, found: Wanted, limits: Limits) -> None:
    gone = [grant for grant in change.removed if grant in now.grants]
    new = [grant for grant in change.added if grant not in now.grants]
    sound = []
    for grant in new:
        flaw = _flaw(grant, limits)
        if flaw:
            found.flaws.append(flaw)
        else:
            sound.append(grant)
    for ref in dict.fromkeys(grant.ref for grant in (*gone, *sound)):
        _door(
            change.key,
            [grant for grant in gone if grant.ref == ref],
            [grant for grant in sound if grant.ref == ref],
            [grant for grant in now.grants if grant.ref == ref and grant not in gone],
            found,
        )


def _flaw(grant: Grant, limits: Limits) -> str:
    if grant.kind != "access":
        return f"a landlord's order holds no {grant.kind} rights: correct the profile"
    begin, end = grant.valid_from, grant.valid_to
    if any(limit is not None and not _midnight(limit, limits.zone) for limit in (begin, end)):
        return "a right that begins or ends within a day: orders know whole days only"
    if begin and end and begin >= end:
        return "a right that ends before it begins: correct its dates"
    if limits.doors is not None and grant.ref not in limits.doors:
        return "a right that is not among the `doors` of this landlord: correct the profile"
    if not grant.ref:
        return "a right without a name: correct the profile"
    flaw = limits.letters.flaw(grant.ref)
    return f"a right whose name {flaw}: correct the profile" if flaw else ""


def _midnight(instant: datetime, zone: ZoneInfo) -> bool:
    local = instant.astimezone(zone)
    return (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)


def _door(key: str, gone: list[Grant], new: list[Grant], stays: list[Grant], found: Wanted) -> None:
    """Order one door: a person has it once, so another's grant of it is in the way."""
    if stays and (gone or new):
        found.flaws.append(
            "a right that the person has with other dates, not by idsync: settle it by hand"
        )
        return
    if len(new) > 1:
        found.flaws.append("one right for two periods: an order knows one period of a door")
        new = []
    if not new:
        found.takes += [_remove(key, grant) for grant in gone[:1]]
        return
    task = _task(key, "change" if gone else "add", new[0])
    if not gone:
        found.gives.append(task)
        return
    gives, takes = _narrows(new[0], gone[0]), _narrows(gone[0], new[0])
    task = replace(task, urgent=takes)
    if takes and not gives:
        found.takes.append(task)
        return
    found.gives.append(task)
    if takes:
        found.instead.append(_remove(key, gone[0]))


def _narrows(old: Grant, new: Grant) -> bool:
    """Whether *new* leaves out an instant that *old* has."""
    begins_later = new.valid_from is not None and (
        old.valid_from is None or old.valid_from < new.valid_from
    )
    ends_earlier = new.valid_to is not None and (
        old.valid_to is None or old.valid_to > new.valid_to
    )
    return begins_later or ends_earlier


def _remove(key: str, grant: Grant) -> Task:
    return replace(_task(key, "remove", grant), urgent=True)


def _task(key: str, action: Action, grant: Grant) -> Task:
    return Task(
        key=key, action=action, ref=grant.ref,
        valid_from=grant.valid_from, valid_to=grant.valid_to,
    )  # fmt: skip


# ── block and cards ─────────────────────────────────────────────────────────────────────


def _status(change: Change, now: Cardholder, found: Wanted) -> None:
    if change.after.status == now.status:
        return
    if change.after.status == "suspended":
        found.takes.append(Task(key=change.key, action="suspend", urgent=True))
    elif change.before and change.before.status == "suspended":
        # A plan that is older than the suspension does not let anybody back in.
        found.gives.append(Task(key=change.key, action="resume"))


def _cards(change: Change, now: Cardholder, found: Wanted, limits: Limits) -> None:
    before = _by_number(change.before.credentials if change.before else ())
    there = _by_number(now.credentials)
    for card in change.credentials:
        known = (card.medium, card.number)
        task = Task(
            key=change.key, action="add_card", ref=card.number, medium=card.medium,
            card_state=card.state,
        )  # fmt: skip
        if known in there and there[known].state == card.state:
            continue
        if card.state != "active":
            # A card that was in these hands and is no more is somebody else's now: leave it.
            if known in there or known not in before:
                found.takes.append(replace(task, action="block_card", urgent=True))
        elif known in there:
            if known in before and before[known].state != "active":
                found.gives.append(replace(task, action="return_card"))
        elif known not in before:
            flaw = limits.letters.flaw(card.number, LONGEST_CARD) if card.number else "is empty"
            if flaw:
                found.flaws.append(f"a card number that {flaw}: correct it")
            else:
                found.gives.append(task)


def _by_number(cards: Iterable[Credential]) -> dict[tuple[str, str], Credential]:
    return {(card.medium, card.number): card for card in cards}


def _numbers(now: Cardholder, found: Wanted) -> tuple[str, ...]:
    """Return the numbers by which the landlord finds the person: known cards, then new ones."""
    known = [card.number for card in now.credentials]
    new = [task.ref for task in found.tasks if task.action in CARDS]
    return tuple(dict.fromkeys((*known, *new)))


# ── what could not be done before ───────────────────────────────────────────────────────


def _again(change: Change, failed: Sequence[Line], found: Wanted) -> None:
    touched = {task.item for task in (*found.takes, *found.gives, *found.instead)}
    for line in failed:
        task = line.task
        if task.item in touched or not _still_wanted(task, change.after):
            continue
        if task.action in TAKES:
            found.takes.append(replace(task, urgent=True))
        else:
            found.gives.append(task)


def _still_wanted(task: Task, after: Cardholder) -> bool:
    if task.item == PERSON:
        return True
    if task.item == NAME:
        return after.display_name in (None, task.name)
    if task.item == STATUS:
        return task.value == after.status
    if task.action in CARDS:
        states = {(card.medium, card.number): card.state for card in after.credentials}
        return states.get((task.medium, task.ref), task.card_state) == task.card_state
    same_door = [grant for grant in after.grants if grant.ref == task.ref]
    if task.value is None:
        return not same_door
    return Grant(ref=task.ref, valid_from=task.valid_from, valid_to=task.valid_to) in same_door


def split(found: Iterable[Wanted]) -> Iterator[tuple[bool, list[Task]]]:
    """Yield the orders that are to be made, the urgent one first: (urgent, its tasks)."""
    tasks = [task for one in found for task in one.tasks]
    for urgent in (True, False):
        some = [task for task in tasks if task.urgent is urgent]
        if some:
            yield urgent, some
