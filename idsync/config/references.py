"""Names in connectors.toml that point to something else in it."""

from __future__ import annotations

from idsync.config.events import WHOLE_CITY
from idsync.config.problems import Problems
from idsync.config.sentences import suggest
from idsync.config.tables import FileTable


def check_references(file: FileTable, problems: Problems) -> None:
    """Note every name that points to nothing, and every id that two things share."""
    _precedence(file, problems)
    _targets_of_grants(file, problems)
    _profiles_of_rules(file, problems)
    _senders(file, problems)
    _unique([profile.id for profile in file.profiles], "profiles", problems)
    _unique([rule.id or rule.profile for rule in file.rules], "rules", problems)
    if file.rules and not file.sources:
        problems.add(("rules",), "there are rules but no people: add a [sources.NAME] table")


def _precedence(file: FileTable, problems: Problems) -> None:
    for attribute, names in file.correlation.precedence.items():
        for position, name in enumerate(names):
            if name not in file.sources:
                place = ("correlation", "precedence", attribute, position)
                problems.add(place, f"no source has this name; {suggest(name, file.sources)}")


def _targets_of_grants(file: FileTable, problems: Problems) -> None:
    for position, profile in enumerate(file.profiles):
        for name in profile.grants:
            if name not in file.targets:
                place = ("profiles", position, "grants", name)
                problems.add(place, f"no target has this name; {suggest(name, file.targets)}")


def _profiles_of_rules(file: FileTable, problems: Problems) -> None:
    known = {profile.id for profile in file.profiles}
    for position, rule in enumerate(file.rules):
        if rule.profile not in known:
            place = ("rules", position, "profile")
            problems.add(place, f"no profile has this id; {suggest(rule.profile, known)}")


def _senders(file: FileTable, problems: Problems) -> None:
    owners = {str(table.get("controller", name)) for name, table in file.targets.items()}
    controllers = {*file.controllers, *owners, WHOLE_CITY}
    named = {name: one.source for name, one in file.events.senders.items()}
    named |= {name: one.source for name, one in file.events.subscribed.items()}
    for name, source in named.items():
        if source not in file.sources:
            place = ("events", name, "source")
            problems.add(place, f"no source has this name; {suggest(source, file.sources)}")
    for name, sender in file.events.senders.items():
        if sender.controller not in controllers:
            place = ("events", name, "controller")
            told = suggest(sender.controller, controllers)
            problems.add(place, f"no controller has this name; {told}")


def _unique(ids: list[str], table: str, problems: Problems) -> None:
    first: dict[str, int] = {}
    for position, identity in enumerate(ids):
        if identity in first:
            problems.add(
                (table, position, "id"),
                f"{table}[{first[identity] + 1}] has this id already: give each an id of its own",
            )
        first.setdefault(identity, position)
