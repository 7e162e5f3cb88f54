"""One change, step by step: what takes away first, what gives last.

Rights hang on credentials, so every step is done on each credential of the person. What
a local administrator gave is in the fresh read and in no step. A step that is refused
stops nothing that takes away, and everything that gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from idsync.errors import Refused
from idsync.model import Change, Credential, Grant
from idsync.targets.onvif_cards import BLOCKED, REASONS, Card, Link, Profiles
from idsync.targets.onvif_commands import Commands
from idsync.targets.onvif_device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the settings say about changes."""

    named: bool
    name_length: int
    check_cards: bool


@dataclass(slots=True)
class _Work:
    """One change on a fresh read, and what was refused of it so far."""

    change: Change
    cards: list[Card]
    giving: dict[str, Link] = field(default_factory=dict)  # the links to be, by name of the right
    refusals: list[Refused] = field(default_factory=list)

    @property
    def suspends(self) -> bool:
        return self.change.after.status == "suspended"

    @property
    def returns(self) -> bool:
        """Whether the plan knew of the suspension that it ends."""
        before = self.change.before
        return not self.suspends and before is not None and before.status == "suspended"

    @property
    def shut(self) -> bool:
        """Whether the person is suspended now, as opposed to when it was planned."""
        return bool(self.cards) and all(card.shut for card in self.cards)

    def planned(self, card: Card) -> Credential | None:
        """Return the state that the change sets for a card, if it does."""
        return next((c for c in self.change.credentials if c.number == card.number), None)

    def was(self, number: str) -> Credential | None:
        """Return a card as the plan saw it."""
        before = self.change.before.credentials if self.change.before else ()
        return next((c for c in before if c.number == number), None)

    def replaces(self, link: Link) -> bool:
        """Tell whether a right that goes comes back at once, with other dates."""
        new = self.giving.get(link.grant.ref)
        return new is not None and new.profile == link.profile

    def attempt(self, steps: Iterable[Callable[[], None]]) -> None:
        """Take every step, and keep what was refused."""
        for step in steps:
            try:
                step()
            except Refused as refused:
                self.refusals.append(refused)

    def stop_if_refused(self) -> None:
        if self.refusals:
            raise self.refusals[0]


