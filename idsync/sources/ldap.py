"""People and group memberships from an LDAP directory: OpenLDAP, Active Directory, 389."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from idsync.errors import ConfigError, Incomplete
from idsync.sources import Batch, Source
from idsync.sources.ldap_settings import SCOPES, LdapConfig
from idsync.sources.ldap_values import ROWS, People

if TYPE_CHECKING:
    from idsync.sources.ldap_connection import Directory


class LdapSource(Source):
    """Reads all of a directory's people, or its groups, each time."""

    Config = LdapConfig

    def __init__(self, config: LdapConfig) -> None:
        self.config = config
        self.directory: Directory | None = None

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Yield everything in scope; see idsync.sources.Source. *since* is not used."""
        # ldap3 takes a fifth of a second to import, and commands that read nothing load this file.
        from idsync.sources.ldap_connection import Directory

        self.close()
        self.directory = directory = Directory(self.config)
        try:
            directory.open()
            if self.config.kind == "persons":
                yield from self._persons(directory)
            else:
                yield from self._memberships(directory)
        finally:
            directory.close()

    def close(self) -> None:
        """Let go of the connection. May be called again."""
        if self.directory is not None:
            self.directory.close()
            self.directory = None

    def _persons(self, directory: Directory) -> Iterator[Batch]:
        columns = {"key": self.config.key, **self.config.map}
        people = People(directory.where, columns, self.config.values)
        keys: set[str] = set()
        for _, frame in self._frames(directory, people):
            empty = frame["key"].is_null().arg_true()
            if len(empty):
                number = people.total - len(frame) + empty[0] + 1
                raise ConfigError(
                    f"{directory.where}: entry {number} has no {self.config.key}: correct key, or "
                    "give the account the right to see it"
                )
            keys.update(frame["key"])
            if len(keys) != people.total:
                raise Incomplete(
                    f"{directory.where}: {people.total - len(keys)} entries came twice, because "
                    f"they were moved while read or {self.config.key} is not unique; run again"
                )
            last = len(frame) < ROWS
            proof = f"final page seen, {people.total} entries{people.missing()}" if last else None
            yield Batch(kind="persons", records=frame, proof=proof)

    def _memberships(self, directory: Directory) -> Iterator[Batch]:
        from idsync.sources.ldap_connection import Search
        from idsync.sources.ldap_groups import Groups, read_groups

        config = self.config
        people = People(directory.where, config.map, config.values)
        groups = Groups(directory.where)
        frames = []
        for names, frame in self._frames(directory, people):
            for name, key in zip(names, frame[config.person], strict=True):
                if name is not None and key:
                    groups.add_person(name, key)
            frames.append(frame)
        if people.total and not groups.keys:
            raise ConfigError(
                f"{directory.where}: none of {people.total} entries has "
                f"{config.map[config.person]}: correct map, or the account's rights"
            )
        search = Search(
            config.group_base or "",
            config.group_filter,
            [config.role, config.member],
            base_setting="group_base",
            filter_setting="group_filter",
        )
        read_groups(directory, groups, search)
        named = pl.col(config.person).is_in(list(groups.named()))
        persons = pl.concat(frames).filter(named).unique(maintain_order=True)
        yield Batch(kind="persons", records=persons.with_columns(key=pl.col(config.person)))
        total = 0
        pending: list[pl.DataFrame] = []
        waiting = 0
        for role, keys in groups.resolved():
            pending.append(pl.DataFrame({"person_key": keys}, schema={"person_key": pl.String()}))
            pending[-1] = pending[-1].with_columns(role=pl.lit(role))
            total += len(keys)
            waiting += len(keys)
            if waiting >= ROWS:
                yield from _slices(pending)
                pending, waiting = [], 0
        schema = {"person_key": pl.String(), "role": pl.String()}
        yield Batch(
            kind="memberships",
            records=pl.concat([pl.DataFrame(schema=schema), *pending]),
            proof=f"final pages seen: {people.total} entries, {len(groups.roles)} groups, "
            f"{total} memberships{people.missing()}",
        )

    def _frames(
        self, directory: Directory, people: People
    ) -> Iterator[tuple[list[bytes | None], pl.DataFrame]]:
        """Yield names and columns of all people, ROWS at a time and then fewer, maybe none."""
        from idsync.sources.ldap_connection import Search

        config = self.config
        search = Search(
            config.base,
            config.filter,
            people.attributes,
            scope=SCOPES[config.scope],
            base_setting="base",
        )
        add = people.add
        for buffer, start, end in directory.entries(search):
            if add(buffer, start, end):
                yield people.take()
        yield people.take()


def _slices(frames: list[pl.DataFrame]) -> Iterator[Batch]:
    for part in pl.concat(frames).iter_slices(ROWS):
        yield Batch(kind="memberships", records=part)
