"""What the access systems hold before idsync comes: the true rights, and planted flaws."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from idsync.testing.city.dice import Dice
from idsync.testing.city.holders import SYSTEMS, Holders, Right, fate_of
from idsync.testing.city.make import read_made
from idsync.testing.city.people import Human, population


def history(folder: Path, rights: Iterable[Right | tuple[Any, ...]]) -> None:
    """Write targets/NAME.ndjson of the city in *folder*, for every system.

    *rights* are what the rules give, sorted by employee number (as text); plain tuples
    with the fields of `Right` will do. Current people hold exactly these. Beside them
    stands what years without idsync leave behind: see docs/city.md.

    Raises:
        ValueError: *rights* are not sorted, or name a number or a system that the city
            has not; or *folder* holds no city.
    """
    made = read_made(folder)
    dice = Dice(made.seed + 1_000_003)  # other throws than those that made the people
    targets = folder / "targets"
    targets.mkdir(exist_ok=True)
    with ExitStack() as files:
        holders = {}
        for system in SYSTEMS:
            path = targets / f"{system.name}.ndjson"
            file = files.enter_context(path.open("w", encoding="utf-8", newline="\n"))
            holders[system.name] = Holders(system, file, dice, made.today)
        everybody = population(made.people, made.seed, made.today)
        for human, theirs in _together(everybody, rights, holders):
            fate = fate_of(human, dice)
            for name, one in holders.items():
                one.add(human, theirs.get(name, ()), fate)
        for one in holders.values():
            one.finish()


def _together(
    everybody: Iterable[Human],
    rights: Iterable[Right | tuple[Any, ...]],
    known: Iterable[str],
) -> Iterator[tuple[Human, dict[str, list[Right]]]]:
    """Yield each person with their rights by system."""
    known = tuple(known)
    people = groupby((Right(*row) for row in rights), key=lambda right: right.employee_number)
    waiting = next(people, None)
    for human in everybody:
        theirs: dict[str, list[Right]] = {}
        if waiting and waiting[0] == human.number:
            for right in waiting[1]:
                theirs.setdefault(right.target, []).append(right)
            waiting = next(people, None)
        if not theirs.keys() <= set(known):
            raise ValueError(f"a right is in a system of no name here: use {', '.join(known)}")
        yield human, theirs
    if waiting:
        raise ValueError(
            "a right is of a number that nobody has, or the rights are not sorted by "
            "employee number: sort them, and take them from this city"
        )
