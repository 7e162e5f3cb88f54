"""idsync serve: the service, in the foreground."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from idsync.cli.console import plain
from idsync.cli.ending import ending_when_asked
from idsync.cli.secrecy import fault

WRITING = threading.Lock()


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), default=Path("connectors.toml"),
    show_default=True, help="The configuration.",
)  # fmt: skip
def command(config: Path) -> int:
    """Run every night, act on known dates, pursue revocations, tell of its health.

    Stays in the foreground, for systemd. Says what it does in lines of JSON on stderr.
    SIGTERM and SIGINT end it within ten seconds; SIGHUP lets it read the configuration again,
    which it takes only when it is valid. [schedule] and [serve] of the configuration say when
    and where.
    """
    from idsync.config import load
    from idsync.errors import ConfigError
    from idsync.service.applying import clock

    checked = load(config)
    threading.excepthook = _told
    logging.basicConfig(level=logging.WARNING, handlers=[_Libraries()])
    try:
        from idsync.service.serving import serve
    except ModuleNotFoundError:
        raise ConfigError("serve needs more parts: install idsync with the extra service") from None

    def on_reload(ask: Callable[[], None]) -> None:
        def hung_up(_: int, __: FrameType | None) -> None:
            ask()

        signal.signal(signal.SIGHUP, hung_up)

    with ending_when_asked(
        (signal.SIGTERM, signal.SIGINT), lambda words: tell("ending", why=words)
    ):
        return serve(config, checked, tell, clock, on_reload)


def tell(event: str, level: str = "info", **facts: object) -> None:
    """Say what happens, in one line of JSON on stderr."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"at": at, "level": level, "event": event, **facts}
    text = plain(json.dumps(line, ensure_ascii=False, default=str))
    with WRITING:
        try:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except OSError:
            return  # nobody reads: that keeps no door open


def _told(died: threading.ExceptHookArgs) -> None:
    """Say where a thread has died, and of no value there."""
    where = fault(died.exc_type, died.exc_traceback)
    tell("a fault in idsync itself", level="error", where=where)


class _Libraries(logging.Handler):
    """What libraries say, in lines like idsync's own."""

    def emit(self, record: logging.LogRecord) -> None:
        tell("library", level=record.levelname.lower(), name=record.name, says=record.getMessage())
