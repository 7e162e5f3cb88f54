"""The made-up city on four systems at once: dated, undated, replace-all, and answered later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from idsync.config import Config, connect_target, load
from idsync.model import Cardholder
from idsync.service.applying import Run, clock, sync
from idsync.service.revoking import Closed, close_person
from idsync.service.waiting import waiting
from idsync.store import State, open_state
from idsync.testing.city import build
from tests.fakes.arx import PASSWORD, USER, FakeArx
from tests.fakes.gallagher import KEY, FakeGallagher
from tests.fakes.salto import Staging
from tests.fakes.scim import TOKEN, FakeScim
from tests.targets.gallagher_site import BASE, KEY_FIELD, group_of, person_of

TODAY = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVERYBODY = {"stadshuset": "ALLA-A", "skola": "ALLA-B", "omsorg": "ALLA-C", "hamnen": "ALLA-D"}
_COLUMNS = pl.Schema({"id": pl.String(), "employee_number": pl.String()})
BY_HAND = {"stadshuset": "GÄST-A", "skola": "GÄST-B", "omsorg": "GÄST-C", "hamnen": "GÄST-D"}

TARGETS = """
[targets.stadshuset]
type = "gallagher"
url = "{gallagher}"
token = {{ env = "GALLAGHER_KEY" }}
key_field = "{key_field}"
base_group = "{base}"
division = "Kommunen"
alarm_groups = {alarms}
key = "employee_number"
release = ["given_name", "family_name"]

[targets.skola]
type = "scim"
url = "{scim}"
token = {{ env = "SCIM_TOKEN" }}
key = "employee_number"
release = ["display_name"]

[targets.omsorg]
type = "arx"
url = "{arx}"
user = "{user}"
password = {{ env = "ARX_PASSWORD" }}
id_prefix = "HR-"
key = "employee_number"
release = ["given_name", "family_name"]

[targets.hamnen]
type = "salto_staging"
url = "{salto}"
key = "employee_number"
release = ["given_name", "family_name"]

[brakes]
people = 500
percent = 50.0

[[profiles]]
id = "alla-hus"
name = "Alla hus"
grants = {{ stadshuset = ["ALLA-A"], skola = ["ALLA-B"], omsorg = ["ALLA-C"], hamnen = ["ALLA-D"] }}

[[rules]]
profile = "alla-hus"
when = {{}}

"""


@dataclass
class Systems:
    """Four stand-ins, and the city that is told to use them."""

    gallagher: FakeGallagher
    scim: FakeScim
    arx: FakeArx
    salto: Staging
    config: Config
    state: State

    def sync(self) -> Run:
        return sync(self.config, self.state, lambda _: None)

    def one(self, name: str, key: str) -> Cardholder:
        target = connect_target(self.config.targets[name])
        try:
            found = target.read_one(key)
        finally:
            target.close()
        assert found is not None, f"{name} does not know {key}"
        return found

    def give_by_hand(self, name: str, key: str) -> None:
        """Place a local grant, and a card where there are cards, as an administrator does."""
        right = BY_HAND[name]
        if name == "stadshuset":
            system = self.gallagher.system
            person = person_of(system, key)
            assert person is not None
            system.membership(person, group_of(system, right))
            system.card(person, next(iter(system.card_types.values())), "70001")
        elif name == "skola":
            [user] = [id for id, one in self.scim.users.items() if one["externalId"] == key]
            [there] = [one for one in self.scim.groups.values() if one["displayName"] == right]
            there["members"].append({"value": user})
            self.scim.touch(there)
        elif name == "omsorg":
            self.arx.people[f"HR-{key}"].categories.append((right, "", ""))
            self.arx.card("70001", f"HR-{key}")
        else:
            [row] = [one for one in self.salto.rows() if one["ExtID"].endswith(key)]
            listed = row["ExtAccessLevelIDList"].strip("{}") + f",{right}"
            self.salto.set(row["ExtID"], ExtAccessLevelIDList=listed, ToBeProcessedBySalto=1)
            self.salto.run()


def refs_in(text: str, target: str) -> set[str]:
    """The names of all rights that the city's profiles give in *target*."""
    found: set[str] = set()
    for line in re.findall(r"(?m)^grants = \{(.*)\}$", text):
        listed = re.search(rf"\b{target} = \[(.*?)\](?:,|\s|$)", line)
        found |= set(re.findall(r'"([^"]+)"', listed[1])) - {"alarm", "access"} if listed else set()
    return found


def gallagher_of(refs: set[str]) -> FakeGallagher:
    fake = FakeGallagher()
    division = fake.system.division("Kommunen")
    fake.system.group(BASE, fake.system.field(KEY_FIELD, unique=True), division=division)
    for ref in sorted(refs):
        fake.system.group(ref)
    fake.system.card_type("Kommunkort")
    return fake


