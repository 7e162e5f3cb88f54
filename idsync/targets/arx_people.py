"""Everybody in ARX, or one person, and how sure it is that somebody is not there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from idsync.errors import Incomplete, Refused
from idsync.model import Cardholder
from idsync.targets.arx_records import Card, Found, Rules
from idsync.targets.arx_wire import Wire
from idsync.targets.arx_xml import Export


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
        export = self._everything()
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
        if strangers and not self._deletes:
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
        an address is told nowhere. Else everybody is read, and so it is where the cards or
        the categories of who was found are not in the answer.

        Raises:
            Refused: several persons have it.
        """
        sought, nobody = Sought(None), False
        if self._filter != "useless":
            answer = self._wire.one(id)
            sought, nobody = _picked(answer, id), id.isascii() and not answer.persons
            if sought.found:
                believed = answer.whole and sought.found.person.lists_categories
            else:
                believed = self._filter == "proven" and id.isascii() and not sought.twin
            if believed:
                return sought
        export = self._wire.everything_ever(id)
        sought = _picked(export, id)
        if self._filter == "unproven":
            self._filter = "useless" if sought.found and nobody else self._proof(export)
        return sought

    def _proof(self, export: Export) -> str:
        """Return what becomes of the filter: does it find somebody who is known to be there?"""
        known = next((one.id for one in export.persons if one.id and one.id.isascii()), None)
        if known is None:
            return "unproven"
        found = any(one.id == known for one in self._wire.one(known).persons)
        return "proven" if found else "useless"

    def card_numbers(self) -> frozenset[str]:
        """Return the numbers of all cards that are there."""
        cards = self._everything().cards
        return frozenset(card.number for card in cards if self._rules.counts(card))

    def _everything(self) -> Export:
        """Return everybody and all cards, those included that idsync may have deleted."""
        return self._wire.everything_ever() if self._deletes else self._wire.everything()

    @property
    def _deletes(self) -> bool:
        return self._rules.suspend == "delete_cards"


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
