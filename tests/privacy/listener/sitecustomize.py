"""Runs in a command that is watched: every logger speaks, and nothing that is removed is lost.

Python loads this before anything else of the command. Where CANARY_EARS names a folder,
it holds afterwards: what was logged, with all arguments (`*.log`); what files held when
they were removed (`*.gone`); children, with arguments and environment
(`*.child`); and the process's own arguments and limits at its end.

CANARY_RAISE=module:function makes that function fail with its arguments in the message,
as a bug would that happens while a whole record is at hand.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any, ClassVar

COUNTED = frozenset(
    "created msecs relativeCreated thread threadName processName process taskName pathname "
    "filename module funcName levelno levelname".split()
)
EARS = os.environ.get("CANARY_EARS")


def listen(folder: Path) -> None:
    counter = itertools.count()
    kept = folder / str(os.getpid())

    class Everything(logging.FileHandler):
        seen: ClassVar[set[str]] = set()

        def emit(self, record: logging.LogRecord) -> None:
            """Write each thing once: thousands of records say the same."""
            of_record = {k: v for k, v in record.__dict__.items() if k not in COUNTED}
            if (text := repr(of_record)) not in self.seen:
                self.seen.add(text)
                super().emit(record)

        def format(self, record: logging.LogRecord) -> str:
            told = {k: v for k, v in record.__dict__.items() if k not in COUNTED}
            return f"{record.name} {super().format(record)} {told!r}"

    root = logging.getLogger()
    root.setLevel(logging.NOTSET)
    root.addHandler(Everything(f"{kept}.log", encoding="utf-8"))
    for name in ("urllib3", "sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool", "ldap3", "zeep"):
        logging.getLogger(name).setLevel(1)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

    def hook(event: str, told: tuple[Any, ...]) -> None:
        if event == "os.remove":
            _keep(told[0], told[-1], f"{kept}-{next(counter)}.gone")
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
            Path(f"{kept}-{next(counter)}.child").write_text(repr(told), encoding="utf-8")

    def last() -> None:
        Path(f"{kept}.arguments").write_bytes(Path("/proc/self/cmdline").read_bytes())
        Path(f"{kept}.limits").write_bytes(Path("/proc/self/limits").read_bytes())

    sys.addaudithook(hook)
    atexit.register(last)


def _keep(path: Any, folder: Any, copy: str) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK, dir_fd=None if folder == -1 else folder)
    except (OSError, TypeError):
        return
    with os.fdopen(handle, "rb") as file:
        Path(copy).write_bytes(file.read())


def fail_at(place: str) -> None:
    """Replace the body of a function: whoever has imported it already calls the new one."""
    module, _, name = place.partition(":")
    __import__(module)
    found = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part)

    def fails(*arguments: object, **named: object) -> None:
        raise RuntimeError(f"a bug at a whole record: {arguments!r} {named!r}")

    found.__code__ = fails.__code__  # type: ignore[attr-defined]


if EARS:
    listen(Path(EARS))
    if "CANARY_LDAP" in os.environ:
        from ldap3.utils.log import EXTENDED, set_library_log_detail_level

        set_library_log_detail_level(EXTENDED)
    if "CANARY_RAISE" in os.environ:
        fail_at(os.environ["CANARY_RAISE"])
