"""Made-up cardholders for the contract kit, and how to look at what a system shows."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import replace
from typing import Any

import polars as pl

from idsync.model import Cardholder, Credential, Grant
from idsync.plan.items import INSTANT, items
from idsync.targets import Target

AWKWARD_KEYS = (
    "O'Brien", 'a"b', "a\\b", "*", "10*", "%", "_", ")(", "*)(objectClass=*", "' OR 1=1 --",
    '1" or externalId pr or "', "a/b", "../a", "a?b=c&d", "a#b", "a b",
    "å;ä,ö", "🔑", "$(id)", "{0}",
)  # fmt: skip

VALUES: dict[str, Any] = {
    "display_name": "Åsa Öberg",
    "given_name": "Åsa",
    "family_name": "Öberg",
    "mail": "asa.oberg@example.org",
    "department": "Förskoleförvaltningen",
}
OTHER_VALUES: dict[str, Any] = {
    "display_name": "Åsa Söder",
    "given_name": "Åsa-Lena",
    "family_name": "Söder",
    "mail": "asa.soder@example.org",
    "department": "Räddningstjänsten",
}


def someone(target: Target, key: str = "1001", grants: tuple[Grant, ...] = ()) -> Cardholder:
    """Return a made-up cardholder with every attribute that the system takes.

    Where rights hang on cards, with the card `card_of` gives them.
    """
    on_cards = target.capabilities.rights_on == "credential"
    cards = (Credential(number=card_of(key)),) if on_cards else ()
    return Cardholder(key=key, credentials=cards, grants=grants, **fitting(target, VALUES))


def card_of(key: str) -> str:
    """Return the card number that the kit gives the person with this key: the same every time."""
    return str(8_000_000 + zlib.crc32(key.encode()) % 999_983)


def fitting(target: Target, values: dict[str, Any]) -> dict[str, Any]:
    """Return those of *values* that the system takes, no longer than it takes them."""
    return {
        name: value[: target.capabilities.lengths.get(name)]
        for name, value in values.items()
        if name in target.capabilities.attributes
    }


def holding(cardholder: Cardholder, *rights: str) -> Cardholder:
    """Return *cardholder* with exactly these rights, without dates."""
    return replace(cardholder, grants=tuple(Grant(ref=right) for right in rights))


def giving(key: str, grant: Grant) -> pl.DataFrame:
    """Return the item of a plan that gives *grant* to the cardholder with this key."""
    row = pl.DataFrame({"person_id": ["kit"], "key": [key], "because": ["the kit"]}).with_columns(
        from_after=pl.lit(grant.valid_from, INSTANT), to_after=pl.lit(grant.valid_to, INSTANT)
    )
    return items(
        row, target="kit", part="grant", kind=grant.kind, ref=grant.ref, was=False, shall=True,
        effect="gaining", confirmed=False, creates=False,
    )  # fmt: skip


def only(target: Target, key: str | None) -> Cardholder:
    """Return the one cardholder with this key, which must be there."""
    found = target.read_one(key or "")
    assert found is not None, f"nobody has the key {key!r} that was put"
    assert found.key == key, f"somebody else than {key!r} was found"
    return found


def refs(cardholder: Cardholder) -> set[str]:
    """Return the names of the rights that *cardholder* holds."""
    return {grant.ref for grant in cardholder.grants}


def held(cardholder: Cardholder) -> Counter[Grant]:
    """Return the grants that *cardholder* holds, in no order."""
    return Counter(cardholder.grants)


def attributes(cardholder: Cardholder) -> dict[str, str]:
    """Return the attributes of *cardholder* that say something."""
    return {name: value for name in VALUES if (value := getattr(cardholder, name))}


def plain(cardholder: Cardholder) -> Cardholder:
    """Return *cardholder* with its grants and credentials in one order, and "" as None."""
    named: dict[str, Any] = {name: getattr(cardholder, name) or None for name in VALUES}
    return replace(
        cardholder,
        **named,
        grants=tuple(sorted(cardholder.grants, key=repr)),
        credentials=tuple(sorted(cardholder.credentials, key=repr)),
    )


def picture(target: Target) -> Counter[Cardholder]:
    """Return all that the system shows, in no order."""
    return Counter(map(plain, target.read()))
