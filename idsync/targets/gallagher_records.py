"""What a cardholder of Command Centre says, in idsync's words.

"Cardholder detail", "Cardholder card", "Cardholder access group membership" and "Cardholder
competency" of the vendor's description. Empty values are left out of answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from idsync.errors import Incomplete, Refused
from idsync.model import Cardholder, Credential, CredentialState, Grant, GrantKind
from idsync.targets.gallagher_service import Record, Service

MEDIA = {"mobile": "mobile", "digitalId": "mobile", "applePass": "mobile", "trackingTag": "fob"}
"""What a credentialClass is to idsync; all others are cards."""

CLOCKS_APART = timedelta(hours=1)
"""How far the server's clock and ours are allowed to be apart."""

NOT_IN_BASE = "not in the base group without end, so that the key can vanish from the person"

AFTER_ALL = datetime(2099, 12, 31, tzinfo=UTC)
"""A date has to be before 2100 in the server's own time ("Cardholder card", until)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Where this Command Centre keeps what: from the settings, and from its own definitions."""

    key: str  # the member that holds the key
    members: Mapping[str, str]  # the member that holds each attribute
    fields: tuple[str, ...]  # what is asked of a search
    base_group: str
    alarm_groups: frozenset[str]
    competencies: bool
    whole_minutes: bool
    card_states: Mapping[CredentialState, str]


@dataclass(frozen=True, slots=True)
class Holding:
    """A right as a cardholder holds it; `href` names the holding, until it changes."""

    grant: Grant
    href: str
    disabled: bool = False  # a competency that somebody has switched off


@dataclass(frozen=True, slots=True)
class Card:
    """A credential as it stands on a cardholder."""

    credential: Credential
    href: str


def key_of(record: Record, shape: Shape) -> str | None:
    """Return the correlation key, None where there is none."""
    return _text(record, shape.key) or None


def cardholder(record: Record, shape: Shape, service: Service, key: str | None) -> Cardholder:
    """Return a record as a cardholder.

    Raises:
        Incomplete: something of it is hidden, or cannot be read.
    """
    said: dict[str, Any] = {name: _text(record, at) for name, at in shape.members.items()}
    held = [one.grant for one in holdings(record, shape) if not one.disabled]
    require_memberships(record, shape)
    return Cardholder(
        key=key,
        native_id=service.followed(record),
        status="active" if record.get("authorised") is True else "suspended",
        credentials=tuple(card.credential for card in cards(record, shape)),
        grants=tuple(dict.fromkeys(held)),
        amiss="" if key is None or endless_base(record, shape) else NOT_IN_BASE,
        **said,
    )


# ── rights ──────────────────────────────────────────────────────────────────────────────


def memberships(record: Record) -> list[Record]:
    """Return the memberships of a cardholder, its own and not those of parents."""
    return _list(record, "accessGroups")


def require_memberships(record: Record, shape: Shape) -> None:
    """See that memberships are shown: only a group gives a key, so nobody with one has none.

    Raises:
        Incomplete: they are hidden.
    """
    if key_of(record, shape) is not None and not memberships(record):
        raise Incomplete(
            "a cardholder with a key came without access groups, and only a group gives the key: "
            "memberships are hidden; give idsync's operator View Cardholders on all its divisions"
        )


def group_of(membership: Record) -> str:
    """Return the name of a membership's group; the href alone is left out where it is hidden."""
    group = membership.get("accessGroup")
    name = group.get("name") if isinstance(group, dict) else None
    if not isinstance(name, str) or not name:
        raise Incomplete("a membership came without the name of its group: read again")
    return name


def kind_of_group(name: str, shape: Shape) -> GrantKind:
    """Return whether a group is, by the settings, a right to arm, or to enter."""
    return "alarm" if name in shape.alarm_groups else "access"


def holdings(record: Record, shape: Shape) -> list[Holding]:
    """Return what a cardholder holds, without the base group, which is no right."""
    held = [
        Holding(
            Grant(
                ref=name,
                kind=kind_of_group(name, shape),
                valid_from=instant(membership.get("from")),
                valid_to=instant(membership.get("until")),
            ),
            _href(membership),
        )
        for membership in memberships(record)
        if (name := group_of(membership)) != shape.base_group
    ]
    if shape.competencies:
        held += [_competency(one) for one in _list(record, "competencies")]
    return held


