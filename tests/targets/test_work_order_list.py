"""The landlord's own list, the font, and what `check` says."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]  # has no types
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]  # has no types
from pydantic import ValidationError
from pypdf import PdfReader

from idsync.errors import ConfigError, Denied, Incomplete, Refused, Unavailable
from idsync.model import Credential
from idsync.targets.work_order import WorkOrderTarget
from tests.fakes.work_order import PUBLIC_KEY, Tenant
from tests.targets.work_order import House, anna, give, refs, see


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def target(house: House) -> WorkOrderTarget:
    return house.target()


# ── the list ────────────────────────────────────────────────────────────────────────────


def test_without_a_list_only_what_was_ordered_is_shown(house: House) -> None:
    house.landlord.tenants.append(Tenant(name="Bo Ek", doors={"PORT A": ("", "")}))
    house.landlord.write_list()
    target = house.target(inventory=None)
    give(target, anna("PORT A"))
    assert [found.key for found in target.read()] == ["1001"]


def test_a_landlord_who_says_done_and_does_nothing_is_seen_through_the_next_day(
    house: House, target: WorkOrderTarget
) -> None:
    house.landlord.does_nothing = True
    give(target, anna("PORT A"))
    house.landlord.work()
    assert refs(see(target)) == {"PORT A"}, "an answer of today is believed today"
    house.tomorrow()
    house.landlord.write_list()
    assert refs(see(target)) == set()


def test_a_door_that_was_removed_and_stands_in_a_later_list_is_shown(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    house.landlord.work()
    house.tomorrow()
    house.landlord.does_nothing = True
    before = see(target)
    give(target, replace(before, grants=()), before)
    house.landlord.work()
    assert refs(see(target)) == set()
    house.tomorrow()
    house.landlord.write_list()
    found = see(target)
    assert refs(found) == {"PORT A"}
    assert [reason.ref for grant in found.grants for reason in grant.because] == ["landlord"]


def test_a_blocked_card_that_opens_something_in_a_later_list_is_active(
    house: House, target: WorkOrderTarget
) -> None:
    card = Credential(number="8123456")
    give(target, anna("PORT A", credentials=(card,)))
    house.landlord.work()
    before = see(target)
    house.landlord.does_nothing = True
    give(target, replace(before, credentials=(replace(card, state="stolen"),)), before)
    house.landlord.work()
    assert [found.state for found in see(target).credentials] == ["stolen"]
    house.tomorrow()
    house.landlord.write_list()
    assert [found.state for found in see(target).credentials] == ["active"]


def test_what_is_awaited_is_shown_as_it_shall_be_whatever_the_list_says(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    house.tomorrow()
    house.landlord.write_list()
    assert refs(see(target)) == {"PORT A"}
    assert see(target).pending


def test_a_later_list_shows_that_what_was_refused_was_done_after_all(
    house: House, target: WorkOrderTarget
) -> None:
    house.landlord.refuses = {"add": "R3"}
    give(target, anna("PORT A"))
    house.landlord.work()
    house.tomorrow()
    house.landlord.write_list()
    assert see(target).amiss
    house.landlord.tenant("P1").doors["PORT A"] = ("", "")
    house.landlord.write_list()
    assert not see(target).amiss


def test_a_row_without_reference_is_tied_by_a_card_that_one_person_has(
    house: House, target: WorkOrderTarget
) -> None:
    card = Credential(number="8123456")
    give(target, anna("PORT A", credentials=(card,)))
    house.landlord.work()
    theirs = Tenant(name="A Ek", cards={"8123456": True}, doors={"PORT B": ("", "")})
    house.landlord.tenants.append(theirs)
    house.landlord.write_list()
    assert refs(see(target)) == {"PORT A", "PORT B"}
    give(target, replace(anna("PORT A", credentials=(card,)), key="1002"))
    assert refs(see(target)) == {"PORT A"}, "a card of two people tells of neither"
    assert [refs(found) for found in target.read() if found.key is None] == [{"PORT B"}]


def test_two_strangers_of_one_name_with_cards_are_two(
    house: House, target: WorkOrderTarget
) -> None:
    for card, door in (("1", "PORT A"), ("2", "PORT B")):
        house.landlord.tenants.append(
            Tenant(name="Bo Ek", cards={card: True}, doors={door: ("", "")})
        )
    house.landlord.write_list()
    found = list(target.read())
    assert [refs(one) for one in found] == [{"PORT A"}, {"PORT B"}]
    assert len({one.native_id for one in found}) == 2
    assert all(one.key is None and one.native_id.startswith("L") for one in found)


HEAD = "reference;name;card;door;from;last_day\n"
BAD = {
    "cut before its end": (HEAD + ";Bo;1;PORT A;;\n", "the last row must be total"),
    "cut in a row": (HEAD + ";Bo;1;POR", "the last row has no end"),
    "short of a row": (HEAD + ";Bo;1;PORT A;;\ntotal;2;2031-03-05\n", "says 2 rows and has 1"),
    "two lists in one": (
        HEAD + "total;0;2031-03-05\ntotal;0;2031-03-05\n", "the last row must be total"
    ),
    "going on after its end": (
        HEAD + "total;1;2031-03-05\n;Bo;1;PORT A;;\n", "the last row must be total"
    ),
    "of a day that has not come": (HEAD + "total;0;2031-03-06\n", "has not come"),
    "too old": (HEAD + "total;0;2031-01-28\n", "older than 35 days"),
    "without a day": (HEAD + "total;0;\n", "is not a date"),
    "with other columns": ("name;card\ntotal;0\n", "the first row must be"),
    "with a reference of nobody": (
        HEAD + "P77;Bo;1;PORT A;;\ntotal;1;2031-03-05\n", "reference that was never given"
    ),
    "with a door of nobody": (HEAD + ";;;PORT A;;\ntotal;1;2031-03-05\n", "a door without"),
    "with dates of no door": (
        HEAD + ";Bo;;;2031-01-01;\ntotal;1;2031-03-05\n", "dates without a door"
    ),
    "with a wrong date": (HEAD + ";Bo;;PORT A;1/2/31;\ntotal;1;2031-03-05\n", "is not a date"),
    "with the last day of all": (
        HEAD + ";Bo;;PORT A;;9999-12-31\ntotal;1;2031-03-05\n", "no calendar holds"
    ),
    "with a name as long as a page": (
        HEAD + f";{'B' * 101};;PORT A;;\ntotal;1;2031-03-05\n", "longer than 100"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "told"), BAD.values(), ids=BAD.keys())
def test_a_list_that_is_not_proven_whole_is_never_half_used(
    house: House, target: WorkOrderTarget, text: str, told: str
) -> None:
    give(target, anna("PORT A"))
    house.landlord.list_file.write_text(text)
    for call in (
        lambda: list(target.read()), lambda: see(target), target.check,
        lambda: give(target, anna("PORT A", "PORT B")),
    ):  # fmt: skip
        with pytest.raises(Incomplete, match=told) as error:
            call()
        assert "Bo" not in str(error.value)
    assert len(house.landlord.orders()) == 1


def test_a_list_that_is_not_there_is_unavailable(house: House, target: WorkOrderTarget) -> None:
    house.landlord.list_file.unlink()
    with pytest.raises(Unavailable, match="inventory"):
        list(target.read())


def test_a_list_grows_too_old_while_idsync_runs(house: House, target: WorkOrderTarget) -> None:
    list(target.read())
    house.clock.later(days=36)
    with pytest.raises(Incomplete, match="older than 35 days"):
        list(target.read())


# ── letters ─────────────────────────────────────────────────────────────────────────────


def font_with(letters: str, path: Path) -> Path:
    """Make a TrueType font of some letters, each of them a square."""
    names = {ord(letter): f"u{ord(letter):04X}" for letter in letters}
    glyphs = [".notdef", *names.values()]
    pen = TTGlyphPen(None)
    for point, (x, y) in enumerate([(50, 0), (50, 500), (450, 500), (450, 0)]):
        pen.moveTo((x, y)) if point == 0 else pen.lineTo((x, y))
    pen.closePath()
    square = pen.glyph()
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder(glyphs)
    made.setupCharacterMap(names)
    made.setupGlyf(dict.fromkeys(glyphs, square))
    made.setupHorizontalMetrics(dict.fromkeys(glyphs, (500, 50)))
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    made.setupOS2(sTypoAscender=800, sTypoDescender=-200)
    made.setupPost()
    made.save(path)
    return path


LATIN = "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x100)]))


def test_a_font_brings_its_letters_and_no_others(house: House) -> None:
    font = font_with(LATIN + "ŠĐćŽ", house.root / "font.ttf")
    target = house.target(font=str(font))
    assert target.capabilities.characters == "unicode"
    give(target, anna("PORT A", display_name="Šejla Đorđić".replace("đ", "Đ")))
    text = PdfReader(house.folder / "order-000001.pdf").pages[0].extract_text()
    assert "Šejla ĐorĐić" in text
    with pytest.raises(Refused, match="letters that the order's font lacks"):
        give(target, replace(anna("PORT A", display_name="京"), key="1002"))


def test_a_letter_whose_font_was_taken_away_is_shown_by_its_number(house: House) -> None:
    font = font_with(LATIN + "Š", house.root / "font.ttf")
    give(house.target(font=str(font)), anna("PORT A", display_name="Šejla"))
    house.landlord.work()
    target = house.target()
    before = see(target)
    give(target, replace(before, grants=()), before)
    text = PdfReader(house.folder / "order-000002.pdf").pages[0].extract_text()
    assert "{U+0160}ejla" in text


def test_a_file_that_is_no_font_is_told(house: House) -> None:
    (house.root / "font.ttf").write_text("no font")
    with pytest.raises(ConfigError, match="is no TrueType or OpenType font"):
        house.target(font=str(house.root / "font.ttf")).check()


@pytest.mark.parametrize("name", ["landlord", "sender", "contact"])
def test_what_stands_on_every_order_must_be_printable(house: House, name: str) -> None:
    target = house.target(**{name: "京都"})
    with pytest.raises(ConfigError, match=f"`{name}`"):
        target.check()
    with pytest.raises(ConfigError, match=f"`{name}`"):
        give(target, anna("PORT A"))
    assert house.files("order-*") == []


# ── check and settings ──────────────────────────────────────────────────────────────────


def test_check_writes_nothing_and_says_what_awaits_an_answer(
    house: House, target: WorkOrderTarget
) -> None:
    before = house.files("*")
    assert target.check() == "work orders to a landlord, version 1: no order yet"
    assert house.files("*") == before
    assert not (house.root / "ledger.sqlite").exists()
    give(target, anna("PORT A"))
    house.landlord.work()
    told = "work orders to a landlord, version 1: 1 order awaiting an answer; 1 answer file to read"
    assert target.check() == told
    assert target.check() == told, "check has read the answer"


def test_check_tells_what_is_wrong_apart(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []

    def tell(kind: type[Exception], **settings: object) -> None:
        with pytest.raises(kind) as told:
            house.target(**settings).check()
        said.append(str(told.value))

    tell(ConfigError, signing_key={"env": "NO_SUCH_KEY"})
    monkeypatch.setenv("NO_KEY", "a secret that is no key")
    tell(ConfigError, signing_key={"env": "NO_KEY"})
    tell(Unavailable, folder=str(house.root / "nowhere"))
    tell(Unavailable, create=False)
    (house.folder / PUBLIC_KEY).write_bytes(b"another key")
    tell(ConfigError)
    (house.folder / PUBLIC_KEY).unlink()
    give(house.target(), anna("PORT A"))
    tell(Unavailable, inventory=str(house.root / "no list"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    tell(Denied)
    assert len(set(said)) == len(said) == 7
    assert not any("a secret" in sentence for sentence in said)


@pytest.mark.parametrize(
    "settings",
    [
        {"landlord": ""}, {"languages": []}, {"languages": ["sv", "sv"]}, {"languages": ["no"]},
        {"removal_hours": 0}, {"addition_hours": -1}, {"reminder_hours": 0}, {"batch": 0},
        {"signing_key": "in plain sight"}, {"colour": "red"},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_errors(house: House, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        house.target(**settings)


def test_the_deadlines_are_what_the_system_is_waited_for(house: House) -> None:
    target = house.target(removal_hours=2, addition_hours=48, batch=50)
    assert (target.capabilities.answer_hours, target.capabilities.batch) == (48, 50)
    give(target, anna("PORT A"))
    due = (house.clock.now + timedelta(hours=48)).strftime("%Y-%m-%d")
    assert due in see(target).pending
