"""What an ONVIF device holds, as idsync sees it: credentials, their states and their rights.

There is no person. Credentials with one CredentialHolderReference are one cardholder's
(ONVIF Credential Service Specification 19.12, 5.3.2.1: a reference to a user elsewhere).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from idsync.model import Cardholder, Credential, CredentialState, Grant
from idsync.targets.onvif_dates import Dates
from idsync.targets.onvif_numbers import Identifier, Numbers

BLOCKED = "pt:CredentialBlocked"
LOCKED_OUT = "pt:CredentialLockedOut"
"""Set by the device itself, after wrong PINs, for some minutes: it ends by itself."""

REASONS: dict[CredentialState, str] = {
    "suspended": BLOCKED,
    "lost": "pt:CredentialLost",
    "stolen": "pt:CredentialStolen",
    "damaged": "pt:CredentialDamaged",
    "destroyed": "pt:CredentialDestroyed",
    "expired": "pt:CredentialExpired",
    "inactive": "pt:CredentialInactivity",
    "returned": "Returned",  # free text is allowed where ONVIF has no word
    "stock": "Stock",
}
"""Why a credential is disabled (specification 19.12, 5.3.2.8)."""

STATES: dict[str, CredentialState] = {
    **{reason: state for state, reason in REASONS.items()},
    "pt:CredentialRenewalNeeded": "expired",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A right of one credential: the access profile by its token and its name, and the dates."""

    profile: str
    grant: Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One credential of the device, with its state. *raw* is the record as it was read."""

    token: str
    holder: str
    description: str
    number: str
    medium: str
    links: tuple[Link, ...]
    enabled: bool
    reason: str
    raw: Any = field(compare=False, repr=False)

    @property
    def shut(self) -> bool:
        """Whether it opens nothing until somebody enables it."""
        return not self.enabled and self.reason != LOCKED_OUT

    @property
    def state(self) -> CredentialState:
        """The state as idsync names it; a reason that nobody knows is a suspension."""
        return STATES.get(self.reason, "suspended") if self.shut else "active"

    def links_of(self, profile: str) -> list[Link]:
        """Return the links to one access profile: one at most, on a sound device."""
        return [link for link in self.links if link.profile == profile]


@dataclass(frozen=True, slots=True)
class Profiles:
    """The names of the access profiles, by token."""

    names: Mapping[str, str]

    def ref(self, token: str) -> str:
        """Return the name by which a profile is known here; one that is gone has its token."""
        return self.names.get(token) or f"token:{token}"

    def tokens(self, ref: str) -> list[str]:
        """Return the profiles of this name."""
        return [token for token, name in self.names.items() if name == ref and ref]


def identifiers_of(raw: Any) -> list[Identifier]:  # noqa: ANN401 - zeep's
    """Return the identifiers of a credential as it was read."""
    return [
        Identifier(each.Type.Name or "", each.Type.FormatType or "", each.Value or "")
        for each in raw.CredentialIdentifier or ()
    ]


def card_of(
    raw: Any,  # noqa: ANN401 - zeep's
    state: Any,  # noqa: ANN401 - zeep's
    *,
    numbers: Numbers,
    dates: Dates,
    profiles: Profiles,
) -> Card:
    """Return a credential and its state, as they were read, as idsync sees them."""
    number, medium = numbers.shown(identifiers_of(raw), raw.token)
    return Card(
        token=raw.token,
        holder=raw.CredentialHolderReference or "",
        description=raw.Description or "",
        number=number,
        medium=medium,
        links=tuple(
            Link(
                each.AccessProfileToken,
                Grant(
                    ref=profiles.ref(each.AccessProfileToken),
                    valid_from=dates.begins(each.ValidFrom),
                    valid_to=dates.ends(each.ValidTo),
                ),
            )
            for each in raw.CredentialAccessProfile or ()
        ),
        enabled=bool(state.Enabled),
        reason=state.Reason or "",
        raw=raw,
    )


def by_holder(cards: Iterable[Card]) -> list[list[Card]]:
    """Return the credentials of each holder together; one without a holder is alone."""
    groups: dict[str, list[Card]] = {}
    for card in cards:
        groups.setdefault(f"of {card.holder}" if card.holder else f"alone {card.token}", []).append(
            card
        )
    return list(groups.values())


def cardholder(cards: Sequence[Card], *, named: bool) -> Cardholder:
    """Return the cardholder whose credentials *cards* are; *named*: descriptions are names.

    Suspended is whoever has no credential left that opens anything.
    """
    cards = sorted(cards, key=lambda card: card.token)
    names = [card.description for card in cards if card.description]
    return Cardholder(
        key=cards[0].holder or None,
        native_id=" ".join(card.token for card in cards),
        display_name=(names[0] if names else "") if named else None,
        status="suspended" if all(card.shut for card in cards) else "active",
        credentials=tuple(
            Credential(
                number=card.number,
                medium=card.medium,
                state=card.state,
                state_reason=card.reason if card.reason.startswith("pt:") else "",
            )
            for card in cards
        ),
        grants=tuple(sorted({link.grant for card in cards for link in card.links}, key=repr)),
        amiss=_amiss(cards),
    )


def _amiss(cards: Sequence[Card]) -> str:
    held = [{link.profile for link in card.links} for card in cards]
    lacking = sum(one != set().union(*held) for one in held)
    return f"{lacking} of {len(cards)} cards lack a right that another has" if lacking else ""
