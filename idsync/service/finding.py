"""Finds the person that somebody means, and only one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from idsync.errors import ConfigError

if TYPE_CHECKING:
    from idsync.config import Config
    from idsync.mapping.correlate import People
    from idsync.store import State


def find_person(
    words: str, people: People, state: State, *, only_these: bool = False, stdin: bool = True
) -> str:
    """Return the id of the one person meant by *words*.

    *words* is idsync's id, or a value known to one person only: employee number, user
    name, mail, a source's own key, or the whole name. "-" reads them from stdin, so that
    they stand in no list of processes and in no shell's history. By name, user name or
    mail nobody finds a protected person: whoever knows their name must not learn where
    they work. With *only_these* nobody else is known than *people*.

    Raises:
        ConfigError: nobody, or several people, are known by it.
    """
    import polars as pl

    from idsync.mapping.protection import is_protected
    from idsync.model import IdentityLink, schema

    asked = (sys.stdin.readline() if stdin and words == "-" else words).strip()
    if not asked:
        return _only([])
    plain = people.persons.filter(~is_protected())
    by = (["id"], ["employee_number"], ["user_name", "mail"], ["display_name"])
    for names in by:
        persons = people.persons if names in by[:2] else plain
        hit = pl.any_horizontal(
            [pl.col(name).str.to_lowercase() == asked.lower() for name in names]
        )
        found = persons.filter(hit)["id"].to_list()
        if found:
            return _only(found)
    links = state.frames.load("identity_link", schema(IdentityLink))
    linked = links.filter((pl.col("value") == asked) | (pl.col("person_id") == asked))
    if only_these:
        linked = linked.filter(pl.col("person_id").is_in(people.persons["id"].implode()))
    return _only(linked["person_id"].unique().to_list())


def find_employment(
    words: str, person_id: str, people: People, state: State, *, standing: bool = False
) -> str:
    """Return the id of the one employment of somebody that is meant by *words*.

    *words* is its key in the source ("e1"), or the source and the key ("hr:e1"), as `idsync
    explain` shows it. Known are those of *people*, and those that an order has ended already;
    with *standing* the latter alone.

    Raises:
        ConfigError: they have none by this key, or one in each of several sources.
    """
    import polars as pl

    mine = people.employments.filter(pl.col("person_id") == person_id)
    theirs: list[str] = mine["id"].to_list()
    ended = [
        one.employment
        for one in state.orders.revocations()
        if one.person_id == person_id and one.employment is not None
    ]
    known = sorted({*ended} if standing else {*theirs, *ended})
    asked = words.strip()
    found = [one for one in known if asked in (one, one.partition(":")[2])]
    if len(found) == 1:
        return found[0]
    if found:
        sources = ", ".join(one.partition(":")[0] for one in found)
        raise ConfigError(
            f"this person has an employment by this key in several sources ({sources}): write it "
            "as SOURCE:KEY"
        )
    if standing:
        raise ConfigError("no order on this employment stands: there is nothing to restore")
    raise ConfigError(
        "no employment of this person is known by this key: `idsync explain` lists them; to end "
        "everything, leave it out"
    )


def _only(found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"{len(found)} people are known by this: use one of their ids "
            f"({', '.join(sorted(found)[:5])})"
        )
    raise ConfigError(
        "nobody is known by this: write an employee number, user name, mail or idsync's id; "
        "people are known once `idsync sync` has run"
    )


def require_target(config: Config, target: str | None) -> None:
    """Refuse the name of a target that is not configured.

    Raises:
        ConfigError: there is none of this name; the sentence lists those there are.
    """
    if target is not None and target not in config.targets:
        raise ConfigError(f"no target has this name: one of {', '.join(config.targets)}")
