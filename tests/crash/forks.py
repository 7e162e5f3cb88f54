"""Runs the command many times, each in a process of its own, without loading it each time.

    with Forks() as forks:
        ran = forks.run(folder, "sync", "--json", kill_at=17)

A process that has loaded everything and done nothing waits for orders, and forks for each.
Nothing but loading is shared: no thread, no connection, no table exists before the fork.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How one command ended: its exit code (negative: the signal), its words, its steps."""

    code: int
    out: str
    err: str
    steps: int

    @property
    def killed(self) -> bool:
        return self.code < 0

    @property
    def document(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.out)
        return told


class Forks:
    """The waiting process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.forks"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(
        self, folder: Path, *words: str, kill_at: int = 0, reads: bool = False, **env: str
    ) -> Ran:
        """Run the command in *folder*; kill it at a step, if one is named."""
        order = {"folder": str(folder), "words": words, "kill_at": kill_at, "reads": reads}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**order, "env": env}) + "\n")
        self._process.stdin.flush()
        watch = threading.Timer(TIMEOUT_S, self._process.kill)
        watch.start()
        try:
            answer = json.loads(self._process.stdout.readline())
        finally:
            watch.cancel()
        out, err = ((folder / f".{name}").read_text(encoding="utf-8") for name in ("out", "err"))
        count = folder / ".steps"
        steps = int(count.read_text()) if count.exists() else 0
        return Ran(code=answer, out=out, err=err, steps=steps)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()


# ── the waiting process ─────────────────────────────────────────────────────────────────


def serve() -> None:
    """Fork for every order, and answer with the exit code."""
    _load_everything()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            _obey(order)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _load_everything() -> None:
    import importlib
    from importlib.metadata import entry_points

    import psycopg  # noqa: F401
    import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

    from idsync.cli.app import COMMANDS

    for name in COMMANDS:
        importlib.import_module(f"idsync.cli.{name}")
    for module in ("service.applying", "service.revoking", "apply", "store", "cli.showing"):
        importlib.import_module(f"idsync.{module}")
    for found in entry_points(group="idsync.sources"):
        if found.name == "csv":
            found.load()
    for found in entry_points(group="idsync.targets"):
        if found.name in ("local", "scim", "arx", "gallagher"):
            found.load()


def _obey(order: dict[str, Any]) -> None:
    """Be the command, in the child; never return."""
    from idsync.cli import main
    from tests.crash.steps import Steps

    folder = Path(order["folder"])
    os.chdir(folder)
    os.environ.update(order["env"])
    for number, name in ((1, ".out"), (2, ".err")):
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8")
    sys.argv = ["idsync", *order["words"]]
    steps = Steps(order["kill_at"])
    steps.install(reads=order["reads"])
    code = 70
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        (folder / ".steps").write_text(str(steps.count))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
