"""Files of answers: as spreadsheets write them, with faults, half written, edited and forged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader

from idsync.model import Change
from idsync.targets.work_order import FAULTS, WorkOrderTarget
from tests.fakes.work_order import BY, rows_of
from tests.targets.work_order import House, anna, give, see


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def target(house: House) -> WorkOrderTarget:
    return house.target()


def faults(house: House) -> str:
    """Return what the landlord is told to be wrong."""
    path = house.folder / FAULTS
    return path.read_text() if path.exists() else ""


# ── files of answers ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("separator", [";", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("result", ["klart", "done", "DONE", "Klart"])
def test_an_answer_is_read_as_spreadsheets_write_it(
    house: House, target: WorkOrderTarget, separator: str, encoding: str, result: str
) -> None:
    give(target, anna("PORT A"))
    [line] = list(house.landlord.waiting())
    said = house.landlord.answer_of(line, result=result, code=line["code"].lower())
    house.landlord.answer([said], separator=separator, encoding=encoding)
    assert not see(target).pending
    assert target.troubles() == []


def test_a_form_that_is_filled_in_row_by_row_is_read_as_it_grows(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A", "PORT B"))
    form = rows_of((house.folder / "order-000001-answer.csv").read_bytes())
    filled = {"result": "klart", "date": "2031-03-05", "by": BY}
    house.landlord.answer([form[0] | filled, form[1]], name="form.csv")
    assert see(target).pending
    house.landlord.answer([form[0] | filled, form[1] | filled], name="form.csv")
    assert not see(target).pending


WRONG = {
    "a code that is not the line's": ({"code": "BBBBBB"}, "the code is not that of order 1"),
    "no code": ({"code": ""}, "the code is not that of order 1"),
    "an order that was never made": ({"order": "7"}, "made no such order and line"),
    "a line that is not there": ({"line": "9"}, "made no such order and line"),
    "an order that is no number": ({"order": "I"}, "order is not a number"),
    "another result": ({"result": "kanske"}, "the result must be one of"),
    "done with a reason": ({"result": "klart", "reason": "R1"}, "with a reason"),
    "not done without a reason": ({"result": "gick inte"}, "the reason must be one of"),
    "not done for a reason of one's own": (
        {"result": "gick inte", "reason": "semester"}, "the reason must be one of",
    ),
    "a day that has not come": ({"date": "2031-03-06"}, "has not come yet"),
    "a day before the order": ({"date": "2031-03-04"}, "before order 1 was made"),
    "a day as no calendar has it": ({"date": "2031-02-30"}, "is not a date"),
    "a day as another country writes it": ({"date": "05/03/2031"}, "is not a date"),
    "nobody's name": ({"by": ""}, "who did it must be named"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "told"), WRONG.values(), ids=WRONG.keys())
def test_an_answer_with_one_fault_changes_nothing_and_is_told(
    house: House, target: WorkOrderTarget, changed: dict[str, str], told: str
) -> None:
    other = replace(anna("PORT A"), key="1002")
    target.put_many([Change(before=None, after=one) for one in (other, anna("PORT A"))])
    first, second = list(house.landlord.waiting())
    good = house.landlord.answer_of(first)
    house.landlord.answer([good, house.landlord.answer_of(second, **changed)], name="svar.csv")
    assert see(target).pending
    assert see(target, "1002").pending, "the good row of a file with a fault is not used either"
    [trouble] = target.troubles()
    assert trouble.startswith("acknowledgement svar.csv: ")
    assert told in trouble
    assert told in faults(house)
    assert trouble.partition(": ")[2] in target.check()
    assert "Anna" not in trouble + BY.replace("Anna", "")
    house.landlord.answer([good, house.landlord.answer_of(second)], name="svar.csv")
    assert not see(target).pending
    assert (target.troubles(), faults(house)) == ([], "")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"hello\n", b"order;line\n1;1\n", b"\xff\xfe\x00\x00", b"PK\x03\x04\n",
        b"order;line;code;result;reason;date;by\n1;1;x;done;;2031-03-05;A;B\n",
        b'order;line;code;result;reason;date;by\n1;1;"x;done;;2031-03-05;A\n',
        b"order;line;code;result;reason;date;by;\x81\n",
        b"order;order;line;code;result;reason;date;by\n",
    ],
)  # fmt: skip
def test_a_file_that_is_no_answer_is_told_and_hides_nobody(
    house: House, target: WorkOrderTarget, content: bytes
) -> None:
    give(target, anna("PORT A"))
    (house.landlord.inbox / "svar.csv").write_bytes(content)
    assert see(target).pending
    assert len(target.troubles()) == 1


def test_a_file_that_is_still_being_written_is_read_when_it_is_whole(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A", "PORT B"))
    lines = [house.landlord.answer_of(line) for line in house.landlord.waiting()]
    path = house.landlord.answer(lines)
    whole = path.read_bytes()
    for length in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert see(target).pending
    path.write_bytes(whole)
    assert not see(target).pending
    assert target.troubles() == []


def test_a_link_to_nothing_hides_no_answer(house: House, target: WorkOrderTarget) -> None:
    give(target, anna("PORT A"))
    (house.landlord.inbox / "a.csv").symlink_to(house.root / "nothing")
    (house.landlord.inbox / "b.csv").mkdir()
    house.landlord.work()
    assert not see(target).pending


def test_a_landlord_in_another_zone_answers_by_the_days_there(house: House) -> None:
    target = house.target(timezone="America/New_York")
    house.clock.later(hours=14)  # 01:00 UTC, and still the day before in New York
    give(target, anna("PORT A"))
    house.landlord.work()
    assert not see(target).pending


def test_the_same_answer_twice_is_one(house: House, target: WorkOrderTarget) -> None:
    give(target, anna("PORT A"))
    answers = house.landlord.work()
    house.landlord.answer(answers * 2)
    assert not see(target).pending
    assert target.troubles() == []


def test_two_answers_that_contradict_each_other_are_both_not_used(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    [line] = list(house.landlord.waiting())
    both = [house.landlord.answer_of(line), house.landlord.answer_of(line, reason="R1")]
    house.landlord.answer(both)
    assert see(target).pending
    assert "another answer than an earlier row" in target.troubles()[0]


def test_done_is_not_taken_back_but_what_failed_may_succeed(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    [line] = list(house.landlord.waiting())
    house.landlord.answer([house.landlord.answer_of(line, reason="R5")])
    assert see(target).amiss
    house.landlord.answer([house.landlord.answer_of(line)])
    assert not see(target).amiss
    house.landlord.answer([house.landlord.answer_of(line, reason="R5")])
    assert not see(target).amiss
    assert "was done, says an older answer" in target.troubles()[0]


def test_a_whole_order_is_acknowledged_by_the_code_on_its_foot(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A", "PORT B"))
    text = PdfReader(house.folder / "order-000001.pdf").pages[0].extract_text()
    code = text.partition("Code for the whole order: ")[2][:6]
    [line, _] = list(house.landlord.waiting())
    house.landlord.answer([house.landlord.answer_of(line, line="")])
    assert see(target).pending, "the code of one line is not that of the order"
    house.landlord.answer([house.landlord.answer_of(line, line="", code=code)])
    assert not see(target).pending


# ── forged and edited ───────────────────────────────────────────────────────────────────


def test_a_forged_answer_for_another_line_is_not_used(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    give(target, replace(anna("PORT A"), key="1002"))
    mine, other = list(house.landlord.waiting())
    house.landlord.answer([house.landlord.answer_of(other, code=mine["code"])])
    assert see(target, "1002").pending
    assert see(target).pending


def test_an_order_that_somebody_edits_is_told_and_a_line_added_to_it_is_not_acknowledged(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    path = house.folder / "order-000001.csv"
    path.write_bytes(path.read_bytes().replace(b"PORT A", b"PORT B"))
    assert "order-000001.csv is not as idsync wrote it" in target.check()
    with pytest.raises(AssertionError, match="not from idsync"):
        house.landlord.work()
    [line] = rows_of(path.read_bytes())
    house.landlord.answer([house.landlord.answer_of(line, line="2")])
    assert "made no such order and line" in " ".join(target.troubles())


def test_codes_are_such_that_no_spreadsheet_takes_one_for_a_number(
    house: House, target: WorkOrderTarget
) -> None:
    doors = [f"PORT {number}" for number in range(200)]
    give(target, anna(*doors))
    codes = {line["code"] for line in house.landlord.waiting()}
    assert len(codes) == 200
    assert all(code.isalpha() and code.isupper() and len(code) == 6 for code in codes)