class Changes:
    """Puts changes into one device."""

    def __init__(self, device: Device, rules: Rules) -> None:
        self._device = device
        self._commands = Commands(device)
        self._rules = rules

    def put(self, change: Change) -> None:
        """Make it so; see `idsync.targets.Target.put`.

        Raises:
            Refused: something of it; what takes away is done all the same.
        """
        if len(change.key) > 64 or not change.key:
            raise Refused("ONVIF holds keys of 1 to 64 characters: choose another attribute as key")
        work = _Work(change, self._device.of(change.key))
        if not work.cards and work.suspends:
            return
        self._prepare(work)
        work.attempt(self._shutting(work, card) for card in work.cards)
        work.attempt(self._taking(work, card) for card in work.cards)
        work.attempt(self._redating(work, card) for card in work.cards)
        work.stop_if_refused()
        for card in work.cards:
            self._describe(work, card)
        for card in work.cards:
            self._give(work, card)
        for wanted in change.credentials:
            self._create(work, wanted)
        for card in work.cards:
            self._open(work, card)

    # ── what shall be ───────────────────────────────────────────────────────────────────

    def _prepare(self, work: _Work) -> None:
        """Find the links to be given, and refuse what this device cannot hold."""
        change = work.change
        profiles = self._device.profiles() if change.added else Profiles({})
        work.attempt(self._finding(work, grant, profiles) for grant in change.added)
        name = change.attributes.get("display_name", "") if self._rules.named else ""
        if len(name) > self._rules.name_length:
            work.refusals.append(
                Refused(
                    f"a name is longer than the {self._rules.name_length} characters that a "
                    "description holds: correct the record, or set name_length"
                )
            )
        new = any(work.was(card.number) is None for card in change.credentials)
        if change.added and not work.cards and not new:
            work.refusals.append(
                Refused("the person has no card on this device, and rights hang on cards there")
            )

    def _finding(self, work: _Work, grant: Grant, profiles: Profiles) -> Callable[[], None]:
        return lambda: work.giving.update({grant.ref: self._link(work, grant, profiles)})

    def _link(self, work: _Work, grant: Grant, profiles: Profiles) -> Link:
        if grant.kind != "access":
            raise Refused("ONVIF holds rights to doors only: correct the profile")
        if sum(grant.ref == other.ref for other in work.change.after.grants) > 1:
            raise Refused("ONVIF holds a right once on a card, for one period: join the periods")
        if (grant.valid_from or grant.valid_to) and not self._device.features.dated:
            raise Refused("this device knows no dates of rights: correct the profile")
        if grant.valid_from and grant.valid_to and grant.valid_from >= grant.valid_to:
            raise Refused("a right ends before it begins: correct the profile")
        self._device.dates.valid_from(grant.valid_from)
        self._device.dates.valid_to(grant.valid_to)
        tokens = profiles.tokens(grant.ref)
        if len(tokens) != 1:
            raise Refused(
                f"{len(tokens)} access profiles of the device have the name of a right: "
                "compare the profile's rights with the device"
            )
        return Link(tokens[0], grant)

    # ── what takes away ─────────────────────────────────────────────────────────────────

    def _shutting(self, work: _Work, card: Card) -> Callable[[], None]:
        def shut() -> None:
            planned = work.planned(card)
            state = planned.state if planned else None
            if state not in (None, "active"):
                was = work.was(card.number)
                # lost since it was planned stays lost
                if not card.shut or (was and was.state == card.state):
                    self._commands.disable(card, REASONS[state])
            elif work.suspends and not card.shut:
                self._commands.disable(card, BLOCKED)

        return shut

    def _taking(self, work: _Work, card: Card) -> Callable[[], None]:
        def take() -> None:
            removed = set(work.change.removed)
            gone = {
                link.profile
                for link in card.links
                if link.grant in removed and not work.replaces(link)
            }
            if any(len(card.links_of(profile)) > 1 for profile in gone):
                raise Refused("a card holds one right twice: take it away by hand on the device")
            if gone:
                self._commands.take(card, gone)

        return take

    def _redating(self, work: _Work, card: Card) -> Callable[[], None]:
        """Give a right other dates; where they are refused, the old ones still go."""

        def redate() -> None:
            removed = set(work.change.removed)
            fresh = [
                work.giving[link.grant.ref]
                for link in card.links
                if link.grant in removed and work.replaces(link)
            ]
            if not fresh:
                return
            try:
                self._commands.give(card, fresh)
            except Refused:
                self._commands.take(card, {link.profile for link in fresh})
                raise

        return redate

    # ── what gives ──────────────────────────────────────────────────────────────────────

    def _describe(self, work: _Work, card: Card) -> None:
        name = work.change.attributes.get("display_name")
        if self._rules.named and name is not None and card.description != name:
            self._commands.describe(card, name)

    def _give(self, work: _Work, card: Card) -> None:
        """Give a card what is new, and what another card of the person has and it lacks."""
        removed = set(work.change.removed)
        missing = []
        for link in (*work.giving.values(), *self._shared(work)):
            held = card.links_of(link.profile)
            if not held:
                missing.append(link)
            elif link.grant in work.change.added and any(
                one.grant not in (link.grant, *removed) for one in held
            ):
                raise Refused(
                    "a card holds a right with other dates than was planned with: plan again"
                )
        gone = sum(one.grant in removed and not work.replaces(one) for one in card.links)
        self._require_room(len(card.links) - gone + len(missing))
        if missing:
            self._commands.give(card, missing)

    def _shared(self, work: _Work) -> list[Link]:
        """Return what some card holds now that shall stay, and that every card shall hold.

        A change names what it changes and not what stays. What no card holds any more was
        taken away since it was planned: it stays away.
        """
        goes = set(work.change.removed)
        found = {link for card in work.cards for link in card.links if link.grant not in goes}
        alone = [
            link
            for link in found
            if sum(link.profile == other.profile for other in found) == 1
            and all(link.profile != other.profile for other in work.giving.values())
        ]
        return sorted(alone, key=lambda link: link.profile)

    def _require_room(self, links: int) -> None:
        most = self._device.features.most_links
        if links > most:
            raise Refused(
                f"a card would hold {links} rights, and this device holds {most} at most: "
                "join access profiles"
            )

    def _create(self, work: _Work, card: Credential) -> None:
        """Make a card that the device does not have: not for whoever is suspended."""
        if any(card.number == other.number for other in work.cards):
            return
        if card.state != "active" or work.suspends:
            return
        if work.was(card.number) is not None:
            raise Refused("a card is no longer on the device: plan again")
        value = self._device.numbers.value(card.number)
        if self._rules.check_cards and self._device.carries(value):
            raise Refused(
                "a card is on the device already, for another holder or none: if it is this "
                "person's, set its CredentialHolderReference by hand"
            )
        links = [*work.giving.values(), *self._shared(work)]
        self._require_room(len(links))
        self._commands.create(
            work.change.key,
            card.number,
            name=(work.change.after.display_name or "") if self._rules.named else "",
            links=links,
            # a plan older than a suspension lets nobody in with a new card
            enabled=work.returns or not work.shut,
        )

    def _open(self, work: _Work, card: Card) -> None:
        """Enable a card where the plan knew that it was disabled, and why."""
        if not card.shut or work.suspends:
            return
        planned = work.planned(card)
        named = [c for c in work.change.credentials if c.state == "active" and work.was(c.number)]
        if planned is not None and planned.state == "active":
            was = work.was(card.number)
            if was is None:
                return  # it was new when it was planned, and was blocked by somebody since
            if was.state != card.state or (work.shut and not work.returns):
                raise Refused("a card was blocked otherwise since it was planned: plan again")
            self._commands.enable(card)
        elif planned is None and work.returns and not named and card.state == "suspended":
            self._commands.enable(card)
