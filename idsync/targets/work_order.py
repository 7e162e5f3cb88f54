"""Work orders to a landlord, where a person does the work: closed systems and private owners.

A change becomes lines of a signed, numbered order, as CSV and PDF in a shared folder. It is
submitted until the landlord acknowledges each line. idsync's own ledger is the record of
what was ordered and answered; the landlord's list, where there is one, shows the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import Field, model_validator

from idsync.capabilities import profile
from idsync.errors import ConfigError, Denied, Refused, Unavailable
from idsync.model import Cardholder, Change, Outcome
from idsync.settings import PathField, SecretField, Settings, ZoneField
from idsync.targets import Target
from idsync.targets.work_order_answers import Answer, flaw, listen, news, record
from idsync.targets.work_order_changes import Limits, Wanted, split, wanted
from idsync.targets.work_order_documents import altered, publish
from idsync.targets.work_order_files import Folder
from idsync.targets.work_order_inventory import Inventory, Listed, read_inventory, stamp, tied
from idsync.targets.work_order_ledger import Ledger, opened
from idsync.targets.work_order_ledger_file import create
from idsync.targets.work_order_letters import Letters
from idsync.targets.work_order_paper import Letterhead, local_time
from idsync.targets.work_order_shown import amiss, shown, strangers
from idsync.targets.work_order_signing import Signer
from idsync.targets.work_order_tasks import Order, Wrong
from idsync.targets.work_order_words import Language

FAULTS = "answers-with-faults.txt"


def _now() -> datetime:
    return datetime.now(UTC)


class WorkOrderTarget(Target):
    """Everybody whom one landlord was asked to let in, and whom the landlord's list shows."""

    class Config(Settings):
        """Keys of a [targets.NAME] table with type = "work_order"."""

        landlord: str = Field(min_length=1)
        folder: PathField
        ledger: PathField
        signing_key: SecretField
        create: bool = False
        sender: str = ""
        contact: str = ""
        languages: tuple[Language, ...] = Field(default=("sv", "en"), min_length=1, max_length=2)
        removal_hours: float = Field(default=24, gt=0)
        addition_hours: float = Field(default=72, gt=0)
        reminder_hours: float = Field(default=24, gt=0)
        acknowledgements: PathField | None = None
        inventory: PathField | None = None
        inventory_days: int = Field(default=35, gt=0)
        doors: tuple[str, ...] | None = None
        font: PathField | None = None
        batch: int = Field(default=200, gt=0)
        timezone: ZoneField = Field(default=None, validate_default=True)

        @model_validator(mode="after")
        def _two_languages(self) -> Self:
            if len(set(self.languages)) != len(self.languages):
                raise ValueError("languages: each language once")
            return self

    capabilities = profile("work-order-1")

    def __init__(self, config: Config, now: Callable[[], datetime] = _now) -> None:
        self._config = config
        self._clock = now
        self._folder = Folder(config.folder)
        self._answers = config.acknowledgements or config.folder / "acknowledgements"
        self._signer = Signer(config.signing_key)
        self._letters: Letters | None = None
        self._highest = -1
        self._inventory: tuple[str, Inventory] | None = None
        self.capabilities = profile(
            "work-order-1", batch=config.batch,
            answer_hours=max(config.removal_hours, config.addition_hours),
            characters="unicode" if config.font else "latin-1",
        )  # fmt: skip

    # ── the promise of a target ─────────────────────────────────────────────────────────

    def read(self) -> Iterator[Cardholder]:
        """Yield everybody who was ever ordered for, then those whom only the landlord's list shows.

        Raises:
            Unavailable: folder, ledger or list does not answer.
            Incomplete: the landlord's list is cut, too old, or not such a list.
        """
        if self._none_yet():
            found = self._list()
            yield from strangers(tied(found, set(), {})) if found else ()
            return
        with self._at_work() as ledger:
            listed, awaited = self._listed(ledger), self._awaited(ledger)
            people = ledger.everybody()
        for person in people:
            yield shown(person, listed, awaited)
        if listed:
            yield from strangers(listed)

    def read_one(self, key: str) -> Cardholder | None:
        """Return the person with exactly this key, or None."""
        if self._none_yet():
            self._list()
            return None
        if not _storable(key):
            key = ""  # nobody's, and the system is asked all the same
        with self._at_work() as ledger:
            person = ledger.person(key)
            return shown(person, self._listed(ledger), self._awaited(ledger)) if person else None

    def put(self, change: Change) -> Outcome:
        """Order what the change asks for; a batch makes fewer orders: see `put_many`."""
        [outcome] = self.put_many([change])
        if outcome.status == "refused":
            raise Refused(outcome.reason)
        return outcome

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        """Order what all *changes* ask for: what takes away in an urgent order, and first."""
        head = self._head()
        with self._at_work() as ledger:
            self._signer.introduce(self._folder)  # before a number is given to what is not signed
            with ledger.transaction():
                outcomes = self._order(ledger, changes)
            self._highest = ledger.highest
            publish(ledger, self._folder, self._signer, head)
        return outcomes

    def check(self) -> str:
        """Look at folder, key, font, ledger, list and answers, writing nothing."""
        self._signer.check()
        self._head()
        mark = self._folder.mark()
        if not self._folder.writable():
            raise Denied(f"folder {self._config.folder} may not be written to: give the right")
        self._signer.known_in(self._folder)
        self._list()
        if not self._config.ledger.exists():
            self._may_begin(mark)
            return f"{self.capabilities.system}, version {self.capabilities.version}: no order yet"
        with opened(self._config.ledger) as ledger:
            self._belong_together(ledger, mark)
            self._listed(ledger)
            awaited, troubles = ledger.awaited(), self._told_troubles(ledger)
            unread = news(ledger, self._answers)
        facts = [
            f"{counted(len(awaited), 'order')} awaiting an answer",
            *([f"{counted(unread, 'answer file')} to read"] if unread else []),
            *troubles,
        ]
        return (
            f"{self.capabilities.system}, version {self.capabilities.version}: {'; '.join(facts)}"
        )

    def close(self) -> None:
        """Do nothing: files are opened anew for every call."""

    # ── what a landlord's answers need ──────────────────────────────────────────────────

    def acknowledge(self, order: int, line: int | None, done: bool, reason: str, by: str) -> None:
        """Note that *by* did a line of an order (None: every open line), or why it could not be.

        *reason* is "" for what was done, else one of the reasons R1 to R7 of the order.

        Raises:
            Refused: no such order or line, no such reason, or it was done before.
        """
        if wrong := flaw(done=done, reason=reason, by=by):
            raise Refused(f"the acknowledgement is not noted: {wrong}")
        if self._none_yet():
            raise Refused("the acknowledgement is not noted: no such order: compare the number")
        now = self._now()
        today = now.astimezone(self._config.timezone).date()
        answer = Answer(order=order, line=line, done=done, reason=reason, on=today, by=by)
        with self._at_work() as ledger:
            try:
                with ledger.transaction():
                    record(ledger, answer, now, self._config.timezone)
            except Wrong as wrong_answer:
                raise Refused(f"the acknowledgement is not noted: {wrong_answer}") from None

    def troubles(self) -> list[str]:
        """Return what somebody must look at: answers not used, and orders altered."""
        if self._none_yet():
            return []
        with self._at_work() as ledger:
            return self._told_troubles(ledger)

    # ── at work ─────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _at_work(self) -> Iterator[Ledger]:
        """Open the ledger, take in answers, and write reminders and what a crash left unwritten."""
        mark = self._folder.mark()
        if not self._config.ledger.exists():
            self._may_begin(mark)
            create(self._config.ledger)
        with opened(self._config.ledger) as ledger:
            self._belong_together(ledger, mark)
            if mark is None:
                self._folder.claim(ledger.id)
            now = self._now()
            self._tell_faults(listen(ledger, self._answers, now, self._config.timezone))
            interval = timedelta(hours=self._config.reminder_hours)
            if ledger.due(now, now - interval):
                with ledger.transaction():
                    ledger.remind(now, now - interval)
            if ledger.unpublished() or ledger.unsent_reminders():
                publish(ledger, self._folder, self._signer, self._head())
            yield ledger

    def _none_yet(self) -> bool:
        """Whether nothing was ever ordered, and the first order may make the ledger."""
        mark = self._folder.mark()
        if self._config.ledger.exists():
            return False
        self._may_begin(mark)
        return True

    def _may_begin(self, mark: str | None) -> None:
        if mark is not None or self._folder.highest():
            raise Unavailable(
                "the ledger of work orders is gone, and its folder holds orders: restore it, "
                "as a new one would use their numbers again"
            )
        if not self._config.create:
            raise Unavailable(
                "there is no ledger of work orders: check `ledger`, or write create = true "
                "for the first order to this landlord"
            )

    def _belong_together(self, ledger: Ledger, mark: str | None) -> None:
        if mark is None and ledger.highest:
            raise Unavailable(
                f"folder {self._config.folder} is not the one that the ledger's orders are in: "
                "mount it, or correct `folder`"
            )
        if mark not in (None, ledger.id):
            raise Unavailable(
                f"folder {self._config.folder} belongs to another ledger: every landlord has a "
                "folder and a ledger of their own; correct `folder` or `ledger`"
            )
        highest = ledger.highest
        if highest == self._highest:  # as it was after the last look, so not another copy
            return
        if self._folder.highest() > highest:
            raise Unavailable(
                "the ledger of work orders is older than the orders in its folder: restore the "
                "newest copy, as numbers would be used again"
            )
        self._highest = highest

    def _order(self, ledger: Ledger, changes: Sequence[Change]) -> list[Outcome]:
        listed, awaited, limits = self._listed(ledger), self._awaited(ledger), self._limits()
        found: list[Wanted] = []
        for change in changes:
            if not change.after.key or not _storable(change.after.key):
                found.append(Wanted(flaws=["an empty or broken key: correct the record"]))
                continue
            person = ledger.person(change.key)
            now_shown = shown(person, listed, awaited) if person else None
            failed = amiss(person, listed) if person else []
            found.append(wanted(change, now_shown, failed, limits))
        now = self._now()
        for urgent, tasks in split(found):
            hours = self._config.removal_hours if urgent else self._config.addition_hours
            ledger.add_order(
                tasks, urgent=urgent, made_at=now, deadline=now + timedelta(hours=hours),
                code=self._signer.code,
            )  # fmt: skip
        return [
            _outcome(one, not one.flaws and ledger.awaits(change.key))
            for change, one in zip(changes, found, strict=True)
        ]

    def _now(self) -> datetime:
        # Whole seconds, so that instants in the ledger compare as text.
        return self._clock().astimezone(UTC).replace(microsecond=0)

    def _listed(self, ledger: Ledger) -> Listed | None:
        found = self._list()
        return tied(found, ledger.aliases(), ledger.card_holders()) if found else None

    def _list(self) -> Inventory | None:
        path = self._config.inventory
        if path is None:
            return None
        mark, today = stamp(path), self._now().astimezone(self._config.timezone).date()
        mark = f"{mark} {today}"
        if self._inventory is None or self._inventory[0] != mark:
            found = read_inventory(
                path, self._config.timezone, today=today, max_days=self._config.inventory_days
            )
            self._inventory = (mark, found)
        return self._inventory[1]

    def _awaited(self, ledger: Ledger) -> dict[int, str]:
        return {
            order.number: self._waiting(order, reminders) for order, reminders in ledger.awaited()
        }

    def _waiting(self, order: Order, reminders: int) -> str:
        due = local_time(order.deadline, self._config.timezone)
        text = f"order {order.number}{' (urgent)' if order.urgent else ''}, to be done by {due}"
        late = self._now() - order.deadline
        if late <= timedelta(0):
            return text
        hours = int(late.total_seconds() // 3600)
        by = counted(hours // 24, "day") if hours >= 48 else counted(hours, "hour")
        return f"{text}: overdue by {by}, {counted(reminders, 'reminder')} written"

    def _told_troubles(self, ledger: Ledger) -> list[str]:
        wrong = [
            f"acknowledgement {name}: {told}"
            for name, (_, told) in ledger.answer_files().items()
            if told
        ]
        return wrong + altered(ledger, self._folder)

    def _tell_faults(self, faults: list[str]) -> None:
        """Keep a file of what is wrong with answers beside the orders, for the landlord."""
        text = "".join(f"{fault}\r\n" for fault in faults).encode()
        if (self._folder.read(FAULTS) or b"") == text:
            return
        if text:
            self._folder.write([(FAULTS, text)])
        else:
            self._folder.remove(FAULTS)

    def _known_letters(self) -> Letters:
        if self._letters is None:
            self._letters = Letters(self._config.font)
        return self._letters

    def _limits(self) -> Limits:
        doors = self._config.doors
        return Limits(
            zone=self._config.timezone,
            letters=self._known_letters(),
            doors=None if doors is None else frozenset(doors),
            name_length=self.capabilities.lengths["display_name"],
        )

    def _head(self) -> Letterhead:
        letters, config = self._known_letters(), self._config
        for name in ("landlord", "sender", "contact"):
            if wrong := letters.flaw(getattr(config, name)):
                raise ConfigError(
                    f"`{name}` of the work orders {wrong}: correct it, or give a `font`"
                )
        return Letterhead(
            landlord=config.landlord, sender=config.sender, contact=config.contact,
            languages=config.languages, zone=config.timezone, letters=letters,
        )  # fmt: skip


def _outcome(found: Wanted, awaits: bool) -> Outcome:
    if found.flaws:
        return Outcome(status="refused", reason="; ".join(dict.fromkeys(found.flaws)))
    return Outcome(status="submitted" if awaits else "confirmed")


def _storable(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def counted(count: int, thing: str) -> str:
    """Return a number of things in words: 1 order, 2 orders."""
    return f"{count} {thing}{'' if count == 1 else 's'}"
