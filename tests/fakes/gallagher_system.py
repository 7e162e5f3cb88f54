"""What a Command Centre holds, and its rules: built from the vendor's description.

A personal data field stands on a person only as long as a group gives it; dates of
memberships have group defaults; a PATCH happens whole or not at all; a membership gets a
new address with every change; a person has a competency once.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.gallagher_habits import Habits, Refusal

STATES = ("Active", "Disabled (manually)", "Lost", "Stolen", "Damaged")
NAME_LENGTH = 50


@dataclass
class PersonalField:
    id: int
    name: str
    type: str = "string"
    unique: bool = False
    required: bool = False
    regex: str = ""
    access: str = "fullAccess"


@dataclass
class Group:
    id: int
    name: str
    division: int
    fields: set[int] = field(default_factory=set)
    parent: int | None = None
    from_default: datetime | None = None
    until_default: datetime | None = None


@dataclass
class Competency:
    id: int
    name: str
    default_expiry: datetime | None = None


@dataclass
class CardType:
    id: int
    name: str
    credential_class: str = "card"
    states: tuple[str, ...] = STATES


@dataclass
class Part:
    """A membership, a competency or a card of a person: `item` is what it is of."""

    item: int
    token: str
    start: datetime | None = None
    end: datetime | None = None
    enabled: bool = True
    number: str = ""
    state: str = ""


@dataclass
class Person:
    id: int
    first: str = ""
    last: str = ""
    authorised: bool = False
    division: int = 2
    values: dict[int, Any] = field(default_factory=dict)
    memberships: list[Part] = field(default_factory=list)
    competencies: list[Part] = field(default_factory=list)
    cards: list[Part] = field(default_factory=list)


@dataclass
class Change:
    type: str
    person: int
    old: dict[str, Any]
    touched: set[str]


class System:
    """The tables of one Command Centre. Times are those of its own clock."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self.base = ""
        self.divisions: dict[int, tuple[str, int | None]] = {2: ("Root division", None)}
        self.fields: dict[int, PersonalField] = {}
        self.groups: dict[int, Group] = {}
        self.competencies: dict[int, Competency] = {}
        self.card_types: dict[int, CardType] = {}
        self.people: dict[int, Person] = {}
        self.locked: dict[int, str] = {}
        self.changes: list[Change] = []
        self._last = 300
        self._tokens = 0

    def new_id(self) -> int:
        """Numbers go up and are never used again."""
        self._last += 7
        return self._last

    def token(self) -> str:
        self._tokens += 1
        return f"{self._tokens * 2654435761 % 2**32:X}"

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC)

    # ── what a local administrator does ─────────────────────────────────────────────────

    def field(self, name: str, **more: Any) -> PersonalField:
        made = PersonalField(self.new_id(), name, **more)
        self.fields[made.id] = made
        return made

    def group(self, name: str, *fields: PersonalField, **more: Any) -> Group:
        made = Group(self.new_id(), name, more.pop("division", 2), **more)
        made.fields = {one.id for one in fields}
        self.groups[made.id] = made
        return made

    def competency(self, name: str, **more: Any) -> Competency:
        made = Competency(self.new_id(), name, **more)
        self.competencies[made.id] = made
        return made

    def card_type(self, name: str, **more: Any) -> CardType:
        made = CardType(self.new_id(), name, **more)
        self.card_types[made.id] = made
        return made

    def division(self, name: str, parent: int = 2) -> int:
        made = self.new_id()
        self.divisions[made] = (name, parent)
        return made

    def person(self, last: str, *groups: Group, **more: Any) -> Person:
        made = Person(self.new_id(), last=last, authorised=True, **more)
        made.memberships = [Part(group.id, self.token()) for group in groups]
        self.people[made.id] = made
        self.changes.append(Change("add", made.id, {}, set(self.shown_whole(made))))
        return made

    def edit(self, person: Person) -> Edit:
        """Change a person by hand: what is done in the block is one change of the feed."""
        return Edit(self, person)

    def delete(self, person: Person) -> None:
        del self.people[person.id]
        self.changes.append(Change("remove", person.id, {}, {"lastName"}))

    def membership(
        self,
        person: Person,
        group: Group,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> None:
        with self.edit(person):
            person.memberships.append(Part(group.id, self.token(), start, end))

    def give_competency(
        self, person: Person, competency: Competency, enabled: bool = True, **dates: datetime | None
    ) -> Part:
        with self.edit(person):
            made = Part(competency.id, self.token(), enabled=enabled)
            made.start, made.end = dates.get("start"), dates.get("end")
            person.competencies.append(made)
        return made

    def card(self, person: Person, kind: CardType, number: str, state: str = "") -> None:
        with self.edit(person):
            person.cards.append(
                Part(kind.id, self.token(), number=number, state=state or kind.states[0])
            )

    # ── what holds ──────────────────────────────────────────────────────────────────────

    def visible(self, person: Person) -> bool:
        return "view cardholders" in self.habits.privileges and (
            self.habits.divisions is None or person.division in self.habits.divisions
        )

    def line(self, group: int) -> list[int]:
        """Return the group and its parents, which a member is in too."""
        line = []
        at: int | None = group
        while at is not None:
            line.append(at)
            at = self.groups[at].parent
        return line

    def gives(self, person: Person, field_id: int) -> bool:
        """Whether a membership that holds now gives the person a field."""
        return any(
            field_id in self.groups[group].fields
            for part in person.memberships
            if (part.start is None or part.start <= self.now())
            and (part.end is None or self.now() < part.end)
            for group in self.line(part.item)
        )

    def value(self, person: Person, field_id: int) -> Any:
        return person.values.get(field_id) if self.gives(person, field_id) else None

    # ── how it is shown ─────────────────────────────────────────────────────────────────

    def href(self, *parts: object) -> str:
        return "/".join([self.base, "api", *map(str, parts)])

    def shown_whole(self, person: Person) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "href": self.href("cardholders", person.id),
            "id": str(person.id),
            "firstName": person.first,
            "lastName": person.last,
            "authorised": person.authorised,
            "division": {"href": self.href("divisions", person.division)},
            "cards": [self._shown_card(person, card) for card in person.cards],
            "accessGroups": [self._shown_membership(person, one) for one in person.memberships],
            "competencies": [self._shown_competency(person, one) for one in person.competencies],
        }
        for one in self.fields.values():
            if one.access != "noAccess":
                shown[f"@{one.name}"] = self.value(person, one.id)
        if "view memberships" not in self.habits.privileges:
            shown["accessGroups"] = []
        return {name: told for name, told in shown.items() if told not in ("", [], None)}

    def _shown_membership(self, person: Person, part: Part) -> dict[str, Any]:
        late = part.start is not None and part.start > self.now()
        over = part.end is not None and part.end <= self.now()
        state = "pending" if late else "expired" if over else "active"
        group: dict[str, Any] = {"name": self.groups[part.item].name}
        if "view groups" in self.habits.privileges:
            group["href"] = self.href("access_groups", part.item)
        return {
            "href": self.href("cardholders", person.id, "access_groups", part.token),
            "accessGroup": group,
            "status": {"value": state.capitalize(), "type": state},
            **_dates(part, "from", "until"),
        }

    def _shown_competency(self, person: Person, part: Part) -> dict[str, Any]:
        late = part.start is not None and part.start > self.now()
        over = part.end is not None and part.end <= self.now()
        begun = part.start is not None and not late
        if not part.enabled and begun and part.state == "waits":
            part.enabled = True  # the date has passed: it switches itself on
        state = "expired" if over else "active"
        if not part.enabled:
            state = "pending" if late else "inactive"
        return {
            "href": self.href("cardholders", person.id, "competencies", part.token),
            "competency": {
                "name": self.competencies[part.item].name,
                "href": self.href("competencies", part.item),
            },
            "status": {"value": state.capitalize(), "type": state},
            **_dates(part, "enablement", "expiry"),
        }

    def _shown_card(self, person: Person, part: Part) -> dict[str, Any]:
        kind = self.card_types[part.item]
        late = part.start is not None and part.start > self.now()
        over = part.end is not None and part.end <= self.now()
        state = "active" if part.state == kind.states[0] else "inactive"
        status = {"value": part.state, "type": state}
        if late or over:
            value, state = ("Not Yet Activated", "pending") if late else ("Expired", "expired")
            status = {"value": value, "type": state}
        return {
            "href": self.href("cardholders", person.id, "cards", part.token),
            "number": part.number,
            "issueLevel": 1,
            "status": status,
            "type": {"name": kind.name, "href": self.href("card_types", kind.id)},
            "credentialClass": kind.credential_class,
            **_dates(part, "from", "until"),
        }

    # ── what the API does ───────────────────────────────────────────────────────────────

    def create(self, body: dict[str, Any]) -> Person:
        habits = self.habits
        if "create cardholders" not in habits.privileges:
            raise Refusal(403, "You do not have a privilege that allows creating cardholders.")
        if habits.most_cardholders is not None and len(self.people) >= habits.most_cardholders:
            raise Refusal(403, "The licensed limit of cardholders has been reached.")
        division = self._id(body.get("division", {}).get("href"), "divisions", self.divisions)
        if division is None:
            raise Refusal(400, "A division is required.")
        person = Person(self.new_id(), division=division)
        lists = {name: {"add": body.get(name, [])} for name in ("accessGroups", "competencies")}
        self.apply(person, {**body, **lists})
        self.people[person.id] = person
        self.changes.append(Change("add", person.id, {}, set(self.shown_whole(person))))
        return person

    def update(self, person: Person, body: dict[str, Any]) -> None:
        if person.id in self.locked:
            raise Refusal(409, f"The cardholder is locked by {self.locked[person.id]}.")
        if "edit cardholders" not in self.habits.privileges and body != {"authorised": False}:
            raise Refusal(409, "You do not have the privilege to edit this cardholder.")
        changed = copy.deepcopy(person)
        self.apply(changed, body)
        with self.edit(person):
            person.__dict__.update(changed.__dict__)

    def apply(self, person: Person, body: dict[str, Any]) -> None:
        """Do what a body says; unknown members are ignored, and whoever calls drops it all."""
        person.first = str(body.get("firstName", person.first) or "")[:NAME_LENGTH]
        person.last = str(body.get("lastName", person.last) or "")[:NAME_LENGTH]
        if not person.first and not person.last:
            raise Refusal(400, "A cardholder needs a first or a last name.")
        person.authorised = bool(body.get("authorised", person.authorised))
        self._memberships(person, body.get("accessGroups", {}))
        self._competencies(person, body.get("competencies", {}))
        self._cards(person, body.get("cards", {}))
        for name, value in body.items():
            if name.startswith("@"):
                self._value(person, name[1:], value)
        for one in self.fields.values():
            if one.required and self.gives(person, one.id) and not person.values.get(one.id):
                raise Refusal(400, "Data has not been entered for this Personal Data Field")

    def _value(self, person: Person, name: str, value: Any) -> None:
        found = next((one for one in self.fields.values() if one.name == name), None)
        if found is None or not self.gives(person, found.id):
            return  # has no effect, and nobody is told
        if found.access != "fullAccess":
            raise Refusal(403, "You do not have the privilege to change this field.")
        if value is None:
            person.values.pop(found.id, None)
            return
        if found.regex and not re.fullmatch(found.regex, value):
            raise Refusal(400, f"The value {value} does not match the regular expression.")
        if found.unique and any(
            str(self.value(other, found.id)).lower() == value.lower()
            for other in self.people.values()
            if other.id != person.id
        ):
            raise Refusal(400, f"The value {value} is in use by another cardholder.")
        person.values[found.id] = value

    def _memberships(self, person: Person, said: dict[str, Any]) -> None:
        only = self.habits.only_memberships_of
        for one in said.get("remove", []):
            person.memberships.remove(self._part(person, person.memberships, one))
        for one in said.get("update", []):
            part = self._part(person, person.memberships, one)
            part.start = _told(one, "from", part.start)
            part.end = _told(one, "until", part.end)
            part.token = self.token()
        for one in said.get("add", []):
            href = one.get("accessGroup", {}).get("href")
            group = self._id(href, "access_groups", self.groups)
            allowed = only is None or (group is not None and self.groups[group].name in only)
            if (
                group is None
                or not allowed
                or ("modify access control" not in self.habits.privileges)
            ):
                raise Refusal(400, f"Invalid access group href: {href}")
            start = self._new_date(one, "from", self.groups[group].from_default)
            end = self._new_date(one, "until", self.groups[group].until_default)
            person.memberships.append(Part(group, self.token(), start, end))

    def _competencies(self, person: Person, said: dict[str, Any]) -> None:
        if any(said.values()) and "RESTConfiguration" not in self.habits.licences:
            raise Refusal(403, "Feature not licensed")
        for one in said.get("remove", []):
            person.competencies.remove(self._part(person, person.competencies, one))
        for one in said.get("update", []):
            part = self._part(person, person.competencies, one)
            part.start = _told(one, "enablement", part.start)
            part.end = _told(one, "expiry", part.end)
            part.enabled = one.get("enabled", part.enabled)
            part.state = "" if part.enabled else "waits"
        for one in said.get("add", []):
            href = one.get("competency", {}).get("href")
            item = self._id(href, "competencies", self.competencies)
            if item is None:
                raise Refusal(400, f"Invalid competency href: {href}")
            if any(part.item == item for part in person.competencies):
                raise Refusal(400, "The cardholder already has this competency.")
            end = self._new_date(one, "expiry", self.competencies[item].default_expiry)
            part = Part(item, self.token(), _told(one, "enablement", None), end)
            part.enabled = one.get("enabled", True)
            part.state = "" if part.enabled else "waits"
            person.competencies.append(part)

    def _cards(self, person: Person, said: dict[str, Any]) -> None:
        for one in said.get("update", []):
            part = self._part(person, person.cards, one)
            if "number" in one or "type" in one:
                raise Refusal(400, "The number and the type of a card cannot be changed.")
            states = {state.lower(): state for state in self.card_types[part.item].states}
            value = one.get("status", {}).get("value")
            if value is not None:
                if value.lower() not in states:
                    raise Refusal(400, f"Invalid card state: {value}")
                part.state = states[value.lower()]

    def _new_date(
        self, said: dict[str, Any], name: str, default: datetime | None
    ) -> datetime | None:
        """A date of something new: what cannot be read is taken as not said."""
        if name not in said or (said[name] == "" and self.habits.blank_takes_default):
            return default
        try:
            return _told(said, name, None)
        except Refusal:
            return default

    def _part(self, person: Person, parts: list[Part], said: dict[str, Any]) -> Part:
        href = str(said.get("href"))
        for part in parts:
            if href.startswith(self.href("cardholders", person.id) + "/") and href.endswith(
                f"/{part.token}"
            ):
                return part
        raise Refusal(400, f"Invalid href: {href}")

    def _id(self, href: object, kind: str, table: dict[int, Any]) -> int | None:
        start = self.href(kind, "")
        if not isinstance(href, str) or not href.startswith(start):
            return None
        id = href[len(start) :].partition("?")[0]
        return int(id) if id.isdecimal() and int(id) in table else None


