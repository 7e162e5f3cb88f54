"""Who is in which group, groups within groups included.

Nesting is resolved here from what each group says of its own members. It is not asked of
the server: memberOf is not kept by every server, and the matching rule that walks groups
on Active Directory takes seconds for each.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator

from idsync.errors import ConfigError, Incomplete
from idsync.sources.ldap_ber import Damaged, read_entry
from idsync.sources.ldap_connection import Directory, Search
from idsync.sources.ldap_names import normal_name
from idsync.sources.ldap_values import text

RANGE = re.compile(rb";range=(\d+)-(\d+|\*)$")  # [MS-ADTS], section 3.1.1.3.1.3.3


class Groups:
    """The groups of a directory and the people in them."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.numbers: dict[str, int] = {}  # of every distinguished name met
        self.keys: dict[int, str] = {}  # of the people, by the number of their name
        self.roles: dict[int, str] = {}
        self.members: dict[int, array[int]] = {}

    def add_person(self, name: bytes, key: str) -> None:
        """Tell that the entry *name* is the person *key*; one person may have several."""
        number = self._number(name, "the name of an entry")
        if number in self.keys:
            raise Incomplete(
                f"{self.where}: an entry came twice, it was moved while read; run again later"
            )
        self.keys[number] = key

    def add_group(self, name: bytes, role: str) -> int:
        """Tell that *name* is a group called *role*; return its number."""
        number = self._number(name, "the name of a group")
        if number in self.roles:
            raise Incomplete(
                f"{self.where}: a group came twice, it was moved while read; run again later"
            )
        self.roles[number] = role
        self.members[number] = array("q")
        return number

    def add_members(self, group: int, names: Iterable[bytes]) -> None:
        """Tell that the entries *names* are in *group*."""
        what = f"a member of group {len(self.roles)}"
        self.members[group].extend(self._number(name, what) for name in names)

    def named(self) -> set[str]:
        """Return the keys of everybody who is in a group."""
        everybody = self.keys
        return {
            everybody[number]
            for numbers in self.members.values()
            for number in numbers
            if number in everybody
        }

    def resolved(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each role with the sorted keys of the people in it, at any depth.

        A group in itself, however far around, changes nothing. A member that is neither a
        person nor a group of this read is nobody.
        """
        people = {
            group: {self.keys[number] for number in numbers if number in self.keys}
            for group, numbers in self.members.items()
        }
        inside = {
            group: [number for number in numbers if number in self.roles]
            for group, numbers in self.members.items()
        }
        for group, role in self.roles.items():
            found: set[str] = set()
            visited = {group}
            ahead = [group]
            while ahead:
                current = ahead.pop()
                found |= people[current]
                fresh = [number for number in inside[current] if number not in visited]
                visited.update(fresh)
                ahead += fresh
            yield role, sorted(found)

    def _number(self, name: bytes, what: str) -> int:
        try:
            normal = normal_name(name)
        except ValueError:
            raise Incomplete(
                f"{self.where}: {what} is not a distinguished name; correct it in the directory"
            ) from None
        return self.numbers.setdefault(normal, len(self.numbers))


def read_groups(directory: Directory, groups: Groups, search: Search) -> None:
    """Read every group that *search* finds into *groups*.

    The attributes of *search* are the one that names the role and the one with the members.

    Raises:
        Incomplete: a group is damaged, or changed while it was read.
        ConfigError: a group has no role, or two have the same.
    """
    role, member = search.attributes
    where = directory.where
    taken: dict[str, int] = {}
    cut: list[tuple[int, str, int]] = []
    for number, (name, values) in enumerate(_entries(directory, search), 1):
        called = _role(values.get(role.lower().encode(), []), where, role, number)
        first = taken.setdefault(called.casefold(), number)
        if first != number:
            raise ConfigError(
                f"{where}: groups {first} and {number} have the same {role}: narrow group_base or "
                "group_filter, or set role to an attribute that is different in every group"
            )
        group = groups.add_group(name, called)
        names, more = _members(values, member, 0)
        groups.add_members(group, names)
        if more is not None:
            cut.append((group, str(name, "utf-8"), more))
    # Only when the pages are through: a server may allow one search at a time.
    for group, base, more in cut:
        rest: int | None = more
        while rest is not None:
            rest = _read_range(directory, groups, (group, base, rest), member)


def _read_range(
    directory: Directory, groups: Groups, cut: tuple[int, str, int], member: str
) -> int | None:
    """Read the next members of a group that the server cut; return where to go on, or None."""
    group, base, start = cut
    search = Search(base, "(objectClass=*)", [f"{member};range={start}-*"], scope="BASE")
    rest: int | None = None
    came = 0
    for _, values in _entries(directory, search):
        names, rest = _members(values, member, start)
        came += len(names)
        groups.add_members(group, names)
    if not came:
        raise Incomplete(
            f"{directory.where}: the members of a group ended at {start} without the last part; "
            "run again later"
        )
    return rest


def _entries(
    directory: Directory, search: Search
) -> Iterator[tuple[bytes, dict[bytes, list[bytes]]]]:
    for number, (buffer, start, end) in enumerate(directory.entries(search), 1):
        try:
            yield read_entry(buffer, start, end)
        except (Damaged, IndexError):
            raise Incomplete(
                f"{directory.where}: group {number} is damaged; run again later"
            ) from None


def _role(values: list[bytes], where: str, role: str, number: int) -> str:
    if not values:
        raise ConfigError(
            f"{where}: group {number} has no {role}: correct role, or the account's rights"
        )
    try:
        return text(min(values))
    except ValueError:
        raise Incomplete(
            f"{where}: {role} of group {number} is not text in UTF-8; correct it in the directory"
        ) from None


def _members(
    values: dict[bytes, list[bytes]], member: str, start: int
) -> tuple[list[bytes], int | None]:
    """Return the members in *values*, and where the next range begins if this is not the last."""
    whole = member.lower().encode()
    for description, names in values.items():
        found = RANGE.search(description)
        if found is None or description[: found.start()] != whole:
            continue
        if int(found[1]) != start:
            raise Incomplete("the server sent another range of members than was asked for")
        return names, None if found[2] == b"*" else int(found[2]) + 1
    return values.get(whole, []), None
