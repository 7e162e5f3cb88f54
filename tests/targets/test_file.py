"""What is peculiar to a file: half of one, two writers, other encodings, and hands that edit."""

from __future__ import annotations

import csv
import fcntl
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from idsync.errors import ConnectorError, Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Grant
from idsync.targets.file import FileTarget
from idsync.targets.file_disk import read_whole, replace_whole
from idsync.testing.cardholders import holding, only, picture, refs
from tests.fakes.file import BracedCsv, DeltaXml, NightlyCsv

ASA = Cardholder(key="1001", display_name="Åsa Öberg", department="Förskola")
DOOR, HALL = "FSK-ENTRE", "STADSHUS Å"
STOCKHOLM = ZoneInfo("Europe/Stockholm")


def described(vendor: Any, **more: Any) -> FileTarget:
    return FileTarget(FileTarget.Config.model_validate(vendor.description(**more)))


def new(target: FileTarget, *rights: str, key: str = "1001") -> Cardholder:
    target.put(Change(before=None, after=holding(replace(ASA, key=key), *rights)))
    return only(target, key)


def suspended(before: Cardholder) -> Change:
    return Change(before=before, after=replace(holding(before), status="suspended"))


@pytest.fixture
def nightly(tmp_path: Path) -> NightlyCsv:
    return NightlyCsv(tmp_path)


@pytest.fixture
def target(nightly: NightlyCsv) -> FileTarget:
    return described(nightly)


# ── what the vendor's job sees ──────────────────────────────────────────────────────────


def test_the_job_understands_what_is_written(nightly: NightlyCsv, target: FileTarget) -> None:
    begin = datetime(2031, 3, 3, tzinfo=STOCKHOLM).astimezone(UTC)
    end = datetime(2031, 3, 31, tzinfo=STOCKHOLM).astimezone(UTC)
    dated = Grant(ref=HALL, valid_from=begin, valid_to=end)
    target.put(Change(before=None, after=replace(ASA, grants=(Grant(ref=DOOR), dated))))
    nightly.night()
    assert nightly.doors == {
        "1001": {(DOOR, "", "9999-12-31"), (HALL, "2031-03-03", "2031-03-30")}  # the day counts
    }
    target.put(suspended(only(target, "1001")))
    nightly.night()
    assert nightly.doors == {}
    assert nightly.text(nightly.people).endswith("\r\nSLUT;1\r\n")


def test_many_changes_are_one_write_and_a_refusal_stops_no_other(
    nightly: NightlyCsv, target: FileTarget
) -> None:
    people = [replace(ASA, key=str(number)) for number in range(1000, 1100)]
    people[50] = replace(people[50], display_name="A" * 61)
    outcomes = target.put_many(
        [Change(before=None, after=holding(person, DOOR)) for person in people]
    )
    assert [each.status for each in outcomes].count("confirmed") == 99
    assert (outcomes[50].status, outcomes[50].reason[:12]) == ("refused", "display_name")
    assert len(list(target.read())) == 99


class Poller:
    """Looks at a file as often as it can, as an import that cannot wait does."""

    def __init__(self, path: Path) -> None:
        self.path, self.seen, self.halves = path, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.is_set():
            lines = self.path.read_bytes().decode("cp1252").splitlines()
            self.seen += 1
            whole = lines and lines[-1] == f"SLUT;{len(lines) - 2}"
            self.halves += not whole

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=10)


def test_no_moment_shows_half_a_file(nightly: NightlyCsv, target: FileTarget) -> None:
    target.put_many([Change(before=None, after=replace(ASA, key=str(n))) for n in range(3000)])
    poller = Poller(nightly.people)
    try:
        for number in range(10):
            target.put(Change(before=None, after=replace(ASA, key=f"x{number}")))
    finally:
        poller.stop()
    assert poller.seen > 10
    assert poller.halves == 0


def test_the_poller_sees_half_a_file_where_there_is_one(nightly: NightlyCsv) -> None:
    text = nightly.text(nightly.people)
    poller = Poller(nightly.people)
    try:
        for _ in range(2000):  # as a program writes that truncates first
            nightly.people.write_bytes(text[:-9].encode("cp1252"))
            nightly.people.write_bytes(text.encode("cp1252"))
            if poller.halves:
                break
    finally:
        poller.stop()
    assert poller.halves > 0


# ── half a file ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("which", ["people", "held"])
def test_a_file_cut_anywhere_is_never_a_short_answer(
    nightly: NightlyCsv, target: FileTarget, which: str
) -> None:
    for number in range(12):
        new(target, DOOR, HALL, key=f"10{number}")
    path: Path = getattr(nightly, which)
    whole, shown = path.read_bytes(), picture(target)
    for cut in range(len(whole) - 2):  # without its very last line end the file is whole
        path.write_bytes(whole[:cut])
        with pytest.raises(Incomplete):
            list(target.read())
        with pytest.raises(Incomplete):
            target.read_one("101")
    path.write_bytes(whole[:-2])
    assert picture(target) == shown


