"""What the commands share: options, opening the state, progress, and how things are shown."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unicodedata import category

import click

if TYPE_CHECKING:
    from idsync.config import Config
    from idsync.store import State

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's controls, formats (direction, zero width), halves of pairs, and line ends."""

Function = TypeVar("Function", bound=Callable[..., Any])


def options(function: Function) -> Function:
    """Give a command the options that every command has."""
    function = click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on stdout; messages on stderr."
    )(function)
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        default=Path("connectors.toml"),
        show_default=True,
        help="The configuration.",
    )(function)


def controller_option(function: Function) -> Function:
    """Give a command the option that narrows it to one controller."""
    return click.option(
        "--controller", help="Only what one controller may see: its targets and its people."
    )(function)


def reason_options(function: Function) -> Function:
    """Give a command the options of an order: why, and by whom."""
    function = click.option(
        "--by", default=None, help="Who orders it.  [default: the user who runs the command]"
    )(function)
    return click.option("--reason", required=True, help="Why; kept with the order.")(function)


def operator(by: str | None) -> str:
    """Return who gives an order."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


@contextmanager
def opened(
    config: Path, *, create: bool = True, instance: str = "", doubtful: bool = False
) -> Iterator[tuple[Config, State]]:
    """Yield the checked configuration and its state."""
    from idsync.config import load
    from idsync.store import open_state

    checked = load(config)
    state = open_state(
        checked.idsync.state, create=create, instance=instance, witness=checked.idsync.witness,
        doubtful=doubtful,
    )  # fmt: skip
    try:
        if create:
            from idsync.service.applying import clock
            from idsync.service.auditing import attend

            attend(checked, state, clock, strict=False)
        yield checked, state
        state.audit.sign_off()
        if state.audit.unwitnessed:
            click.echo(f"idsync: not signed: {state.audit.unwitnessed}", err=True)
    finally:
        state.close()


class Progress:
    """Says on a terminal what long work is at; says nothing elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.shown = sys.stderr.isatty() and not quiet
        self._last = -1

    def __call__(self, message: str) -> None:
        """Show *message* in place of the one before."""
        if self.shown:
            click.echo(f"\r\x1b[K{message} …", nl=False, err=True)

    def step(self, done: int, total: int) -> None:
        """Show how much of the writing is done."""
        percent = done * 100 // max(total, 1)
        if self.shown and percent != self._last:
            self._last = percent
            click.echo(f"\r\x1b[Kwriting {done} of {total} ({percent} %)", nl=False, err=True)

    def end(self) -> None:
        """Clear the line."""
        if self.shown:
            click.echo("\r\x1b[K", nl=False, err=True)


def print_json(document: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Print one JSON document."""
    text = json.dumps(document, ensure_ascii=False, indent=2, default=str)
    # what JSON leaves as it is may still steer a terminal, or turn what is read around
    click.echo("\n".join(plain(line) for line in text.split("\n")))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for index, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else plain(str(cell))) for cell in row))
    width = None if sys.stdout.isatty() else 120
    Console(width=width, highlight=False).print(table)


def say(text: str) -> None:
    """Print one line, or several."""
    click.echo("\n".join(plain(line) for line in text.split("\n")))


def plain(text: str) -> str:
    """Return *text* with each sign that is not seen, or that steers a terminal, spelled out.

    Names come from elsewhere: an escape sequence in one would draw, and a mark of
    direction would let it read as somebody else's. In JSON the spelling means the sign.
    """
    if text.isprintable():
        return text
    return "".join(json.dumps(sign)[1:-1] if category(sign) in UNSEEN else sign for sign in text)


def local_time(text: str, zone: Any) -> str:  # noqa: ANN401 - ZoneInfo, kept out of start-up
    """Return an ISO instant as local time, to the second."""
    from datetime import datetime

    return datetime.fromisoformat(text).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def vars_of(thing: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """Return the fields of a dataclass by name."""
    from dataclasses import asdict

    return asdict(thing)
