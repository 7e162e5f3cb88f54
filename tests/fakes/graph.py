"""Microsoft Graph on loopback: signing in, subscriptions, and notifications with their habits.

It holds what it was told: applications and their tokens, subscriptions and when they end, and
what could not be delivered yet. Time is `now`, so that weeks pass in a test. A subscription is
only made when the address answers the handshake, which is really asked.

`trouble` is what the next calls to Graph meet: a status with headers, `lost` (it is done, and
nobody hears of it), or `page` (an answer of somebody in between).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import requests

from tests.fakes.graph_http import Handler
from tests.fakes.graph_signing_in import SigningIn

LONGEST = timedelta(minutes=41_760)
TRIED_FOR = timedelta(hours=4)
RESOURCES = ("users", "groups")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break here on purpose."""


@dataclass
class Undelivered:
    """A notification that nobody has said 2xx to yet."""

    url: str
    told: dict[str, Any]
    since: datetime


@dataclass
class FakeGraph:
    """The directory's side. `page_size`: of the list of subscriptions."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    signing_in: SigningIn = field(default_factory=SigningIn)
    allows_twins: bool = False
    page_size: int = 1
    token_of_handshake: str = "Validation: Testing 100% of what a+b & c reach"
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    unauthorized: set[str] = field(default_factory=set)  # until renewed, nothing of it is sent
    undelivered: list[Undelivered] = field(default_factory=list)
    dropped: list[Undelivered] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # to deliveries
    calls: list[str] = field(default_factory=list)
    trouble: list[Any] = field(default_factory=list)

    def __enter__(self) -> Self:
        handler = type("Bound", (Handler,), {"fake": self})
        self._server = Server(("127.0.0.1", 0), handler)
        self.lock = threading.RLock()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.signing_in.url = self.url
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    # ── subscriptions ───────────────────────────────────────────────────────────────────

    def create(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        wanted = {name: asked.get(name) for name in ("changeType", "resource", "notificationUrl")}
        resource = str(wanted["resource"]).strip("/").lower()
        if resource not in RESOURCES or set(str(wanted["changeType"]).split(",")) - {
            "updated", "deleted",
        }:  # fmt: skip
            return 400, error("InvalidRequest", "no such resource or type of change")
        if len(asked.get("clientState") or "") > 128 or not self._may_last(asked):
            return 400, error("InvalidRequest", "clientState or expirationDateTime")
        twins = [one for one in self.living().values() if one["resource"] == resource]
        if twins and not self.allows_twins:
            return 409, error("Conflict", f"Subscription Id {twins[0]['id']} already exists")
        for url in {asked["notificationUrl"], asked.get("lifecycleNotificationUrl")} - {None}:
            if not self._shakes_hands(url):
                return 400, error("ValidationError", f"Subscription validation request of {url}")
        one = {**asked, "id": str(uuid4()), "resource": resource, "creatorId": "made-up"}
        with self.lock:
            self.subscriptions[one["id"]] = one
        return 201, shown(one)

    def _shakes_hands(self, url: str) -> bool:
        try:
            answer = sent(
                f"{url}?validationToken={quote(self.token_of_handshake)}", b"", "text/plain"
            )
        except requests.RequestException:
            return False
        kind = answer.headers.get("content-type", "").partition(";")[0]
        return (answer.status_code, kind, answer.text) == (
            200, "text/plain", self.token_of_handshake,
        )  # fmt: skip

    def _may_last(self, asked: dict[str, Any]) -> bool:
        until = datetime.fromisoformat(asked["expirationDateTime"])
        return timedelta() < until - self.now() <= LONGEST

    def renew(self, id_: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self.lock:
            if id_ not in self.living():
                return 404, error("ResourceNotFound", "The object was not found.")
            if not self._may_last(asked):
                return 400, error("InvalidRequest", "expirationDateTime")
            self.unauthorized.discard(id_)
            self.subscriptions[id_]["expirationDateTime"] = asked["expirationDateTime"]
            return 200, shown(self.subscriptions[id_])

    def remove(self, id_: str) -> tuple[int, dict[str, Any]]:
        with self.lock:
            known = self.subscriptions.pop(id_, None)
        return (204, {}) if known else (404, error("ResourceNotFound", "not found"))

    def listed(self, skip: int) -> dict[str, Any]:
        all_ = [shown(one) for one in self.living().values()]
        page: dict[str, Any] = {"value": all_[skip : skip + self.page_size]}
        if skip + self.page_size < len(all_):
            further = f"{self.url}/v1.0/subscriptions?$skiptoken={skip + self.page_size}"
            page["@odata.nextLink"] = further
        return page

    def living(self) -> dict[str, dict[str, Any]]:
        """Return what has not ended; what has is forgotten without a word."""
        with self.lock:
            for id_, one in list(self.subscriptions.items()):
                if datetime.fromisoformat(one["expirationDateTime"]) <= self.now():
                    del self.subscriptions[id_]
            return dict(self.subscriptions)

    def loses(self, *resources: str) -> None:
        """Lose subscriptions, and tell nobody."""
        with self.lock:
            for id_, one in list(self.subscriptions.items()):
                if one["resource"] in resources:
                    del self.subscriptions[id_]

    def of(self, resource: str) -> dict[str, Any]:
        """Return the one subscription to a resource."""
        [one] = [one for one in self.living().values() if one["resource"] == resource]
        return one

    # ── notifications ───────────────────────────────────────────────────────────────────

    def changed(self, resource: str, change: str = "updated", key: str = "") -> None:
        """Have something to tell to everybody who is subscribed to it."""
        key = key or str(uuid4())
        for one in self.living().values():
            if one["resource"] == resource and change in one["changeType"].split(","):
                self._owe(one["notificationUrl"], notification(one, change, key))

    def asks(self, event: str, resource: str) -> None:
        """Have a lifecycle notification to tell."""
        one = self.of(resource)
        if event == "reauthorizationRequired":
            self.unauthorized.add(one["id"])
        told = {
            "subscriptionId": one["id"], "clientState": one["clientState"],
            "subscriptionExpirationDateTime": one["expirationDateTime"],
            "tenantId": self.signing_in.tenant, "lifecycleEvent": event,
        }  # fmt: skip
        self._owe(one["lifecycleNotificationUrl"], told)

    def _owe(self, url: str, told: dict[str, Any]) -> None:
        self.undelivered.append(Undelivered(url, told, self.now()))

    def deliver(self, *, twice: bool = False, backwards: bool = False) -> list[int]:
        """Try once to deliver what is owed, all that goes to one address together.

        What is not answered 2xx stays, for four hours. Return the statuses.
        """
        statuses = []
        ready = [one for one in self.undelivered if self._may_be_sent(one.told)]
        self.undelivered = [one for one in self.undelivered if one not in ready]
        for url in sorted({one.url for one in ready}):
            batch = [one for one in ready if one.url == url]
            told = [one.told for one in (reversed(batch) if backwards else batch)]
            body = json.dumps({"value": told}).encode()
            for _ in range(2 if twice else 1):
                statuses.append(status_of(url, body))
            if not 200 <= statuses[-1] < 300:
                late = [one for one in batch if self.now() - one.since > TRIED_FOR]
                self.dropped += late
                self.undelivered += [one for one in batch if one not in late]
        self.answers += statuses
        return statuses

    def _may_be_sent(self, told: dict[str, Any]) -> bool:
        return "lifecycleEvent" in told or told["subscriptionId"] not in self.unauthorized


def notification(one: dict[str, Any], change: str, key: str) -> dict[str, Any]:
    """Return what Graph tells of one change: an id, and numbers longer than JavaScript's."""
    kind = one["resource"].removesuffix("s")
    return {
        "changeType": change, "clientState": one["clientState"],
        "resource": f"{one['resource'].title()}/{key}",
        "resourceData": {
            "@odata.type": f"#Microsoft.Graph.{kind.title()}", "id": key,
            "@odata.id": f"{one['resource'].title()}/{key}", "organizationId": str(uuid4()),
            "sequenceNumber": 639_000_000_000_000_000,
        },
        "subscriptionExpirationDateTime": one["expirationDateTime"],
        "subscriptionId": one["id"], "tenantId": str(uuid4()),
    }  # fmt: skip


def shown(one: dict[str, Any]) -> dict[str, Any]:
    """Return a subscription as it is shown: nobody is told its state of the client."""
    until = one["expirationDateTime"].replace("Z", ".0000000Z")
    return {**one, "clientState": None, "expirationDateTime": until}


def error(code: str, message: str) -> dict[str, Any]:
    inner = {"date": "2026-11-23T12:00:00", "request-id": str(uuid4())}
    return {"error": {"code": code, "message": message, "innerError": inner}}


def sent(url: str, body: bytes, kind: str) -> requests.Response:
    """Send it, as Graph does: whoever has not answered after ten seconds has not."""
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, data=body, headers={"Content-Type": kind}, timeout=10)


def status_of(url: str, body: bytes) -> int:
    try:
        return sent(url, body, "application/json; charset=utf-8").status_code
    except requests.RequestException:
        return 0