@pytest.fixture
def systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systems]:
    folder = tmp_path / "city"
    build(folder, 120, today=TODAY.date(), ldif=False)
    file = folder / "connectors.toml"
    text = file.read_text(encoding="utf-8")
    refs = {name: refs_in(text, name) | {EVERYBODY[name], BY_HAND[name]} for name in EVERYBODY}
    salto = Staging(f"sqlite:///{tmp_path / 'staging.db'}")
    salto.known["ExtAccessLevelIDList"] |= refs["hamnen"]
    fakes: dict[str, Any] = {
        "gallagher": gallagher_of(refs["stadshuset"]),
        "scim": FakeScim(),
        "arx": FakeArx(*sorted(refs["omsorg"])),
    }
    for ref in sorted(refs["skola"]):
        fakes["scim"].group(ref)
    monkeypatch.setenv("GALLAGHER_KEY", KEY)
    monkeypatch.setenv("SCIM_TOKEN", TOKEN)
    monkeypatch.setenv("ARX_PASSWORD", PASSWORD)
    alarms = [ref for ref in sorted(refs["stadshuset"]) if "LARM" in ref]
    targets = TARGETS.format(
        gallagher=fakes["gallagher"].url, scim=fakes["scim"].url, arx=fakes["arx"].url,
        salto=salto.url, user=USER, base=BASE, key_field=KEY_FIELD, alarms=alarms,
    )  # fmt: skip
    start, end = text.index("[targets.stadshuset]"), text.index("[[profiles]]")
    file.write_text(text[:start] + targets + text[end:], encoding="utf-8")
    config = load(file)
    state = open_state(config.idsync.state)
    yield Systems(salto=salto, config=config, state=state, **fakes)
    state.close()
    for fake in fakes.values():
        fake.close()


def somebody(systems: Systems) -> tuple[str, str]:
    """The id and number of a person who holds the right of everybody in all four."""
    for id, key in systems.state.frames.load("person", _COLUMNS).iter_rows():
        found = []
        for name, right in EVERYBODY.items():
            target = connect_target(systems.config.targets[name])
            shown = target.read_one(key)
            target.close()
            found.append(shown is not None and right in {grant.ref for grant in shown.grants})
        if all(found):
            return id, key
    raise AssertionError("nobody holds something in all four systems")


@pytest.mark.case("D1", "D3")
def test_four_systems_of_different_habits_are_kept_in_step(systems: Systems) -> None:
    first = systems.sync()
    assert first.outcome == "applied", first.document()["problems"]
    assert all(done.confirmed or done.submitted for done in first.done.values())
    [asked] = waiting(systems.config, systems.state, clock())
    assert asked.target == "hamnen"
    systems.salto.run()

    second = systems.sync()
    assert (second.outcome, second.writes) == ("no-change", 0), second.document()["problems"]
    assert waiting(systems.config, systems.state, clock()) == []

    person, key = somebody(systems)
    for name in EVERYBODY:
        systems.give_by_hand(name, key)
    third = systems.sync()
    assert third.writes == 0
    for name, right in BY_HAND.items():
        assert right in {grant.ref for grant in systems.one(name, key).grants}, name

    carded = [name for name in EVERYBODY if systems.one(name, key).credentials]
    assert carded == ["stadshuset", "omsorg"]
    closed = revoke(systems, person)
    outcomes = {one.target: one.outcome for one in closed}
    exposed = {one.target: one.open_until - one.at for one in closed if one.open_until}
    assert exposed == {"hamnen": timedelta(days=30)}, "how long an offline lock opens is not told"
    expected = dict.fromkeys(EVERYBODY, "confirmed") | {"hamnen": "submitted"}
    assert outcomes == expected
    again = {one.target: one.outcome for one in revoke(systems, person)}
    assert again == expected, "what is not answered yet was called closed"
    systems.salto.run()
    for name, right in BY_HAND.items():
        shown = systems.one(name, key)
        assert shown.status == "suspended", f"{name} still lets them in"
        assert right in {grant.ref for grant in shown.grants}, f"{name}: a local grant went"
        assert {card.state for card in shown.credentials} <= {"suspended"}, f"{name}: a card opens"
        assert EVERYBODY[name] not in {grant.ref for grant in shown.grants}
    assert systems.sync().writes == 0, "a later run gave something back"


def revoke(systems: Systems, person: str) -> list[Closed]:
    systems.state.orders.revoke(person, "HR case 17", "test", clock())
    run = systems.state.begin_run("revoke", clock())
    return close_person(systems.config, systems.state, person, run, clock)
