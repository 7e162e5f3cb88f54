"""UHPPOTE UT0311-L0x controllers: cards, four doors each, and nobody's name.

The device keeps cards: a number, two dates, a permission for each of four doors, a PIN.
It knows no people, asks nobody who they are, and keeps no status. So whose card is whose
stands in a file (`uhppote_holders`), rights hang on cards, and a suspended person's cards
carry their dates turned round (`uhppote_cards`), which leaves them valid on no day.

Writing a card leaves no trace in the controller's events: its functions 0x50 and 0x52 add
none (uhppote-simulator, put_card.go and delete_card.go), so there is no change feed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime

from idsync.capabilities import profile
from idsync.errors import Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Outcome
from idsync.targets import Target
from idsync.targets.uhppote_cards import Record
from idsync.targets.uhppote_holders import Holders
from idsync.targets.uhppote_people import Person
from idsync.targets.uhppote_rights import Rights, Wish
from idsync.targets.uhppote_settings import UhppoteConfig, split_address
from idsync.targets.uhppote_wire import Device
from idsync.targets.uhppote_writes import NO_DATES, Terms, given, taken

OLDEST = "6.56"
"""The oldest firmware that the protocol is known to fit (uhppoted, TROUBLESHOOTING)."""

DONE = Outcome(status="confirmed")
NO_CARD = "no card in the holders file: enter the person's card there"
READ_ONLY = (
    "a card is not in the holders file, or shall be blocked by itself, which a controller cannot: "
    "see the page of this target for what to do about a lost card"
)
NOT_STORED = "did not store a card: it may be full; look at it in the vendor's program"


class UhppoteTarget(Target):
    """Every card on the configured controllers, and whose it is by the holders file."""

    Config = UhppoteConfig
    capabilities = profile("uhppote-ut0311-l0x")

    def __init__(self, config: UhppoteConfig) -> None:
        self._config = config
        self._rights = Rights(config)
        self._holders = Holders(config.holders, config.holders_at_least, config.holders_counted)
        self._devices = [
            Device(each.id, *split_address(each.address), each.protocol, config.timeout_s)
            for each in config.controllers
        ]

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def read(self) -> Iterator[Cardholder]:
        """Yield everybody with a card on a controller, and every card of nobody."""
        register = self._holders.read()
        found: dict[str | int, dict[tuple[int, int], Record]] = {}
        for controller, device in enumerate(self._devices):
            for number, record in device.cards().items():
                who = register.key.get(number, number)
                found.setdefault(who, {})[controller, number] = record
        strangers = sum(isinstance(who, int) for who in found)
        if strangers > self._config.strangers_at_most:
            raise Incomplete(
                f"{strangers} cards on the controllers are nobody's by {self._holders.path}, and "
                f"strangers_at_most says {self._config.strangers_at_most}: complete the file, or "
                "raise the number if it is right"
            )
        for who, records in found.items():
            key = who if isinstance(who, str) else None
            cards = register.cards[who] if isinstance(who, str) else (who,)
            yield Person(key, cards, records).shown(self._rights, self._today())

    def read_one(self, key: str) -> Cardholder | None:
        """Return the person with this key, if a controller knows a card of theirs."""
        cards = self._holders.cards_of(key)
        records = {}
        for controller, device in enumerate(self._devices):
            for number in cards:
                if record := device.card(number):
                    records[controller, number] = record
        person = Person(key, cards, records)
        return person.shown(self._rights, self._today()) if person.there else None

    # ── writing ─────────────────────────────────────────────────────────────────────────

    def put(self, change: Change) -> Outcome:
        """Take away on every controller, then give: every card of the person the same.

        A controller that does not answer stops nothing that takes away elsewhere, and
        everything that gives.
        """
        suspends = change.after.status == "suspended"
        returns = change.before is not None and change.before.status == "suspended"
        cards = self._holders.cards_of(change.key)
        if not cards:
            if suspends and change.before is None:
                return DONE
            if change.before is not None:
                self._holders.expect(change.key)
            raise Refused(NO_CARD)
        wish = self._rights.wish(change)
        person, problems = self._take(change.key, cards, wish, suspends=suspends)
        if suspends and not person.there:
            return DONE
        problems = [*wish.refused, *self._cards_refused(change, person), *problems]
        if problems:
            raise Refused(_told(problems))
        terms = Terms(
            controllers=len(self._devices),
            begin=date.fromisoformat(self._config.card_from),
            end=date.fromisoformat(self._config.card_until),
            suspends=suspends,
            lifts=returns and not suspends,
        )
        self._give(person, wish, terms, empty=change.before == change.after)
        return DONE

    def _take(
        self, key: str, cards: tuple[int, ...], wish: Wish, *, suspends: bool
    ) -> tuple[Person, list[str]]:
        """Take away what shall go, everywhere; return the person as they are then."""
        records: dict[tuple[int, int], Record] = {}
        problems: list[str] = []

        def at(controller: int) -> None:
            device = self._devices[controller]
            for number in cards:
                record = device.card(number)
                if record is None:
                    continue
                less = taken(record, controller, wish, suspends=suspends)
                if not record.dated and (suspends or less != record):
                    problems.append(NO_DATES)
                    less = record
                if less != record and not device.store(less):
                    problems.append(f"{device.place}: {NOT_STORED}")
                    # it may be the turned dates that it does not take: then the doors alone
                    doors_only = taken(record, controller, wish, suspends=False)
                    again = doors_only not in (record, less) and device.store(doors_only)
                    less = doors_only if again else record
                records[controller, number] = less

        self._everywhere(at, "what was to be taken away is gone there, and nothing was given")
        return Person(key, cards, records), problems

    def _give(self, person: Person, wish: Wish, terms: Terms, *, empty: bool) -> None:
        giving = given(person, wish, terms)
        for controller, number in sorted(giving.profiles):
            device = self._devices[controller]
            if not device.has_profile(number):
                giving.refused.append(
                    f"{device.place}: time profile {number} is not defined there, and a card with "
                    "it would open the door at all times: define it"
                )
        if giving.refused:
            raise Refused(_told(giving.refused))
        problems: list[str] = []

        def at(controller: int) -> None:
            device = self._devices[controller]
            for where, record in giving.records:
                if where == controller and not device.store(record):
                    problems.append(f"{device.place}: {NOT_STORED}")

        self._everywhere(at, "what was to be given is given there")
        if empty:
            problems += giving.unsettled
        if problems:
            raise Refused(_told(problems))

    def _everywhere(self, step: Callable[[int], None], done: str) -> None:
        """Do *step* on every controller; then say how many did not answer, if any."""
        silent: list[Unavailable] = []
        for controller in range(len(self._devices)):
            try:
                step(controller)
            except Unavailable as error:
                silent.append(error)
        if silent and len(self._devices) > 1:
            answered = len(self._devices) - len(silent)
            raise Unavailable(
                f"{silent[0]}; {answered} of {len(self._devices)} controllers answered: {done}: "
                "send it again"
            )
        if silent:
            raise silent[0]

    def _cards_refused(self, change: Change, person: Person) -> list[str]:
        shown = {str(number) for number in person.cards}
        before = {card.number for card in change.before.credentials} if change.before else set()
        for card in change.credentials:
            known = card.medium == "card" and card.number.lstrip("0") in shown
            if not known or card.state != "active" or card.number in before:
                return [READ_ONLY]
        return []

    # ── the rest ────────────────────────────────────────────────────────────────────────

    def check(self) -> str:
        """Reach every controller and read the holders file; tell versions, clocks and counts."""
        register = self._holders.read()
        told = [f"{self.capabilities.system}: {len(register.key)} cards in the holders file"]
        for device in self._devices:
            version = self._version(device)
            words = f"{device.place}: firmware {version}, {device.count()} cards"
            missing = [
                name
                for name, number in self._config.profiles.items()
                if not device.has_profile(number)
            ]
            if missing:
                words += f", without the time profiles {', '.join(missing)}"
            told.append(words + self._clock(device))
        return "; ".join(told)

    def _version(self, device: Device) -> str:
        try:
            version = device.about()
        except Unavailable as silence:
            try:
                other = device.who()
            except Unavailable:
                raise silence from None
            raise Unavailable(
                f"{device.place}: another controller is there (id {other}): correct id or address"
            ) from None
        if version.zfill(5) < OLDEST.zfill(5):  # X.YY, a digit each
            raise Refused(
                f"{device.place}: firmware {version} is older than {OLDEST}, the first that this "
                "protocol is known to fit: replace the controller"
            )
        return version

    def _clock(self, device: Device) -> str:
        shown = device.clock()
        if shown is None:
            return ", its clock shows no time: set it, since cards and profiles go by it"
        now = datetime.now(self._config.timezone).replace(tzinfo=None)
        off = abs((now - shown).total_seconds()) / 60
        return f", its clock is {off:.0f} minutes off: set it" if off > 5 else ""

    def _today(self) -> date:
        return datetime.now(self._config.timezone).date()

    def close(self) -> None:
        """Do nothing: every question has a line of its own."""


def _told(problems: list[str]) -> str:
    return "; ".join(dict.fromkeys(problems))
