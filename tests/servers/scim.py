"""The real scim2-server on loopback: in memory, with a bearer token, in a thread of ours."""

from __future__ import annotations

import json
import threading
import urllib.request
from functools import cache
from typing import Any

from scim2_models import ScimProvider
from scim2_server.memory import InMemoryStorage
from scim2_server.service import ScimService
from scim2_server.testserver.application import BearerTokenApplication
from scim2_server.utils import load_default_provider
from werkzeug.serving import WSGIRequestHandler, make_server

TOKEN = "token-of-the-real-server"


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


@cache
def _provider(page_limit: int, switches: frozenset[tuple[str, bool]]) -> ScimProvider:
    provider = load_default_provider()
    assert provider.config is not None
    assert provider.config.filter is not None
    provider.config.filter.max_results = page_limit
    for feature, supported in switches:
        getattr(provider.config, feature).supported = supported
    return provider


class ScimServer:
    """A running server. *switches* turn off features of its ServiceProviderConfig."""

    def __init__(self, *, page_limit: int = 1000, **switches: bool) -> None:
        provider = _provider(page_limit, frozenset(switches.items()))
        application = BearerTokenApplication(
            InMemoryStorage(), provider, ScimService(provider), bearer_tokens=[TOKEN]
        )
        self._server: Any = make_server(
            "127.0.0.1", 0, application, threaded=True, request_handler=_Quiet
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}/v2"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Do what a local administrator does, past idsync; return the JSON answer."""
        request = urllib.request.Request(
            f"{self.url}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"},
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.loads(response.read() or b"null")

    def group(self, name: str, members: list[str] | None = None) -> str:
        """Make a group and return its id."""
        body = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": name,
            "members": [{"value": member} for member in members or []],
        }
        return str(self.ask("POST", "Groups", body)["id"])

    def user(self, user_name: str, **more: Any) -> str:
        """Make a user and return its id."""
        body = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": user_name,
            **more,
        }
        return str(self.ask("POST", "Users", body)["id"])

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()
