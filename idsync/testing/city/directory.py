"""The directory, as two CSV exports and, saying the same, as LDIF for `slapadd`.

The exports name every group somebody is in, those above included; the LDIF has the
groups nested, as the directory holds them.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TextIO

from idsync.testing.city.files import Rows, sheet
from idsync.testing.city.groups import GROUPS, PARENT, resolved
from idsync.testing.city.people import Human

SUFFIX = "dc=stad,dc=example"
PEOPLE_COLUMNS = (
    "entryUUID", "employeeNumber", "uid", "givenName", "sn", "cn", "mail", "employeeType",
)  # fmt: skip
GROUP_COLUMNS = ("employeeNumber", "cn")

TOP = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
dc: stad
o: Staden

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups
"""


class Ldif:
    """The directory as LDIF (RFC 2849). Members of groups are kept until the end."""

    def __init__(self, file: TextIO, seed: int) -> None:
        self._file = file
        self._space = uuid.uuid5(uuid.NAMESPACE_DNS, f"{seed}.groups.stad.example")
        self._members: dict[str, list[str]] = {}
        file.write(TOP)

    def person(self, human: Human, cells: dict[str, str]) -> None:
        """Write the entry of *human*, whose attributes are *cells*."""
        entry = [("dn", person_dn(human.user_name)), ("objectClass", "inetOrgPerson")]
        self._entry([*entry, *cells.items()])
        for group in human.groups:
            self._members.setdefault(group, []).append(human.user_name)

    def groups(self) -> None:
        """Write the groups that have members; an empty one cannot be a groupOfNames."""
        inner: dict[str, list[str]] = {}
        for group in GROUPS:  # whatever is inside a group comes before it
            if group not in self._members and group not in inner:
                continue
            if parent := PARENT.get(group):
                inner.setdefault(parent, []).append(group)
            members = [group_dn(name) for name in inner.get(group, [])]
            members += [person_dn(name) for name in self._members.get(group, [])]
            self._entry(
                [
                    ("dn", group_dn(group)),
                    ("objectClass", "groupOfNames"),
                    ("cn", group),
                    ("entryUUID", str(uuid.uuid5(self._space, group))),
                    *(("member", member) for member in members),
                ]
            )

    def _entry(self, attributes: list[tuple[str, str]]) -> None:
        lines = (_line(name, value) for name, value in attributes)
        self._file.write("\n" + "".join(lines))


def person_dn(user_name: str) -> str:
    """Return the distinguished name of a person."""
    return f"uid={user_name},ou=people,{SUFFIX}"


def group_dn(group: str) -> str:
    """Return the distinguished name of a group."""
    return f"cn={group},ou=groups,{SUFFIX}"


def _line(name: str, value: str) -> str:
    if value.isascii():
        return f"{name}: {value}\n"
    return f"{name}:: {base64.b64encode(value.encode()).decode()}\n"


class Directory:
    """The exports and, where wanted, the LDIF, person by person."""

    def __init__(self, people: Rows, groups: Rows, ldif: Ldif | None) -> None:
        self._people = people
        self._groups = groups
        self._ldif = ldif

    def add(self, human: Human) -> None:
        """Write the entry of *human*, if there is one."""
        if not human.has_account:
            return
        given, family = human.listed
        values = (
            human.entry_id, human.number, human.user_name, given, family, f"{given} {family}",
            human.mail, human.kind,
        )  # fmt: skip
        self._people.add(*values)
        for group in resolved(human.groups):
            self._groups.add(human.number, group)
        if self._ldif:
            self._ldif.person(human, dict(zip(PEOPLE_COLUMNS, values, strict=True)))


@contextmanager
def directory(folder: Path, seed: int, today: date, *, ldif: bool) -> Iterator[Directory]:
    """Open directory/people.csv, directory/groups.csv and, with *ldif*, directory/city.ldif."""
    place = folder / "directory"
    with ExitStack() as files:
        people = files.enter_context(sheet(place / "people.csv", PEOPLE_COLUMNS, today))
        groups = files.enter_context(sheet(place / "groups.csv", GROUP_COLUMNS, today))
        whole = None
        if ldif:
            path = place / "city.ldif"
            file = files.enter_context(path.open("w", encoding="ascii", newline="\n"))
            whole = Ldif(file, seed)
        yield Directory(people, groups, whole)
        if whole:
            whole.groups()