class Edit:
    """One change of one person, as the feed tells it: the old values of what it touched."""

    def __init__(self, system: System, person: Person) -> None:
        self._system = system
        self._person = person

    def __enter__(self) -> Person:
        self._before = copy.deepcopy(self._system.shown_whole(self._person))
        return self._person

    def __exit__(self, *_: object) -> None:
        after = self._system.shown_whole(self._person)
        touched = {n for n in {*self._before, *after} if self._before.get(n) != after.get(n)}
        old: dict[str, Any] = {}
        for name in touched:
            was, now = self._before.get(name, ""), after.get(name, [])
            old[name] = [one for one in was if one not in now] if isinstance(was, list) else was
        if not self._system.habits.tells_old_fields:
            old = {name: told for name, told in old.items() if not name.startswith("@")}
        if touched:
            self._system.changes.append(Change("update", self._person.id, old, touched))


def _dates(part: Part, start: str, end: str) -> dict[str, str]:
    told = {start: part.start, end: part.end}
    return {name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in told.items() if at is not None}


def _told(said: dict[str, Any], name: str, now: datetime | None) -> datetime | None:
    if name not in said:
        return now
    if said[name] == "":
        return None
    try:
        moment = datetime.fromisoformat(said[name])
    except (TypeError, ValueError):
        raise Refusal(400, f"Invalid date: {said[name]}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
