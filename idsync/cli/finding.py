"""Finds the person that somebody means, and only one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idsync.errors import ConfigError

if TYPE_CHECKING:
    from idsync.config import Config
    from idsync.mapping.correlate import People
    from idsync.store import State


def find_person(words: str, people: People, state: State) -> str:
    """Return the id of the one person meant by *words*.

    *words* is idsync's id, or a value known to one person only: employee number, user
    name, mail, a source's own key, or the whole name.

    Raises:
        ConfigError: nobody, or several people, are known by it.
    """
    import polars as pl

    from idsync.model import IdentityLink, schema

    persons = people.persons
    asked = words.strip()
    for names in (["id"], ["employee_number", "user_name", "mail"], ["display_name"]):
        hit = pl.any_horizontal(
            [pl.col(name).str.to_lowercase() == asked.lower() for name in names]
        )
        found = persons.filter(hit)["id"].to_list()
        if found:
            return _only(found)
    links = state.frames.load("identity_link", schema(IdentityLink))
    linked = links.filter((pl.col("value") == asked) | (pl.col("person_id") == asked))
    return _only(linked["person_id"].unique().to_list())


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
