"""`/health`, `/ready` and `/metrics`: an ASGI application of three pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from idsync.config import Config
from idsync.errors import IdsyncError
from idsync.service.health import health
from idsync.store import BOUNDS_MS, State

Current = Callable[[], tuple[Config, State] | None]
"""What there is to tell of now; None while the state does not answer."""

Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
JSON, TEXT = b"application/json", b"text/plain; version=0.0.4; charset=utf-8"
PAGES = ("/health", "/ready", "/metrics")
WAIT_S = b"10"

LONGEST_S = {"/ready": 5.0}
LONGEST_OTHER_S = 30.0
"""How long the state may take for a page; whoever asks whether it is there waits least."""

Answer = tuple[int, bytes, bytes]

AWAY: Answer = (503, JSON, b'{"error": "the state does not answer"}')


def health_app(current: Current, clock: Callable[[], datetime]) -> App:
    """Return the application. `/health` is 200 while there is no alarm nobody sees to, else 503."""

    async def app(
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        try:
            async with asyncio.timeout(LONGEST_S.get(scope["path"], LONGEST_OTHER_S)):
                status, kind, body = await asyncio.to_thread(_answer, scope, current, clock)
        except TimeoutError:
            status, kind, body = AWAY
        headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
        if status == 503:
            headers.append((b"retry-after", WAIT_S))
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        shown = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": shown})

    return app


def _answer(scope: Message, current: Current, clock: Callable[[], datetime]) -> Answer:
    if scope["path"] not in PAGES:
        return 404, JSON, b'{"error": "not found"}'
    if scope["method"] not in ("GET", "HEAD"):
        return 405, JSON, b'{"error": "only GET"}'
    there = current()
    if there is None:
        return AWAY
    try:
        return _told(scope["path"], *there, clock)
    except IdsyncError:
        return AWAY


def _told(page: str, config: Config, state: State, clock: Callable[[], datetime]) -> Answer:
    """Return what a page tells.

    Raises:
        IdsyncError: the state does not answer.
    """
    if page == "/ready":
        state.remembered("instance")  # whatever stands there: it answers
        return 200, JSON, b'{"ready": true}'
    told = health(config, state, clock())
    if page == "/metrics":
        return 200, TEXT, metrics(told)
    status = 200 if told["ok"] else 503
    return status, JSON, json.dumps(told, ensure_ascii=False).encode()


# ── metrics ─────────────────────────────────────────────────────────────────────────────


def metrics(told: dict[str, Any]) -> bytes:
    """Return the health document *told* in Prometheus's words."""
    registry = CollectorRegistry()
    registry.register(_Told(told))
    return generate_latest(registry)


class _Told(Collector):
    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told

    def collect(self) -> Iterable[Metric]:
        told = self._told
        yield _gauge("healthy", "1 while there is no alarm that nobody sees to", int(told["ok"]))
        for side in ("sources", "targets"):
            ages = {name: one["age_s"] for name, one in told[side].items()}
            what = f"Seconds since the last whole cycle of each of the {side}"
            yield _labelled(f"{side[:-1]}_cycle_age_seconds", what, side[:-1], ages)
        yield _gauge("run_age_seconds", "Seconds since the last complete run", told["run"]["age_s"])
        ages = {name: one["age_s"] for name, one in told["streams"].items()}
        what = "Seconds since something of a sender of tokens, or of Graph, came"
        yield _labelled("stream_heard_age_seconds", what, "sender", ages)
        left = {
            name: min(one["left_s"] for one in by_resource.values())
            for name, by_resource in told["subscriptions"].items()
        }
        what = "Seconds until the first subscription at Graph ends, 0 where one is missing"
        yield _labelled("subscription_left_seconds", what, "sender", left)
        open_ = told["unconfirmed"]
        yield _gauge("revocations_unconfirmed", "Not confirmed everywhere", open_["revocations"])
        oldest = open_["oldest_s"] or 0
        yield _gauge("revocation_unconfirmed_oldest_seconds", "Age of the oldest", oldest)
        what = "Age of the oldest that each target has not confirmed, 0 where it has all"
        by_target = open_["oldest_s_by_target"]
        yield _labelled("target_revocation_unconfirmed_seconds", what, "target", by_target)
        yield _latencies(told["latencies"])
        yield _gauge("backlog_operations", "Operations whose end is not known", told["backlog"])
        yield _gauge("held_parts", "Parts that wait for approve", len(told["held"]))
        waits = max((one["age_s"] for one in told["held"]), default=0)
        yield _gauge("held_oldest_seconds", "Age of the oldest held part", waits)
        yield from _brakes(told["brakes"])
        ways = {way: int(works) for way, works in told["oncall"].items()}
        yield _labelled("oncall_works", "1 while the on-call can be told this way", "way", ways)
        alarms = {one["name"]: int(one["acknowledged_at"] is None) for one in told["alarms"]}
        yield _labelled("alarm", "1 until somebody sees to it, then 0", "name", alarms)


def _latencies(by_target: Mapping[str, Mapping[str, Any]]) -> Metric:
    """From when the word came to the first time a target was seen to have ended the access."""
    histogram = HistogramMetricFamily(
        "idsync_revocation_latency_seconds",
        "From the word to the first confirmation; kept in the state, so a restart loses nothing",
        labels=["target"],
    )
    for name, one in by_target.items():
        buckets = [(str(ms / 1000), n) for ms, n in zip(BOUNDS_MS, one["within"], strict=True)]
        histogram.add_metric([name], [*buckets, ("+Inf", one["count"])], one["total_s"])
    return histogram


def _brakes(margins: Sequence[Mapping[str, Any]]) -> Iterable[Metric]:
    """How much of each limit is used, and the limit itself."""
    by = ["scope", "direction", "window"]
    used = GaugeMetricFamily("idsync_brake_used", "People who changed in the window", labels=by)
    limit = GaugeMetricFamily("idsync_brake_limit", "How many may", labels=by)
    for one in margins:
        labels = [str(one[name]) for name in by]
        used.add_metric(labels, one["used"])
        limit.add_metric(labels, one["limit"])
    return used, limit


def _gauge(name: str, what: str, value: float | None) -> Metric:
    gauge = GaugeMetricFamily(f"idsync_{name}", what)
    if value is not None:
        gauge.add_metric([], value)
    return gauge


def _labelled(name: str, what: str, label: str, values: Mapping[str, float | None]) -> Metric:
    gauge = GaugeMetricFamily(f"idsync_{name}", what, labels=[label])
    for key, value in values.items():
        if value is not None:
            gauge.add_metric([key], value)
    return gauge
