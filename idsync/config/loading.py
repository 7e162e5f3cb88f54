"""From the text of connectors.toml to a configuration, or to everything that is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from idsync.config.connectors import Side, adapter
from idsync.config.problems import Problems
from idsync.config.references import check_references
from idsync.config.result import Config, SourceConfig, TargetConfig
from idsync.config.syntax import read_toml
from idsync.config.tables import FileTable, ProfileTable, RuleTable, SourceTable, TargetTable
from idsync.errors import ConfigError
from idsync.mapping.bands import Bands
from idsync.mapping.catalogue import Profile, Right, Rule
from idsync.settings import Secret, Settings


def load(path: Path) -> Config:
    """Return the configuration that the file *path* holds.

    Raises:
        ConfigError: there is none, or something in it is wrong. Up to ten problems are
            told at once, each with its line and never with its value.
    """
    text, raw = read_toml(path)
    problems = Problems()
    context: dict[str, Any] = {"folder": path.absolute().parent}
    file = problems.check(FileTable, raw, (), context)
    if file:
        context["timezone"] = file.idsync.timezone
        check_references(file, problems)
    key = file.correlation.number_key if file else None
    sources = dict(_sources(raw, context, problems, key))
    targets = dict(_targets(raw, context, problems))
    for name, sender in file.events.senders.items() if file else ():
        if sender.source in sources and sources[sender.source].kind != "employments":
            problems.add(
                ("events", name, "source"),
                "this source does not tell of employments: name the one that does, HR's",
            )
    if problems or file is None:
        raise problems.error(path, text)
    profiles = [_profile(table) for table in file.profiles]
    rules = [_rule(table) for table in file.rules]
    return Config(
        folder=context["folder"],
        digest=_digest(file, targets, profiles, raw),
        idsync=file.idsync,
        correlation=file.correlation,
        sources=sources,
        targets=targets,
        controllers=file.controllers,
        brakes=file.brakes,
        profiles=profiles,
        rules=rules,
        retention=file.retention,
        schedule=file.schedule,
        serve=file.serve,
        events=file.events,
        oncall=file.oncall,
    )


# ── connectors ──────────────────────────────────────────────────────────────────────────


def _sources(
    raw: dict[str, Any], context: dict[str, Any], problems: Problems, key: Secret | None
) -> Iterator[tuple[str, SourceConfig]]:
    for name, table in _tables(raw, "sources"):
        common = {key: value for key, value in table.items() if key in SourceTable.model_fields}
        source = problems.check(SourceTable, common, ("sources", name), context)
        settings = _settings("sources", name, table, SourceTable, context, problems)
        if source and source.personal_numbers and key is None:
            problems.add(
                ("sources", name, "personal_numbers"),
                "personal numbers are coded under a key: give [correlation] number_key",
            )
        if source and settings:
            yield (
                name,
                SourceConfig(
                    name=name,
                    type=source.type,
                    kind=getattr(settings, "kind", source.kind) or "persons",
                    min_share=source.min_share,
                    settings=settings,
                    bands=Bands(
                        department_share=source.department_share,
                        attribute_share=source.attribute_share,
                        people=source.band_people,
                    ),
                    absent_reads=source.absent_reads,
                    digest=_digest_of_settings(table),
                    personal_numbers=source.personal_numbers,
                    number_key=key,
                ),
            )


def _digest_of_settings(table: dict[str, Any]) -> str:
    """Of what decides whom a source tells of: all that is its connector's own."""
    own = {
        key: value
        for key, value in table.items()
        if key in ("type", "kind") or key not in SourceTable.model_fields
    }
    text = json.dumps(own, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _targets(
    raw: dict[str, Any], context: dict[str, Any], problems: Problems
) -> Iterator[tuple[str, TargetConfig]]:
    for name, table in _tables(raw, "targets"):
        common = {key: value for key, value in table.items() if key in TargetTable.model_fields}
        target = problems.check(TargetTable, common, ("targets", name), context)
        settings = _settings("targets", name, table, TargetTable, context, problems)
        if target and settings:
            yield (
                name,
                TargetConfig(
                    name=name,
                    type=target.type,
                    controller=target.controller or name,
                    key=target.key,
                    release=target.release,
                    adopt=target.adopt,
                    calls_per_second=target.calls_per_second,
                    settles_s=target.settles_s,
                    exempt=target.exempt,
                    settings=settings,
                ),
            )


def _tables(raw: dict[str, Any], side: Side) -> Iterator[tuple[str, dict[str, Any]]]:
    tables = raw.get(side)
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if isinstance(table, dict):
            yield name, table


def _settings(
    side: Side,
    name: str,
    table: dict[str, Any],
    common: type[Settings],
    context: dict[str, Any],
    problems: Problems,
) -> Settings | None:
    """Return the connector's own settings: what *common* leaves, and `kind` if it has one."""
    if not isinstance(table.get("type"), str):
        return None  # told already
    try:
        model: type[Settings] = adapter(side, table["type"]).Config
    except ConfigError as error:
        problems.add((side, name, "type"), str(error))
        return None
    shared = {"kind"} & set(model.model_fields)
    own = {
        key: value
        for key, value in table.items()
        if key not in common.model_fields or key in shared
    }
    return problems.check(model, own, (side, name), context, also=common.model_fields)


# ── profiles and rules ──────────────────────────────────────────────────────────────────


def _profile(table: ProfileTable) -> Profile:
    return Profile(
        id=table.id,
        name=table.name or table.id,
        level=table.level,
        rights=tuple(
            Right(target=target, kind=right.kind, ref=right.ref)
            for target, rights in table.grants.items()
            for right in rights
        ),
        lead_days=table.lead_days,
        suspend_after_days=table.on_leave,
        floor=table.floor,
        sensitive=table.sensitive,
    )


def _rule(table: RuleTable) -> Rule:
    return Rule(
        id=table.id or table.profile,
        profile=table.profile,
        when=table.when,
        requires=table.requires,
        grace_days=table.grace_days,
    )


def _digest(
    file: FileTable, targets: dict[str, TargetConfig], profiles: list[Profile], raw: dict[str, Any]
) -> str:
    deciding = {
        "correlation": file.correlation.model_dump(mode="json", exclude={"number_key"}),
        "targets": {
            name: {"key": target.key, "release": target.release, "adopt": target.adopt}
            | ({"exempt": target.exempt} if target.exempt else {})
            for name, target in targets.items()
        },
        "brakes": file.brakes.model_dump(mode="json"),
        "profiles": [asdict(profile) for profile in profiles],
        "rules": [
            rule.model_dump(mode="json", exclude={"when"}) | {"when": written["when"]}
            for rule, written in zip(file.rules, raw.get("rules", ()), strict=True)
        ],
    }
    text = json.dumps(deciding, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