def test_a_write_on_half_a_file_writes_nothing(nightly: NightlyCsv, target: FileTarget) -> None:
    before = new(target, DOOR)
    half = nightly.people.read_bytes()[:-4]
    nightly.people.write_bytes(half)
    with pytest.raises(Incomplete):
        target.put(suspended(before))
    assert nightly.people.read_bytes() == half


@pytest.mark.parametrize(
    ("old", "other", "told"),
    [
        ("SLUT;1", "SLUT;2", "counts another"),
        ("Anstnr;Namn", "Anstnr;Nam", "did you mean Nam"),
        ("Anstnr;Namn", "Namn;Namn", "no column Anstnr"),
        ("Läge;", "Namn;", "2 columns are called Namn"),
        ("1001;", "1001;;", "line 2 has 6 cells and 5"),
        ("1001;", '1001;"x"y', "line 2: a quote is not closed"),
        ("1001;", '1001;"', "line 2: a quote is not closed"),
        ("1001;", "1001;\0", "NUL"),
    ],
)
def test_a_file_that_is_not_as_described_is_incomplete(
    nightly: NightlyCsv, target: FileTarget, old: str, other: str, told: str
) -> None:
    new(target, DOOR)
    nightly.write(nightly.people, nightly.text(nightly.people).replace(old, other, 1))
    with pytest.raises(Incomplete, match=told) as raised:
        list(target.read())
    assert "Åsa" not in str(raised.value)


def test_an_empty_file_is_not_an_empty_list(tmp_path: Path) -> None:
    vendor = BracedCsv(tmp_path)
    target = described(vendor)
    for data in (b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"):
        vendor.path.write_bytes(data)
        with pytest.raises(Incomplete):
            list(target.read())


# ── encodings ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("encoding", "written", "told"),
    [
        ("utf-8", "cp1252", "is not utf-8"),
        ("utf-8", "utf-8-sig", "byte order mark"),
        ("utf-8-sig", "utf-8", "byte order mark"),
        ("windows-1252", "utf-8", "is UTF-8"),
        ("iso-8859-1", "utf-8", "is UTF-8"),
    ],
)
def test_a_file_in_another_encoding_is_not_read_as_wrong_letters(
    nightly: NightlyCsv, encoding: str, written: str, told: str
) -> None:
    text = nightly.text(nightly.people)
    nightly.people.write_bytes(text.encode(written))
    with pytest.raises(Incomplete, match=told):
        list(described(nightly, encoding=encoding).read())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "iso-8859-1"])
def test_every_encoding_is_written_as_it_is_read(nightly: NightlyCsv, encoding: str) -> None:
    codec = {"windows-1252": "cp1252"}.get(encoding, encoding)
    for path in (nightly.people, nightly.held):
        path.write_bytes(path.read_bytes().decode("cp1252").encode(codec))
    target = described(nightly, encoding=encoding)
    new(target, HALL)
    assert "1001;Åsa Öberg;Förskola;A;" in nightly.people.read_bytes().decode(codec)
    assert only(target, "1001").display_name == "Åsa Öberg"


def test_the_euro_sign_has_a_place_in_windows_and_none_in_latin(nightly: NightlyCsv) -> None:
    wanted = Change(before=None, after=replace(ASA, display_name="Åsa €"))
    assert described(nightly).put(wanted).status == "confirmed"
    assert nightly.people.read_bytes().count(b"\x80") == 1
    with pytest.raises(Refused, match="latin-1 cannot write"):
        described(nightly, encoding="iso-8859-1").put(
            Change(before=None, after=replace(ASA, key="7", display_name="Åsa €"))
        )


# ── byte for byte ───────────────────────────────────────────────────────────────────────


def test_only_what_is_meant_is_changed(nightly: NightlyCsv, target: FileTarget) -> None:
    lines = [
        'Anstnr;Namn;"Enhet";Läge;Kommentar',
        '"1000";Nils;"Vård";A;"rör; ""ej"""',
        "",
        '1001;\'Åsa;"";S;=1+1',
        ';"Städ\nkväll"; ;A;  ',
        '"1002";"Eva";Skola;"A";',
    ]
    ends = ["\r\n", "\n", "\n", "\r\n", "\n", "\r\n"]
    text = "".join(map("".join, zip(lines, ends, strict=True))) + '"SLUT - antal";"4"\r\n'
    nightly.write(nightly.people, text)
    eva = only(target, "1002")
    target.put(Change(before=eva, after=replace(eva, display_name='Eva "E"; Ek', status="active")))
    target.put(suspended(eva))
    expected = text.replace('"Eva";Skola;"A"', '"Eva ""E""; Ek";Skola;"S"')
    assert nightly.text(nightly.people) == expected
    new(target, key="1003")
    head, _, _ = expected.partition('"SLUT')
    assert nightly.text(nightly.people) == (
        f'{head}1003;Åsa Öberg;Förskola;A;\r\n"SLUT - antal";"5"\r\n'
    )


