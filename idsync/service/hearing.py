"""The door for events: POST /events/NAME, bounded in size, time and number."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from idsync.config import Config, SetTable
from idsync.service.keyrings import Keyrings
from idsync.service.receiving import LATER, Answer, receive
from idsync.service.receiving_graph import MOST_BYTES as MOST_OF_GRAPH
from idsync.service.receiving_graph import handshake, receive_notified
from idsync.service.receiving_sets import receive_pushed, refused
from idsync.store import State
from idsync.webhook import MOST_BYTES

BODY_S = 10.0
"""How long a body may take."""

KEPT_S = 10.0
"""How long the state may take to keep an event; after that its sender is told to come again."""

AT_ONCE = 128
"""How many messages are listened to at the same time; with the most bytes that is all memory."""

TOO_SLOW = Answer(status=408, error="the body took too long", strange=True)
PACKED = Answer(status=400, error="a body is sent as it is, without content-encoding", strange=True)
TOO_MANY = Answer(status=429, error="too many refused messages: wait", retry_after_s=60)
UNKNOWN = Answer(status=404, error="nothing is here")

TOKEN = "validationToken"  # noqa: S105 - a name in a query
"""By what Graph asks whether its notifications are wanted here."""

ECHOED = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
}
"""Beside a text that anybody may have sent back: it is a text, and does nothing."""


class Refusals:
    """How often each address was refused, in memory that does not grow.

    An address may fail *most* times in a row, and again once every second. Its messages
    are then not looked at at all. Of more than *addresses* the ones that failed longest
    ago are forgotten. An IPv6 address counts with its whole /64.
    """

    def __init__(self, most: int = 20, addresses: int = 4096) -> None:
        self._most = most
        self._addresses = addresses
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def too_many(self, address: str, now: datetime) -> bool:
        """Whether nothing from *address* is looked at now."""
        return self._count(_group(address), now) + 1 > self._most

    def add(self, address: str, now: datetime) -> None:
        """Note a refusal."""
        group = _group(address)
        self._seen[group] = (self._count(group, now) + 1, now.timestamp())
        self._seen.move_to_end(group)
        if len(self._seen) > self._addresses:
            self._seen.popitem(last=False)

    def _count(self, group: str, now: datetime) -> float:
        count, at = self._seen.get(group, (0.0, 0.0))
        return max(0.0, count - max(0.0, now.timestamp() - at))


def _group(address: str) -> str:
    parsed = ip_address(address)
    return str(ip_network((address, 64), strict=False)) if parsed.version == 6 else address


Current = Callable[[], tuple[Config, State] | None]
"""By what is listened now, and where it is kept; None while the state does not answer."""


def app(
    current: Current,
    clock: Callable[[], datetime],
    heard: Callable[[], None] = lambda: None,
    rings: Keyrings | None = None,
) -> Starlette:
    """Return the application; *heard* is called whenever an event was kept."""
    refusals, places, known = Refusals(), asyncio.Semaphore(AT_ONCE), rings or Keyrings()

    async def event(request: Request) -> Response:
        there = current()
        if there is None:
            return _response(LATER)
        config, state = there
        name = request.path_params["name"]
        address = address_of(request, config.events.trusted_proxy)
        if name not in config.events.pushed:
            return _response(UNKNOWN)
        if refusals.too_many(address, clock()):
            return _response(TOO_MANY)
        if places.locked():
            return _response(LATER)
        is_graph = name in config.events.subscribed
        if is_graph and TOKEN in request.query_params:
            return told(handshake(request.query_params.getlist(TOKEN)), address)
        await places.acquire()
        try:
            body = await body_of(request, MOST_OF_GRAPH if is_graph else MOST_BYTES)
        except BaseException:
            places.release()
            raise
        answering = asyncio.ensure_future(_answered(config, state, request, name, body))
        answering.add_done_callback(lambda _: places.release())  # a thread that hangs has a place
        await asyncio.wait({answering}, timeout=KEPT_S)
        return told(answering.result() if answering.done() else LATER, address)

    def told(answer: Answer, address: str) -> Response:
        if answer.strange:
            refusals.add(address, clock())
        return _response(answer)

    async def _answered(
        config: Config, state: State, request: Request, name: str, body: bytes | Answer
    ) -> Answer:
        is_set = isinstance(config.events.senders.get(name), SetTable)
        if isinstance(body, Answer):
            return refused("invalid_request", strange=True) if is_set and body is PACKED else body
        given = (name, request.headers.raw, body, clock())
        try:
            if name in config.events.subscribed:
                answer = await run_in_threadpool(receive_notified, config, state, name, *given[2:])
            elif is_set:
                answer = await run_in_threadpool(receive_pushed, config, state, known, *given)
            else:
                answer = await run_in_threadpool(receive, config, state, *given)
        except Exception:  # whatever it is: the sender shall send it again
            return LATER
        if answer.status == 202:
            heard()  # also where nobody waits for the answer any longer
        return answer

    return Starlette(routes=[Route("/events/{name}", event, methods=["POST"])])


async def body_of(request: Request, most: int = MOST_BYTES) -> bytes | Answer:
    """Return the body, or the answer to one that is too large, too slow, or packed."""
    too_large = Answer(status=413, error=f"a body has at most {most} bytes", strange=True)
    encoding = request.headers.getlist("content-encoding")
    if encoding not in ([], ["identity"]):
        return PACKED
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > most:
        return too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    return too_large
    except (TimeoutError, ClientDisconnect):
        return TOO_SLOW
    return bytes(body)


def address_of(request: Request, trusted: tuple[str, ...]) -> str:
    """Return who is there: of a trusted proxy, whom it says it speaks for; else the caller.

    What stands in a forwarded header of anybody else is not looked at. A proxy appends, so
    its own word is the last one.
    """
    peer = request.client.host if request.client else "0.0.0.0"  # noqa: S104 - nothing binds
    if peer not in trusted:
        return peer
    said = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    try:
        return str(ip_address(said))
    except ValueError:
        return peer


def _response(answer: Answer) -> Response:
    headers = {"cache-control": "no-store"}
    if answer.retry_after_s is not None:
        headers["retry-after"] = str(answer.retry_after_s)
    if answer.status in (408, 413, 429):
        headers["connection"] = "close"  # what is left of the body is not waited for
    if answer.text:
        return PlainTextResponse(answer.text, answer.status, headers | ECHOED)
    if not answer.error:
        return Response(status_code=answer.status, headers=headers)
    if answer.code:  # RFC 8935, section 2.3
        body = {"err": answer.code, "description": answer.error}
        headers["content-language"] = "en"
    else:
        body = {"error": answer.error}
    return JSONResponse(body, status_code=answer.status, headers=headers)


def server_of(asgi: Any, host: str, port: int) -> uvicorn.Server:  # noqa: ANN401 - any ASGI
    """Return the server for it; the headers of proxies are left to `address_of`."""
    return uvicorn.Server(
        uvicorn.Config(
            asgi, host=host, port=port, http="h11", ws="none", lifespan="off",
            proxy_headers=False, server_header=False, access_log=False, log_config=None,
            timeout_keep_alive=10, limit_concurrency=4 * AT_ONCE,
            h11_max_incomplete_event_size=16384, timeout_graceful_shutdown=10,
        )
    )  # fmt: skip
