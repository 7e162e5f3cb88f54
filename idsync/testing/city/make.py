"""Writes the sources and the configuration of a city into a folder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path

from idsync.testing.city.directory import directory
from idsync.testing.city.people import population
from idsync.testing.city.registers import registers

PEOPLE, SEED, TODAY = 2000, 7, date(2026, 11, 23)
"""The city that comes with idsync."""

MADE = "city.json"
OURS = re.compile(r'^((?:path|initial) = ")(?=(?:hr|directory|lms|targets)/)', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Made:
    """What a city was made from. It can be made again from nothing else."""

    people: int
    seed: int
    today: date


def build(
    folder: Path,
    people: int = PEOPLE,
    seed: int = SEED,
    today: date = TODAY,
    ldif: bool = True,
) -> None:
    """Write the sources of a city and its connectors.toml into *folder*.

    The same arguments give the same bytes. *people* counts those in the HR file; every
    date is relative to *today*; without *ldif* the directory is written as CSV only.
    What the access systems hold is another step: see `history`.

    Raises:
        ValueError: *people* is not from 100 to 1,000,000.
    """
    everybody = population(people, seed, today)
    with registers(folder, today) as exports, directory(folder, seed, today, ldif=ldif) as entries:
        for human in everybody:
            exports.add(human)
            entries.add(human)
    made = {"people": people, "seed": seed, "today": today.isoformat()}
    _write(folder / MADE, json.dumps(made) + "\n")
    _write(folder / "connectors.toml", connectors())


def connectors(prefix: str = "") -> str:
    """Return connectors.toml of a city that lies in *prefix* ("city/") beside the file."""
    text = files(__package__).joinpath("connectors.toml").read_text(encoding="utf-8")
    return OURS.sub(rf"\g<1>{prefix}", text)


def read_made(folder: Path) -> Made:
    """Return what the city in *folder* was made from.

    Raises:
        ValueError: there is no city in it.
    """
    try:
        made = json.loads((folder / MADE).read_text(encoding="utf-8"))
        return Made(made["people"], made["seed"], date.fromisoformat(made["today"]))
    except (OSError, KeyError, TypeError, ValueError):
        raise ValueError(f"{folder / MADE}: there is no city here: build one first") from None


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
