"""Instants as somebody else's table or file writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field, field_validator

from idsync.errors import Refused
from idsync.settings import Settings, ZoneField

PARTS = {"%Y", "%m", "%d", "%H", "%M", "%S"}
"""What a form may say; names of months and two-digit years depend on who reads them."""

STEPS = {
    "day": timedelta(days=1),
    "minute": timedelta(minutes=1),
    "second": timedelta(seconds=1),
}


class Unreadable(Exception):
    """A text that is no instant in the form described."""


class Dates(Settings):
    """How the begin and the end of a right are written; its form decides the granularity.

    idsync's interval is half-open, [from, until). Whether the other side counts the
    written end in (`end_inclusive`) has no default: a guess would be wrong by a day.
    """

    format: str = "%Y-%m-%d"
    end_inclusive: bool
    no_start: tuple[str, ...] = Field(default=("",), min_length=1)
    no_end: tuple[str, ...] = Field(default=("",), min_length=1)
    timezone: ZoneField = Field(default=None, validate_default=True)

    @field_validator("format")
    @classmethod
    def _whole(cls, form: str) -> str:
        used = {form[at : at + 2] for at in range(len(form)) if form[at] == "%"}
        days, minutes = {"%Y", "%m", "%d"}, {"%H", "%M"}
        if used not in (days, days | minutes, PARTS):
            raise ValueError(
                'write "%Y-%m-%d" for days, "%Y-%m-%d %H:%M" for minutes or '
                '"%Y-%m-%dT%H:%M:%S" for seconds'
            )
        return form

    @property
    def granularity(self) -> Literal["second", "minute", "day"]:
        """To what instants can be written."""
        if "%S" in self.format:
            return "second"
        return "minute" if "%M" in self.format else "day"

    def read(self, begin: str, end: str) -> tuple[datetime | None, datetime | None]:
        """Return the interval that the two texts write.

        Raises:
            Unreadable: one of them is no instant in this form.
        """
        starts = None if begin.strip() in self.no_start else self._instant(begin)
        ends = None if end.strip() in self.no_end else self._end(end)
        return starts, ends

    def write(self, begin: datetime | None, end: datetime | None) -> tuple[str, str]:
        """Return the two texts that write exactly this interval.

        Raises:
            Refused: they cannot: too fine, in a repeated hour, or a word for "never".
        """
        starts, ends = self.no_start[0], self.no_end[0]
        try:
            if begin is not None:
                starts = self._local(begin).strftime(self.format)
            if end is not None:
                ends = self._last(end).strftime(self.format)
            exact = self.read(starts, ends) == (begin, end)
        except (Unreadable, OverflowError, ValueError):
            exact = False
        if not exact:
            raise Refused(
                f"a begin or an end of a right cannot be written exactly in this form "
                f"({self.granularity}s, {self.timezone.key}): correct dates, or the date"
            )
        return starts, ends

    # ── one instant ─────────────────────────────────────────────────────────────────────

    def _local(self, instant: datetime) -> datetime:
        return instant.astimezone(self.timezone).replace(tzinfo=None)

    def _last(self, end: datetime) -> datetime:
        """Return the local moment to write for *end*."""
        if not self.end_inclusive:
            return self._local(end)
        if self.granularity == "day":
            return self._local(end) - STEPS["day"]
        return self._local(end - STEPS[self.granularity])

    def _end(self, text: str) -> datetime:
        if not self.end_inclusive:
            return self._instant(text)
        try:
            if self.granularity == "day":
                return self._utc(self._parsed(text) + STEPS["day"])
            return self._instant(text) + STEPS[self.granularity]
        except OverflowError:
            raise Unreadable from None

    def _instant(self, text: str) -> datetime:
        return self._utc(self._parsed(text))

    def _utc(self, local: datetime) -> datetime:
        try:
            return local.replace(tzinfo=self.timezone).astimezone(UTC)
        except (OverflowError, ValueError):
            raise Unreadable from None

    def _parsed(self, text: str) -> datetime:
        """Return the moment that *text* names, written again the same: nothing cut off passes."""
        try:
            found = datetime.strptime(text, self.format)  # noqa: DTZ007 - the zone is put to it
            if found.strftime(self.format) == text:
                return found
        except (ValueError, OverflowError):
            pass
        raise Unreadable
