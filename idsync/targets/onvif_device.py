"""What an ONVIF device can, and its lists, whole.

A device tells no total. A list goes on while NextStartReference is there, and begins anew
when that has become invalid (ONVIF Credential Service Specification 19.12, 5.3.4 and 5.3.6).
So a list of several pages is held against a second one of the same things, read in pages
of another size: what one shows and the other does not, and is there, was lost on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from idsync.errors import ConfigError, Denied, Incomplete, Unavailable
from idsync.targets.onvif_cards import Card, Profiles, card_of, identifiers_of
from idsync.targets.onvif_dates import Dates
from idsync.targets.onvif_faults import Faulted
from idsync.targets.onvif_numbers import CARD, HEX, Numbers
from idsync.targets.onvif_soap import PORTS, Soap

ATTEMPTS = 4
"""How often a list is begun anew when it changes while it is read."""

MOST_PAGES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What GetServiceCapabilities says (Credential Service Specification 19.12, 5.2.2.1)."""

    page: int
    profile_page: int
    dated: bool
    times: bool
    most_links: int
    most_cards: int
    client_tokens: bool
    types: frozenset[str]
    events: bool


class _Anew(Exception):
    """The list changed under our hands: begin again."""


class Device:
    """Reads and changes the credentials of one device."""

    def __init__(self, soap: Soap, *, numbers: Numbers, zone: ZoneInfo, page_size: int) -> None:
        self.soap = soap
        self.numbers = numbers
        self._zone = zone
        self._page_size = page_size
        self._features: Features | None = None
        self._carried: set[int] | None = None  # the numbers of all cards, when last looked

    # ── what it can ─────────────────────────────────────────────────────────────────────

    @property
    def features(self) -> Features:
        """What the device says it can, asked once."""
        if self._features is None:
            self._find_services()
            told = self._ask("credential", "GetServiceCapabilities")
            rules = self._ask("accessrules", "GetServiceCapabilities")
            self._features = Features(
                page=max(1, told.MaxLimit or 1),
                profile_page=max(1, rules.MaxLimit or 1),
                dated=bool(told.CredentialAccessProfileValiditySupported),
                times=bool(told.ValiditySupportsTimeValue),
                most_links=told.MaxAccessProfilesPerCredential or 1,
                most_cards=told.MaxCredentials or 0,
                client_tokens=bool(told.ClientSuppliedTokenSupported),
                types=frozenset(told.SupportedIdentifierType or ()),
                events="events" in self.soap.addresses,
            )
        return self._features

    @property
    def known(self) -> Features | None:
        """What the device said it can; None if it was not asked yet."""
        return self._features

    @property
    def dates(self) -> Dates:
        """How the device writes dates."""
        return Dates(self._zone, self.features.times)

    def _find_services(self) -> None:
        """Learn where the services are (Device Management, GetServices)."""
        offered = self._ask("device", "GetServices", IncludeCapability=False) or ()
        found = {service.Namespace: service for service in offered}
        for name, port in PORTS.items():
            if port.namespace in found and name not in ("device", "pullpoint"):
                self.soap.addresses[name] = (found[port.namespace].XAddr or "").strip()
        for name in ("credential", "accessrules"):
            if name in self.soap.addresses:
                continue
            kind = PORTS[name].namespace.removeprefix("http://www.onvif.org/ver10/")
            if any(other.endswith(f"/{kind}") for other in found):
                raise ConfigError(
                    f"the device speaks another version of the {name} service than ver10: "
                    "this connector does not fit it"
                )
            raise Denied(
                f"the device offers no {name} service, so it is no controller of ONVIF "
                "Profile A: check the url, its licence and its firmware"
            )

    # ── lists ───────────────────────────────────────────────────────────────────────────

    def everything(self) -> list[Card]:
        """Return every credential with its state; see the head of this file.

        Raises:
            Incomplete: a list did not hold still, or the device contradicts itself.
        """
        return self._cards(self._whole("GetCredentialList", "Credential"))

    def of(self, key: str) -> list[Card]:
        """Return the credentials whose holder is *key*, compared exactly."""
        tokens = [token for token, holder in self.holders().items() if holder == key and key]
        raws = self.by_token(tokens)
        hidden = set(tokens) - {raw.token for raw in raws}
        if any(holder == key for holder in self.holders_of(hidden).values()):
            raise Incomplete("a credential is listed, and is not shown: read again later")
        return [card for card in self._cards(raws) if card.holder == key]

    def holders(self) -> dict[str, str]:
        """Return whose every credential is, by token; "" is nobody's."""
        infos = self._whole("GetCredentialInfoList", "CredentialInfo")
        return {info.token: info.CredentialHolderReference or "" for info in infos}

    def holders_of(self, tokens: Collection[str]) -> dict[str, str]:
        """Return whose these credentials are; those that are gone are left out."""
        return {
            info.token: info.CredentialHolderReference or "" for info in self._infos(list(tokens))
        }

    def profiles(self) -> Profiles:
        """Return the names of all access profiles."""
        found = self._listing(
            "accessrules", "GetAccessProfileInfoList", "AccessProfileInfo",
            min(self._page_size, self.features.profile_page),
        )[0]  # fmt: skip
        return Profiles({profile.token: profile.Name or "" for profile in found})

    def carries(self, value: str) -> bool:
        """Return whether some credential carries the card with these hex digits already.

        Everything is read for it once. A card that was added by others since is left to the
        device to refuse; one that seems to be there is looked for again.
        """
        if self._carried is None or int(value, 16) in self._carried:
            self._carried = self._carried_now()
        return int(value, 16) in self._carried

    def add_carried(self, value: str) -> None:
        """Note that a credential carries the card with these hex digits now."""
        if self._carried is not None:
            self._carried.add(int(value, 16))

    def _carried_now(self) -> set[int]:
        return {
            int(one.value, 16)
            for raw in self._whole("GetCredentialList", "Credential")
            for one in identifiers_of(raw)
            if one.type == CARD and one.format == self.numbers.format and HEX.fullmatch(one.value)
        }

    def _cards(self, raws: Sequence[Any]) -> list[Card]:
        states = [(raw, self._state(raw.token)) for raw in raws]
        # rights after credentials: a profile made in between has its name
        profiles = self._named(raws) if raws else Profiles({})
        return [
            card_of(raw, state, numbers=self.numbers, dates=self.dates, profiles=profiles)
            for raw, state in states
            if state is not None
        ]

    def _named(self, raws: Sequence[Any]) -> Profiles:
        """Return the names of profiles, those that the list did not show asked for by token."""
        profiles = self.profiles()
        linked = {
            link.AccessProfileToken for raw in raws for link in raw.CredentialAccessProfile or ()
        }
        names = dict(profiles.names)
        for part in _parts(sorted(linked - set(names)), self.features.profile_page):
            for profile in self._ask("accessrules", "GetAccessProfileInfo", Token=part) or ():
                names[profile.token] = profile.Name or ""
        return Profiles(names)

    def _state(self, token: str) -> Any:  # noqa: ANN401 - zeep's
        """Return the state of a credential; None if it was deleted since the list showed it."""
        try:
            return self._ask("credential", "GetCredentialState", Token=token)
        except Faulted as fault:
            if fault.word == "NotFound" and not self.by_token([token]):
                return None
            raise Incomplete("a credential is listed, and has no state: read again") from None

    def by_token(self, tokens: Sequence[str]) -> list[Any]:
        """Return the credentials with these tokens; those that are gone are left out in silence."""
        found: list[Any] = []
        for part in _parts(tokens, self.features.page):
            found += self._ask("credential", "GetCredentials", Token=part) or ()
        return [raw for raw in found if raw.token in set(tokens)]

    def _infos(self, tokens: Sequence[str]) -> list[Any]:
        found: list[Any] = []
        for part in _parts(tokens, self.features.page):
            found += self._ask("credential", "GetCredentialInfo", Token=part) or ()
        return [info for info in found if info.token in set(tokens)]

    def _ask(self, port: str, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - zeep's
        """Return an answer; a question that is refused is no record's fault.

        Raises:
            Unavailable: also for faults, but those that the caller reads.
        """
        try:
            return self.soap.call(port, command, **arguments)
        except Faulted as fault:
            if fault.word in ("NotFound", "InvalidStartReference"):
                raise
            raise Unavailable(str(fault)) from None

    def _whole(self, command: str, name: str) -> list[Any]:
        """Return a list of the credential service, held against a second one where needed."""
        limit = min(self._page_size, self.features.page)
        other = limit - 1 if limit > 1 else 2
        for _ in range(ATTEMPTS):
            items, sure = self._listing("credential", command, name, limit)
            if sure:
                return items
            again, _ = self._listing("credential", "GetCredentialInfoList", "CredentialInfo", other)
            unsure = {item.token for item in items} ^ {info.token for info in again}
            if not self._infos(sorted(unsure)):
                return items
        raise Incomplete("the list of credentials does not hold still: read again later")

    def _listing(self, port: str, command: str, name: str, limit: int) -> tuple[list[Any], bool]:
        """Return a list, and whether one answer held it all and had room for more."""
        for _ in range(ATTEMPTS):
            with suppress(_Anew):
                return self._pages(port, command, name, limit)
        raise Incomplete(f"{command} did not hold still {ATTEMPTS} times: read again later")

    def _pages(self, port: str, command: str, name: str, limit: int) -> tuple[list[Any], bool]:
        found: dict[str, Any] = {}
        starts: set[str] = set()
        start: str | None = None
        for page in range(MOST_PAGES):
            try:
                told = self._ask(port, command, Limit=limit, StartReference=start)
            except Faulted as fault:
                if fault.word == "InvalidStartReference" and start is not None:
                    raise _Anew from None
                raise
            items = getattr(told, name) or ()
            if any(item.token in found for item in items):
                raise _Anew
            found.update((item.token, item) for item in items)
            start = told.NextStartReference or None
            if start is None:
                return list(found.values()), page == 0 and len(items) < limit
            if start in starts:
                raise Incomplete(f"{command} goes in a circle: update the device")
            starts.add(start)
        raise Incomplete(f"{command} has no end: update the device")


Piece = TypeVar("Piece")


def _parts(items: Sequence[Piece], size: int) -> Iterator[list[Piece]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
