"""How ARX is read: what proves that an answer is whole, and whom it shows."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from idsync.errors import ConnectorError, Denied, Incomplete, Refused, Unavailable
from idsync.model import Change, Grant
from idsync.targets.arx import ArxTarget
from tests.fakes.arx import PASSWORD, FakeArx
from tests.fakes.arx_habits import Trouble
from tests.targets.arx import DOOR, HALL, RIGHTS, made, person, target_on, there, whole_exports


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


def told(target: ArxTarget, kind: type[ConnectorError]) -> str:
    with pytest.raises(kind) as caught:
        list(target.read())
    return str(caught.value)


# ── when a read is whole ────────────────────────────────────────────────────────────────


def test_an_export_cut_anywhere_is_never_used(fake: FakeArx, target: ArxTarget) -> None:
    made(target, "1001", DOOR)
    fake.card("0070001", "1001")
    whole = fake.export({})
    for cut in range(0, len(whole.rstrip()), 7):
        fake.next("export", Trouble("cut", cut=cut))
        with pytest.raises((Incomplete, Unavailable), match=r"ARX: "):
            list(target.read())
    assert len(list(target.read())) == 1


def test_a_put_on_a_cut_export_waits_and_writes_nothing(fake: FakeArx, target: ArxTarget) -> None:
    before = made(target, "1001", DOOR)
    sent = len(fake.imports)
    fake.next("export", Trouble("cut", cut=120))
    with pytest.raises(Unavailable, match="cut off"):
        target.put(Change(before=before, after=person("1001", HALL)))
    assert len(fake.imports) == sent


def test_an_export_without_a_timestamp_is_not_known_to_be_whole(
    fake: FakeArx, target: ArxTarget
) -> None:
    fake.habits.timestamp = False
    assert "check the version" in told(target, Incomplete)


@pytest.mark.parametrize("section", ["persons", "cards"])
def test_an_export_without_a_section_is_half_an_answer(
    fake: FakeArx, target: ArxTarget, section: str
) -> None:
    fake.habits.sections = tuple({"persons", "cards"} - {section})
    assert "the right to read both" in told(target, Incomplete)
    with pytest.raises(Incomplete, match="the right to read both"):
        target.check()


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>log in</body></html>",
        b"<!doctype html><p>log in",
        b'<?xml version="1.0"?><result>no</result>',
        b"OK",
        b"",
        b'<?xml version="1.0" encoding="no-such"?><arxdata/>',
    ],
)
def test_what_is_no_export_is_told_as_a_wrong_address(
    fake: FakeArx, target: ArxTarget, body: bytes
) -> None:
    fake.next("export", Trouble(status=200, body=body))
    assert "check the url" in told(target, Unavailable)


@pytest.mark.case("X2")
def test_a_document_with_a_definition_is_not_opened(fake: FakeArx, target: ArxTarget) -> None:
    fake.person("1001", first_name="x")
    fake.habits.doctype = '<!DOCTYPE arxdata [<!ENTITY a "aaaaaaaa">]>\n'
    assert "ARX: " in told(target, Unavailable)


@pytest.mark.case("X14")
def test_an_answer_that_is_too_large_is_not_read_on(fake: FakeArx) -> None:
    fake.person("1001", description="x" * 2_000_000)
    small = target_on(fake.url, largest_answer_mb=1)
    assert "larger than" in told(small, Unavailable)


def test_a_card_whose_holder_is_missing_gives_a_short_list_away(
    fake: FakeArx, target: ArxTarget
) -> None:
    made(target, "1001", DOOR)
    made(target, "1002", DOOR)
    fake.card("0070001", "1001")
    fake.habits.left_out = {"1001"}
    fake.habits.after_export = [fake.habits.left_out.clear]
    assert "holders of cards are missing" in told(target, Incomplete)


def test_the_card_of_somebody_deleted_is_a_card_of_nobody(fake: FakeArx, target: ArxTarget) -> None:
    made(target, "1001", DOOR)
    fake.person("1002").deleted = True
    for number, id in (("1", "1001"), ("2", "1002"), ("3", "no such"), ("4", "")):
        fake.card(number, id)
    fake.card("5", "1001", deleted=True)
    found = {card.number: one.key for one in target.read() for card in one.credentials}
    assert found == {"1": "1001", "2": None, "3": None, "4": None}


def test_fewer_people_than_there_must_be_are_not_everybody(fake: FakeArx) -> None:
    made(target_on(fake.url), "1001", DOOR)
    assert len(list(target_on(fake.url, fewest_people=1).read())) == 1
    assert "fewest_people is 2" in told(target_on(fake.url, fewest_people=2), Incomplete)


# ── whom it shows ───────────────────────────────────────────────────────────────────────


def test_only_ids_behind_the_prefix_are_idsyncs(fake: FakeArx) -> None:
    target = target_on(fake.url, id_prefix="HR-")
    for id in ("HR-1001", "1001", "HR-", "hr-1002"):
        fake.person(id)
    fake.person("x").id = ""
    shown = {one.native_id: one.key for one in target.read()}
    assert shown == {"HR-1001": "1001", "1001": None, "HR-": None, "hr-1002": None, "": None}
    assert target.read_one("") is None


@pytest.mark.parametrize("excludes", [True, False])
def test_who_is_deleted_is_not_there(fake: FakeArx, target: ArxTarget, excludes: bool) -> None:
    fake.habits.excludes_deleted = excludes
    fake.person("1001").deleted = True
    assert list(target.read()) == []
    assert target.read_one("1001") is None


def test_an_id_that_stands_twice_is_nobodys_key_and_never_written(
    fake: FakeArx, target: ArxTarget
) -> None:
    before = made(target, "1001", DOOR)
    fake.habits.twice = {"1001"}
    assert [one.key for one in target.read()] == [None, None]
    with pytest.raises(Refused, match="have one id"):
        target.put(Change(before=before, after=person("1001")))
    assert fake.held("1001") == {DOOR}


def test_of_a_deleted_and_a_living_record_the_living_one_counts(
    fake: FakeArx, target: ArxTarget
) -> None:
    made(target, "1001", DOOR)
    old = fake.person("old", first_name="old")
    old.id, old.deleted = "1001", True
    assert there(target, "1001").given_name == "Åsa"
    target.put(Change(before=there(target, "1001"), after=person("1001", HALL)))
    assert [one.key for one in target.read()] == ["1001"]


# ── looking for one ─────────────────────────────────────────────────────────────────────


def test_a_filter_that_works_is_proven_once(fake: FakeArx, target: ArxTarget) -> None:
    for key in range(1001, 1009):
        made(target, str(key), DOOR)
    assert whole_exports(fake) == 2  # of nobody, and then with somebody to prove it by


@pytest.mark.parametrize("finds", ["nobody", "latin-1"])
def test_nobody_is_believed_to_be_missing_because_a_filter_says_so(
    fake: FakeArx, target: ArxTarget, finds: str
) -> None:
    fake.habits.finds = finds  # type: ignore[assignment]  # one of its words
    theirs = fake.person("Å-1001", first_name="Åsa")
    theirs.categories.append((HALL, "", ""))
    fake.person("1002")
    assert there(target, "Å-1001").grants == (Grant(ref=HALL),)
    made(target, "Å-1001", DOOR)
    assert fake.held("Å-1001") == {DOOR, HALL}, "what others gave was overwritten"


def test_one_id_in_other_letters_does_not_make_every_search_long(
    fake: FakeArx, target: ArxTarget
) -> None:
    fake.habits.finds = "latin-1"
    fake.person("Å-1001")
    fake.person("1002")
    there(target, "Å-1001")
    before = whole_exports(fake)
    there(target, "1002")
    assert target.read_one("404") is None
    assert whole_exports(fake) == before


@pytest.mark.parametrize("answer", ["404", "empty"])
def test_an_answer_of_nothing_for_nobody_is_no_fault(
    fake: FakeArx, target: ArxTarget, answer: str
) -> None:
    fake.habits.nothing = answer  # type: ignore[assignment]  # one of its words
    assert target.check() == "ARX with 3 access categories"
    assert target.read_one("1001") is None
    assert made(target, "1001", DOOR).grants == (Grant(ref=DOOR),)
    fake.card("7", "1001")
    assert len(there(target, "1001").credentials) == 1


@pytest.mark.parametrize("lacks", ["cards_of_one", "categories_of_one"])
def test_what_only_a_whole_export_shows_is_found(
    fake: FakeArx, target: ArxTarget, lacks: str
) -> None:
    made(target, "1001", DOOR)
    fake.person("1002")
    fake.people["1001"].categories.append((HALL, "", ""))
    fake.card("7", "1001")
    setattr(fake.habits, lacks, False)
    assert len(there(target, "1001").credentials) == 1
    assert target.read_one("404") is None
    target.put(Change(before=person("1001", DOOR), after=person("1001", family_name="Söder")))
    assert fake.held("1001") == {HALL}


def test_an_id_that_differs_in_case_only_is_not_made(fake: FakeArx, target: ArxTarget) -> None:
    made(target, "a1", DOOR)
    fake.habits.finds = "folded"
    with pytest.raises(Refused, match="case or spaces only"):
        target.put(Change(before=None, after=person("A1", HALL)))
    assert fake.held("a1") == {DOOR}
    assert target.read_one("A1") is None


def test_who_is_hidden_behind_a_twin_is_found(fake: FakeArx, target: ArxTarget) -> None:
    for id in ("A1", "a1"):
        fake.person(id).categories.append((HALL, "", ""))
    made(target, "1001", DOOR)
    fake.habits.finds = "first"  # of those that differ in case only
    assert there(target, "a1").native_id == "a1"


def test_an_import_that_takes_one_id_for_another_is_found_out(
    fake: FakeArx, target: ArxTarget
) -> None:
    made(target, "a1", DOOR)
    made(target, "1001", DOOR)  # from here on the filter is known to work
    fake.habits.folds_ids = True
    with pytest.raises(Refused, match="does not show"):
        target.put(Change(before=None, after=person("A1", HALL)))


def test_a_reading_that_is_not_allowed_names_its_setting(fake: FakeArx, target: ArxTarget) -> None:
    fake.habits.reads = ("POST",)
    assert "set read_with" in told(target, Unavailable)
    assert list(target_on(fake.url, read_with="post").read()) == []


# ── dates ───────────────────────────────────────────────────────────────────────────────


def test_a_date_in_another_form_makes_the_read_incomplete(fake: FakeArx, target: ArxTarget) -> None:
    fake.person("1001").categories.append((DOOR, "", "31.12.2031"))
    assert "a form that is not known" in told(target, Incomplete)


def test_an_hour_that_is_twice_or_never_is_read_as_the_shorter_grant(
    fake: FakeArx, target: ArxTarget
) -> None:
    fake.person("1001").categories += [
        (DOOR, "2031-10-26 02:30:00", "2031-10-26 02:30:00"),
        (HALL, "2031-03-30 02:30:00", "2031-03-30 02:30:00"),
    ]
    twice, never = there(target, "1001").grants
    assert twice.valid_from == datetime(2031, 10, 26, 1, 30, tzinfo=UTC)
    assert twice.valid_to == datetime(2031, 10, 26, 0, 30, 1, tzinfo=UTC)
    assert never.valid_from == datetime(2031, 3, 30, 1, 30, tzinfo=UTC)
    assert never.valid_to == datetime(2031, 3, 30, 0, 30, 1, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Europe/Stockholm", "America/New_York", "UTC"])
def test_dates_at_the_ends_of_time_can_be_read(fake: FakeArx, zone: str) -> None:
    fake.person("1001").categories.append((DOOR, "0001-01-01 00:00:00", "9999-12-31 23:59:59"))
    [grant] = there(target_on(fake.url, timezone=zone), "1001").grants
    assert grant.valid_to is None or grant.valid_to.year == 9999


# ── check ───────────────────────────────────────────────────────────────────────────────


def checked(target: ArxTarget, kind: type[ConnectorError]) -> str:
    with pytest.raises(kind) as caught:
        target.check()
    return str(caught.value)


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """Return the files of a new certificate that signs itself, and of its key."""
    files = (str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    return files


def test_check_says_what_answered_and_writes_nothing(fake: FakeArx, target: ArxTarget) -> None:
    assert target.check() == "ARX with 3 access categories"
    fake.habits.tells_categories = False
    assert target.check() == "ARX, which does not tell its access categories"
    assert fake.imports == []


def test_check_tells_five_faults_apart(fake: FakeArx, target: ArxTarget, tmp_path: Path) -> None:
    found = []
    fake.password = "another"
    found.append(checked(target, Denied))
    fake.password = PASSWORD
    fake.next("export", Trouble(status=403))
    found.append(checked(target, Denied))
    fake.next("export", Trouble(status=403, body=b"Ingen LICENS"))
    found.append(checked(target, Denied))
    found.append(checked(target_on("http://127.0.0.1:9"), Unavailable))
    tls = FakeArx(tls=certificate(tmp_path, "served"))
    try:
        trusted = Path(certificate(tmp_path, "trusted")[0])
        found.append(checked(target_on(tls.url, ca_file=trusted), Unavailable))
        assert tls.seen == []
        served = target_on(tls.url, ca_file=tmp_path / "served.pem")
        assert served.check() == "ARX with 0 access categories"
    finally:
        tls.close()
    words = ("not accepted", "the right to do this", "no licence", "could not be made", "ca_file")
    for sentence, word in zip(found, words, strict=True):
        assert word in sentence
        assert sum(word in other for other in found) == 1


def test_check_tells_another_address_and_another_version(fake: FakeArx, target: ArxTarget) -> None:
    assert "ends before /arx" in checked(target_on(fake.url + "/arx"), Unavailable)
    fake.habits.timestamp = False
    assert "check the version" in checked(target, Incomplete)


def test_an_import_that_is_not_licensed_is_told(fake: FakeArx, target: ArxTarget) -> None:
    fake.next("import", Trouble(status=402))
    with pytest.raises(Denied, match="no licence"):
        target.put(Change(before=None, after=person("1001", DOOR)))
    fake.next("import", Trouble(status=200, body=b"<html>log in</html>"))
    with pytest.raises(Unavailable, match="web page"):
        target.put(Change(before=None, after=person("1001", DOOR)))


# ── the page ────────────────────────────────────────────────────────────────────────────


def test_the_example_of_the_page_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "targets" / "arx.md").read_text(encoding="utf-8")
    [table] = tomllib.loads(page.split("```toml\n")[1].split("```")[0])["targets"].values()
    shared = {"type", "controller", "key", "release"}
    config = ArxTarget.Config.model_validate({k: v for k, v in table.items() if k not in shared})
    assert config.categories_absent == "unknown"