def base_holdings(record: Record, shape: Shape) -> list[Holding]:
    """Return the memberships of the base group."""
    return [
        Holding(
            Grant(
                ref=shape.base_group,
                valid_from=instant(membership.get("from")),
                valid_to=instant(membership.get("until")),
            ),
            _href(membership),
        )
        for membership in memberships(record)
        if group_of(membership) == shape.base_group
    ]


def endless_base(record: Record, shape: Shape) -> bool:
    """Return whether the base group holds somebody without end: who leaves it loses the key."""
    return any(one.grant.valid_to is None for one in base_holdings(record, shape))


def _competency(link: Record) -> Holding:
    """Return a competency: decided by status.type ("Cardholder competency", the table).

    One that is switched off and will not come on by itself is `inactive`: no right.
    """
    competency, status = link.get("competency"), link.get("status")
    name = competency.get("name") if isinstance(competency, dict) else None
    state = status.get("type") if isinstance(status, dict) else None
    if not isinstance(name, str) or not isinstance(state, str):
        raise Incomplete("a competency came without name or status.type: read again")
    begins = instant(link.get("enablement"))
    in_force = state not in ("pending", "inactive")
    if begins is not None and in_force and begins > datetime.now(UTC) + CLOCKS_APART:
        begins = None  # it is on already: then the date has no effect
    grant = Grant(
        ref=name,
        kind="competency",
        valid_from=begins,
        valid_to=instant(link.get("expiry")),
    )
    return Holding(grant, _href(link), disabled=state == "inactive")


# ── cards ───────────────────────────────────────────────────────────────────────────────


def cards(record: Record, shape: Shape) -> list[Card]:
    """Return the credentials of a cardholder."""
    return [
        Card(
            Credential(
                number=_text(card, "number") or _text(card, "cardSerialNumber"),
                medium=MEDIA.get(_text(card, "credentialClass"), "card"),
                state=_state(card, shape),
                state_reason=_text(_block(card, "status"), "value"),
            ),
            _href(card),
        )
        for card in _list(record, "cards")
    ]


def _state(card: Record, shape: Shape) -> CredentialState:
    """Return a card's state: status.type decides, and status.value says which of the inactive."""
    status = _block(card, "status")
    kind = _text(status, "type")
    if kind == "active":
        return "active"
    if kind == "expired":
        return "expired"
    if kind not in ("inactive", "pending"):
        raise Incomplete("a card came without status.type: read again")
    value = _text(status, "value").casefold()
    for state, name in shape.card_states.items():
        if state != "active" and name.casefold() == value:
            return state
    return "inactive"


# ── dates ───────────────────────────────────────────────────────────────────────────────


def instant(told: object) -> datetime | None:
    """Return an ISO 8601 date as an instant; what has no offset is UTC.

    Raises:
        Incomplete: it is no date.
    """
    if told is None or told == "":
        return None
    try:
        moment = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise Incomplete("a date came that is none: read again")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def written(moment: datetime | None) -> str:
    """Return an instant as Command Centre reads it in every version; "" is no date.

    Raises:
        Refused: it is finer than a second, or later than the server can hold.
    """
    if moment is None:
        return ""
    moment = moment.astimezone(UTC)
    if moment.microsecond:
        raise Refused("Command Centre keeps whole seconds, and a grant's date is finer: round it")
    if moment >= AFTER_ALL:
        raise Refused(
            "Command Centre holds dates before the end of 2099, and a grant's is later: "
            "leave the end open"
        )
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# ── texts ───────────────────────────────────────────────────────────────────────────────


def _text(record: Record, name: str) -> str:
    found = record.get(name)
    return found if isinstance(found, str) else ""


def _block(record: Record, name: str) -> Record:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _href(record: Record) -> str:
    href = _text(record, "href")
    if not href:
        raise Incomplete("a part of a cardholder came without href: read again")
    return href


def _list(record: Record, name: str) -> list[Record]:
    found = record.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Incomplete("a list of a cardholder came as something else: read again")
    return found
