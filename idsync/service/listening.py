"""Answers HTTP in a thread of its own, with uvicorn."""

from __future__ import annotations

import socket
import threading
from typing import Any

import uvicorn

from idsync.errors import ConfigError


def beside(app: Any, path: str, other: Any) -> Any:  # noqa: ANN401 - any ASGI applications
    """Return an application that gives what is under *path* to *other*, the rest to *app*."""

    async def both(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        theirs = scope["type"] == "http" and scope["path"].startswith(path)
        await (other if theirs else app)(scope, receive, send)

    return both


class Listener:
    """Listens at once; answers from `start` to `stop`."""

    def __init__(self, address: str, app: Any) -> None:  # noqa: ANN401 - any ASGI application
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, int(port)), family=family)
        except OSError:
            raise ConfigError(
                "nobody can listen at [serve] listen: the port is taken, or the address is not "
                "of this machine"
            ) from None
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="off",
            ws="none", http="h11", proxy_headers=False, limit_concurrency=512,
            timeout_keep_alive=5, timeout_graceful_shutdown=3,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="listening", daemon=True)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    @property
    def address(self) -> str:
        """Where it listens: with the port that it got, where 0 was asked for."""
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    @property
    def lives(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End, within seconds."""
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()
