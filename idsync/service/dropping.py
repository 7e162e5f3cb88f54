"""Urgent lists that somebody drops into a folder: for the day the network is down."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from idsync.config import Config
from idsync.errors import ConfigError
from idsync.service.lists import Unknown, listed, order_all
from idsync.service.planning import stored_people
from idsync.store import State

LOOKED_AT_EVERY = timedelta(seconds=2)
FINISHED_S = 1.0
"""A file that was written to more lately may not be whole yet."""
TAKING = ".taking"
REASON = "urgent list"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of one list: how many orders stand, and which lines name nobody.

    `refused` is why nothing of it was taken. Its name is told to nobody: it may be a person's.
    """

    orders: int = 0
    unknown: tuple[Unknown, ...] = ()
    refused: str = ""


def take_lists(config: Config, state: State, clock: Callable[[], datetime]) -> Iterator[Taken]:
    """Write down an order for everybody in each list of the folder, and put the lists aside.

    A list is renamed before it is read, so that another of its name is another list; and
    when its orders are durable, to end in `.done`, or in `.refused` where nothing of it can
    be read. Lines of nobody are told in a file beside it. One that is taken twice, since the
    machine died in between, gives the same orders.

    Raises:
        ConfigError: there is no such folder, or a list cannot be put aside.
    """
    folder = config.serve.urgent
    if folder is None:
        return
    for file in _finished(folder):
        now = clock()
        yield _taken(config, state, _claimed(file, now), now)


def _finished(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        raise ConfigError(
            f"the folder {folder} of [serve] urgent cannot be read ({error.strerror}): make it"
        ) from None
    for name in names:
        file = folder / name
        if name.endswith(TAKING):  # the machine died before its orders were durable
            yield file
        elif name.lower().endswith(".csv") and not name.startswith("."):
            with suppress(FileNotFoundError):  # whoever dropped it has taken it back
                if time.time() - file.lstat().st_mtime >= FINISHED_S:
                    yield file


def _taken(config: Config, state: State, file: Path, now: datetime) -> Taken:
    try:
        rows = list(listed(file))
    except ConfigError as error:
        _put_aside(file, "refused", [str(error).replace(str(file), "the list")])
        return Taken(refused=str(error).replace(str(file), "a list"))
    with state.urgent():
        people = stored_people(config, state)
        orders, unknown = order_all(state, people, rows, REASON, _owner(file), now)
    _put_aside(file, "done", [f"line {one.line}: {one.reason}" for one in unknown])
    return Taken(orders=len(orders), unknown=tuple(unknown))


def _owner(file: Path) -> str:
    try:
        number = file.lstat().st_uid
    except OSError:
        return "unknown"
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _claimed(file: Path, now: datetime) -> Path:
    """Return *file* under a name that nobody else drops anything under."""
    if file.suffix == TAKING:
        return file
    return _renamed(file, f"{file.name}.{now:%Y%m%dT%H%M%S%f}{TAKING}")


def _put_aside(file: Path, how: str, lines: Sequence[str]) -> None:
    """Rename the claimed *file*, and tell beside it what its owner should know."""
    if lines:
        told = file.with_suffix(".unknown" if how == "done" else ".why")
        with _in_our_words():
            told.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _renamed(file, file.with_suffix(f".{how}").name)


def _renamed(file: Path, name: str) -> Path:
    with _in_our_words():
        return file.rename(file.with_name(name))


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"a list in [serve] urgent cannot be put aside ({error.strerror}): idsync has to be "
            "able to write to the folder"
        ) from None
