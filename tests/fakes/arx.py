"""A small ARX on this machine: persons, cards and access categories, in documents.

It holds state and speaks what working clients were seen to speak: HTTP Basic, forms with the
parts `upfile` and `comment`, "OK", exports in ISO-8859-1. What those clients do not show is
a habit, and can be switched.
"""

from __future__ import annotations

import re
import ssl
import threading
from collections import deque
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring
from xml.sax.saxutils import escape

from tests.fakes.arx_habits import ArxRefusal, Habits, Seen, Trouble
from tests.fakes.arx_http import Handler, Server

USER = "idsync"
PASSWORD = "öppna-sesam"
FORM = "%Y-%m-%d %H:%M:%S"
DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
LISTED = re.compile(r"<access_categories>.*?</access_categories>")
PERSON = (
    "id", "first_name", "last_name", "description", "pin_code", "picture_url", "username",
    "deleted", "resource_accesses", "extra_fields", "access_categories",
)  # fmt: skip
CARD = ("number", "format_name", "description", "person_id", "inhibited", "deleted")
PLAIN = ("first_name", "last_name", "description", "pin_code", "picture_url", "username")


@dataclass
class FakePerson:
    """A person; `categories` are name, from and until in the words of the wall clock."""

    id: str
    texts: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    categories: list[tuple[str, str, str]] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    deleted: bool = False


@dataclass
class FakeCard:
    """A card."""

    number: str
    format_name: str
    person_id: str
    description: str = ""
    inhibited: bool = False
    deleted: bool = False


