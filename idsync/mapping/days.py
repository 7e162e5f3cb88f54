"""Instants as the local days that people speak of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from idsync.mapping.times import ALWAYS, NEVER

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = int((datetime.max.replace(tzinfo=UTC) - timedelta(days=2) - EPOCH).total_seconds()) * 10**6


def instant(microseconds: int) -> datetime | None:
    """Return microseconds since 1970 as an instant; None where the rules mean unbounded."""
    if microseconds in (ALWAYS, NEVER) or microseconds > LAST:
        return None
    return EPOCH + timedelta(microseconds=microseconds)


def first_day(begin: datetime, zone: ZoneInfo) -> str:
    """Return the local day in which *begin* lies."""
    return begin.astimezone(zone).date().isoformat()


def last_day(end: datetime, zone: ZoneInfo) -> str:
    """Return the last local day before *end*: an end at midnight is the day before."""
    return (end - timedelta(microseconds=1)).astimezone(zone).date().isoformat()


def span(begin: datetime | None, end: datetime | None, zone: ZoneInfo) -> str:
    """Return "from … to …" in local days; nothing is said of what is unbounded."""
    parts = []
    if begin is not None:
        parts.append(f"from {first_day(begin, zone)}")
    if end is not None:
        parts.append(f"to {last_day(end, zone)}")
    return " ".join(parts)
