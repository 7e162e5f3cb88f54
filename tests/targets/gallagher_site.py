"""A made-up site for the tests of the Gallagher target: its items, and its administrator's hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from idsync.model import Cardholder
from idsync.targets.gallagher import GallagherTarget
from tests.fakes.gallagher import KEY, FakeGallagher
from tests.fakes.gallagher_habits import Habits
from tests.fakes.gallagher_system import Group, Person, PersonalField, System

RIGHTS = ("FSK-ENTRE", "SKOLA-ENTRÉ Å", 'STADSHUS "NORR"')
ALARM_RIGHTS = ("LARM-FSK",)
BASE = "idsync bas"
KEY_FIELD = "idsync nyckel"
TRAINING = "HLR"


def settings(url: str, token_file: str | Path, **more: Any) -> dict[str, Any]:
    """Return the settings of a target on the site."""
    return {
        "url": url,
        "token": {"file": str(token_file)},
        "key_field": KEY_FIELD,
        "base_group": BASE,
        "division": "Kommunen",
        "mail_field": "E-post",
        "department_field": "Förvaltning",
        "alarm_groups": list(ALARM_RIGHTS),
        **more,
    }


class Targets:
    """Makes targets on fakes, and closes them all at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[GallagherTarget] = []

    def __call__(
        self, fake: FakeGallagher | None, *, key: str = KEY, **more: Any
    ) -> GallagherTarget:
        file = self._folder / f"key-{len(self._made)}"
        file.write_text(key)
        url = more.pop("url", fake.url if fake else "")
        config = GallagherTarget.Config.model_validate(settings(url, file, **more))
        self._made.append(GallagherTarget(config))
        return self._made[-1]

    def close(self) -> None:
        for one in self._made:
            one.close()


class Site:
    """Fakes with habits, each with the targets that speak to it; all closed at the end."""

    def __init__(self, folder: Path) -> None:
        self.targets = Targets(folder)
        self._fakes: list[FakeGallagher] = []

    def __call__(
        self, habits: Habits | None = None, **more: Any
    ) -> tuple[FakeGallagher, GallagherTarget]:
        self._fakes.append(furnished(FakeGallagher(habits)))
        return self._fakes[-1], self.targets(self._fakes[-1], **more)

    def close(self) -> None:
        self.targets.close()
        for fake in self._fakes:
            fake.close()


def furnished(fake: FakeGallagher) -> FakeGallagher:
    """Make the fields, groups, divisions, competencies and card types of the site."""
    system = fake.system
    division = system.division("Kommunen")
    key = system.field(KEY_FIELD, unique=True)
    mail = system.field("E-post", type="email")
    department = system.field("Förvaltning")
    system.field("Skonummer", type="numeric")
    system.group(BASE, key, mail, department, division=division)
    later = datetime(2040, 1, 1, tzinfo=UTC)
    for number, name in enumerate((*RIGHTS, *ALARM_RIGHTS)):
        system.group(name, until_default=later if number % 2 else None)
    system.competency(TRAINING, default_expiry=later)
    system.card_type("Kommunkort")
    system.card_type("Mobil", credential_class="mobile")
    return fake


def field_of(system: System, name: str = KEY_FIELD) -> PersonalField:
    return next(one for one in system.fields.values() if one.name == name)


def group_of(system: System, name: str = BASE) -> Group:
    return next(one for one in system.groups.values() if one.name == name)


def person_of(system: System, key: str | None) -> Person | None:
    """Return whom the key field shows this key of."""
    if key is None:
        return None
    field = field_of(system).id
    shown = (one for one in system.people.values() if system.value(one, field) == key)
    return next(shown, None)


def write(system: System, wanted: Cardholder) -> None:
    """Write as a local administrator would: see `Stranger`."""
    person = person_of(system, wanted.key)
    if person is None:
        groups = [group_of(system)] if wanted.key else []
        person = system.person(wanted.display_name or "Någon", *groups)
        if wanted.key:
            with system.edit(person):
                person.values[field_of(system).id] = wanted.key
    for grant in wanted.grants:
        group = group_of(system, grant.ref)
        system.membership(person, group, start=grant.valid_from, end=grant.valid_to)
    kind = next(iter(system.card_types.values()))
    for card in wanted.credentials:
        system.card(person, kind, card.number)


def someone(system: System, key: str | None, *groups: str, last: str = "Öberg") -> Person:
    """Make a person by hand, in the base group if there is a key, and in *groups*."""
    names = [*([BASE] if key else []), *groups]
    person = system.person(last, *(group_of(system, name) for name in names))
    if key:
        with system.edit(person):
            person.values[field_of(system).id] = key
    return person


def groups_of(system: System, person: Person) -> list[str]:
    """Return the names of the groups that a person is in, as often as they are."""
    return [system.groups[part.item].name for part in person.memberships]