class FakeArx:
    """A running ARX. `people` and `cards` are what it holds."""

    def __init__(
        self, *categories: str, habits: Habits | None = None, tls: tuple[str, str] | None = None
    ) -> None:
        self.habits = habits or Habits()
        self.categories = list(categories)
        self.formats = {"kort"}
        self.people: dict[str, FakePerson] = {}
        self.cards: list[FakeCard] = []
        self.seen: list[Seen] = []
        self.user, self.password = USER, PASSWORD
        self.lock = threading.RLock()
        self._troubles: dict[str, deque[Trouble]] = {}
        self._count = 0
        handler = type("OurHandler", (Handler,), {"fake": self})
        self._server = Server(("127.0.0.1", 0), handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()

    # ── what a test says and asks ───────────────────────────────────────────────────────

    def next(self, area: str, *troubles: Trouble) -> None:
        """Give the next requests these troubles; area: import, export, or "" for any."""
        self._troubles.setdefault(area, deque()).extend(troubles)

    def person(self, id: str = "", **texts: str) -> FakePerson:
        """Make a person by hand."""
        self._count += 1
        made = FakePerson(id or f"hand-{self._count}", texts)
        self.people[made.id] = made
        return made

    def card(self, number: str, person_id: str, **more: Any) -> FakeCard:
        """Hand out a card by hand."""
        self.cards.append(FakeCard(number, "kort", person_id, **more))
        return self.cards[-1]

    def held(self, id: str) -> set[str]:
        """Return the names of a person's categories that have not ended long ago."""
        return {name for name, _, end in self.people[id].categories if not end.startswith("2000")}

    def opens(self, number: str, category: str, at: datetime) -> bool:
        """Whether a door of this category opens for this card at this instant."""
        card = next((one for one in self.cards if one.number == number), None)
        person = self.people.get(card.person_id) if card else None
        if not card or not person or card.inhibited or card.deleted or person.deleted:
            return False
        wall = at.astimezone(self.habits.zone).strftime(FORM)
        last = self.habits.end_inclusive
        return any(
            name == category
            and (not start or start <= wall)
            and (not end or wall < end or (last and wall == end))
            for name, start, end in person.categories
        )

    @property
    def imports(self) -> list[bytes]:
        """The documents that were sent."""
        return [seen.document for seen in self.seen if seen.path == "import"]

    def trouble(self, area: str) -> Trouble | None:
        """Return the trouble that waits for such a request, and forget it."""
        waiting = self._troubles.get(area) or self._troubles.get("")
        return waiting.popleft() if waiting else None

    # ── imports ─────────────────────────────────────────────────────────────────────────

    def take(self, document: bytes) -> tuple[int, bytes]:
        """Import a document; nothing of it where the whole of it is refused."""
        before = deepcopy((self.people, self.cards))
        try:
            root = fromstring(document)
        except ParseError:
            return self.habits.refusal
        if root.tag != "arxdata" or not root.get("timestamp"):
            return self.habits.refusal
        for path, take in (("persons/person", self._take_person), ("cards/card", self._take_card)):
            for element in root.iterfind(path):
                try:
                    take(element)
                except ArxRefusal:
                    if self.habits.refuses == "document":
                        self.people, self.cards = before
                        return self.habits.refusal
        return 200, self.habits.taken

    def _take_person(self, element: Element) -> None:
        _require_order(element, PERSON)
        id = element.findtext("id") or ""
        if not id or id in self.habits.bad_ids:
            raise ArxRefusal
        if self.habits.folds_ids:
            id = next((one for one in self.people if one.lower() == id.lower()), id)
        person = deepcopy(self.people.get(id)) or FakePerson(id)
        emptied = self.habits.absent_elements == "emptied"
        for name in PLAIN:
            if element.find(name) is not None:
                person.texts[name] = element.findtext(name) or ""
            elif emptied:
                person.texts.pop(name, None)
        for name in ("first_name", "last_name"):
            person.texts[name] = person.texts.get(name, "")[: self.habits.name_length]
        text = person.texts.get("description", "")
        person.texts["description"] = text[: self.habits.description_length]
        if emptied or element.find("resource_accesses") is not None:
            person.resources = [
                one.text or "" for one in element.iterfind("resource_accesses/access_name")
            ]
        if emptied or element.find("extra_fields") is not None:
            person.extra = {
                one.findtext("name") or "": one.findtext("value") or ""
                for one in element.iterfind("extra_fields/extra_field")
                if one.findtext("name") in self.habits.extra_fields
            }
        person.deleted = element.find("deleted") is not None
        self._take_categories(person, element)
        self.people[id] = person
        if self.habits.drops_cards:
            self.cards = [card for card in self.cards if card.person_id != id]

    def _take_categories(self, person: FakePerson, element: Element) -> None:
        wanted = [
            (
                one.findtext("name") or "",
                one.findtext("start_date") or "",
                one.findtext("end_date") or "",
            )
            for one in element.iterfind("access_categories/access_category")
        ]
        unknown = [name for name, _, _ in wanted if name not in self.categories]
        if unknown and self.habits.unknown_category == "refused":
            raise ArxRefusal
        wanted = [one for one in wanted if one[0] not in unknown]
        for _, *dates in wanted:
            for date in filter(None, dates):
                if not DATE.fullmatch(date):
                    raise ArxRefusal
        if self.habits.absent_categories == "kept":
            replaced = {name for name, _, _ in wanted}
            doubles = self.habits.same_category == "doubled"
            kept = [one for one in person.categories if doubles or one[0] not in replaced]
            wanted = kept + [one for one in wanted if one not in kept]
        person.categories = wanted

    def _take_card(self, element: Element) -> None:
        _require_order(element, CARD)
        number, form = element.findtext("number") or "", element.findtext("format_name") or ""
        if not number or form not in self.formats:
            raise ArxRefusal
        inhibited = element.find("inhibited") is not None
        if inhibited and self.habits.inhibited == "refused":
            raise ArxRefusal
        deleted = element.find("deleted") is not None
        self.cards = [one for one in self.cards if (one.number, one.format_name) != (number, form)]
        if deleted and self.habits.deleted_cards == "gone":
            return
        card = FakeCard(
            number, form, element.findtext("person_id") or "",
            (element.findtext("description") or "")[: self.habits.description_length],
            inhibited and self.habits.inhibited == "known", deleted,
        )  # fmt: skip
        self.cards.append(card)

    # ── exports ─────────────────────────────────────────────────────────────────────────

    def export(self, query: dict[str, str]) -> bytes:
        """Return persons and cards as a document."""
        excludes = self.habits.excludes_deleted and query.get("exclude_deleted") in ("true", "1")
        people = [one for one in self.people.values() if not (excludes and one.deleted)]
        wanted = query.get("external_id")
        if wanted is None:
            people = [one for one in people if one.id not in self.habits.left_out]
        else:
            people = [one for one in people if self._fits(one.id, wanted)]
            if self.habits.finds == "first":
                people = people[:1]
        ids = {one.id for one in people}
        cards = [one for one in self.cards if not (excludes and one.deleted)]
        if wanted is not None and self.habits.finds != "everybody":
            cards = [one for one in cards if one.person_id in ids]
        people += [replace(one) for one in people if one.id in self.habits.twice]
        parts = {
            "persons": "".join(map(self._person_text, people)),
            "cards": "".join(map(_card_text, cards)),
        }
        if wanted is not None and not self.habits.categories_of_one:
            parts["persons"] = LISTED.sub("", parts["persons"])
        stamp = ' timestamp="2031-03-04+05:06:07"' if self.habits.timestamp else ""
        space = f' xmlns="{self.habits.namespace}"' if self.habits.namespace else ""
        sections = self.habits.sections
        if wanted is not None and not self.habits.cards_of_one:
            sections = ("persons",)
        if not people and self.habits.nothing == "empty" and wanted is not None:
            sections = ()
        body = "".join(f"<{one}>\n{parts[one]}</{one}>\n" for one in sections)
        return self.written(f"<arxdata{stamp}{space}>\n{body}</arxdata>\n")

    def category_export(self) -> bytes:
        """Return all access categories as a document."""
        rows = "".join(
            f"<access_category><id>c{at}</id><name>{escape(name)}</name>"
            "<description/></access_category>\n"
            for at, name in enumerate(self.categories)
        )
        return self.written(f"<access_categories>\n{rows}</access_categories>\n")

    def written(self, text: str) -> bytes:
        encoding = self.habits.encoding
        whole = f'<?xml version="1.0" encoding="{encoding}"?>\n{self.habits.doctype}{text}'
        return whole.encode(encoding)

    def _fits(self, id: str, wanted: str) -> bool:
        match self.habits.finds:
            case "everybody":
                return True
            case "nobody":
                return False
            case "folded" | "first":
                return id.lower() == wanted.lower()
            case "part":
                return wanted in id
            case "latin-1":
                return id == wanted.encode().decode("latin-1")
        return id == wanted

    def _person_text(self, person: FakePerson) -> str:
        texts = dict.fromkeys(("first_name", "last_name", "description"), "") | person.texts
        if not self.habits.shows_pin:
            texts.pop("pin_code", None)
        rows = [f"<{name}>{escape(texts[name])}</{name}>" for name in PLAIN if name in texts]
        if person.deleted:
            rows.append("<deleted/>")
        if person.resources:
            names = "".join(f"<access_name>{escape(one)}</access_name>" for one in person.resources)
            rows.append(f"<resource_accesses>{names}</resource_accesses>")
        rows.append("<extra_fields>")
        rows += [
            f"<extra_field><name>{escape(name)}</name><value>{escape(value)}</value></extra_field>"
            for name, value in person.extra.items()
        ]
        rows.append("</extra_fields><access_categories>")
        for name, start, end in person.categories:
            dates = [f"<start_date>{start}</start_date>"] if start else []
            dates.append(f"<end_date>{end}</end_date>")
            rows.append(
                f"<access_category><name>{escape(name)}</name>{''.join(dates)}</access_category>"
            )
        rows.append("</access_categories>")
        return f"<person><id>{escape(person.id)}</id>{''.join(rows)}</person>\n"


def _require_order(element: Element, names: tuple[str, ...]) -> None:
    """Hold an element against a schema that knows these children, once each, in this order."""
    tags = [child.tag for child in element]
    if tags != [name for name in names if name in tags]:
        raise ArxRefusal


def _card_text(card: FakeCard) -> str:
    flags = "<inhibited/>" * card.inhibited + "<deleted/>" * card.deleted
    return (
        f"<card><number>{escape(card.number)}</number><format_name>{card.format_name}</format_name>"
        f"<description>{escape(card.description)}</description>"
        f"<person_id>{escape(card.person_id)}</person_id>{flags}</card>\n"
    )
