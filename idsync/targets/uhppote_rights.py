"""Names of rights: a door of a controller, always or within one of its time profiles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from idsync.model import Change, Grant
from idsync.targets.uhppote_cards import Doors
from idsync.targets.uhppote_settings import UhppoteConfig

ALWAYS = 1


@dataclass(frozen=True, slots=True)
class Place:
    """A right: what stands at a door (1 to 4) of a controller (by its place in the settings)."""

    controller: int
    door: int
    permission: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What a change takes and gives, and why it cannot give the rest."""

    removed: tuple[Place, ...]
    added: tuple[Place, ...]
    refused: tuple[str, ...]


class Rights:
    """The names that the settings give, and names for what they leave out."""

    def __init__(self, config: UhppoteConfig) -> None:
        self._doors: dict[tuple[int, int], str] = {}
        for controller, settings in enumerate(config.controllers):
            names = (*settings.doors, "", "", "", "")[:4]
            for door, name in enumerate(names, start=1):
                self._doors[controller, door] = name or f"{settings.id}:{door}"
        self._places = {name: place for place, name in self._doors.items()}
        self._named = {name for settings in config.controllers for name in settings.doors if name}
        self._profiles = {number: name for name, number in config.profiles.items()}
        self._numbers = config.profiles

    def ref(self, place: Place) -> str:
        """Return the name of a right: DOOR, or DOOR/PROFILE."""
        door = self._doors[place.controller, place.door]
        if place.permission == ALWAYS:
            return door
        return f"{door}/{self._profiles.get(place.permission, str(place.permission))}"

    def place(self, ref: str) -> Place | None:
        """Return the right of this name, or None if there can be none."""
        door, slash, profile = ref.partition("/")
        where = self._places.get(door)
        number = self._numbers.get(profile) if slash else ALWAYS
        if slash and number is None and profile.isascii() and profile.isdigit():
            number = int(profile[:4])
        if where is None or number is None:
            return None
        found = Place(*where, number)
        return found if self.ref(found) == ref else None

    def is_named(self, ref: str) -> bool:
        """Tell whether the settings name the door and, if there is one, the time profile."""
        door, slash, profile = ref.partition("/")
        return door in self._named and (not slash or profile in self._numbers)

    def grants(self, all_doors: Iterable[tuple[int, Doors]]) -> tuple[Grant, ...]:
        """Return what the records of one person open, each right once."""
        refs = {
            self.ref(Place(controller, door, permission))
            for controller, doors in all_doors
            for door, permission in enumerate(doors, start=1)
            if permission
        }
        return tuple(Grant(ref=ref) for ref in sorted(refs))

    def wish(self, change: Change) -> Wish:
        """Return what *change* takes and gives."""
        gone = [
            place
            for grant in change.removed
            if grant.kind == "access" and (place := self.place(grant.ref))
        ]
        added: dict[tuple[int, int], Place] = {}
        refused = []
        for grant in change.added:
            place = self.place(grant.ref) if self.is_named(grant.ref) else None
            if grant.kind != "access":
                refused.append("the controllers hold access rights only: correct the profile")
            elif grant.valid_from or grant.valid_to:
                refused.append("a door of a card carries no dates of its own: give it undated")
            elif place is None:
                refused.append(
                    "a right is no door of the settings, or no time profile: name it there, or "
                    "correct the profile"
                )
            elif added.setdefault((place.controller, place.door), place) != place:
                refused.append("one door in two time profiles: a card has room for one")
        return Wish(tuple(gone), tuple(added.values()), tuple(dict.fromkeys(refused)))
