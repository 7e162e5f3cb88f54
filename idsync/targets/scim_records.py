"""What a SCIM user says, in idsync's words and back.

The core User and the enterprise extension are RFC 7643, 4.1 and 4.3. An attribute that
is absent, null or an empty list is unassigned (RFC 7643, 2.5): known to be absent.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeAlias

from idsync.errors import Incomplete
from idsync.model import Cardholder, Grant

Record: TypeAlias = dict[str, Any]
"""A resource as the service shows it, with whatever else it holds."""

Place: TypeAlias = tuple[str, ...]
Edits: TypeAlias = dict[Place, Any]
"""What shall stand where in a resource. None: nothing shall stand there."""

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

PLACES: Mapping[str, Place] = {
    "display_name": ("displayName",),
    "given_name": ("name", "givenName"),
    "family_name": ("name", "familyName"),
    "department": (ENTERPRISE, "department"),
}
"""Where each attribute of a cardholder stands. `mail` stands in a list, see `mails_with`."""

ACTIVE: Place = ("active",)


def text_at(record: Record, place: Place) -> str:
    """Return the text at *place*, "" if nothing stands there."""
    found: Any = record
    for name in place:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def is_active(user: Record) -> bool:
    """Return whether the user may use anything. Who says nothing is taken to be active.

    Raises:
        Incomplete: `active` is neither true nor false.
    """
    active = user.get("active", True)
    if active is None:
        return True
    if not isinstance(active, bool):
        raise Incomplete(
            "a user's `active` is neither true nor false (RFC 7643, 4.1.1): "
            "nothing of this service is used until its vendor has corrected that"
        )
    return active


def key_of(user: Record) -> str | None:
    """Return the correlation key: the externalId, which belongs to the client (RFC 7643, 3.1)."""
    return text_at(user, ("externalId",)) or None


def cardholder(user: Record, refs: set[str], key: str | None) -> Cardholder:
    """Return *user*, who is in the groups named *refs*, as a cardholder."""
    said: dict[str, Any] = {name: text_at(user, place) for name, place in PLACES.items()}
    return Cardholder(
        key=key,
        native_id=user["id"],
        status="active" if is_active(user) else "suspended",
        mail=mail_of(user),
        grants=tuple(Grant(ref=ref) for ref in sorted(refs)),
        version=version_of(user),
        **said,
    )


def version_of(record: Record) -> str:
    """Return the ETag of a resource (RFC 7644, 3.14), "" if it has none."""
    return text_at(record, ("meta", "version"))


def items(record: Record, name: str) -> list[Record]:
    """Return the complex values of a multi-valued attribute."""
    values = record.get(name)
    return (
        [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
    )


def _mail_item(mails: list[Record]) -> Record | None:
    """Return the address that is the person's: the primary, the one for work, or a plain one.

    An address of another type (home) is the person's own affair.
    """
    for fits in (
        lambda mail: mail.get("primary") is True,
        lambda mail: mail.get("type") == "work",
        lambda mail: not mail.get("type"),
    ):
        for mail in mails:
            if fits(mail):
                return mail
    return None


def mail_of(user: Record) -> str:
    """Return the person's mail address, "" if there is none."""
    return text_at(_mail_item(items(user, "emails")) or {}, ("value",))


def mails_with(user: Record, address: str) -> list[Record] | None:
    """Return the user's addresses with the person's own as *address*; None if none is left."""
    mails = copy.deepcopy(items(user, "emails"))
    ours = _mail_item(mails)
    if not address:
        return [mail for mail in mails if mail is not ours] or None
    if ours is None:
        mails.append({"value": address, "type": "work", "primary": True})
    else:
        ours["value"] = address
        ours.pop("display", None)
    return mails


def edits_of(user: Record, attributes: Mapping[str, str]) -> Edits:
    """Return what must change in *user* for it to say *attributes*. Empty: nothing."""
    edits: Edits = {
        PLACES[name]: wanted or None
        for name, wanted in attributes.items()
        if name in PLACES and text_at(user, PLACES[name]) != wanted
    }
    if "mail" in attributes and mail_of(user) != attributes["mail"]:
        edits[("emails",)] = mails_with(user, attributes["mail"])
    return edits


def operations(edits: Edits) -> list[Record]:
    """Return *edits* as PATCH operations (RFC 7644, 3.5.2)."""
    return [
        {"op": "remove", "path": _path(place)}
        if value is None
        else {"op": "replace", "path": _path(place), "value": value}
        for place, value in edits.items()
    ]


def _path(place: Place) -> str:
    return (":" if place[0].startswith("urn:") else ".").join(place)


def edited(record: Record, edits: Edits) -> Record:
    """Return the whole resource with *edits*, as a PUT sends it (RFC 7644, 3.5.1).

    What idsync does not know goes back as it came. `meta` and a user's `groups` are the
    service's own (readOnly) and stay out.
    """
    whole = copy.deepcopy(record)
    whole.pop("meta", None)
    whole.pop("groups", None)
    for place, value in edits.items():
        _set(whole, place, value)
    if isinstance(whole.get(ENTERPRISE), dict):
        schemas = whole.get("schemas")
        known = schemas if isinstance(schemas, list) else [USER]
        whole["schemas"] = known if ENTERPRISE in known else [*known, ENTERPRISE]
    return whole


def _set(whole: Record, place: Place, value: object) -> None:
    inner = whole
    for name in place[:-1]:
        if not isinstance(inner.get(name), dict):
            inner[name] = {}
        inner = inner[name]
    if value is None:
        inner.pop(place[-1], None)
    else:
        inner[place[-1]] = value


def new_user(key: str, user_name: str, attributes: Mapping[str, str]) -> Record:
    """Return the user that a POST creates (RFC 7644, 3.3), saying only what it is given."""
    blank: Record = {
        "schemas": [USER],
        "externalId": key,
        "userName": user_name,
        "active": True,
    }
    said = {name: value for name, value in attributes.items() if value}
    return edited(blank, edits_of(blank, said))
