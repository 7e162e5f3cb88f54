"""Tables in docs/ that say what the code says; `python -m tests.docs_tables` renews them.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. Its first cells come from
the code. Where the last cell is in words, it is written in the page and kept: what
is new gets an empty one, and tests/test_docs.py wants it filled.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from idsync import capabilities, model
from idsync.cli.app import COMMANDS, app
from idsync.config import events as event_tables
from idsync.config import oncall
from idsync.config import tables as file_tables
from idsync.mapping import conditions
from idsync.settings import Secret
from idsync.sources import csv_settings

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"(<!-- table: ([^>]+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as the code has it; `worded` adds a last column that the page itself fills."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    worded: bool = False


# ── comparing and renewing ──────────────────────────────────────────────────────────────


def renewed(text: str, tables: dict[str, Table]) -> str:
    """Return the page *text* with every table that *tables* names as the code has it."""

    def one(found: re.Match[str]) -> str:
        opening, name, body, closing = found.groups()
        if name not in tables:
            return found[0]
        return f"{opening}{_drawn(tables[name], words_in(body))}{closing}"

    return BLOCK.sub(one, text)


def faults(text: str, tables: dict[str, Table]) -> list[str]:
    """Return what is wrong with the tables of the page *text*, in sentences."""
    there = {found[2]: found[3] for found in BLOCK.finditer(text)}
    told = [f"the table {name} is missing" for name in tables if name not in there]
    told += [f"nothing in the code is called {name}" for name in there if name not in tables]
    for name in there.keys() & tables.keys():
        words = words_in(there[name])
        if there[name] != _drawn(tables[name], words):
            told.append(f"{name} is not what the code says: run python -m tests.docs_tables")
        if tables[name].worded:
            told += [
                f"{name}: {row[0]} has no words"
                for row in tables[name].rows
                if not words.get(row[0])
            ]
    return told


def words_in(body: str) -> dict[str, str]:
    """Return the last cell of each row by its first."""
    rows = [
        [cell.strip() for cell in CELLS.split(line.strip())[1:-1]] for line in body.splitlines()[2:]
    ]
    return {row[0]: row[-1] for row in rows if len(row) > 1}


def _drawn(table: Table, words: dict[str, str]) -> str:
    head = (*table.head, "means") if table.worded else table.head
    rows = [(*row, words.get(row[0], "")) if table.worded else row for row in table.rows]
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


# ── connectors.toml ─────────────────────────────────────────────────────────────────────

UNLIKE = {
    "on_leave": ('`"keep"`, `"suspend"` or table', '`"keep"`'),
    "gaining": ("table", "the same limits"),
    "day": ("table", "twice the people, at least 5 %"),
    "week": ("table", "four times the people, at least 10 %"),
    "sensitive": ("table", "3 people, 1 %"),
}
"""Keys that are written otherwise than they are kept: value, default."""


def settings_tables() -> dict[str, Table]:
    """Return the tables of docs/connectors-toml.md."""
    models: dict[str, type[BaseModel]] = {
        "idsync": file_tables.General,
        "correlation": file_tables.Correlation,
        "sources": file_tables.SourceTable,
        "targets": file_tables.TargetTable,
        "brakes": file_tables.Brakes,
        "brakes.gaining": file_tables.Limits,
        "retention": file_tables.Retention,
        "schedule": file_tables.Schedule,
        "serve": file_tables.Serve,
        "events": event_tables.Events,
        "events sender": event_tables.SenderTable,
        "events map": event_tables.EventMap,
        "oncall": oncall.OnCall,
        "oncall mail": oncall.MailTable,
        "oncall webhook": oncall.WebhookTable,
        "profiles": file_tables.ProfileTable,
        "profiles.grants": file_tables.RightTable,
        "rules": file_tables.RuleTable,
        "csv trailer": csv_settings.Trailer,
        "csv as_of": csv_settings.AsOf,
    }
    tables = {name: _keys(found) for name, found in models.items()}
    common = set(event_tables.SenderTable.model_fields)
    tables["events webhook"] = _keys(event_tables.WebhookTable, common)
    tables["events set"] = _keys(event_tables.SetTable, common)
    tables["events graph"] = _keys(event_tables.GraphTable, {"form"})
    for found in entry_points(group="idsync.sources"):
        if found.value.startswith("idsync."):
            tables[f"sources {found.name}"] = _keys(found.load().Config, {"kind"})
    return tables | {"top": _top(), "conditions": _conditions()}


IN_PARTS = ("file", "salto_staging", "uhppote")
"""Targets whose keys stand in several tables with words between them: each has to be there."""


def target_keys() -> dict[str, Table]:
    """Return the keys of every target that idsync brings."""
    return {
        found.name: _keys(found.load().Config)
        for found in entry_points(group="idsync.targets")
        if found.value.startswith("idsync.")
    }


def target_pages() -> dict[str, dict[str, Table]]:
    """Return the table of keys of each target's own page, and those of the page of them all."""
    pages = {
        f"targets/{name}.md": {f"targets {name}": table}
        for name, table in target_keys().items()
        if name not in IN_PARTS
    }
    return pages | {"targets/index.md": capability_tables()}


