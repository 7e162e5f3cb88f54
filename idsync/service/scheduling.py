"""Which runs are due now. Pure: what is known and what time it is go in, a decision comes out.

A night belongs to a local date and not to an instant, so no change of the clock, no reboot
and no step makes two of one date. Where the clock jumps over its time, the slot is what the
time would have been before the jump; where the time comes twice, it is the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from statistics import median

LATE = timedelta(minutes=15)
"""After its slot: a night that begins later has been missed and is caught up."""

AGAIN = timedelta(minutes=5)
"""How long after a try in vain the next one is made."""

BEGUN = timedelta(seconds=10)
"""So long after its claim a night is at work: it may not have come as far as its lock."""

REREAD_AFTER = timedelta(hours=1)
"""At least so long after the run before an event has the sources read again: who is missing from
two reads loses access, and two reads of one bad hour shall not count as two."""

PURSUED_EVERY = timedelta(seconds=60)
"""How often revocations that are not confirmed are tried."""

SLOW, ENOUGH_NIGHTS, AT_LEAST = 2, 3, timedelta(minutes=1)
"""A night is slow at twice the median, once there is one, and not within a minute."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The night of a local date: when it is to begin, and whether that is long ago."""

    local_date: date
    at: datetime
    late: bool


def slot(now: datetime, nightly: time, zone: tzinfo) -> Slot:
    """Return the newest night whose time has come by *now*."""
    today = now.astimezone(zone).date()
    at = _instant(today, nightly, zone)
    if at > now:
        today -= timedelta(days=1)
        at = _instant(today, nightly, zone)
    return Slot(local_date=today, at=at, late=now - at > LATE)


def _instant(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


def missed_between(last: date | None, newest: date) -> list[date]:
    """Return the local dates after *last* and before *newest*: nobody ran on their night."""
    if last is None:
        return []
    return [last + timedelta(days=count) for count in range(1, (newest - last).days)]


def taken_up_again(claimed_at: datetime, now: datetime, *, left: bool) -> bool:
    """Whether a night that has no outcome is tried again.

    One that was *left* at *claimed_at*, tried in vain, is after a while; else it is as soon as
    nobody is at it, which the lock of runs tells. A claim from the future was made by a clock
    that has been put back.
    """
    return not claimed_at <= now < claimed_at + (AGAIN if left else BEGUN)


def reread_is_due(now: datetime, last_run: datetime | None) -> bool:
    """Whether the fresh look at the sources that an event asked for is taken now."""
    return last_run is None or not last_run <= now < last_run + REREAD_AFTER


def dates_are_due(
    now: datetime, due: int, tried_at: datetime | None, next_then: datetime | None
) -> bool:
    """Whether known dates are acted on now: *due* changes are, and the last try was not just now.

    *next_then* is when, by that try, the next date would come.
    """
    if not due:
        return False
    if tried_at is None or not tried_at <= now < tried_at + AGAIN:
        return True
    return next_then is not None and next_then <= now


def slow_after(lasted: Sequence[timedelta]) -> timedelta | None:
    """Return how long a night may take before it is told of; None: too few have *lasted*."""
    if len(lasted) < ENOUGH_NIGHTS:
        return None
    usual = timedelta(seconds=median(one.total_seconds() for one in lasted))
    return max(SLOW * usual, AT_LEAST)
