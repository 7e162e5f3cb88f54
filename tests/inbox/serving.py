"""Listens and works in a process of its own, killed at a step: a process waits and forks for each.

An order is a line of JSON: folder, port, kill_at. The answer is the exit code.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STOP = ".stop"
STEPS = ".steps"


def serve() -> None:
    import idsync.service.applying
    import idsync.service.hearing
    import idsync.sources.csv
    import idsync.targets.local  # noqa: F401 - loaded once, for all forks

    for line in sys.stdin:
        child = os.fork()
        if not child:
            _listen(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _listen(order: dict[str, Any]) -> None:
    """Listen and work until told to stop, in the child; never return."""
    from idsync.config import load
    from idsync.service.hearing import app, server_of
    from idsync.service.obeying import work_off
    from idsync.store import open_state
    from tests.crash.steps import Steps

    code = 70
    try:
        folder = Path(order["folder"])
        config = load(folder / "connectors.toml")
        state = open_state(config.idsync.state)
        steps = Steps(order["kill_at"])
        steps.install()
        heard = threading.Event()
        heard.set()
        asgi = app(lambda: (config, state), clock, heard.set)
        server = server_of(asgi, "127.0.0.1", order["port"])
        threading.Thread(target=server.run, daemon=True).start()
        while not (folder / STOP).exists() or heard.is_set():
            if heard.wait(0.02):
                heard.clear()
                work_off(config, state, clock)
        (folder / STEPS).write_text(str(steps.count))
        code = 0
    finally:
        os._exit(code)


def clock() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    serve()