# ── what systems can hold ───────────────────────────────────────────────────────────────

COMPARED: dict[str, tuple[tuple[str, str], ...]] = {
    "rights": (
        ("sure", "evidence"), ("rights hang on", "rights_on"), ("kinds", "kinds"),
        ("dates on a right", "dated_grants"), ("on a person or card", "dated_cardholders"),
        ("one right for two periods", "grants_per_right"), ("kept to the", "granularity"),
        ("last day is written", "end_inclusive"), ("written", "writes"),
    ),
    "people and cards": (
        ("of people", "cardholder"), ("attributes", "attributes"), ("at most", "lengths"),
        ("letters", "characters"), ("once only", "unique"), ("of cards", "credential"),
        ("formats", "card_formats"), ("PIN", "pin"),
    ),
    "speaking to it": (
        ("by", "wire"), ("our records", "marks"), ("tells what changed", "change_feed"),
        ("people a call", "batch"), ("calls at once", "lanes"), ("a second", "calls_per_second"),
        ("answer within h", "answer_hours"), ("offline locks, h", "offline_hours"),
        ("old names may stay", "keeps_history"),
    ),
}  # fmt: skip
PROFILES = Path(capabilities.__file__).parent / "targets" / "profiles"


def capability_tables() -> dict[str, Table]:
    """Return what every profile says, side by side."""
    names = sorted(path.stem for path in PROFILES.glob("*.json") if path.stem != "schema")
    profiles = [capabilities.profile(name) for name in names]
    return {
        title: Table(
            head=("system", *(head for head, _ in columns)),
            rows=tuple(
                (f"{one.system} {one.version}", *(_said(getattr(one, name)) for _, name in columns))
                for one in profiles
            ),
        )
        for title, columns in COMPARED.items()
    }


