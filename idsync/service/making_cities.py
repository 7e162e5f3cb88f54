"""Makes a whole made-up city, its access systems as history has left them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from idsync.testing.city import build, history
from idsync.testing.city.rights import rights_of


def make_city(folder: Path, people: int, seed: int, today: date) -> None:
    """Write a city into *folder*: sources, configuration, and what the systems hold."""
    folder.mkdir(parents=True, exist_ok=True)
    build(folder, people, seed, today)
    history(folder, rights_of(folder))
