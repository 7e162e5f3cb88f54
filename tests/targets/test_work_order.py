"""Orders to a landlord: what is written, under which number, and what is never written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader

from idsync.errors import Refused, Unavailable
from idsync.model import Cardholder, Change, Credential, Grant, Outcome
from idsync.targets.work_order import WorkOrderTarget
from tests.fakes.work_order import Tenant, rows_of
from tests.targets.work_order import DOORS, House, anna, give, see

CARD = Credential(number="8123456")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def target(house: House) -> WorkOrderTarget:
    return house.target()


def order(house: House, number: int) -> list[dict[str, str]]:
    return rows_of((house.folder / f"order-{number:06}.csv").read_bytes())


def paper(house: House, name: str) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(house.folder / name).pages)


# ── what is written ─────────────────────────────────────────────────────────────────────


def test_one_run_makes_two_orders_and_revocations_come_first(
    house: House, target: WorkOrderTarget
) -> None:
    people = [replace(anna("PORT A"), key=str(key)) for key in range(20)]
    for one in people[:10]:
        give(target, one)
        house.landlord.work()
    gone = [
        Change(before=see(target, str(key)), after=replace(see(target, str(key)), grants=()))
        for key in range(10)
    ]
    new = [Change(before=None, after=one) for one in people[10:]]
    outcomes = target.put_many([*new, *gone])
    assert outcomes == [Outcome(status="submitted")] * 20
    first, second = order(house, 11), order(house, 12)
    assert {line["action"] for line in first} == {"remove"}
    assert {line["action"] for line in second} == {"add"}
    assert {line["urgent"] for line in first} == {"yes"}
    assert {line["urgent"] for line in second} == {"no"}
    assert len(first) == len(second) == 10
    assert first[0]["deadline"] == "2031-03-06 12:00"
    assert second[0]["deadline"] == "2031-03-08 12:00"


def test_a_landlord_sees_name_card_doors_and_days_and_nothing_more(house: House) -> None:
    target = house.target()
    secret = {"mail": "anna@example.org", "department": "Socialkontoret", "given_name": "Annastina"}
    after = replace(anna("PORT A", credentials=(CARD,), **secret), key="HR-KEY-77")
    give(target, after)
    shown = b"".join(path.read_bytes() for path in house.folder.glob("order-*"))
    shown += paper(house, "order-000001.pdf").encode()
    for private in ("HR-KEY-77", *secret.values()):
        assert private.encode() not in shown
    lines = order(house, 1)
    assert set(lines[0]) == {
        "order", "line", "of", "code", "urgent", "deadline", "action", "what", "reference", "name",
        "card", "door", "from", "last_day", "replaces",
    }  # fmt: skip
    assert [line["action"] for line in lines] == ["add_card", "add"], "a card comes before doors"
    assert {(line["name"], line["card"], line["of"]) for line in lines} == {
        ("Anna Ek", "8123456", "2")
    }


def test_without_a_released_name_there_is_only_the_alias(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, Cardholder(key="1001", grants=(Grant(ref="PORT A"),)))
    [line] = order(house, 1)
    assert (line["reference"], line["name"]) == ("P1", "")
    assert see(target).display_name is None


def test_the_paper_shows_swedish_letters_deadline_and_codes(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("CYKELRUM Å", display_name="Åsa Öberg"))
    text = paper(house, "order-000001.pdf")
    [line] = order(house, 1)
    for word in (
        "Arbetsorder / Work order 1", "Åsa Öberg", "CYKELRUM Å", line["code"],
        "2031-03-08 12:00", "Björkens Fastigheter AB", "Underskrift / Signature",
    ):  # fmt: skip
        assert word in text


def test_one_language_may_be_enough(house: House) -> None:
    give(house.target(languages=["en"]), anna("PORT A"))
    assert "Arbetsorder" not in paper(house, "order-000001.pdf")
    assert order(house, 1)[0]["what"] == "Add door"


def test_the_order_of_languages_is_that_of_the_setting(house: House) -> None:
    give(house.target(languages=["en", "sv"]), anna("PORT A"))
    assert "Work order / Arbetsorder 1" in paper(house, "order-000001.pdf")


def test_a_long_order_repeats_its_headings_and_says_its_pages(
    house: House, target: WorkOrderTarget
) -> None:
    changes = [
        Change(before=None, after=replace(anna(*DOORS), key=str(key), display_name="Å" * 100))
        for key in range(30)
    ]
    target.put_many(changes)
    pages = [page.extract_text() for page in PdfReader(house.folder / "order-000001.pdf").pages]
    assert len(pages) > 3
    assert all("Do this" in page for page in pages[:-1])
    assert f"{len(pages)}/{len(pages)}" in pages[-1]


def test_a_person_with_many_cards_fits_on_a_page(house: House, target: WorkOrderTarget) -> None:
    cards = tuple(Credential(number=f"{number:040}") for number in range(40))
    give(target, anna("PORT A", credentials=cards))
    assert len(order(house, 1)[-1]["card"].split()) == 40
    assert "+ 34 (CSV)" in paper(house, "order-000001.pdf")


def test_the_same_order_is_the_same_to_the_byte(tmp_path: Path) -> None:
    documents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        house = House(tmp_path / name)
        give(house.target(), anna(*DOORS))
        documents.append([path.read_bytes() for path in sorted(house.folder.glob("order-*"))])
    assert documents[0] == documents[1]


# ── numbers ─────────────────────────────────────────────────────────────────────────────


def test_a_crash_between_two_documents_uses_no_number_twice(
    house: House, target: WorkOrderTarget
) -> None:
    in_the_way = house.folder / "order-000001.pdf"
    in_the_way.mkdir()
    with pytest.raises(Unavailable):
        give(target, anna("PORT A"))
    rows = (house.folder / "order-000001.csv").read_bytes()
    assert not in_the_way.is_file()
    in_the_way.rmdir()
    again = house.target()
    assert give(again, anna("PORT A")).status == "submitted", "the order stands, and is not doubled"
    assert in_the_way.is_file()
    assert (house.folder / "order-000001.csv").read_bytes() == rows
    assert house.files("order-*.csv") == ["order-000001-answer.csv", "order-000001.csv"]
    give(again, replace(anna("PORT A"), key="1002"))
    assert "order-000002.csv" in house.files("order-*.csv")


def test_what_a_crash_left_half_written_is_cleared_away(
    house: House, target: WorkOrderTarget
) -> None:
    left = house.folder / ".order-000001.csv.0badcafe"
    left.write_text("half a")
    os.utime(left, (0, 0))
    give(target, anna("PORT A"))
    assert not left.exists()


# ── ledger and folder belong together ───────────────────────────────────────────────────


def test_without_leave_no_ledger_is_made(house: House) -> None:
    with pytest.raises(Unavailable, match="create = true"):
        list(house.target(create=False).read())


def test_reading_makes_no_ledger(house: House, target: WorkOrderTarget) -> None:
    house.landlord.tenants.append(Tenant(name="Bo Ek", doors={"PORT A": ("", "")}))
    house.landlord.write_list()
    before = house.files("*")
    assert [found.key for found in target.read()] == [None]
    assert target.read_one("1001") is None
    assert target.troubles() == []
    with pytest.raises(Refused, match="no such order"):
        target.acknowledge(1, None, True, "", "Bo Ek")
    assert house.files("*") == before
    assert not (house.root / "ledger.sqlite").exists()


def test_a_lost_ledger_is_never_replaced_by_an_empty_one(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    (house.root / "ledger.sqlite").unlink()
    for call in (lambda: list(target.read()), lambda: give(target, anna("PORT B")), target.check):
        with pytest.raises(Unavailable, match="the ledger of work orders is gone"):
            call()


def test_an_older_copy_of_the_ledger_is_seen(house: House, target: WorkOrderTarget) -> None:
    give(target, anna("PORT A"))
    copy = (house.root / "ledger.sqlite").read_bytes()
    give(target, replace(anna("PORT A"), key="1002"))
    (house.root / "ledger.sqlite").write_bytes(copy)
    with pytest.raises(Unavailable, match="older than the orders"):
        list(target.read())


def test_an_empty_place_where_the_folder_is_not_mounted_gets_no_orders(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    house.folder.rename(house.root / "elsewhere")
    house.folder.mkdir()
    with pytest.raises(Unavailable, match="is not the one"):
        give(house.target(inventory=None), anna("PORT B"))
    assert house.files("*") == []


def test_two_ledgers_never_share_a_folder(house: House, target: WorkOrderTarget) -> None:
    give(target, anna())
    (house.root / "ledger.sqlite").rename(house.root / "first.sqlite")
    for path in house.folder.glob("*.txt"):
        path.unlink()
    for path in house.folder.glob("order-*"):
        path.unlink()
    give(house.target(), anna())
    with pytest.raises(Unavailable, match="belongs to another ledger"):
        list(house.target(ledger=str(house.root / "first.sqlite")).read())


@pytest.mark.parametrize("damage", [b"", b"not a database at all, but long enough for one" * 99])
def test_a_damaged_ledger_is_unavailable(
    house: House, target: WorkOrderTarget, damage: bytes
) -> None:
    give(target, anna("PORT A"))
    (house.root / "ledger.sqlite").write_bytes(damage)
    with pytest.raises(Unavailable):
        list(target.read())


def test_only_its_owner_may_read_the_ledger(house: House, target: WorkOrderTarget) -> None:
    give(target, anna())
    assert (house.root / "ledger.sqlite").stat().st_mode & 0o077 == 0
