"""What the target asks and the fake answers, held against the vendor's own description.

It is no part of the project: see `tests/fakes/gallagher_described.py`. Where it is absent
these tests are skipped, with that reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from idsync.model import Cardholder, Change, Credential, Grant
from tests.fakes.gallagher_described import MISSING, Description, description
from tests.fakes.gallagher_habits import Habits, Seen
from tests.targets.gallagher_site import ALARM_RIGHTS, RIGHTS, TRAINING, Site, someone, write

pytestmark = pytest.mark.published


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def vendor() -> Description:
    found = description()
    if found is None:
        pytest.skip(MISSING)
    return found


def story(site: Site, habits: Habits) -> list[Seen]:
    """Do everything that the target can, once, and return what was asked and answered."""
    fake, target = site(habits, competencies=True, page_size=2)
    mark = target.changes("").bookmark
    dates = (datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC))
    grants = (
        Grant(ref=RIGHTS[0], valid_from=dates[0], valid_to=dates[1]),
        Grant(ref=RIGHTS[1]),
        Grant(ref=ALARM_RIGHTS[0], kind="alarm"),
        Grant(ref=TRAINING, kind="competency", valid_to=dates[1]),
    )
    new = Cardholder(key="1001", given_name="Anna", mail="anna@example.org", grants=grants)
    target.put(Change(before=None, after=new))
    for key in ("1002", "1003", None):
        someone(fake.system, key, RIGHTS[2])
    write(fake.system, Cardholder(key="1001", credentials=(Credential(number="70001"),)))
    before = target.read_one("1001")
    assert before is not None
    lost = replace(before.credentials[0], state="lost")
    moved = (replace(grants[0], valid_to=None), replace(grants[3], valid_to=dates[0]))
    after = replace(before, mail="", family_name="Ek", grants=moved, credentials=(lost,))
    target.put(Change(before=before, after=replace(after, status="suspended")))
    gone = target.read_one("1001")
    assert gone is not None
    target.put(Change(before=gone, after=replace(gone, status="active", grants=())))
    assert len(list(target.read())) == 4
    assert set(target.changes(mark).keys or ()) == {"1001", "1002", "1003"}
    target.check()
    return fake.seen


@pytest.mark.parametrize(
    "habits",
    [Habits(), Habits(patched=200, page_limit=1, next_forgets=True, blank_takes_default=True)],
)
def test_all_that_is_asked_and_answered_is_as_the_vendor_describes(
    site: Site, vendor: Description, habits: Habits
) -> None:
    seen = story(site, habits)
    assert [told for one in seen for told in vendor.complaints(one)] == []
    kinds = {(one.method, one.path.split("/")[2] if "/" in one.path[1:] else "") for one in seen}
    assert kinds >= {
        ("GET", ""), ("GET", "cardholders"), ("GET", "access_groups"), ("GET", "competencies"),
        ("GET", "personal_data_fields"), ("POST", "cardholders"), ("PATCH", "cardholders"),
    }  # fmt: skip


PATCH = Seen(
    "PATCH",
    "/api/cardholders/325",
    [],
    {},
    {
        "authorised": True,
        "accessGroups": {"update": [{"href": "https://h/a/b", "until": ""}]},
        "cards": {"update": [{"href": "https://h/a/c", "status": {"value": "Lost"}}]},
    },
    status=204,
)
SEARCH = Seen(
    "GET",
    "/api/cardholders",
    [("sort", "id"), ("fields", "href,pdf_12"), ("pdf_12", '"1"')],
    {},
    None,
    status=200,
    answer={"results": [{"href": "https://h/a/d", "@Key": "1"}]},
)
PLANTED: dict[str, tuple[Seen, list[Any], Any, str]] = {
    "a verb": (PATCH, ["method"], "PUT", "no such operation"),
    "an address": (PATCH, ["path"], "/api/cardholder/325", "no such operation"),
    "a query parameter": (SEARCH, ["query", 0], ("order", "id"), "order is not described"),
    "an order": (SEARCH, ["query", 0], ("sort", "number"), "sort=number is not described"),
    "a field": (SEARCH, ["query", 1], ("fields", "href,keys"), "fields=keys is not described"),
    "a member": (PATCH, ["body", "active"], True, "member active is not described"),
    "a type": (PATCH, ["body", "authorised"], "yes", "authorised is not as described"),
    "a list": (PATCH, ["body", "cards", "set"], [], "other lists than add"),
    "a group that changes": (
        PATCH, ["body", "accessGroups", "update", 0, "accessGroup"], {"href": "https://h/x"},
        "accessGroup is said of what is new",
    ),
    "no href": (
        PATCH, ["body", "accessGroups", "update", 0], {"until": ""}, "an href belongs to",
    ),
    "a read-only state": (
        PATCH, ["body", "cards", "update", 0, "status", "type"], "inactive",
        "status.type is read-only",
    ),
    "a card's number": (
        PATCH, ["body", "cards", "update", 0, "number"], "7", "number cannot change",
    ),
    "a made-up state": (
        PATCH, ["body", "cards", "update", 0, "status", "type"], "lost", "not as described (enum)",
    ),
    "a made-up answer": (
        SEARCH, ["answer", "results", 0, "employeeNumber"], "1", "employeeNumber is not described",
    ),
    "an answer's type": (SEARCH, ["answer", "results"], {}, "results is not as described"),
    "a status": (PATCH, ["status"], 418, "answer 418 is not described"),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "at", "value", "told"), PLANTED.values(), ids=PLANTED)
def test_what_is_not_as_described_is_seen(
    vendor: Description, seen: Seen, at: list[Any], value: Any, told: str
) -> None:
    assert vendor.complaints(seen) == []
    wrong = deepcopy(seen)
    place: Any = wrong
    for step in at[:-1]:
        place = getattr(place, step) if isinstance(place, Seen) else place[step]
    if isinstance(place, Seen):
        setattr(place, at[-1], value)
    else:
        place[at[-1]] = value
    assert any(told in one for one in vendor.complaints(wrong)), vendor.complaints(wrong)
