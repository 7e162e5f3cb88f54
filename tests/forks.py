"""Runs the command many times, each in a process of its own, without loading it each time.

    ran = run(folder, "sync", "--json")

A process that has loaded everything and done nothing waits for orders, and forks for each.
Nothing but loading is shared: no thread, no connection, no table exists before the fork.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HOME = Path(__file__).parents[1]
TIMEOUT_S = 120


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
            [sys.executable, "-m", "tests.forks"], cwd=HOME,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(
        self, folder: Path, words: Sequence[str], env: Mapping[str, str], *, stdin: str = "",
        steps: bool = False, kill_at: int = 0, reads: bool = False,
    ) -> Ran:  # fmt: skip
        """Run the command in *folder*, *env* added to this process's environment.

        With *steps* its steps are counted, with *reads* also those of calls that only ask, and
        it is killed at the one numbered *kill_at*.
        """
        with tempfile.TemporaryDirectory() as kept:
            said = {name: Path(kept, name) for name in ("in", "out", "err", "steps")}
            said["in"].write_text(stdin, encoding="utf-8")
            order = {
                "folder": str(folder), "words": words, "steps": steps, "kill_at": kill_at,
                "reads": reads, "env": {**os.environ, **env},
                "said": {name: str(at) for name, at in said.items()},
            }  # fmt: skip
            code = self._answer(order)
            out, err = (said[name].read_text(encoding="utf-8") for name in ("out", "err"))
            count = int(said["steps"].read_text()) if said["steps"].exists() else 0
        return Ran(code=code, out=out, err=err, steps=count)

    def _answer(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        watch = threading.Timer(TIMEOUT_S, os.killpg, [self._process.pid, signal.SIGKILL])
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        assert line, f"no answer within {TIMEOUT_S} s: {order['words']}"
        return int(line)

    def close(self) -> None:
        """End the waiting process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_idle: list[Forks] = []


def run(folder: Path, *words: str, stdin: str = "", **env: str) -> Ran:
    """Run the command once; the waiting processes are kept as long as this one lives."""
    try:
        forks = _idle.pop()
    except IndexError:
        forks = Forks()
        atexit.register(forks.close)
    ran = forks.run(folder, words, env, stdin=stdin)
    _idle.append(forks)  # not where it failed: who did not answer is not asked again
    return ran


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
    for group in ("idsync.sources", "idsync.targets"):
        for found in entry_points(group=group):
            if found.value.startswith("idsync."):
                found.load()
    names = [at.read_text() for at in Path("/proc/self/task").glob("*/comm")]
    assert not any(re.match(r"polars-\d", name) for name in names), "a fork would lack its workers"
    assert threading.active_count() == 1


def _obey(order: dict[str, Any]) -> None:
    """Be the command, in the child; never return."""
    from idsync.cli import main

    said = order["said"]
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    created = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, name, how in ((0, "in", os.O_RDONLY), (1, "out", created), (2, "err", created)):
        opened = os.open(said[name], how, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    sys.argv = ["idsync", *order["words"]]
    steps = None
    if order["steps"]:
        from tests.crash.steps import Steps

        steps = Steps(order["kill_at"])
        steps.install(reads=order["reads"])
    code = 70
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        if steps is not None:
            Path(said["steps"]).write_text(str(steps.count))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
