"""The commands that change one credential of an ONVIF device.

Rights are given and taken one by one: SetCredentialAccessProfiles adds, or sets other dates,
and DeleteCredentialAccessProfiles takes away, and both leave every other right alone
(ONVIF Credential Service Specification 19.12, 5.3.20 and 5.3.21). SetCredential replaces all
rights, identifiers and the state: it only makes credentials that are not there yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from idsync.errors import Refused
from idsync.targets.onvif_cards import BLOCKED, Card, Link, identifiers_of
from idsync.targets.onvif_device import Device
from idsync.targets.onvif_faults import Faulted
from idsync.targets.onvif_numbers import CARD


class Commands:
    """Changes the credentials of one device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._call = device.soap.call

    def enable(self, card: Card) -> None:
        """Let a credential open again what it has rights to."""
        self._call("credential", "EnableCredential", Token=card.token)

    def disable(self, card: Card, reason: str) -> None:
        """Make a credential open nothing. One that is gone opens nothing."""
        with _gone_is_gone():
            self._call("credential", "DisableCredential", Token=card.token, Reason=reason)

    def take(self, card: Card, profiles: Iterable[str]) -> None:
        """Take rights from a credential, and leave all others."""
        with _gone_is_gone():
            self._call(
                "credential", "DeleteCredentialAccessProfiles",
                CredentialToken=card.token, AccessProfileToken=sorted(profiles),
            )  # fmt: skip

    def give(self, card: Card, links: Iterable[Link]) -> None:
        """Give a credential rights, or other dates of those it has, and leave all others."""
        self._call(
            "credential", "SetCredentialAccessProfiles",
            CredentialToken=card.token, CredentialAccessProfile=self._written(links),
        )  # fmt: skip

    def describe(self, card: Card, text: str) -> None:
        """Write the description of a credential, and all else as it is at this moment.

        ModifyCredential replaces everything but the state, and SetCredential even that: a
        card that somebody blocks in this moment stays blocked only with the former.

        Raises:
            Refused: the device does not show an identifier, so it cannot be written back.
        """
        fresh = self._device.by_token([card.token])
        if not fresh:
            raise Refused("a credential was deleted in the meantime: plan again")
        [raw] = fresh
        if not all(one.value for one in identifiers_of(raw)):
            raise Refused(
                "the device does not show all identifiers of a credential, so its description "
                'cannot be changed: set display_name = "none"'
            )
        raw.Description = text or None
        if not self._device.features.times:
            self._settle_days(raw)
        self._call("credential", "ModifyCredential", Credential=raw)

    def _settle_days(self, raw: Any) -> None:  # noqa: ANN401 - zeep's
        """Write the days in a record anew: how a device shows one may not be how it reads one."""
        dates = self._device.dates
        for part in (raw, *(raw.CredentialAccessProfile or ())):
            part.ValidFrom = dates.valid_from(dates.begins(part.ValidFrom))
            part.ValidTo = dates.valid_to(dates.ends(part.ValidTo))

    def create(
        self, key: str, number: str, *, name: str, links: Iterable[Link], enabled: bool
    ) -> None:
        """Make a credential for the card *number* of the holder *key*.

        With tokens of our own it is SetCredential, and the token is made of holder and
        card: sent twice, it is made once.
        """
        value = self._device.numbers.value(number)
        state = {"Enabled": enabled, "Reason": None if enabled else BLOCKED}
        record: dict[str, Any] = {
            "token": token_of(key, value) if self._device.features.client_tokens else "",
            "Description": name or None,
            "CredentialHolderReference": key,
            "CredentialIdentifier": [
                {
                    "Type": {"Name": CARD, "FormatType": self._device.numbers.format},
                    "ExemptedFromAuthentication": False,
                    "Value": value,
                }
            ],
            "CredentialAccessProfile": self._written(links),
        }
        if not self._device.features.client_tokens:
            self._call("credential", "CreateCredential", Credential=record, State=state)
            self._device.add_carried(value)
            return
        if self._device.by_token([record["token"]]):
            raise Refused("the credential of this card is somebody else's now: look at it by hand")
        data = {"Credential": record, "CredentialState": state}
        self._call("credential", "SetCredential", CredentialData=data)
        self._device.add_carried(value)

    def _written(self, links: Iterable[Link]) -> list[dict[str, Any]]:
        dates = self._device.dates
        return [
            {
                "AccessProfileToken": link.profile,
                "ValidFrom": dates.valid_from(link.grant.valid_from),
                "ValidTo": dates.valid_to(link.grant.valid_to),
            }
            for link in links
        ]


@contextmanager
def _gone_is_gone() -> Iterator[None]:
    try:
        yield
    except Faulted as fault:
        if fault.word != "NotFound":
            raise


def token_of(key: str, value: str) -> str:
    """Return the token of a credential that idsync makes: 34 characters that tell nothing.

    A token is up to 64 characters, and should stay within 36 (ver10/pacs/types.xsd).
    """
    return "i-" + hashlib.sha256(f"{key}\0{value}".encode(errors="surrogatepass")).hexdigest()[:32]
