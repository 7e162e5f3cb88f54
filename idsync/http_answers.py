"""What a web API answers, and how its texts are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer as bytes, for what is not JSON. `headers` by lower-case name."""

    status: int
    data: bytes
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether the service says that it did what was asked."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Answer:
    """A success (2xx), or one of `RETURNED`. `body` is parsed JSON, None if there is none."""

    status: int
    body: Any = None
    etag: str = ""

    @property
    def ok(self) -> bool:
        """Whether the service says that it did what was asked."""
        return 200 <= self.status < 300


def parse_json(data: bytes) -> Any:  # noqa: ANN401 - whatever the service sends
    """Return the value of a JSON text; ValueError for what two readers could read differently.

    That is: not UTF-8, NaN and infinities, a key that stands twice in one object, text
    that is no Unicode, or nesting without end.
    """
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> Any:  # noqa: ANN401 - it never returns
    raise ValueError(f"{name} is not JSON")


def retry_after_s(value: str | None) -> float | None:
    """Return a Retry-After header in seconds from now, 0 to 3600; None if it says nothing.

    It is seconds or a date (RFC 9110, 10.2.3).
    """
    if value is None:
        return None
    try:
        if value.strip().isdecimal():
            seconds = float(value)
        else:
            moment = parsedate_to_datetime(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = (moment - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S)
