"""The documents of ARX: read as a stream, built as a tree.

Shape of import and export (one schema, integration.xsd, checks both in the booking platform's
client): root `arxdata` with `timestamp`; `persons/person` with id, first_name, last_name,
description, pin_code, extra_fields, access_categories and perhaps deleted; `cards/card` with
number, format_name, description, person_id and perhaps deleted. `inhibited` on a card, and
the further children of a person, are known from a second client's reading of exports only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from io import BytesIO
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from idsync.errors import Incomplete, Unavailable
from idsync.targets.arx_records import Card, Category, Person

PERSON = (
    "id", "first_name", "last_name", "description", "pin_code", "picture_blob", "picture_url",
    "username", "force_pin_change", "deleted", "offline_unlock_feature", "resource_accesses",
    "extra_fields", "access_categories",
)  # fmt: skip
CARD = ("number", "format_name", "description", "person_id", "inhibited", "deleted")
FIELD = ("name", "value")
NEVER_SENT = ("password", "deleted", "access_categories", "access_categories_update")
UNREADABLE = "check the url, and that it is ARX's own web interface"


# ── reading ─────────────────────────────────────────────────────────────────────────────


class Export(NamedTuple):
    """What one export holds; `whole` tells whether both its sections were there."""

    persons: list[Person]
    cards: list[Card]
    whole: bool


def read_export(data: bytes, keep: str | None = None) -> Export:
    """Return the persons and cards of an export, of the id *keep* with their elements.

    Raises:
        Incomplete: the document ends early, or does not say of when it is.
        Unavailable: it is no export of ARX.
    """
    persons: list[Person] = []
    cards: list[Card] = []
    sections: set[str] = set()
    for path, element in _elements(data, "arxdata"):
        match path:
            case ["arxdata"]:
                if not element.get("timestamp"):
                    raise Incomplete(
                        "ARX: an export without a timestamp, so not known to be whole: "
                        "check the version of ARX"
                    )
            case ["arxdata", section]:
                sections.add(section)
            case ["arxdata", "persons", "person"]:
                persons.append(_person(element, keep))
                if persons[-1].element is None:
                    element.clear()  # a whole city is in the answer
            case ["arxdata", "cards", "card"]:
                cards.append(_card(element, keep))
                if cards[-1].element is None:
                    element.clear()
    return Export(persons, cards, {"persons", "cards"} <= sections)


def read_categories(data: bytes) -> list[str]:
    """Return the names of all access categories; raises as `read_export` does."""
    return [
        _text(element, "name")
        for path, element in _elements(data, None)
        if path[-1] == "access_category"
    ]


def _elements(data: bytes, root: str | None) -> Iterator[tuple[list[str], Element]]:
    """Yield every element when it ends, with the names that lead to it; at last the root."""
    path: list[str] = []
    try:
        for event, element in iterparse(BytesIO(data), events=("start", "end"), forbid_dtd=True):
            if event == "start":
                path.append(_local(element))
                if path[0] in ("html", "HTML") or (root and path[0] != root):
                    raise Unavailable(f"ARX: answered with another document: {UNREADABLE}")
                continue
            yield path, element
            path.pop()
    except (ParseError, DefusedXmlException, LookupError, ValueError):
        if path and path[0] == (root or path[0]):
            raise Incomplete(
                "ARX: the answer is cut off or damaged, and not used: read again later"
            ) from None
        raise Unavailable(f"ARX: answered, but not with XML: {UNREADABLE}") from None


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _child(element: Element, name: str) -> Element | None:
    return next((child for child in element if _local(child) == name), None)


def _text(element: Element, name: str) -> str:
    child = _child(element, name)
    return "" if child is None else child.text or ""


def _flag(element: Element, name: str) -> bool:
    """Whether a mark is there: the client writes deleted as true and as 1."""
    child = _child(element, name)
    return child is not None and (child.text or "").strip().lower() not in ("false", "0")


def _person(element: Element, keep: str | None) -> Person:
    id = _text(element, "id")
    categories, extra = _child(element, "access_categories"), _child(element, "extra_fields")
    return Person(
        id=id,
        first_name=_text(element, "first_name"),
        last_name=_text(element, "last_name"),
        description=_text(element, "description"),
        deleted=_flag(element, "deleted"),
        categories=tuple(_category(each) for each in _named(categories, "access_category")),
        extra={_text(each, "name"): _text(each, "value") for each in _named(extra, "extra_field")},
        lists_categories=categories is not None,
        element=element if id == keep else None,
    )


def _named(element: Element | None, name: str) -> list[Element]:
    return [] if element is None else [child for child in element if _local(child) == name]


def _category(element: Element) -> Category:
    name = _text(element, "name")
    if not name:
        raise Incomplete(
            "ARX: a person has a category without a name, and names are all that idsync knows "
            "categories by: check the version of ARX"
        )
    start, end = _text(element, "start_date"), _text(element, "end_date")
    return Category(name=name, start=start.strip(), end=end.strip())


def _card(element: Element, keep: str | None) -> Card:
    person_id = _text(element, "person_id")
    return Card(
        number=_text(element, "number"),
        format_name=_text(element, "format_name"),
        description=_text(element, "description"),
        person_id=person_id,
        inhibited=_flag(element, "inhibited"),
        deleted=_flag(element, "deleted"),
        element=element if keep and person_id == keep else None,
    )


# ── writing ─────────────────────────────────────────────────────────────────────────────


def document(stamp: str, *, persons: Iterable[Person] = (), cards: Iterable[Card] = (),
             empty_pin: bool = False) -> bytes:  # fmt: skip
    """Return an import of these persons and cards, in the encoding the client uses."""
    root = Element("arxdata", timestamp=stamp)
    parts: dict[str, list[Element]] = {
        "persons": [_person_element(person, empty_pin) for person in persons],
        "cards": [_card_element(card) for card in cards],
    }
    for name, elements in parts.items():
        if elements:
            SubElement(root, name).extend(elements)
    written: Any = tostring(root, encoding="ISO-8859-1")
    return bytes(written)


def _person_element(person: Person, empty_pin: bool) -> Element:
    """Return the person's element: what the export said, and what shall be otherwise.

    What an import makes of an element that is missing is told nowhere, so everything that
    was read is sent again: pictures, user names, fields that idsync does not know. Not so
    a password, and no PIN that is not plainly digits: an export may hide either.
    """
    element = _copied("person", person.element)
    for child in list(element):
        if child.tag in NEVER_SENT or (child.tag == "pin_code" and not _is_pin(child, empty_pin)):
            element.remove(child)
    if person.element is None:
        _set(element, PERSON, "pin_code", "")
    _set(element, PERSON, "id", person.id)
    _set(element, PERSON, "first_name", person.first_name)
    _set(element, PERSON, "last_name", person.last_name)
    _set(element, PERSON, "description", person.description)
    _set_extra(element, person)
    categories = Element("access_categories")
    element.insert(_place(element, PERSON, "access_categories"), categories)
    for each in person.categories:
        category = SubElement(categories, "access_category")
        SubElement(category, "name").text = each.name
        for name, value in (("start_date", each.start), ("end_date", each.end)):
            if value:
                SubElement(category, name).text = value
    return element


def _card_element(card: Card) -> Element:
    element = _copied("card", card.element)
    _set(element, CARD, "number", card.number)
    _set(element, CARD, "format_name", card.format_name)
    _set(element, CARD, "description", card.description)
    _set(element, CARD, "person_id", card.person_id)
    for name, there in (("inhibited", card.inhibited), ("deleted", card.deleted)):
        old = element.find(name)
        if old is not None:
            element.remove(old)
        if there:
            SubElement(element, name).text = "true"
    return element


def _copied(tag: str, element: Element | None) -> Element:
    """Return a copy without name spaces: the client's imports have none."""
    copy = Element(tag) if element is None else deepcopy(element)
    for each in copy.iter():
        each.tag = _local(each)
        each.tail = None
    copy.text = None
    return copy


def _is_pin(child: Element, empty_pin: bool) -> bool:
    text = (child.text or "").strip()
    return text.isdecimal() or (empty_pin and not text)


def _set(element: Element, order: tuple[str, ...], name: str, text: str) -> None:
    child = element.find(name)
    if child is None:
        child = Element(name)
        element.insert(_place(element, order, name), child)
    child.text = text


def _place(element: Element, order: tuple[str, ...], name: str) -> int:
    """Return where a new child belongs: after those that stand before it in *order*."""
    earlier = order[: order.index(name)]
    return max((at + 1 for at, child in enumerate(element) if child.tag in earlier), default=0)


def _set_extra(element: Element, person: Person) -> None:
    fields = element.find("extra_fields")
    if fields is None:
        fields = Element("extra_fields")
        element.insert(_place(element, PERSON, "extra_fields"), fields)
    known = {_text(each, "name"): each for each in fields if each.tag == "extra_field"}
    for name, value in person.extra.items():
        field = known.get(name)
        if field is None:
            field = SubElement(fields, "extra_field")
            _set(field, FIELD, "name", name)
        if _text(field, "value") != value:
            _set(field, FIELD, "value", value)