def test_rights_of_others_survive_byte_for_byte(nightly: NightlyCsv, target: FileTarget) -> None:
    before = new(target, DOOR, HALL)
    nightly.append(nightly.held, "1001", "GARAGE", "Dörr", "", "9999-12-31", 'mån;"fre"')
    nightly.append(nightly.held, "77", "=X", "Larm", "2031-01-01", "9999-12-31", "")
    text = nightly.text(nightly.held)
    target.put(Change(before=before, after=holding(before, HALL)))
    gone = f"1001;{DOOR};Dörr;;9999-12-31;\r\n"
    assert nightly.text(nightly.held) == text.replace(gone, "").replace("SLUT;4", "SLUT;3")


def test_a_change_of_nothing_writes_nothing(nightly: NightlyCsv, target: FileTarget) -> None:
    before = new(target, DOOR)
    stood = [path.stat() for path in (nightly.people, nightly.held)]
    target.put(Change(before=before, after=before))
    target.put(Change(before=None, after=holding(ASA, DOOR)))
    target.put(Change(before=None, after=Cardholder(key="404", status="suspended")))
    assert [path.stat() for path in (nightly.people, nightly.held)] == stood


# ── formulas ────────────────────────────────────────────────────────────────────────────


def test_what_a_spreadsheet_would_run_is_refused_and_never_altered(
    nightly: NightlyCsv, target: FileTarget
) -> None:
    for wanted in (
        replace(ASA, display_name='=HYPERLINK("http://x")'),
        replace(ASA, key="+1001"),
        holding(ASA, "@SUM(1)"),
    ):
        with pytest.raises(Refused, match="spreadsheet"):
            target.put(Change(before=None, after=wanted))
    assert list(target.read()) == []
    kept = described(nightly, formulas="keep")
    kept.put(Change(before=None, after=replace(ASA, display_name="=1")))
    assert only(kept, "1001").display_name == "=1"


def test_a_formula_that_stands_there_already_stops_no_block(
    nightly: NightlyCsv, target: FileTarget
) -> None:
    nightly.append(nightly.people, "1001", "=1+1", "", "A", "")
    target.put(suspended(only(target, "1001")))
    assert "1001;=1+1;;S;" in nightly.text(nightly.people)


def test_without_quotes_a_delimiter_is_refused(nightly: NightlyCsv) -> None:
    shape = nightly.description()["csv"] | {"quote": ""}
    nightly.write(nightly.people, nightly.text(nightly.people).replace('"', ""))
    target = described(nightly, csv=shape)
    for name in ("Å;B", " Å"):
        with pytest.raises(Refused, match="nothing is quoted"):
            target.put(Change(before=None, after=replace(ASA, display_name=name)))
    new(target, DOOR)


# ── two writers, and files that are not there ───────────────────────────────────────────


