"""Listens and works in a process of its own, killed at a step: a process waits and forks for each.

An order is a line of JSON: folder, kill_at and port, or polls: how often the provider of
identities is polled before what came is worked off, or keeps: the subscriptions at Graph are
seen to once. The answer is the exit code.
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
    import idsync.service.polling
    import idsync.sources.csv
    import idsync.targets.local  # noqa: F401 - loaded once, for all forks

    for line in sys.stdin:
        child = os.fork()
        if not child:
            order = json.loads(line)
            does = {"polls": _poll, "keeps": _keep}
            next((does[name] for name in does if name in order), _listen)(order)
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


def _poll(order: dict[str, Any]) -> None:
    """Poll, and work off what came, in the child; never return."""
    from idsync.config import load
    from idsync.service.keyrings import Keyrings
    from idsync.service.obeying import work_off
    from idsync.service.polling import Poller
    from idsync.store import open_state
    from tests.crash.steps import Steps

    code = 70
    try:
        folder = Path(order["folder"])
        config = load(folder / "connectors.toml")
        state = open_state(config.idsync.state)
        steps = Steps(order["kill_at"])
        steps.install()
        poller = Poller("idp", Keyrings(), clock, rest=lambda _: None)
        for _ in range(order["polls"]):
            poller.poll(config, state)
        work_off(config, state, clock)
        (folder / STEPS).write_text(str(steps.count))
        code = 0
    finally:
        os._exit(code)


def _keep(order: dict[str, Any]) -> None:
    """See once to the subscriptions at Graph, in the child; never return."""
    from idsync.config import load
    from idsync.service.subscribing import Keeper
    from idsync.store import open_state
    from tests.crash.steps import Steps

    code = 70
    try:
        folder = Path(order["folder"])
        config = load(folder / "connectors.toml")
        state = open_state(config.idsync.state)
        steps = Steps(order["kill_at"])
        steps.install(reads=True)
        Keeper("entra", clock, rest=lambda _: None).keep(config, state)
        (folder / STEPS).write_text(str(steps.count))
        code = 0
    finally:
        os._exit(code)


def clock() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    serve()
