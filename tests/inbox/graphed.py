"""The office whose directory stands in Entra, and a Graph that tells when it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from idsync.service.receiving import Answer
from idsync.service.receiving_graph import receive_notified
from idsync.service.subscribing import Keeper
from idsync.service.subscriptions import Subscription, subscription
from tests.fakes.graph import FakeGraph, notification
from tests.fakes.graph_signing_in import CLIENT, SECRET, TENANT
from tests.inbox.office import Office, free_port, town_in
from tests.whole.town import Town

STATE = "made-up-state-of-the-client-32-or-more"
BY_SECRET = 'client_secret = { file = "FOLDER/graph-secret" }\n'

SENDER = """
[events.entra]
form = "graph"
source = "hr"
tenant = "TENANT"
client_id = "CLIENT"
client_state = { file = "FOLDER/graph-state" }
notification_url = "http://127.0.0.1:PORT/events/entra"
graph_url = "URL/v1.0"
login_url = "URL"
"""


class GraphOffice(Office):
    """The office, subscribed to its directory; how long it would rest is written down."""

    def __init__(
        self, folder: Path, graph: FakeGraph, more: str = BY_SECRET, town: Town | None = None
    ) -> None:
        self.port = free_port()
        self.graph = graph
        written = {"TENANT": TENANT, "CLIENT": CLIENT, "PORT": str(self.port), "URL": graph.url}
        text = SENDER + more
        for name, value in written.items():
            text = text.replace(name, value)
        town = town or town_in(folder)
        town.folder.mkdir(parents=True, exist_ok=True)
        (town.folder / "graph-secret").write_text(SECRET, encoding="utf-8")
        self.agree(STATE, town.folder)
        super().__init__(town, more=text)
        graph.now = lambda: self.now
        self.rests: list[float] = []
        self.made: list[str] = []
        self.keeper = self.another_keeper()

    def agree(self, client_state: str, folder: Path | None = None) -> None:
        """Write the state of the client to its file."""
        (folder or self.town.folder).joinpath("graph-state").write_text(client_state)

    def another_keeper(self) -> Keeper:
        """Return what another process would keep them with: one that remembers nothing."""
        return Keeper("entra", self.clock, self.made.append, self.rests.append)

    def close(self) -> None:
        self.keeper.close()
        super().close()

    @contextmanager
    def reachable(self) -> Iterator[str]:
        """Listen where Graph was told; give the address."""
        with self.listening(self.port) as url:
            yield f"{url}entra"

    def keep(self, times: int = 1) -> None:
        for _ in range(times):
            self.keeper.keep(self.config, self.state)

    def kept(self, resource: str = "users") -> Subscription:
        found = subscription(self.state, "entra", resource)
        assert found is not None
        return found

    def has_kept(self, resource: str) -> bool:
        found = subscription(self.state, "entra", resource)
        return found is not None and found.id != ""

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)

    def forget_reread(self) -> None:
        """Be as after the fresh look that was asked for; there has to be one."""
        assert self.wants_reread()
        self.state.inbox.reread_done(self.clock())
        assert not self.wants_reread()

    def read_again(self) -> None:
        """Take the fresh look that was asked for; there has to be one."""
        assert self.wants_reread()
        self.sync()
        assert not self.wants_reread()

    def wants_reread(self) -> bool:
        return self.state.inbox.reread_wanted() is not None

    # ── as Graph, without a wire ────────────────────────────────────────────────────────

    def told(
        self, resource: str = "users", change: str = "updated", **other: Any
    ) -> dict[str, Any]:
        return notification(self.graph.of(resource), change, "p1") | other

    def notify(self, *told: Any) -> Answer:
        return self.post({"value": list(told)})

    def post(self, body: Any) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return receive_notified(self.config, self.state, "entra", raw, self.clock())
