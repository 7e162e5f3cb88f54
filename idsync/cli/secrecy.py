"""What keeps people's data and secrets out of everything that is written by the way.

Core dumps, the logs of libraries, and the traces of errors that nobody caught: each could
hold a whole record. There is no switch that turns this off, and no debug mode.
"""

from __future__ import annotations

import logging
import resource
import sys
import threading
from types import TracebackType
from typing import Any

import click


def keep_secrets() -> None:
    """Let this process leave nothing behind but what a command says.

    A core dump is a copy of the memory: there is none from here on, in children neither.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.setLogRecordFactory(PlaceOnly)
    sys.excepthook = lambda kind, _, trace: _tell(kind, trace)
    sys.unraisablehook = lambda told: _tell(told.exc_type, told.exc_traceback)
    threading.excepthook = lambda told: _tell(told.exc_type, told.exc_traceback)


class PlaceOnly(logging.LogRecord):
    """A log record of idsync, or of a library's only where it was made.

    Libraries log addresses, headers, parameters of statements and whole answers; idsync
    itself never does, so its own words stay.
    """

    def __init__(  # the arguments are those of the class that it stands in for
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,
        args: Any,  # noqa: ANN401
        exc_info: Any,  # noqa: ANN401
        func: str | None = None,
        sinfo: str | None = None,
        **more: Any,  # noqa: ANN401
    ) -> None:
        if name.partition(".")[0] != "idsync":
            msg, args, exc_info, sinfo = f"left out: line {lineno}", (), None, None
        super().__init__(name, level, pathname, lineno, msg, args, exc_info, func, sinfo, **more)


def fault(kind: type[BaseException] | None, trace: TracebackType | None) -> str:
    """Return what is said of an error that nobody expected: what and where, no value of it."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
    return f"{kind.__name__ if kind else 'error'} at {where}"


def _tell(kind: type[BaseException] | None, trace: TracebackType | None) -> None:
    click.echo(f"idsync: a fault in idsync itself ({fault(kind, trace)}): report it", err=True)
