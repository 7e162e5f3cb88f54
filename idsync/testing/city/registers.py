"""What the HR system and the learning system export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from idsync.testing.city.files import Rows, day, sheet
from idsync.testing.city.people import Human

FORMS = {"permanent": "TV", "fixed": "VIK", "hourly": "TIM", "elected": "FTV", "contractor": "UPP"}
PROTECTION = {"none": "N", "secrecy_marking": "S", "protected_registration": "F"}
OPEN_END = "9999-12-31"

HR_COLUMNS = (
    "AnstId", "PersonId", "Anstnr", "Förnamn", "Efternamn", "Namn", "Född", "Skydd", "Enhet",
    "Form", "Befattning", "AID", "Syssgrad", "Huvudanst", "From", "Tom", "Ledig from", "Ledig tom",
)  # fmt: skip
LMS_COLUMNS = ("Anställningsnummer", "Kurs", "Godkänd", "Giltig t.o.m.")


class Registers:
    """Both exports, person by person."""

    def __init__(self, employments: Rows, completions: Rows) -> None:
        self._employments = employments
        self._completions = completions

    def add(self, human: Human) -> None:
        """Write what the registers know of *human*: nothing, of who is gone."""
        if human.story == "gone":
            return
        person = (
            human.person_id, human.number, human.given, human.family, human.display,
            human.birth.isoformat(), PROTECTION[human.protection],
        )  # fmt: skip
        for serial, post in enumerate(human.posts, 1):
            leave = post.leave or (None, None)
            self._employments.add(
                f"{human.number}-{serial}", *person, post.unit.path, FORMS[post.form],
                post.job.title, post.job.code, str(post.percent), "J" if post.primary else "N",
                post.first.isoformat(), day(post.last, OPEN_END), day(leave[0]), day(leave[1]),
            )  # fmt: skip
        for one in human.completions:
            self._completions.add(
                human.number, one.course.id, one.completed.isoformat(), day(one.valid_to)
            )


@contextmanager
def registers(folder: Path, today: date) -> Iterator[Registers]:
    """Open hr/employments.csv and lms/completions.csv below *folder*."""
    hr, lms = folder / "hr" / "employments.csv", folder / "lms" / "completions.csv"
    with (
        sheet(hr, HR_COLUMNS, today, encoding="utf-8-sig") as employments,
        sheet(lms, LMS_COLUMNS, today, delimiter=",", encoding="windows-1252") as completions,
    ):
        yield Registers(employments, completions)