def test_a_second_writer_is_kept_out(nightly: NightlyCsv, target: FileTarget) -> None:
    with (nightly.people.parent / ".personer.csv.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="another program is writing"):
            new(target, DOOR)
        assert list(target.read()) == []  # reading waits for nobody
    new(target, DOOR)


def test_what_somebody_writes_meanwhile_is_not_overwritten(nightly: NightlyCsv) -> None:
    seen = read_whole(nightly.people, 1)
    assert seen
    nightly.append(nightly.people, "9", "Hand", "", "A", "")
    by_hand = nightly.people.read_bytes()
    with pytest.raises(Unavailable, match="changed it meanwhile"):
        replace_whole(nightly.people, b"ours", seen.stamp)
    assert nightly.people.read_bytes() == by_hand
    assert {path.name for path in nightly.people.parent.iterdir()} == {"personer.csv", "rätter.csv"}


def test_what_a_crash_left_is_in_nobodys_way(nightly: NightlyCsv, target: FileTarget) -> None:
    left = nightly.people.parent / ".personer.csv.new"
    left.write_bytes(b"half")
    new(target, DOOR)
    assert not left.exists()


def test_the_new_file_has_the_rights_of_the_old(nightly: NightlyCsv, target: FileTarget) -> None:
    nightly.people.chmod(0o604)
    new(target, DOOR)
    assert nightly.people.stat().st_mode & 0o777 == 0o604


def test_a_symbolic_link_is_not_followed(nightly: NightlyCsv, tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(nightly.people)
    target = described(nightly, path=str(link))
    for call in (lambda: list(target.read()), lambda: new(target, DOOR)):
        with pytest.raises(Unavailable, match="symbolic link"):
            call()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_unavailable(
    nightly: NightlyCsv, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "other")
    with pytest.raises(Unavailable, match="not a file"):
        list(described(nightly, path=str(tmp_path / "other")).read())


def test_a_missing_file_is_made_only_where_that_is_allowed(nightly: NightlyCsv) -> None:
    nightly.people.unlink()
    nightly.held.unlink()
    with pytest.raises(Unavailable, match="create = true"):
        list(described(nightly).read())
    target = described(nightly, create=True)
    assert list(target.read()) == []
    assert not nightly.people.exists()
    new(target, DOOR)
    assert nightly.text(nightly.people) == (
        "Anstnr;Namn;Enhet;Läge\r\n1001;Åsa Öberg;Förskola;A\r\nSLUT;1\r\n"
    )
    assert nightly.text(nightly.held) == (
        f"Anstnr;Rätt;Slag;Från;Till\r\n1001;{DOOR};Dörr;;9999-12-31\r\nSLUT;1\r\n"
    )


@pytest.mark.parametrize("gone", [["people"], ["held"], ["people", "held"]])
def test_a_file_that_went_away_is_not_an_empty_list(nightly: NightlyCsv, gone: list[str]) -> None:
    new(described(nightly, create=True), DOOR)
    for which in gone:
        getattr(nightly, which).unlink()
    target = described(nightly, create=True)
    for call in (lambda: list(target.read()), lambda: new(target, DOOR)):
        with pytest.raises(Unavailable, match="restore it"):
            call()


def test_a_second_file_that_is_missing_beside_the_first_is_not_empty(nightly: NightlyCsv) -> None:
    nightly.append(nightly.people, "1001", "Åsa", "", "A", "")
    nightly.held.unlink()
    with pytest.raises(Unavailable, match="restore it"):
        list(described(nightly, create=True).read())


def test_a_renewal_between_the_two_files_is_seen(nightly: NightlyCsv, target: FileTarget) -> None:
    new(target, DOOR)
    loaded = target._load()
    nightly.append(nightly.people, "9", "Hand", "", "A", "")
    with pytest.raises(Incomplete, match="renewed meanwhile"):
        target._unchanged(loaded)


def test_check_says_what_stands_there(nightly: NightlyCsv, target: FileTarget) -> None:
    new(target, DOOR)
    assert target.check() == "CSV file, 1 records"
    with pytest.raises(Unavailable, match="no such file"):
        described(nightly, path="/nowhere/people.csv").check()


def test_records_that_share_a_key_are_nobodys(nightly: NightlyCsv, target: FileTarget) -> None:
    for name in ("Ett", "Två"):
        nightly.append(nightly.people, "7", name, "", "A", "")
    assert [each.key for each in target.read()] == [None, None]
    for call in (
        lambda: target.read_one("7"),
        lambda: target.put(Change(before=None, after=Cardholder(key="7", status="suspended"))),
    ):
        with pytest.raises(Refused, match="2 records have one key"):
            call()


def test_a_plan_older_than_a_suspension_lets_nobody_in(
    nightly: NightlyCsv, target: FileTarget
) -> None:
    before = new(target, DOOR)
    nightly.write(nightly.people, nightly.text(nightly.people).replace(";A;", ";S;"))
    target.put(Change(before=before, after=holding(before, DOOR, HALL)))
    found = only(target, "1001")
    assert (found.status, refs(found)) == ("suspended", {DOOR, HALL})


def test_no_message_holds_what_was_sent(tmp_path: Path) -> None:
    target = described(DeltaXml(tmp_path))
    secret = "Hemlig-Namnsdotter"
    for wanted in (
        replace(ASA, key=f"{secret} "),
        replace(ASA, display_name=f"{secret}\uffff"),
        replace(ASA, mail=f"{secret}@example.org"),
        holding(ASA, f"{secret}|"),
        holding(ASA, *(f"{secret}-{number}" for number in range(20))),
        replace(ASA, grants=(Grant(ref=secret, valid_to=datetime(2031, 1, 1, tzinfo=UTC)),)),
    ):
        with pytest.raises(ConnectorError) as raised:
            target.put(Change(before=None, after=replace(wanted, department=None)))
        assert secret not in str(raised.value)


def test_the_written_file_is_what_another_csv_reader_reads(tmp_path: Path) -> None:
    vendor = BracedCsv(tmp_path)
    target = described(vendor)
    names = ['a"b', "a,b", "", "'", ' "', 'ö,""', "\\", "🔑"]
    for number, name in enumerate(names):
        target.put(Change(before=None, after=Cardholder(key=f"k{number}", display_name=name)))
    with vendor.path.open(encoding="utf-8-sig", newline="") as file:
        assert [row[2] for row in csv.reader(file)] == names
