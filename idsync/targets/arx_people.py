"""Everybody in ARX, or one person, and how sure it is that somebody is not there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from idsync.errors import Incomplete, Refused
from idsync.model import Cardholder
from idsync.targets.arx_records import Card, Found, Rules
from idsync.targets.arx_wire import Export, Wire


class Sought(NamedTuple):
    """What was found under an id. `twin`: an id that differs from it in case or spaces only."""

    found: Found | None
    twin: bool = False


class People:
    """Reads persons with their cards, and believes no absence that is not proven."""

    def __init__(self, wire: Wire, rules: Rules, fewest: int) -> None:
        self._wire = wire
        self._rules = rules
        self._fewest = fewest
        self._filter = "unproven"  # then "proven" or "useless"

    def everybody(self) -> Iterator[Cardholder]:
        """Yield everybody who is not deleted, and cards of nobody; see `Target.read`."""
        deleting = self._rules.suspend == "delete_cards"  # then deleted cards are wanted
        export = self._wire.everything_ever() if deleting else self._wire.everything()
        persons = [person for person in export.persons if not person.deleted]
        if len(persons) < self._fewest:
            raise Incomplete(
                f"ARX: {len(persons)} people came, fewest_people is {self._fewest}: look whether "
                "idsync's account may still see all of them"
            )
        cards: defaultdict[str, list[Card]] = defaultdict(list)
        for card in export.cards:
            cards[card.person_id].append(card)
        times = Counter(person.id for person in persons)
        strangers = cards.keys() - times.keys() - {""}
        if strangers and not deleting:
            self._require_nobody(strangers)
        for person in persons:
            found = Found(person=person, cards=tuple(cards[person.id]))
            yield self._rules.cardholder(found, known=times[person.id] == 1)
        for id in sorted(strangers | {""}):
            for credential in self._rules.credentials(cards[id]):
                yield Cardholder(key=None, credentials=(credential,))

    def _require_nobody(self, ids: set[str]) -> None:
        """Check that the holders of these cards are not in use: else the answer lacks them."""
        persons = self._wire.everything_ever().persons
        missing = ids & {person.id for person in persons if not person.deleted}
        if missing:
            raise Incomplete(
                f"ARX: holders of cards are missing from the list of persons ({len(missing)}): "
                "read again later"
            )

    def seek(self, id: str) -> Sought:
        """Return what ARX holds under exactly this id, deleted or not.

        external_id finds by id in the client's use. It is believed to find nobody only after
        it has found somebody who is known, and for ids in ASCII: how ARX decodes others in
        an address is told nowhere. Else everybody is read.

        Raises:
            Refused: several persons have it.
        """
        if self._filter != "useless":
            sought = _picked(self._wire.one(id), id)
            if sought.found or sought.twin or (self._filter == "proven" and id.isascii()):
                return sought
        export = self._wire.everything_ever(id)
        sought = _picked(export, id)
        if sought.found:
            self._filter = "useless"
        elif self._filter == "unproven":
            self._prove(export)
        return sought

    def _prove(self, export: Export) -> None:
        known = next((one.id for one in export.persons if one.id and one.id.isascii()), None)
        if known is not None:
            times = sum(one.id == known for one in self._wire.one(known).persons)
            self._filter = "proven" if times else "useless"

    def card_numbers(self) -> frozenset[str]:
        """Return the numbers of all cards that are not deleted."""
        return frozenset(card.number for card in self._wire.everything().cards if not card.deleted)


def _picked(export: Export, id: str) -> Sought:
    """Return the person with this id; one who is deleted only if there is no other."""
    same = [person for person in export.persons if person.id == id]
    found = [person for person in same if not person.deleted] or same[:1]
    if len(found) > 1:
        raise Refused(f"{len(found)} persons in ARX have one id: correct it there")
    if found:
        cards = tuple(card for card in export.cards if card.person_id == id)
        return Sought(Found(person=found[0], cards=cards))
    folded = id.strip().casefold()
    return Sought(None, any(one.id.strip().casefold() == folded for one in export.persons))
