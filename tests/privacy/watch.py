"""Runs a command and gathers every byte that comes out of it, wherever it comes out."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import tests.privacy.listener as listener
from tests.fakes.gallagher import KEY as GALLAGHER
from tests.privacy.people import LATE, LEAVER, OPEN, PROTECTED
from tests.privacy.search import Found, Search
from tests.privacy.site import SECRETS, STRANGER, Answer, Site
from tests.servers.slapd import READER_PASSWORD

GROUPS = {
    "given": "name", "family": "name", "shown": "name",
    "mail": "mail", "phone": "phone", "user": "user name", "born": "birth",
    "number": "number", "card": "card", "title": "work", "unit": "work",
    "personal_number": "never read", "address": "never read",
}  # fmt: skip
"""What a planted value is; of a protected person it is `protected` and the same word."""

NOWHERE = (
    "err", "log", "arguments", "children", "removed files", "temporary files", "core",
)  # fmt: skip
"""Where nothing of anybody may ever be."""

TYPED = "Ordervittra Motiveringsberg"
"""What an operator writes as a reason: also a name, as people do."""

PARROT = "Eka Papegojrop"
"""What a system that is not well says in its errors."""


def planted() -> dict[str, str]:
    """Return every value that may come out somewhere, as `group/whose`."""
    values = {}
    for whose, human in (
        ("open", OPEN), ("protected", PROTECTED), ("late", LATE), ("leaver", LEAVER),
    ):  # fmt: skip
        group = "protected " if human.mark else ""
        for name, value in human.values().items():
            values[f"{group}{GROUPS[name]}/{whose} {name}"] = value
    secrets = {**SECRETS, "gallagher": GALLAGHER, "ldap": READER_PASSWORD}
    values |= {f"secret/{name}": value for name, value in secrets.items()}
    return values | {"stranger/name": STRANGER, "reason/typed": TYPED, "parrot/word": PARROT}


SEARCH = Search(planted())


@dataclass
class Heard:
    """What one command let out, by the place where it came out."""

    answer: Answer
    places: dict[str, bytes]
    _found: dict[str, list[Found]] = field(default_factory=dict)

    def groups(self, place: str) -> set[str]:
        """Return which groups of values came out at *place*."""
        return {found.name.partition("/")[0] for found in self.found(place)}

    def found(self, place: str) -> list[Found]:
        """Return every value that came out at *place*."""
        if place not in self._found:
            self._found[place] = SEARCH(self.places[place], place)
        return self._found[place]


class Watch:
    """Watches commands on a site; each has a folder for temporary files, and one for its ears."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self._count = 0

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> Heard:
        """Run the command and return what came out."""
        self._count += 1
        ears = self.folder / f"ears-{self._count}"
        temporary = self.folder / f"tmp-{self._count}"
        for one in (ears, temporary):
            one.mkdir(parents=True)
        paths = [str(Path(listener.__path__[0])), os.environ.get("PYTHONPATH", str(Path.cwd()))]
        before = set(self.site.folder.rglob("*"))
        answer = self.site.run(
            *words, stdin=stdin, PYTHONPATH=os.pathsep.join(paths), CANARY_EARS=str(ears),
            TMPDIR=str(temporary), HOME=str(temporary), **environment,
        )  # fmt: skip
        new = [path for path in self.site.folder.rglob("*") if path not in before]
        places = {
            "out": answer.out.encode(),
            "err": answer.err.encode(),
            "log": _all(ears.glob("*.log")),
            "arguments": _all(ears.glob("*.arguments")),
            "children": _all(ears.glob("*.child")),
            "removed files": _all(ears.glob("*.gone")),
            "temporary files": _all(temporary.rglob("*")),
            "core": _all(path for path in new if path.name.startswith("core")),
        }
        assert ears.glob("*.limits"), "the command was not listened to"
        for limits in ears.glob("*.limits"):
            [core] = [line for line in limits.read_text().splitlines() if "core file" in line]
            assert core.split()[4:6] == ["0", "0"], core
        return Heard(answer, places)


def _all(paths: object) -> bytes:
    files = sorted(path for path in paths if path.is_file())  # type: ignore[attr-defined]
    return b"\n".join(path.read_bytes() for path in files)
