"""A door controller that speaks ONVIF Profile A and C: credentials and access profiles.

There is no person on such a device. A cardholder is all credentials whose
CredentialHolderReference is the key; a right is an access profile, by its name, and hangs
on each of the credentials with dates of its own. Suspended is whose credentials are all
disabled. Where the wire facts stand is said in the files beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from idsync.capabilities import Capabilities, CardFormat, profile
from idsync.errors import ConfigError, IdsyncError
from idsync.http import UrlField
from idsync.model import Cardholder, Change, Outcome
from idsync.settings import PathField, SecretField, Settings, ZoneField
from idsync.targets import Changed, Target
from idsync.targets.onvif_numbers import BITS, Numbers

if TYPE_CHECKING:
    from idsync.targets.onvif_changes import Changes
    from idsync.targets.onvif_device import Device
    from idsync.targets.onvif_events import Feed
    from idsync.targets.onvif_soap import Soap

CONFIRMED = Outcome(status="confirmed")


class OnvifTarget(Target):
    """The credentials of one device; one without a holder is shown, never changed."""

    class Config(Settings):
        """Keys of a [targets.NAME] table with type = "onvif"."""

        url: UrlField
        user: str
        password: SecretField
        login: Literal["digest", "wsse"] = "digest"
        device_clock: bool = True
        ca_file: PathField | None = None
        timeout_s: float = Field(default=30.0, gt=0)
        deadline_s: float = Field(default=120.0, gt=0)
        page_size: int = Field(default=100, ge=1)
        timezone: ZoneField = Field(default=None, validate_default=True)
        format_type: str = Field(min_length=1)
        bits: int | None = Field(default=None, ge=1, le=512)
        parity: bool = False
        card_numbers: Literal["decimal", "hex"] = "decimal"
        card_digits: int = Field(default=1, ge=1, le=160)
        check_cards: bool = True
        display_name: Literal["description", "none"] = "description"
        name_length: int = Field(default=1024, ge=1, le=1024)
        events: bool = True
        event_limit: int = Field(default=50, ge=2)
        keep_events_minutes: int = Field(default=60, ge=1)

        @model_validator(mode="after")
        def _bits_are_known(self) -> OnvifTarget.Config:
            if self.card_numbers == "decimal" and self.numbers.bits is None:
                raise ValueError(
                    "bits: say how many bits a number of this format_type has, "
                    'or write card_numbers = "hex"'
                )
            if self.card_numbers == "hex" and self.parity:
                raise ValueError("parity is for decimal numbers: hex shows every bit as it is")
            return self

        @property
        def numbers(self) -> Numbers:
            """How card numbers are written here."""
            return Numbers(
                format=self.format_type,
                bits=self.bits or BITS.get(self.format_type),
                style=self.card_numbers,
                digits=self.card_digits,
                parity=self.parity,
            )

    def __init__(self, config: Config) -> None:
        self._config = config
        self._named = config.display_name == "description"
        self._declared = _declared(config)
        self._asked = False
        self._device: Device | None = None
        self._feed: Feed | None = None

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override] # read-only, and that is meant
        """What this device can hold: ONVIF's widest, narrowed by what the device says.

        While the device does not answer, it is not known to be narrower.
        """
        if not self._asked:
            self._asked = True
            try:
                self._opened().features  # noqa: B018 - asks, and remembers
            except IdsyncError:
                return self._declared
        features = self._device.known if self._device else None
        if features is None:
            return self._declared
        return replace(
            self._declared,
            dated_grants=features.dated,
            granularity="second" if features.times else "day",
            end_inclusive=not features.times,
            time_zone="utc" if features.times else "system",
            grants_per_holder=features.most_links,
            change_feed=self._config.events and features.events,
        )

    def read(self) -> Iterator[Cardholder]:
        """Yield everybody, with proof; see `Target.read` and onvif_device."""
        from idsync.targets.onvif_cards import by_holder, cardholder

        for group in by_holder(self._opened().everything()):
            yield cardholder(group, named=self._named)

    def read_one(self, key: str) -> Cardholder | None:
        """Return whose holder reference is *key*, compared exactly; see `Target.read_one`."""
        from idsync.targets.onvif_cards import cardholder

        cards = self._opened().of(key)
        return cardholder(cards, named=self._named) if cards else None

    def put(self, change: Change) -> Outcome:
        """Make it so; see `Target.put` and onvif_changes."""
        self._changes().put(change)
        return CONFIRMED

    def changes(self, bookmark: str) -> Changed:
        """Return whose credentials were touched; see `Target.changes` and onvif_events."""
        if not (self._config.events and self._opened().features.events):
            return Changed(keys=None)
        if self._feed is None:
            from idsync.targets.onvif_events import Feed

            self._feed = Feed(
                self._opened(),
                limit=self._config.event_limit,
                keep=timedelta(minutes=self._config.keep_events_minutes),
            )
        return self._feed.changes(bookmark)

    def check(self) -> str:
        """Say what answered; see `Target.check` and onvif_check."""
        from idsync.targets.onvif_check import checked

        own_clock = self._config.login == "wsse" and not self._config.device_clock
        return checked(self._opened(), own_clock=own_clock)

    def close(self) -> None:
        """Let go of connections, and of the pull point."""
        if self._feed is not None:
            self._feed.close()
        if self._device is not None:
            self._device.soap.close()
        self._feed = self._device = None

    def _opened(self) -> Device:
        if self._device is None:
            from idsync.targets.onvif_device import Device

            self._device = Device(
                self._soap(),
                numbers=self._config.numbers,
                zone=self._config.timezone,
                page_size=self._config.page_size,
            )
        return self._device

    def _soap(self) -> Soap:
        try:
            from idsync.targets.onvif_soap import Soap
        except ImportError as error:
            raise ConfigError(
                f"this connector needs {error.name}: pip install 'idsync[onvif]'"
            ) from None
        config = self._config
        return Soap(
            config.url,
            user=config.user,
            password=config.password,
            login=config.login,
            device_clock=config.device_clock,
            ca_file=config.ca_file,
            timeout_s=config.timeout_s,
            deadline_s=config.deadline_s,
        )

    def _changes(self) -> Changes:
        from idsync.targets.onvif_changes import Changes, Rules

        rules = Rules(
            named=self._named,
            name_length=self._config.name_length,
            check_cards=self._config.check_cards,
        )
        return Changes(self._opened(), rules)


def _declared(config: OnvifTarget.Config) -> Capabilities:
    """Return what ONVIF can hold, with what the settings say of this site."""
    named = config.display_name == "description"
    widest = profile("onvif-a-c-24.12")
    return replace(
        widest,
        attributes=("display_name",) if named else (),
        lengths={"key": 64, **({"display_name": config.name_length} if named else {})},
        card_formats=(CardFormat(name=config.format_type, bits=config.numbers.bits),),
        change_feed=config.events,
    )
