"""The subscriptions of Microsoft Graph: made, renewed, listed and removed (v1.0, subscription)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from idsync.config import GraphTable
from idsync.errors import ConfigError, Denied, Refused, Unavailable
from idsync.http import Answer, Api, path_of
from idsync.http_oauth import ClientCredentials
from idsync.service.subscriptions import client_state_of

WAIT_S = 30.0
"""Graph asks back at notification_url before it answers, and waits ten seconds for that."""

MOST_BYTES = 1024 * 1024
MOST_PAGES = 50
CHANGES = "updated,deleted"
"""Of users and groups. Making one, and deleting it so that it can be restored, are updates."""

GONE = (404, 410)


class Graph:
    """One sender's Graph, signed in as idsync's application."""

    def __init__(self, name: str, sender: GraphTable, clock: Callable[[], datetime]) -> None:
        self._name, self._sender, self._clock = name, sender, clock
        parts = urlsplit(sender.graph_url)
        self._signing_in = ClientCredentials(
            f"{sender.login_url}/{sender.tenant}/oauth2/v2.0/token", sender.client_id,
            f"{parts.scheme}://{parts.netloc}/.default", secret=sender.client_secret,
            certificate=sender.certificate, ca_file=sender.ca_file,
        )  # fmt: skip
        self._api = Api(
            sender.graph_url, ca_file=sender.ca_file, timeout_s=WAIT_S, deadline_s=WAIT_S,
            max_bytes=MOST_BYTES, connections=1, returned=frozenset({400, 404, 409, 410}),
        )  # fmt: skip

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def subscribe(self, resource: str, client_state: str, until: datetime) -> tuple[str, datetime]:
        """Subscribe; return the id, and when it ends. Graph asks back meanwhile.

        Raises:
            ConnectorError: Graph does not answer, or says no.
            ConfigError: what is configured cannot be right.
        """
        url = self._sender.notification_url
        answer = self._call("POST", "subscriptions", body={
            "changeType": CHANGES, "resource": f"/{resource}", "clientState": client_state,
            "notificationUrl": url, "lifecycleNotificationUrl": url,
            "expirationDateTime": _written(until),
        })  # fmt: skip
        if answer.status == 409:
            raise Refused(
                f"[events.{self._name}]: this application has another subscription to {resource}: "
                "let idsync have an application of its own"
            )
        self._require_ok(answer, "notify of", resource)
        body = answer.body if isinstance(answer.body, Mapping) else {}
        if not isinstance(body.get("id"), str) or not 0 < len(body["id"]) <= 128:
            raise Unavailable(f"[events.{self._name}]: Graph's answer names no subscription")
        return body["id"], _until(body, until)

    def renew(self, id_: str, until: datetime) -> datetime | None:
        """Renew and authorise again; return when it ends now, or None: there is no such one.

        Raises:
            ConnectorError: Graph does not answer, or says no.
        """
        answer = self._call(
            "PATCH", path_of("subscriptions", id_), body={"expirationDateTime": _written(until)}
        )
        if answer.status in GONE:
            return None
        self._require_ok(answer, "renew", "a subscription")
        return _until(answer.body if isinstance(answer.body, Mapping) else {}, until)

    def remove(self, id_: str) -> None:
        """See that there is no such subscription.

        Raises:
            ConnectorError: Graph does not answer, or says no.
        """
        answer = self._call("DELETE", path_of("subscriptions", id_))
        if answer.status not in GONE:
            self._require_ok(answer, "remove", "a subscription")

    def ours(self) -> Iterator[tuple[str, str]]:
        """Yield id and resource of every subscription that leads to this sender.

        Raises:
            ConnectorError: Graph does not answer, or says no.
        """
        path = "subscriptions"
        for _ in range(MOST_PAGES):
            answer = self._call("GET", path)
            self._require_ok(answer, "list", "subscriptions")
            body = answer.body if isinstance(answer.body, Mapping) else {}
            page = body.get("value")
            for one in page if isinstance(page, list) else ():
                if isinstance(one, Mapping) and one.get("notificationUrl") == (
                    self._sender.notification_url
                ):
                    yield str(one.get("id", "")), str(one.get("resource", "")).strip("/").lower()
            further = body.get("@odata.nextLink")
            if not further:
                return
            # a token goes along: to the same address and to no other
            if not str(further).startswith(f"{self._api.url}/"):
                raise Unavailable(f"[events.{self._name}]: Graph's list goes on at another address")
            path = str(further).removeprefix(f"{self._api.url}/")
        raise Unavailable(f"[events.{self._name}]: Graph's list of subscriptions has no end")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        token = self._signing_in.token(self._clock())
        try:
            return self._api.call(
                method, path, body=body, headers={"Authorization": f"Bearer {token}"}
            )
        except Denied:
            self._signing_in.forget()
            raise

    def _require_ok(self, answer: Answer, what: str, whom: str) -> None:
        if answer.ok:
            return
        error = answer.body.get("error") if isinstance(answer.body, Mapping) else None
        code = str(error.get("code")) if isinstance(error, Mapping) else ""
        told = f", {code}" if re.fullmatch(r"[A-Za-z]{1,40}", code) else ""
        if answer.status == 400 and what == "notify of":
            raise ConfigError(
                f"[events.{self._name}]: Graph will not notify of {whom} (400{told}): it has to "
                "reach notification_url from outside, with a certificate that everybody trusts, "
                "within ten seconds; and this machine's clock has to be right"
            )
        raise Refused(
            f"[events.{self._name}]: Graph will not {what} {whom} ({answer.status}{told}): look at "
            "this machine's clock, and whether Graph's own state says of trouble"
        )


def reach_graph(name: str, sender: GraphTable, clock: Callable[[], datetime]) -> None:
    """Sign in at the Graph of the sender *name*, and list what leads here.

    Raises:
        ConnectorError: it cannot be asked now, or says no.
        ConfigError: a secret cannot be used.
    """
    graph = Graph(name, sender, clock)
    try:
        client_state_of(sender)
        for _ in graph.ours():
            pass
    finally:
        graph.close()


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _until(body: Mapping[str, Any], asked: datetime) -> datetime:
    """Return when Graph says that it ends: it may shorten what is asked."""
    try:
        said = datetime.fromisoformat(str(body.get("expirationDateTime"))[:19] + "+00:00")
    except ValueError:
        return asked
    return min(said, asked)
