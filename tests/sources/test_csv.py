"""The csv source keeps the promises of a source, and takes a file only when all of it is there."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idsync.errors import ConnectorError, Incomplete, Unavailable
from idsync.sources import Source
from idsync.sources.csv import CsvSource
from idsync.testing.source_contract import Expected, SourceContract
from tests.sources.csv_files import (
    HEADER,
    ROWS,
    TRAILER,
    configured,
    content,
    last,
    over,
    read,
    refused,
)

DATED = {"trailer": TRAILER, "as_of": {"trailer": 3}}


class CsvContract(SourceContract):
    """The promises, over a file of this content."""

    data: str
    settings: dict[str, Any]

    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        return over(tmp_path, self.data, **self.settings)

    @pytest.fixture
    def outage(self, tmp_path: Path) -> Source:
        return configured(tmp_path / "not mounted", **self.settings)

    @pytest.fixture
    def cut(self, tmp_path: Path) -> Source:
        folder = tmp_path / "cut"
        folder.mkdir()
        lines = self.data.splitlines(keepends=True)
        return over(folder, "".join(lines[: len(lines) // 2]), **self.settings)

    @pytest.fixture
    def empty(self, tmp_path: Path) -> Source:
        folder = tmp_path / "empty"
        folder.mkdir()
        return over(folder, content(trailer="#ANTAL;0;2026-11-23"), **self.settings)


class TestEmploymentsKeepEveryPromise(CsvContract):
    data = content(*ROWS, trailer="#ANTAL;4;2026-11-23")
    settings = DATED

    @pytest.fixture
    def expected(self) -> Expected:
        return {
            "persons": ["pers-20001", "pers-20002", "pers-20003"],
            "employments": [f"anst-1000{number}" for number in (1, 2, 3, 4)],
        }


class TestPersonsKeepEveryPromise(CsvContract):
    data = (
        "PersonId;Namn\npers-1;Åsa Öhman\npers-2;Ängla Gråhök\npers-3;André Åkerträd\n"
        "#ANTAL;3;2026-11-23\n"
    )
    settings = DATED | {"kind": "persons", "map": {"key": "PersonId", "display_name": "Namn"}}

    @pytest.fixture
    def expected(self) -> Expected:
        return {"persons": ["pers-1", "pers-2", "pers-3"]}


class TestTrainingsKeepEveryPromise(CsvContract):
    data = (
        "Person;Kurs;Klar\nanst-1;Brandskydd på förskola, Åldersblandad grupp;2026-01-02\n"
        "anst-2;Ärenden på café;2026-01-02\nanst-3;Översikt, ärenden;2026-01-03\n"
        "anst-1;Översikt, ärenden;2026-01-03\n"
        "#ANTAL;4;2026-11-23\n"
    )
    settings = DATED | {
        "kind": "trainings",
        "map": {"person_key": "Person", "course_id": "Kurs", "completed_at": "Klar"},
    }

    @pytest.fixture
    def expected(self) -> Expected:
        return {"persons": 3, "trainings": ["anst-1", "anst-1", "anst-2", "anst-3"]}


class TestMembershipsKeepEveryPromise(CsvContract):
    data = (
        "Adress;Grupp\nasa@example.org;Förskola Ängen\nbo@example.org;Café Åsikt\n"
        "eva@example.org;Örnen på älvsidan\n#ANTAL;3;2026-11-23\n"
    )
    settings = DATED | {
        "kind": "memberships",
        "map": {"person_key": "Adress", "role": "Grupp"},
        "person": "mail",
    }

    @pytest.fixture
    def expected(self) -> Expected:
        people = ["asa@example.org", "bo@example.org", "eva@example.org"]
        return {"persons": people, "memberships": people}


# ── all of it ───────────────────────────────────────────────────────────────────────────


@pytest.mark.case("S4")
@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_file_with_a_trailer_cut_at_any_byte_is_never_complete(
    tmp_path: Path, encoding: str, line_end: str
) -> None:
    text = content(*ROWS, trailer="#ANTAL;4;2026-11-23").replace("\n", line_end)
    data = text.encode(encoding)
    assert read(over(tmp_path, data, encoding=encoding, **DATED))["employments"].height == 4
    for end in range(len(data)):
        refused(over(tmp_path, data[:end], encoding=encoding, **DATED))


@given(
    names=st.lists(st.text(max_size=6), min_size=1, max_size=4),
    share=st.floats(min_value=0, max_value=1, exclude_max=True),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_the_cells_hold_a_cut_file_is_never_complete(
    tmp_path: Path, names: list[str], share: float
) -> None:
    rows = [f'{number};"{name.replace(chr(34), 2 * chr(34))}"' for number, name in enumerate(names)]
    data = content(*rows, header="Id;Namn", trailer=f"#ANTAL;{len(rows)}").encode()
    source = over(
        tmp_path,
        data[: int(len(data) * share)],
        kind="persons",
        map={"key": "Id", "display_name": "Namn"},
        trailer=TRAILER,
    )
    with pytest.raises(ConnectorError):
        list(source.read(None))


def test_the_proof_says_that_the_count_of_the_trailer_agrees(tmp_path: Path) -> None:
    batch = last(over(tmp_path, content(*ROWS, trailer='"#ANTAL";"4"'), trailer=TRAILER))
    assert "trailer: its count 4 agrees" in str(batch.proof)


@pytest.mark.case("S21")
@pytest.mark.parametrize("announced", ["3", "5", "", "fyra", "-4", "4.0"])
def test_a_trailer_with_another_count_refuses_the_file(tmp_path: Path, announced: str) -> None:
    source = over(tmp_path, content(*ROWS, trailer=f"#ANTAL;{announced}"), trailer=TRAILER)
    assert "trailer" in refused(source)


def test_a_trailer_that_has_fewer_fields_than_asked_for_refuses_the_file(tmp_path: Path) -> None:
    source = over(tmp_path, content(*ROWS, trailer="#ANTAL;4"), **DATED)
    assert "2 fields and its field 3" in refused(source)


def test_two_files_one_after_the_other_are_refused(tmp_path: Path) -> None:
    data = content(*ROWS, trailer="#ANTAL;4") + content(*ROWS, trailer="#ANTAL;4")
    assert "line 6: not as many fields" in refused(over(tmp_path, data, trailer=TRAILER))


def test_a_control_file_must_agree(tmp_path: Path) -> None:
    source = over(tmp_path, content(*ROWS), control="people.count")
    with pytest.raises(Unavailable, match=r"people\.count"):
        list(source.read(None))
    (tmp_path / "people.count").write_text("5\n")
    assert "says 5 rows and there are 4" in refused(source)
    (tmp_path / "people.count").write_text("4\n")
    assert "people.count: its count 4 agrees" in str(last(source).proof)


def test_a_marker_must_be_there_and_not_older_than_the_file(tmp_path: Path) -> None:
    source = over(tmp_path, content(*ROWS), done="people.done")
    marker = tmp_path / "people.done"
    assert "not there yet" in refused(source)
    marker.touch()
    assert "marks it as finished: 4 rows" in str(last(source).proof)
    os.utime(marker, (1_000_000_000, 1_000_000_000))
    assert "older than the file it stands for" in refused(source)


def test_every_proof_that_is_declared_must_hold(tmp_path: Path) -> None:
    data = content(*ROWS, trailer="#ANTAL;4")
    source = over(tmp_path, data, trailer=TRAILER, control="people.count")
    (tmp_path / "people.count").write_text("5")
    refused(source)
    (tmp_path / "people.count").write_text("4")
    assert "trailer" in str(last(source).proof)
    assert "people.count" in str(last(source).proof)


def test_without_any_count_the_proof_says_what_was_seen(tmp_path: Path) -> None:
    proof = last(over(tmp_path, content(*ROWS))).proof
    assert proof == "read to the end of the file: 4 rows, last line ended"


@pytest.mark.parametrize("declared", [{}, {"done": "people.done"}, {"control": "people.count"}])
def test_a_last_line_that_is_not_ended_is_cut_off(tmp_path: Path, declared: dict[str, str]) -> None:
    source = over(tmp_path, content(*ROWS)[:-1], **declared)
    (tmp_path / "people.done").touch()
    (tmp_path / "people.count").write_text("4")
    assert "last line is not ended" in refused(source)


def test_blank_lines_after_the_last_row_are_no_rows(tmp_path: Path) -> None:
    assert read(over(tmp_path, content(*ROWS) + "\r\n\n"))["employments"].height == 4


@pytest.mark.parametrize("data", ["", "\n", HEADER, content()])
def test_a_file_without_rows_is_incomplete(tmp_path: Path, data: str) -> None:
    refused(over(tmp_path, data))


# ── its age ─────────────────────────────────────────────────────────────────────────────


def dated(folder: Path, day: str, *rows: str) -> CsvSource:
    rows = rows or ROWS
    return over(folder, content(*rows, trailer=f"#ANTAL;{len(rows)};{day}"), **DATED)


@pytest.mark.case("S23")
def test_an_older_file_than_the_last_accepted_is_refused(tmp_path: Path) -> None:
    cursor = last(dated(tmp_path, "2026-11-23")).cursor
    said = refused(dated(tmp_path, "2026-11-22"), cursor)
    assert "older than the last accepted file (2026-11-22 < 2026-11-23)" in said
    for day in ("2026-11-23", "2026-11-24"):
        assert last(dated(tmp_path, day), cursor).proof
    assert last(dated(tmp_path, "2026-11-23", *ROWS[:2]), cursor).proof


def test_the_cursor_holds_age_rows_and_content(tmp_path: Path) -> None:
    cursor = json.loads(str(last(dated(tmp_path, "2026-11-23")).cursor))
    assert cursor.keys() == {"as_of", "rows", "sha256"}
    assert (cursor["as_of"], cursor["rows"], len(cursor["sha256"])) == ("2026-11-23", 4, 64)


@pytest.mark.parametrize("day", ["2026-11-2", "20261123", "2026-13-01", "", "9999-12-31"])
def test_an_age_that_is_no_day_refuses_the_file(tmp_path: Path, day: str) -> None:
    assert "no date of the form %Y-%m-%d" in refused(dated(tmp_path, day))


def test_the_time_of_the_file_can_be_its_age(tmp_path: Path) -> None:
    source = over(tmp_path, content(*ROWS), as_of={"modified": True})
    cursor = last(source).cursor
    assert last(source, cursor).proof
    os.utime(tmp_path / "people.csv", (1_000_000_000, 1_000_000_000))
    moment = datetime.fromtimestamp(1_000_000_000, UTC).isoformat(timespec="microseconds")
    assert f"older than the last accepted file ({moment} < " in refused(source, cursor)


def test_an_age_from_the_trailer_and_one_from_the_file_compare_by_the_day(tmp_path: Path) -> None:
    modified = json.dumps({"as_of": "2026-11-23T04:00:00.000000+00:00"})
    assert last(dated(tmp_path, "2026-11-23"), modified).proof
    refused(dated(tmp_path, "2026-11-22"), modified)


@pytest.mark.parametrize("cursor", ["", "page 7", "[1]", '{"as_of": 7}', '"text"', "null"])
def test_a_cursor_of_another_connector_says_nothing(tmp_path: Path, cursor: str) -> None:
    assert last(dated(tmp_path, "2026-11-23"), cursor).proof


# ── the file itself ─────────────────────────────────────────────────────────────────────


def test_what_is_no_plain_readable_file_is_unavailable(tmp_path: Path) -> None:
    source = configured(tmp_path)
    path = tmp_path / "people.csv"
    with pytest.raises(Unavailable, match="No such file"):
        list(source.read(None))
    path.mkdir()
    with pytest.raises(Unavailable, match="not a file"):
        list(source.read(None))
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(Unavailable, match="not a file"):
        list(source.read(None))
    path.unlink()
    (tmp_path / "elsewhere.csv").write_text(content(*ROWS))
    path.symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(Unavailable, match="symbolic link"):
        list(source.read(None))


def test_a_file_that_may_not_be_read_is_unavailable(tmp_path: Path) -> None:
    source = over(tmp_path, content(*ROWS))
    (tmp_path / "people.csv").chmod(0)
    me = os.geteuid()
    if me == 0:  # root may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(Unavailable, match="Permission denied"):
            list(source.read(None))
    finally:
        os.seteuid(me)


@pytest.mark.parametrize("how", ["appending", "overwriting"])
def test_a_file_that_is_written_to_while_it_is_read_is_incomplete(tmp_path: Path, how: str) -> None:
    line = f"{ROWS[0]}\n".encode()
    header = f"{HEADER}\n".encode()
    source = over(tmp_path, header + line * 1_000_000)
    stop, begun = threading.Event(), threading.Event()

    def write() -> None:
        with (tmp_path / "people.csv").open("r+b", buffering=0) as file:
            if how == "appending":
                file.seek(0, os.SEEK_END)
            while not stop.is_set():
                if how == "overwriting":
                    file.seek(0)
                file.write(header)
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(timeout=5)
        with pytest.raises(Incomplete, match="changed while it was read"):
            list(source.read(None))
    finally:
        stop.set()
        writer.join(timeout=5)


def test_a_file_over_the_limit_is_refused_without_reading_it(tmp_path: Path) -> None:
    source = over(tmp_path, content(*ROWS), max_mb=1)
    with (tmp_path / "people.csv").open("ab") as file:
        file.truncate(3 * 1024 * 1024)
    assert "has 3 MB and max_mb allows 1" in refused(source)


def test_making_the_source_touches_nothing(tmp_path: Path) -> None:
    source = configured(tmp_path / "nowhere", control="a", done="b")
    source.close()
    assert not list(tmp_path.iterdir())


def test_a_file_of_a_large_city_is_read_with_all_its_people(tmp_path: Path) -> None:
    rows = [
        f'anst-{n};pers-{n % 100_000};Åsa;"Vård; norr/Enhet {n % 500}";2026-01-{n % 28 + 1:02};'
        for n in range(125_000)
    ]
    records = read(over(tmp_path, content(*rows, trailer="#ANTAL;125000"), trailer=TRAILER))
    assert records["employments"].height == 125_000
    assert records["persons"].height == 100_000
    assert records["employments"]["unit"][1] == "Vård; norr / Enhet 1"
