"""How ARX is written: what survives a document, what is refused, what was seen to happen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from idsync.errors import Unavailable
from idsync.model import Change, Grant
from idsync.targets.arx import ArxTarget
from tests.fakes.arx import PASSWORD, FakeArx
from tests.fakes.arx_habits import Trouble
from tests.targets.arx import DOOR, HALL, RIGHTS, TOWER, made, person, refusal, target_on, there

CLOSED = datetime(2031, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeArx]:
    monkeypatch.setenv("ARX_PASSWORD", PASSWORD)
    running = FakeArx(*RIGHTS)
    yield running
    running.close()


@pytest.fixture
def target(fake: FakeArx) -> Iterator[ArxTarget]:
    target = target_on(fake.url)
    yield target
    target.close()


# ── what others have written ────────────────────────────────────────────────────────────


def test_a_document_takes_along_what_it_does_not_change(fake: FakeArx, target: ArxTarget) -> None:
    before = made(target, "1001", DOOR)
    held = fake.people["1001"]
    held.texts |= {"pin_code": "0420", "username": "asa", "description": "Vaktmästare <nord>"}
    held.texts["picture_url"] = "https://example.org/1?a=b&c"
    held.extra = {"Skåp": "17", "Avdelning": "Nord"}
    held.resources = ["Garage"]
    held.categories.append((HALL, "2031-10-26 02:30:00", "2031-12-31 23:59:59"))
    target.put(Change(before=before, after=person("1001", TOWER)))
    now = fake.people["1001"]
    assert now.categories == [held.categories[1], (TOWER, "", "")]
    assert (now.texts, now.extra, now.resources) == (held.texts, held.extra, held.resources)


def test_a_password_never_goes_back(fake: FakeArx, target: ArxTarget) -> None:
    before = made(target, "1001", DOOR)
    shown = fake.export({}).replace(b"<extra_fields>", b"<password>geheim</password><extra_fields>")
    fake.next("export", Trouble(status=200, body=shown))
    target.put(Change(before=before, after=person("1001", HALL)))
    assert b"geheim" not in fake.imports[-1]


@pytest.mark.parametrize("sends", [True, False])
def test_an_empty_pin_is_sent_only_if_told(fake: FakeArx, sends: bool) -> None:
    target = target_on(fake.url, empty_pin=sends)
    before = made(target, "1001", DOOR)
    target.put(Change(before=before, after=person("1001", HALL)))
    assert (b"pin_code" in fake.imports[-1]) == sends


def test_a_masked_pin_is_not_sent_back(fake: FakeArx, target: ArxTarget) -> None:
    before = made(target, "1001", DOOR)
    fake.people["1001"].texts["pin_code"] = "****"
    target.put(Change(before=before, after=person("1001", HALL)))
    assert b"***" not in fake.imports[-1]


def test_nothing_is_sent_where_nothing_changes(fake: FakeArx, target: ArxTarget) -> None:
    before = made(target, "1001", DOOR)
    sent = len(fake.imports)
    target.put(Change(before=before, after=before))
    target.put(Change(before=None, after=person("1001", DOOR)))
    assert len(fake.imports) == sent


# ── categories that a document leaves out ───────────────────────────────────────────────


def test_where_they_are_kept_the_door_closes_and_the_setting_is_named(
    fake: FakeArx, target: ArxTarget
) -> None:
    before = made(target, "1001", DOOR, HALL)
    fake.card("0070001", "1001")
    fake.habits.absent_categories = "kept"
    assert "categories_absent" in refusal(target, before, person("1001", HALL))
    assert not fake.opens("0070001", DOOR, CLOSED)
    assert fake.opens("0070001", HALL, CLOSED)
    assert there(target, "1001").grants == (Grant(ref=HALL),)
    fake.next("import", Trouble("ignored"))  # one that was ignored teaches nothing
    assert "categories_absent" in refusal(target, there(target, "1001"), person("1001"))


def test_where_they_are_kept_the_door_closes_also_for_somebody_who_was_refused(
    fake: FakeArx, target: ArxTarget
) -> None:
    before = made(target, "1001", DOOR)
    fake.habits.absent_categories, fake.habits.tells_categories = "kept", False
    refusal(target, before, person("1001", "no such"))
    assert fake.held("1001") == set()


def test_where_nothing_takes_them_away_it_is_said(fake: FakeArx, target: ArxTarget) -> None:
    before = made(target, "1001", DOOR)
    fake.next("import", Trouble("ignored"), Trouble("ignored"))
    assert "still there" in refusal(target, before, person("1001"))


def test_a_wrong_setting_is_found_out(fake: FakeArx) -> None:
    fake.habits.absent_categories = "kept"
    target = target_on(fake.url, categories_absent="removed")
    before = made(target, "1001", DOOR)
    assert "categories_absent" in refusal(target, before, person("1001"))


def test_what_was_ended_can_be_given_again(fake: FakeArx) -> None:
    fake.habits.absent_categories = "kept"
    target = target_on(fake.url, categories_absent="kept")
    before = made(target, "1001", DOOR)
    target.put(Change(before=before, after=person("1001")))
    assert fake.people["1001"].categories == [(DOOR, "2000-01-01 00:00:00", "2000-01-01 00:00:01")]
    assert there(target, "1001").grants == ()
    sent = len(fake.imports)
    target.put(Change(before=before, after=person("1001")))
    assert len(fake.imports) == sent
    target.put(Change(before=there(target, "1001"), after=person("1001", DOOR)))
    assert fake.people["1001"].categories == [(DOOR, "", "")]


def test_a_category_that_doubles_instead_of_moving_is_found_out(fake: FakeArx) -> None:
    fake.habits.absent_categories, fake.habits.same_category = "kept", "doubled"
    target = target_on(fake.url, categories_absent="kept")
    before = made(target, "1001", DOOR)
    dated = replace(before, grants=(Grant(ref=DOOR, valid_to=CLOSED),))
    assert "still there" in refusal(target, before, dated)


# ── what ARX refuses ────────────────────────────────────────────────────────────────────


def test_an_unknown_category_is_refused_before_it_is_sent_and_the_rest_is_taken_away(
    fake: FakeArx, target: ArxTarget
) -> None:
    before = made(target, "1001", DOOR)
    after = person("1001", "no such", family_name="Söder")
    assert "no access category" in refusal(target, before, after)
    assert fake.held("1001") == set()
    assert there(target, "1001").family_name == "Öberg", "a refused change gave something"
    assert "no access category" in refusal(target, None, person("1002", "no such"))
    assert "1002" not in fake.people


def test_a_category_name_that_stands_twice_is_refused(fake: FakeArx, target: ArxTarget) -> None:
    fake.categories.append(DOOR)
    assert "more than one" in refusal(target, None, person("1001", DOOR))


@pytest.mark.parametrize("habit", ["refused", "ignored"])
@pytest.mark.parametrize("answer", [(400, b"secret"), (200, b"ERROR secret"), (500, b"secret")])
def test_a_category_that_only_the_import_knows_to_be_missing(
    fake: FakeArx, target: ArxTarget, habit: str, answer: tuple[int, bytes]
) -> None:
    before = made(target, "1001", DOOR)
    fake.habits.tells_categories, fake.habits.refusal = False, answer
    fake.habits.unknown_category = habit  # type: ignore[assignment]  # one of its words
    assert "ategor" in refusal(target, before, person("1001", "no such"))
    assert fake.held("1001") == set(), "what was to go is there, since something else was refused"


def test_a_failing_import_leaves_it_open_what_became_of_it(
    fake: FakeArx, target: ArxTarget
) -> None:
    fake.habits.refusal, fake.habits.bad_ids = (500, b"secret"), {"1001"}
    with pytest.raises(Unavailable, match="answered 500"):
        target.put(Change(before=None, after=person("1001", DOOR)))


def test_an_answer_other_than_ok_is_judged_by_what_is_there(
    fake: FakeArx, target: ArxTarget
) -> None:
    fake.habits.taken = b"<result>Import done</result>"
    assert made(target, "1001", DOOR).grants == (Grant(ref=DOOR),)


def test_a_name_that_is_cut_in_silence_is_found_out(fake: FakeArx, target: ArxTarget) -> None:
    fake.habits.name_length = 3
    assert "how long" in refusal(target, None, person("1001", DOOR))


def test_an_extra_field_that_arx_lacks_is_found_out(fake: FakeArx) -> None:
    target = target_on(fake.url, department_field="no such field")
    assert "extra field" in refusal(target, None, person("1001", department="Nord"))


@pytest.mark.parametrize("name", ["Ђорђе", "京", "a\x00b", "Åsa\n", "€"])
def test_what_the_encoding_lacks_is_refused_for_that_person(
    fake: FakeArx, target: ArxTarget, name: str
) -> None:
    before = made(target, "1001", DOOR)
    refusal(target, before, person("1001", given_name=name))
    assert fake.held("1001") == set()
    refusal(target, None, person(f"1{name}", DOOR))
    assert list(fake.people) == ["1001"]


def test_a_name_with_a_space_around_it_is_held_as_it_is(fake: FakeArx, target: ArxTarget) -> None:
    assert made(target, "1001", given_name=" Åsa ").given_name == " Åsa "
    refusal(target, None, person("1002 ", DOOR))


def test_who_is_deleted_in_arx_does_not_come_back_with_all_they_had(
    fake: FakeArx, target: ArxTarget
) -> None:
    gone = fake.person("1001")
    gone.deleted = True
    gone.categories.append((TOWER, "", ""))
    assert "deleted in ARX" in refusal(target, None, person("1001", DOOR))
    after = replace(person("1001"), status="suspended")
    assert target.put(Change(before=None, after=after)).status == "confirmed"
    assert fake.imports == []


def test_rights_of_other_kinds_and_a_second_period_are_refused(
    fake: FakeArx, target: ArxTarget
) -> None:
    alarm = replace(person("1001"), grants=(Grant(ref=DOOR, kind="alarm"),))
    assert "other kinds" in refusal(target, None, alarm)
    before = made(target, "1001", DOOR)
    fake.people["1001"].categories.append((HALL, "", ""))
    theirs = replace(before, grants=(*before.grants, Grant(ref=HALL, valid_to=CLOSED)))
    assert "other dates" in refusal(target, before, theirs)
    assert fake.people["1001"].categories == [(DOOR, "", ""), (HALL, "", "")]


# ── many at once ────────────────────────────────────────────────────────────────────────


def many(target: ArxTarget, count: int) -> list[str]:
    changes = [Change(before=None, after=person(str(1001 + at), DOOR)) for at in range(count)]
    return [outcome.status for outcome in target.put_many(changes)]


def test_many_go_in_one_document(fake: FakeArx, target: ArxTarget) -> None:
    assert target.capabilities.batch == 25
    assert many(target, 25) == ["confirmed"] * 25
    assert len(fake.imports) == 1


@pytest.mark.case("T23")
@pytest.mark.parametrize("answer", [(400, b"secret"), (200, b"ERROR"), (500, b"secret")])
@pytest.mark.parametrize("refuses", ["document", "person"])
def test_one_refused_person_does_not_take_the_others_along(
    fake: FakeArx, target: ArxTarget, refuses: str, answer: tuple[int, bytes]
) -> None:
    fake.habits.bad_ids, fake.habits.refusal = {"1004"}, answer
    fake.habits.refuses = refuses  # type: ignore[assignment]  # one of its words
    told = many(target, 16)
    assert told.pop(3) in ("refused", "unknown")
    assert told == ["confirmed"] * 15
    assert len(fake.imports) <= 9, "the document was not halved, but taken apart"


def test_what_cannot_be_sent_does_not_take_the_others_along(
    fake: FakeArx, target: ArxTarget
) -> None:
    changes = [
        Change(before=None, after=person(key, right))
        for key, right in (("1001", DOOR), ("京", DOOR), ("1003", "no such"), ("1004", HALL))
    ]
    told = [outcome.status for outcome in target.put_many(changes)]
    assert told == ["confirmed", "refused", "refused", "confirmed"]
    assert sorted(fake.people) == ["1001", "1004"]


def test_a_server_that_fails_at_everything_is_not_asked_for_ever(
    fake: FakeArx, target: ArxTarget
) -> None:
    fake.next("import", *[Trouble(status=500) for _ in range(60)])
    with pytest.raises(Unavailable, match="every time"):
        many(target, 25)
    assert len(fake.imports) <= 8


def test_a_stopped_server_is_told_of_all(fake: FakeArx, target: ArxTarget) -> None:
    fake.next("import", Trouble(status=503, headers={"Retry-After": "7"}))
    with pytest.raises(Unavailable) as caught:
        many(target, 3)
    assert caught.value.retry_after_s == 7


# ── clocks ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("zone", ["Europe/Stockholm", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("arx_inclusive", [True, False])
@pytest.mark.parametrize("told_inclusive", [True, False])
@pytest.mark.parametrize("day", [datetime(2031, 3, 30, 12), datetime(2031, 10, 26, 12)])  # noqa: DTZ001 - UTC follows
def test_a_door_opens_in_the_interval_and_not_a_second_longer(
    fake: FakeArx, zone: str, arx_inclusive: bool, told_inclusive: bool, day: datetime
) -> None:
    fake.habits.zone, fake.habits.end_inclusive = ZoneInfo(zone), arx_inclusive
    target = target_on(fake.url, timezone=zone, end_inclusive=told_inclusive)
    begin = day.replace(tzinfo=UTC) - timedelta(days=1)
    end = begin + timedelta(days=2)
    grant = Grant(ref=DOOR, valid_from=begin, valid_to=end)
    target.put(Change(before=None, after=replace(person("1001"), grants=(grant,))))
    assert there(target, "1001").grants == (grant,)
    fake.card("7", "1001")
    second = timedelta(seconds=1)
    opens = [fake.opens("7", DOOR, at) for at in (begin - second, begin, end - 2 * second, end)]
    assert opens[:3] == [False, True, True]
    assert not opens[3] or (arx_inclusive and not told_inclusive)


@pytest.mark.parametrize("hour", [0, 1])
def test_an_hour_that_the_clock_shows_twice_is_refused(
    fake: FakeArx, target: ArxTarget, hour: int
) -> None:
    twice = datetime(2031, 10, 26, hour, 30, tzinfo=UTC)
    for grant in (Grant(ref=DOOR, valid_from=twice), Grant(ref=DOOR, valid_to=twice)):
        dated = replace(person("1001"), grants=(grant,))
        assert "twice" in refusal(target, None, dated)
    assert fake.people == {}


def test_parts_of_a_second_are_refused(fake: FakeArx, target: ArxTarget) -> None:
    grant = Grant(ref=DOOR, valid_to=CLOSED + timedelta(microseconds=1))
    assert "whole seconds" in refusal(target, None, replace(person("1001"), grants=(grant,)))


# ── the form of a document ──────────────────────────────────────────────────────────────


def test_a_document_is_what_the_clients_send(fake: FakeArx, target: ArxTarget) -> None:
    made(target, "<1001>&", TOWER, given_name="Åsa <b>&amp;")
    document = fake.imports[-1]
    assert document.startswith(b"<?xml version='1.0' encoding='ISO-8859-1'?>")
    assert re.search(rb'<arxdata timestamp="\d{4}-\d\d-\d\d\+\d\d:\d\d:\d\d">', document)
    assert "STADSHUS Å".encode("latin-1") in document
    assert there(target, "<1001>&").given_name == "Åsa <b>&amp;"


@pytest.mark.case("T14")
def test_an_old_plan_is_put_on_what_is_there_now(fake: FakeArx, target: ArxTarget) -> None:
    before = made(target, "1001", DOOR)
    del fake.people["1001"]
    target.put(Change(before=before, after=person("1001", HALL)))
    assert fake.held("1001") == {HALL}


@pytest.mark.parametrize("key", ["", " ", "1001 ", "京", "a\tb"])
def test_a_key_that_arx_cannot_hold_is_nobody(fake: FakeArx, target: ArxTarget, key: str) -> None:
    made(target, "1001", DOOR)
    sent = len(fake.seen)
    refusal(target, None, replace(person("x", DOOR), key=key))
    after = replace(person("x"), key=key, status="suspended")
    assert target.put(Change(before=None, after=after)).status == "confirmed"
    assert target.read_one(key) is None
    assert {seen.path for seen in fake.seen[sent:]} <= {"export_accesscategory"}


def test_a_record_that_becomes_two_is_told(fake: FakeArx, target: ArxTarget) -> None:
    before = made(target, "1001", DOOR)
    fake.habits.after_export = [lambda: fake.habits.twice.add("1001")]
    assert "twice" in refusal(target, before, person("1001"))
