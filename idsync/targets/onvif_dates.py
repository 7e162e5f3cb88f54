"""How an ONVIF device writes when a right begins and ends.

With ValiditySupportsTimeValue a right ends at an instant, which is no longer part of it.
Without it the time of day is ignored, and the whole day of the end is included: 6 to 7 June
is 6 June 00:00 up to 8 June 00:00 (ONVIF Credential Service Specification 19.12, 5.3.2.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from idsync.errors import Refused
from idsync.model import day_end, day_start

LAST_YEAR = 9999
FIRST_YEAR = 1
"""Years that devices write for "never" and "always"."""


@dataclass(frozen=True, slots=True)
class Dates:
    """The dates of one device: *times* says whether it keeps the time of day."""

    zone: ZoneInfo
    times: bool

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def begins(self, value: datetime | None) -> datetime | None:
        """Return the instant at which a right begins whose ValidFrom is *value*."""
        if value is None or value.year == FIRST_YEAR:
            return None
        return self._instant(value) if self.times else day_start(self._day(value), self.zone)

    def ends(self, value: datetime | None) -> datetime | None:
        """Return the instant at which a right is over whose ValidTo is *value*."""
        if value is None or value.year == LAST_YEAR:
            return None
        return self._instant(value) if self.times else day_end(self._day(value), self.zone)

    def _instant(self, value: datetime) -> datetime:
        """Return *value* in UTC; without a zone of its own it is a time of the device's place."""
        return (value if value.tzinfo else value.replace(tzinfo=self.zone)).astimezone(UTC)

    def _day(self, value: datetime) -> date:
        """Return the day that a device means that keeps days only.

        Midnight, in whatever zone it is written, is the day as written. Any other time is
        an instant, and the day is the one at the device's place.
        """
        if value.tzinfo is None or value.time() == time.min:
            return value.date()
        return value.astimezone(self.zone).date()

    # ── writing ─────────────────────────────────────────────────────────────────────────

    def valid_from(self, instant: datetime | None) -> str | None:
        """Return ValidFrom of a right that begins at *instant*.

        Raises:
            Refused: it is finer than the device keeps.
        """
        if instant is None:
            return None
        return self._time(instant) if self.times else _noon(self._local_midnight(instant))

    def valid_to(self, instant: datetime | None) -> str | None:
        """Return ValidTo of a right that is over at *instant*.

        Raises:
            Refused: it is finer than the device keeps.
        """
        if instant is None:
            return None
        if self.times:
            return self._time(instant)
        return _noon(self._local_midnight(instant) - timedelta(days=1))

    def _time(self, instant: datetime) -> str:
        if instant.microsecond:
            raise Refused("a right begins or ends within a second: ONVIF keeps seconds only")
        return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")

    def _local_midnight(self, instant: datetime) -> date:
        local = instant.astimezone(self.zone)
        if local.time() != time.min:
            raise Refused(
                "a right begins or ends within a day, and this device keeps days only: "
                "let it begin and end at midnight"
            )
        return local.date()


def _noon(day: date) -> str:
    """Return noon of the day in UTC: the same day in every zone from which a device may look."""
    return f"{day.isoformat()}T12:00:00Z"
