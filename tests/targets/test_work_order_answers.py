"""What becomes of an order: awaited, late, reminded of, refused, replaced, acknowledged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader

from idsync.errors import Refused
from idsync.model import Credential
from idsync.targets.work_order import WorkOrderTarget
from tests.fakes.work_order import rows_of
from tests.targets.work_order import House, anna, give, refs, see


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def target(house: House) -> WorkOrderTarget:
    return house.target()


# ── awaited, late, reminded ─────────────────────────────────────────────────────────────


def test_what_is_not_acknowledged_is_pending_with_number_and_deadline(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    assert see(target).pending == "order 1, to be done by 2031-03-08 12:00"
    before = see(target)
    give(target, replace(before, grants=()), before)
    assert see(target).pending == "order 2 (urgent), to be done by 2031-03-06 12:00"
    house.landlord.work()
    assert not see(target).pending


def test_what_is_late_says_by_how_much_and_nothing_of_the_person(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    house.clock.later(hours=73)
    told = see(target).pending
    assert told == "order 1, to be done by 2031-03-08 12:00: overdue by 1 hour, 1 reminder written"
    house.clock.later(hours=72)
    assert "overdue by 3 days, 2 reminders written" in see(target).pending
    assert "Anna" not in told


def test_reminders_are_numbered_and_at_most_one_an_interval(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A", "PORT B"))
    house.clock.later(hours=72)
    see(target)
    assert house.files("*reminder*") == [], "not before the deadline has passed"
    house.clock.later(hours=1)
    for _ in range(3):
        see(target)
    assert house.files("*reminder*.pdf") == ["order-000001-reminder-000001.pdf"]
    house.clock.later(hours=23, minutes=59)
    see(target)
    assert len(house.files("*reminder*.pdf")) == 1
    house.clock.later(minutes=1)
    see(house.target())
    assert house.files("*reminder*.pdf")[-1] == "order-000001-reminder-000002.pdf"


def test_a_reminder_names_only_what_is_not_answered(house: House, target: WorkOrderTarget) -> None:
    give(target, anna("PORT A", "PORT B"))
    house.landlord.work(most=1)
    house.clock.later(hours=80)
    see(target)
    reader = PdfReader(house.folder / "order-000001-reminder-000001.pdf")
    text = "\n".join(page.extract_text() for page in reader.pages)
    assert "PORT B" in text
    assert "PORT A" not in text
    assert "Reminder 1: arbetsorder / work order 1" in text
    assert house.landlord.is_genuine(house.folder / "order-000001-reminder-000001.pdf")


def test_a_late_landlord_is_believed_all_the_same(house: House, target: WorkOrderTarget) -> None:
    give(target, anna("PORT A"))
    house.tomorrow(10)
    house.landlord.work()
    assert not see(target).pending
    house.tomorrow(10)
    see(target)
    assert house.files("*reminder*.pdf") == []


def test_an_order_half_answered_is_pending_for_the_other_half(
    house: House, target: WorkOrderTarget
) -> None:
    target.put_many([])
    give(target, anna("PORT A", "PORT B"))
    house.landlord.work(most=1)
    assert see(target).pending
    house.landlord.work()
    assert not see(target).pending


# ── refused ─────────────────────────────────────────────────────────────────────────────


def test_what_could_not_be_done_is_amiss_and_an_empty_change_orders_it_again(
    house: House, target: WorkOrderTarget
) -> None:
    house.landlord.refuses = {"add": "R3"}
    give(target, anna("PORT A"))
    house.landlord.work()
    found = see(target)
    assert found.amiss == "order 1 line 1 could not be done (R3: no such door)"
    assert refs(found) == {"PORT A"}
    house.landlord.refuses = {}
    for _ in range(2):
        assert give(target, found, found).status == "submitted"
    assert len(house.landlord.orders()) == 2, "twice is once"
    assert see(target).pending
    assert not see(target).amiss
    house.landlord.work()
    assert not see(target).amiss
    assert house.landlord.tenant("P1").doors == {"PORT A": ("", "")}


@pytest.mark.parametrize("action", ["remove", "suspend", "block_card", "rename", "add_card"])
def test_every_kind_of_line_that_was_refused_is_ordered_again(
    house: House, target: WorkOrderTarget, action: str
) -> None:
    card = Credential(number="8123456")
    give(target, anna("PORT A", credentials=(card,)))
    house.landlord.work()
    before = see(target)
    house.landlord.refuses = {action: "R5"}
    cards = (replace(card, state="stolen"), Credential(number="8123457"))
    after = replace(
        before, status="suspended", grants=(), credentials=cards, display_name="Anna Berg"
    )
    give(target, after, before)
    house.landlord.work()
    assert "R5: technical fault" in see(target).amiss
    house.landlord.refuses = {}
    found = see(target)
    give(target, found, found)
    [again] = house.landlord.work()
    assert again["result"] == "klart"
    assert not see(target).amiss
    tenant = house.landlord.tenant("P1")
    assert (tenant.blocked, tenant.doors, tenant.name) == (True, {}, "Anna Berg")
    assert tenant.cards == {"8123456": False, "8123457": True}


def test_what_was_refused_and_is_no_longer_wanted_is_not_ordered_again(
    house: House, target: WorkOrderTarget
) -> None:
    house.landlord.refuses = {"add": "R4"}
    give(target, anna("PORT A"))
    house.landlord.work()
    found = see(target)
    house.landlord.refuses = {}
    give(target, replace(found, grants=()), found)
    lines = house.landlord.work()
    assert len(lines) == 1
    assert not see(target).amiss
    assert refs(see(target)) == set()


# ── replaced ────────────────────────────────────────────────────────────────────────────


def test_a_newer_order_says_which_older_line_not_to_carry_out(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    before = see(target)
    give(target, replace(before, grants=()), before)
    [line] = rows_of((house.folder / "order-000002.csv").read_bytes())
    assert line["replaces"] == "order 1 line 1"
    text = PdfReader(house.folder / "order-000002.pdf").pages[0].extract_text()
    assert "Ersätter order 1" in text
    house.clock.later(days=9)
    see(target)
    assert house.files("*reminder*.pdf") == ["order-000002-reminder-000001.pdf"]


def test_an_older_order_carried_out_last_is_seen_and_set_right(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    before = see(target)
    give(target, replace(before, grants=()), before)
    [added, removed] = list(house.landlord.waiting())
    house.landlord.answer([house.landlord.answer_of(removed)])
    assert refs(see(target)) == set()
    assert not see(target).amiss
    house.landlord.carry_out(added)
    house.landlord.answer([house.landlord.answer_of(added)])
    found = see(target)
    assert found.amiss == "order 2 line 1: an older order was carried out after it"
    house.landlord.handled = {("1", "1"), ("2", "1")}
    give(target, found, found)
    house.landlord.work()
    assert house.landlord.tenant("P1").doors == {}
    assert not see(target).amiss


def test_the_day_tells_which_order_came_last_when_answers_cross(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    before = see(target)
    give(target, replace(before, grants=()), before)
    house.tomorrow(2)
    added, removed = [house.landlord.answer_of(line) for line in house.landlord.waiting()]
    house.landlord.answer([removed | {"date": "2031-03-05"}, added | {"date": "2031-03-06"}])
    assert "an older order" in see(target).amiss


def test_answers_to_both_orders_on_one_day_are_taken_in_their_order(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    before = see(target)
    give(target, replace(before, grants=()), before)
    house.landlord.work()
    assert not see(target).amiss
    assert refs(see(target)) == set()


# ── by command ──────────────────────────────────────────────────────────────────────────


def test_an_operator_acknowledges_a_line_or_a_whole_order(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A", "PORT B", "CYKELRUM Å"))
    target.acknowledge(1, 2, False, "R3", "Bo Ek")
    assert see(target).amiss.startswith("order 1 line 2")
    assert see(target).pending
    target.acknowledge(1, None, True, "", "Bo Ek")
    assert not see(target).pending
    assert see(target).amiss.startswith("order 1 line 2"), "only what was open is done"
    target.acknowledge(1, 2, True, "", "Bo Ek")
    assert not see(target).amiss


@pytest.mark.parametrize(
    ("order", "line", "done", "reason", "by"),
    [
        (2, None, True, "", "Bo Ek"), (1, 2, True, "", "Bo Ek"), (1, 0, True, "", "Bo Ek"),
        (1, 1, False, "", "Bo Ek"), (1, 1, False, "R99", "Bo Ek"), (1, 1, True, "R1", "Bo Ek"),
        (1, 1, True, "", ""), (1, 1, True, "", "Bo\nEk"), (1, 1, True, "", "B" * 101),
    ],
)  # fmt: skip
def test_an_acknowledgement_that_does_not_fit_is_refused_and_changes_nothing(
    target: WorkOrderTarget, order: int, line: int | None, done: bool, reason: str, by: str
) -> None:
    give(target, anna("PORT A"))
    with pytest.raises(Refused) as told:
        target.acknowledge(order, line, done, reason, by)
    assert "Bo" not in str(told.value)
    assert see(target).pending


def test_what_was_done_is_not_taken_back_by_command_either(target: WorkOrderTarget) -> None:
    give(target, anna("PORT A"))
    target.acknowledge(1, 1, True, "", "Bo Ek")
    target.acknowledge(1, 1, True, "", "Bo Ek")
    with pytest.raises(Refused, match="was done"):
        target.acknowledge(1, 1, False, "R1", "Bo Ek")
