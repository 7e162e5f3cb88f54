"""python -m idsync.testing.city FOLDER: writes a city, its access systems included."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

from idsync.errors import IdsyncError
from idsync.testing.city.history import history
from idsync.testing.city.make import PEOPLE, SEED, TODAY, build
from idsync.testing.city.rights import rights_of


def main(arguments: list[str] | None = None) -> int:
    """Write the city that *arguments* describe; return the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        build(asked.folder, asked.people, asked.seed, asked.today, ldif=asked.ldif)
        history(asked.folder, rights_of(asked.folder))
    except (ValueError, OSError, IdsyncError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(
        f"{asked.people} people: now `idsync plan --config {asked.folder}/connectors.toml`\n"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m idsync.testing.city", description="Write a made-up city into a folder."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--people", type=int, default=PEOPLE, help="100 to 1,000,000")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed, another city")
    parser.add_argument(
        "--today", type=date.fromisoformat, default=TODAY, help="what all dates are relative to"
    )
    parser.add_argument("--no-ldif", dest="ldif", action="store_false", help="without city.ldif")
    return parser


if __name__ == "__main__":
    sys.exit(main())
