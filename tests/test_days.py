"""Days are days of the people who live them: leap days, year ends and clock changes included."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from idsync.model import day_end, day_start

STOCKHOLM = ZoneInfo("Europe/Stockholm")
ENDS = {
    "2028-02-29": "2028-02-29T23:00:00",  # a leap day is a last day like another
    "2027-02-28": "2027-02-28T23:00:00",
    "2026-12-31": "2026-12-31T23:00:00",  # also of ISO week 53
    "2027-01-03": "2027-01-03T23:00:00",  # still ISO week 53 of 2026
    "2016-12-31": "2016-12-31T23:00:00",  # a day that had a leap second
    "2026-03-28": "2026-03-28T23:00:00",
    "2026-03-29": "2026-03-29T22:00:00",  # 23 hours long
    "2026-10-24": "2026-10-24T22:00:00",
    "2026-10-25": "2026-10-25T23:00:00",  # 25 hours long
}


@pytest.mark.case("K6")
@pytest.mark.parametrize(("day", "over"), ENDS.items())
def test_a_day_is_over_at_the_midnight_after_it(day: str, over: str) -> None:
    last = date.fromisoformat(day)
    assert day_end(last, STOCKHOLM) == datetime.fromisoformat(over).replace(tzinfo=UTC)
    assert day_end(last, STOCKHOLM) == day_start(last + timedelta(days=1), STOCKHOLM)
