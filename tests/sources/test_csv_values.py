"""What the cells of a csv file mean: days, words, numbers, paths, and who is named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idsync.model import day_end, day_start
from idsync.sources import RECORDS
from tests.sources.csv_files import MAP, ROWS, content, over, read, refused

ZONES = ("Europe/Stockholm", "America/Sao_Paulo", "Pacific/Apia", "Asia/Beirut")


def column(folder: Path, ours: str, *cells: str, **settings: Any) -> list[Any]:
    """Return what the *cells* of the column of our field *ours* mean."""
    records = read(cells_of(folder, ours, *cells, **settings))["employments"]
    values: list[Any] = records[ours].to_list()
    return values


def cells_of(folder: Path, ours: str, *cells: str, **settings: Any) -> Any:
    rows = [f'anst-{number};pers-{number};"{cell}"' for number, cell in enumerate(cells)]
    return over(
        folder,
        content(*rows, header="Anst;Person;Värde"),
        map={"key": "Anst", "person_key": "Person", ours: "Värde"},
        **settings,
    )


# ── days ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("S14")
def test_the_last_day_is_included_on_both_days_the_clock_changes(tmp_path: Path) -> None:
    ends = column(tmp_path, "valid_to", "2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25")
    assert ends == [
        datetime(2026, 3, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 29, 22, tzinfo=UTC),
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
    ]
    starts = column(tmp_path, "valid_from", "2026-03-29", "2026-03-30", "2026-10-25", "2026-10-26")
    assert starts == [
        datetime(2026, 3, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 29, 22, tzinfo=UTC),
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_days_begin_and_end_as_the_model_says_in_every_zone(tmp_path: Path, zone: str) -> None:
    days = [date(1950, 1, 1) + timedelta(days=7 * number) for number in range(4500)]
    days += [date(2011, 12, 29), date(2011, 12, 30), date(2018, 11, 4), date(2022, 3, 27)]
    cells = [day.isoformat() for day in days]
    where = ZoneInfo(zone)
    wanted = [day_start(day, where) for day in days]
    assert column(tmp_path, "valid_from", *cells, timezone=zone) == wanted
    wanted = [day_end(day, where) for day in days]
    assert column(tmp_path, "valid_to", *cells, timezone=zone) == wanted


@given(day=st.dates(date(1900, 1, 1), date(9998, 12, 31)))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_day_is_read_back(tmp_path: Path, day: date) -> None:
    zone = ZoneInfo("Europe/Stockholm")
    assert column(tmp_path, "valid_to", day.isoformat()) == [day_end(day, zone)]


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("%Y-%m-%d", "2026-11-03"),
        ("%Y%m%d", "20261103"),
        ("%y%m%d", "261103"),
        ("%d/%m/%Y", "03/11/2026"),
        ("%-d.%-m.%Y", "3.11.2026"),
        ("%Y-%m-%d %H:%M:%S", "2026-11-03 00:00:00"),
    ],
)
def test_a_day_is_read_in_the_declared_form(tmp_path: Path, form: str, cell: str) -> None:
    wanted = [datetime(2026, 11, 2, 23, tzinfo=UTC)]
    assert column(tmp_path, "valid_from", f" {cell} ", dates=form) == wanted


@pytest.mark.parametrize(
    "cell",
    ["2026-11-3", "2026-11-031", "20261103", "2026-02-30", "03/11/2026", "igår", "0001-01-01",
     "9999-12-31", "2026-11-03 00:00:00", "２０２６-11-03"],
)  # fmt: skip
def test_what_is_no_such_day_refuses_the_file_without_showing_it(tmp_path: Path, cell: str) -> None:
    for ours in ("valid_from", "valid_to", "leave_from", "leave_to"):
        said = refused(cells_of(tmp_path, ours, "2026-11-03", cell))
        assert "line 3, column Värde: not a date of the form %Y-%m-%d" in said
        assert cell not in said


@pytest.mark.case("S13")
def test_what_means_no_end_is_no_end(tmp_path: Path) -> None:
    cells = ("", "9999-12-31", "tills vidare", "2026-12-31")
    never = ("", "9999-12-31", "tills vidare")
    end = datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert column(tmp_path, "valid_to", *cells, no_end=never) == [None, None, None, end]
    assert column(tmp_path, "leave_to", *cells, no_end=never) == [None, None, None, end]
    assert column(tmp_path, "valid_to", "") == [None]


@pytest.mark.case("S13")
def test_an_empty_end_is_refused_where_the_file_writes_no_end_otherwise(tmp_path: Path) -> None:
    said = refused(cells_of(tmp_path, "valid_to", "", no_end=("9999-12-31",)))
    assert "line 2, column Värde" in said
    assert "no_end" in said


def test_what_means_no_end_never_means_a_start(tmp_path: Path) -> None:
    said = refused(cells_of(tmp_path, "valid_from", "9999-12-31", no_end=("", "9999-12-31")))
    assert "no_start" in said


def test_a_missing_start_is_refused_unless_the_file_means_always(tmp_path: Path) -> None:
    assert "no_start" in refused(cells_of(tmp_path, "valid_from", "2026-01-01", ""))
    assert column(tmp_path, "valid_from", "", "1900-01-01", no_start=("", "1900-01-01")) == [
        None,
        None,
    ]


def test_nobody_needs_to_be_on_leave(tmp_path: Path) -> None:
    assert column(tmp_path, "leave_from", "", "2026-06-01", no_end=("9999-12-31",)) == [
        None,
        datetime(2026, 5, 31, 22, tzinfo=UTC),
    ]


def test_a_course_is_passed_at_the_start_of_its_day_and_valid_to_the_end(tmp_path: Path) -> None:
    source = over(
        tmp_path,
        "P;K;Klar;Giltig;Utfall\n10001;brandskydd;2026-01-01;2026-12-31;G\n",
        kind="trainings",
        map={
            "person_key": "P",
            "course_id": "K",
            "completed_at": "Klar",
            "valid_to": "Giltig",
            "result": "Utfall",
        },
        values={"result": {"G": "passed", "U": "failed"}},
    )
    records = read(source)
    assert records["trainings"].row(0, named=True) == {
        "person_key": "10001",
        "course_id": "brandskydd",
        "completed_at": datetime(2025, 12, 31, 23, tzinfo=UTC),
        "valid_to": datetime(2026, 12, 31, 23, tzinfo=UTC),
        "result": "passed",
    }
    assert records["persons"].to_dicts() == [{"key": "10001", "employee_number": "10001"}]


# ── words, numbers, paths ───────────────────────────────────────────────────────────────


def test_text_is_trimmed_and_an_empty_cell_is_known_to_be_absent(tmp_path: Path) -> None:
    assert column(tmp_path, "title", "  Barnskötare\u00a0", "", "   ") == ["Barnskötare", "", ""]


def test_a_field_that_is_not_mapped_is_left_out(tmp_path: Path) -> None:
    records = read(over(tmp_path, content(*ROWS)))
    assert set(records["employments"].columns) == {*MAP} - {"given_name"}
    assert records["persons"].columns == ["key", "given_name"]


def test_words_are_translated_and_an_unknown_word_refuses_the_file(tmp_path: Path) -> None:
    words = {"values": {"kind": {"T": "permanent", "Vik ": "fixed"}}}
    assert column(tmp_path, "kind", "T", "Vik", "", **words) == ["permanent", "fixed", ""]
    said = refused(cells_of(tmp_path, "kind", "T", "hemlig", "t", **words))
    assert "lines 3, 4, column Värde: a value that values.kind does not translate" in said
    assert "hemlig" not in said
    assert column(tmp_path, "kind", "", values={"kind": {"": "hourly"}}) == ["hourly"]


@pytest.mark.parametrize(("ours", "kind"), [("protection", "persons"), ("result", "trainings")])
def test_a_word_that_decides_must_be_one_that_is_known(
    tmp_path: Path, ours: str, kind: str
) -> None:
    keys = {"persons": {"key": "K"}, "trainings": {"person_key": "K", "course_id": "C"}}
    settings: dict[str, Any] = {"kind": kind, "map": keys[kind] | {ours: "Värde"}}
    said = refused(over(tmp_path, "K;C;Värde\n10001;x;\n10002;x;JA\n", **settings))
    assert "line 3, column Värde: not one of" in said
    known = {"protection": "protected_registration", "result": "exempt"}[ours]
    data = f"K;C;Värde\n10001;x;\n10002;x;{known}\n"
    assert read(over(tmp_path, data, **settings))[kind][ours].to_list() == ["", known]


def test_percent_is_kept_in_thousandths(tmp_path: Path) -> None:
    cells = ("100", "100,0", "37,5", "37.5", "0", "33,33", "")
    assert column(tmp_path, "percent_permille", *cells) == [1000, 1000, 375, 375, 0, 333, None]


@pytest.mark.parametrize("cell", ["100,1", "750", "-1", "1e1", "heltid", "50 %", "5,", ",5", "NaN"])
def test_what_is_no_percentage_refuses_the_file(tmp_path: Path, cell: str) -> None:
    said = refused(cells_of(tmp_path, "percent_permille", "50", cell))
    assert "line 3, column Värde: not a percentage" in said


def test_yes_and_no_are_read_in_swedish_too(tmp_path: Path) -> None:
    assert column(tmp_path, "primary", "1", "true", "ja", "J", "Ja") == [True] * 5
    assert column(tmp_path, "primary", "0", "false", "nej", "N", "NEJ") == [False] * 5
    assert column(tmp_path, "primary", "") == [None]
    assert "neither yes nor no" in refused(cells_of(tmp_path, "primary", "kanske"))
    words = {"values": {"primary": {"H": True, "B": False}}}
    assert column(tmp_path, "primary", "H", "B", "", **words) == [True, False, None]
    assert "line 2" in refused(cells_of(tmp_path, "primary", "ja", **words))


@pytest.mark.parametrize(
    ("separator", "cell", "path"),
    [
        ("/", "Skola/Norr / Ängen", "Skola / Norr / Ängen"),
        ("/", "/Skola//Norr/", "Skola / Norr"),
        (">", "Skola > Vård / omsorg>Norr", "Skola / Vård/omsorg / Norr"),
        (" - ", "Skola - Norra-Ängen", "Skola / Norra-Ängen"),
        ("\\", "Skola\\Norr", "Skola / Norr"),
        ("|", "Skola|Norr (2)", "Skola / Norr (2)"),
        (".", "Skola.Norr", "Skola / Norr"),
        (" / ", "Skola / Norr", "Skola / Norr"),
        ("/", "", ""),
    ],
)
def test_unit_paths_are_joined_in_one_way(
    tmp_path: Path, separator: str, cell: str, path: str
) -> None:
    assert column(tmp_path, "unit", cell, unit_separator=separator) == [path]


# ── keys and people ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", [0, 1])
def test_an_empty_key_refuses_the_file(tmp_path: Path, place: int) -> None:
    fields = ROWS[2].split(";")
    fields[place] = " "
    said = refused(over(tmp_path, content(*ROWS[:2], ";".join(fields))))
    assert f"line 4, column {('AnstId', 'PersonId')[place]}: empty" in said


def test_two_employments_with_one_key_refuse_the_file(tmp_path: Path) -> None:
    said = refused(over(tmp_path, content(*ROWS, f" {ROWS[1]}")))
    assert "lines 3, 6, column AnstId: several rows have one key" in said
    assert "anst-" not in said


def test_one_person_with_two_employments_comes_once(tmp_path: Path) -> None:
    people = read(over(tmp_path, content(*ROWS)))["persons"]
    assert people.rows() == [
        ("pers-20001", "Åsa"),
        ("pers-20002", "Östen"),
        ("pers-20003", "Andréa"),
    ]


def test_a_person_of_whom_two_things_are_said_comes_with_both(tmp_path: Path) -> None:
    other = ROWS[2].replace("Åsa", "Åke")
    people = read(over(tmp_path, content(ROWS[0], other)))["persons"]
    assert people.rows() == [("pers-20001", "Åsa"), ("pers-20001", "Åke")]


def test_people_come_even_if_nothing_more_is_said_of_them(tmp_path: Path) -> None:
    people = read(cells_of(tmp_path, "title", "Lärare"))["persons"]
    assert people.to_dicts() == [{"key": "pers-0"}]


def test_two_different_persons_with_one_key_both_come(tmp_path: Path) -> None:
    source = over(
        tmp_path,
        "Id;Namn\n10001;Åsa\n10001;Åke\n10001;Åsa\n",
        kind="persons",
        map={"key": "Id", "display_name": "Namn"},
    )
    assert read(source)["persons"].rows() == [("10001", "Åsa"), ("10001", "Åke")]


def test_one_column_may_be_two_of_our_fields(tmp_path: Path) -> None:
    source = over(tmp_path, content(*ROWS), map=MAP | {"employee_number": "PersonId"})
    people = read(source)["persons"]
    assert people["key"].to_list() == people["employee_number"].to_list()


def test_every_field_that_can_be_mapped_gets_the_type_of_its_record(tmp_path: Path) -> None:
    row = {
        name: {pl.Int64: "50", pl.Boolean: "ja", pl.Datetime: "2026-01-01"}.get(
            kind.base_type(), "x"
        )
        for name, kind in RECORDS["employments"].items()
    }
    data = content(";".join(row.values()), header=";".join(row))
    records = read(over(tmp_path, data, map=None))["employments"]
    assert dict(records.schema) == dict(RECORDS["employments"])