def _said(value: Any) -> str:
    if value is None or (value in ((), {}, 0) and not isinstance(value, bool)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {most}" for name, most in value.items())
    if isinstance(value, capabilities.PinRules):
        return f"{value.min_length}–{value.max_length} digits"
    if isinstance(value, tuple):
        return ", ".join(_said(one) for one in value)
    if isinstance(value, capabilities.CardFormat):
        return value.name + (f" ({value.bits} bits)" if value.bits else "")
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _keys(settings: type[BaseModel], without: set[str] | None = None) -> Table:
    rows = tuple(
        (f"`{name}`", *(UNLIKE.get(name) or (_value(field.annotation), _default(field))))
        for name, field in settings.model_fields.items()
        if name not in (without or ())
    )
    return Table(head=("key", "value", "default"), rows=rows, worded=True)


def _top() -> Table:
    tables = file_tables.FileTable.model_fields
    return Table(head=("table",), rows=tuple((f"`{name}`",) for name in tables), worded=True)


def _value(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _value(typing.get_args(kind)[0])
    if origin in (types.UnionType, typing.Union):
        known = [part for part in typing.get_args(kind) if part is not type(None)]
        return " or ".join(dict.fromkeys(_value(part) for part in known))
    if origin is Literal:
        return " or ".join(f'`"{word}"`' for word in typing.get_args(kind))
    if origin is tuple:
        return "list"
    if origin is dict or kind is Any or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return "table"
    return {
        str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path",
        Secret: "secret", ZoneInfo: "time zone",
    }[kind]  # fmt: skip


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value == {}:
        return ""
    written = value.key if isinstance(value, ZoneInfo) else value
    return "`" + json.dumps(written, ensure_ascii=False, default=str).replace("|", r"\|") + "`"


def _conditions() -> Table:
    return Table(
        head=("field", "takes", "operators"),
        rows=tuple((f"`{name}`", _takes(name), _operators(name)) for name in conditions.FIELDS),
        worded=True,
    )


def _takes(field: str) -> str:
    samples = {"text": "a", "number": 1, "true or false": True}
    return next(word for word, sample in samples.items() if _parses({field: sample}))


def _operators(field: str) -> str:
    samples: dict[str, list[Any]] = {"glob": ["*"], "between": [["a", "b"], [1, 2]]}
    fitting = ["one_of"]
    for operator, operands in samples.items():
        if any(_parses({field: {operator: operand}}) for operand in operands):
            fitting.append(operator)
    return ", ".join(f"`{operator}`" for operator in fitting)


def _parses(when: dict[str, Any]) -> bool:
    try:
        conditions.parse(when)
    except ValueError:
        return False
    return True


# ── commands ────────────────────────────────────────────────────────────────────────────


def command_tables() -> dict[str, Table]:
    """Return the tables of docs/commands.md."""
    group = click.Context(app, info_name="idsync")
    told: str = (app.help or "").split("Exit codes:")[1]
    codes = tuple(
        (code, sentence)
        for code, _, sentence in (
            part.strip().partition(" ") for part in told.strip(" .\n").split(";")
        )
    )
    tables = {
        "commands": Table(
            head=("command", "does"),
            rows=tuple((f"[`{name}`](#{name})", does) for name, does in COMMANDS.items()),
        ),
        "exit codes": Table(
            head=("code", "says"),
            rows=tuple((code, " ".join(says.split())) for code, says in codes),
        ),
    }
    assert isinstance(app, click.Group)
    for name in COMMANDS:
        command = app.get_command(group, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=group)
        parts = command.commands if isinstance(command, click.Group) else {"": command}
        for part, found in parts.items():
            rows = tuple(_option(parameter, context) for parameter in found.params)
            title = f"idsync {name} {part}".strip()
            tables[title] = Table(head=("argument or option", "means"), rows=rows)
    return tables


def _option(parameter: click.Parameter, context: click.Context) -> tuple[str, str]:
    if isinstance(parameter, click.Argument):
        need = "needed" if parameter.required else "may be left out"
        return f"`{(parameter.name or '').upper()}`", need
    names, means = parameter.get_help_record(context) or ("", "")
    return f"`{names}`", " ".join(means.split())


# ── the model ───────────────────────────────────────────────────────────────────────────

CLASSES = (
    model.Person, model.Employment, model.TrainingCompletion, model.Membership, model.IdentityLink,
    model.Cardholder, model.Credential, model.Grant, model.Reason, model.Change, model.Outcome,
)  # fmt: skip


def model_tables() -> dict[str, Table]:
    """Return the tables of docs/model.md."""
    return {cls.__name__: _fields(cls) for cls in CLASSES} | {"Capabilities": _capabilities()}


def _capabilities() -> Table:
    schema = json.loads((PROFILES / "schema.json").read_text(encoding="utf-8"))["properties"]
    names = [field.name for field in dataclasses.fields(capabilities.Capabilities)]
    return Table(
        head=("field", "means"),
        rows=tuple((f"`{name}`", schema[name]["description"]) for name in names),
    )


def _fields(cls: type) -> Table:
    hints = typing.get_type_hints(cls)
    rows = tuple((f"`{field.name}`", _kind(hints[field.name])) for field in dataclasses.fields(cls))
    return Table(head=("field", "value"), rows=rows, worded=True)


def _kind(kind: Any) -> str:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _kind(next(part for part in parts if part is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in parts)
    if origin is tuple:
        return f"list of {_kind(parts[0])}"
    words = {str: "text", int: "whole number", bool: "true or false", datetime: "instant"}
    return words.get(kind) or kind.__name__


# ── all of it ───────────────────────────────────────────────────────────────────────────


def pages() -> dict[str, dict[str, Table]]:
    """Return the tables of every page that has some."""
    return {
        "connectors-toml.md": settings_tables(),
        "commands.md": command_tables(),
        "model.md": model_tables(),
        **target_pages(),
    }


def main() -> None:
    """Renew the tables in docs/, and the output shown in the tutorial."""
    from tests.docs_console import renew_tutorial

    for name, tables in pages().items():
        page = DOCS / name
        page.write_text(renewed(page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    renew_tutorial(DOCS / "tutorial.md")


if __name__ == "__main__":
    main()
