"""Instants as ARX writes them: the wall clock of its server, without an offset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from idsync.errors import Incomplete, Refused

SECOND = timedelta(seconds=1)
NEVER_OPEN = ("2000-01-01 00:00:00", "2000-01-01 00:00:01")
"""From and until of a category that idsync has ended where ARX keeps what a document leaves out."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Translates between UTC and the wall clock of one ARX.

    Form: yyyy-MM-dd HH:mm:ss in start_date and end_date, as the booking platform's client
    writes and reads them. Whether the last second still opens is told nowhere; with
    *end_inclusive* it is taken to, so that no grant lasts longer than it should.
    """

    zone: ZoneInfo
    end_inclusive: bool

    def start_text(self, instant: datetime | None) -> str:
        """Return start_date for a grant that begins at *instant*; "" if it has no beginning.

        Raises:
            Refused: the wall clock cannot say this instant.
        """
        return self._text(instant)

    def end_text(self, instant: datetime | None) -> str:
        """Return end_date for a grant that is over at *instant*; raises as `start_text` does."""
        return self._text(instant and (instant - SECOND if self.end_inclusive else instant))

    def start(self, text: str) -> datetime | None:
        """Return the instant of a start_date; the later one where the wall clock shows it twice."""
        instants = self._instants(text)
        return max(instants) if instants else None

    def end(self, text: str) -> datetime | None:
        """Return the first instant after an end_date; of two, the earlier one."""
        instants = self._instants(text)
        if not instants:
            return None
        try:
            return min(instants) + SECOND if self.end_inclusive else min(instants)
        except OverflowError:  # the last second there is: no end
            return None

    def stamp(self) -> str:
        """Return this moment in the form of arxdata's timestamp."""
        return datetime.now(self.zone).strftime("%Y-%m-%d+%H:%M:%S")

    def _text(self, instant: datetime | None) -> str:
        if instant is None:
            return ""
        if instant.microsecond:
            raise Refused("ARX keeps whole seconds: a grant begins or ends within one")
        local = instant.astimezone(self.zone)
        if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
            raise Refused(
                "a grant begins or ends in the hour that the clock shows twice, and ARX cannot be "
                "told which of the two is meant: set another hour"
            )
        return local.replace(tzinfo=None, fold=0).isoformat(sep=" ", timespec="seconds")

    def _instants(self, text: str) -> tuple[datetime, ...]:
        """Return what *text* may mean: one instant, two at a change of clocks, none if it is empty.

        A client without dates leaves the elements out, and reads empty ones as no date.
        """
        if not text:
            return ()
        try:
            wall = datetime.fromisoformat(text)
        except ValueError:
            raise Incomplete(
                "a category has a date in a form that is not known (yyyy-MM-dd HH:mm:ss is): "
                "check the version of ARX"
            ) from None
        if wall.tzinfo is not None:
            return (wall.astimezone(UTC),)
        try:
            return tuple(
                wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1)
            )
        except OverflowError:  # year 1 or 9999: as good as without
            return ()
