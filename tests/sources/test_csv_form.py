"""The csv source takes a file apart strictly: encoding, header, quotes, fields."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from idsync.sources.csv_table import Sheet, parse
from tests.sources.csv_files import HEADER, MAP, ROWS, configured, content, over, read, refused

PEOPLE: dict[str, Any] = {"kind": "persons", "map": {"key": "Id", "display_name": "Namn"}}
CANARIES = ("Åsa", "Östen", "Andréa", "anst-1000", "pers-2000")


def names(folder: Path, data: str | bytes, **settings: Any) -> list[str]:
    """Return the names in a file of people."""
    people = read(over(folder, data, **(PEOPLE | settings)))["persons"]
    found: list[str] = people["display_name"].to_list()
    return found


# ── encoding ────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("S5")
@pytest.mark.parametrize(
    ("written", "declared"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("cp1252", "windows-1252"),
        ("iso8859-1", "iso-8859-1"),
    ],
)
def test_letters_are_the_same_in_every_declared_encoding(
    tmp_path: Path, written: str, declared: str
) -> None:
    data = content("1;Åsa Öberg", "2;André Ängström", header="Id;Namn").encode(written)
    assert names(tmp_path, data, encoding=declared) == ["Åsa Öberg", "André Ängström"]


@pytest.mark.case("S5")
@pytest.mark.parametrize(
    ("written", "declared", "advice"),
    [
        ("cp1252", "utf-8", "is not utf-8"),
        ("utf-8", "windows-1252", "is UTF-8"),
        ("utf-8", "iso-8859-1", "is UTF-8"),
        ("utf-8-sig", "windows-1252", "is UTF-8"),
        ("utf-16", "utf-8", "NUL"),
    ],
)
def test_another_encoding_is_refused_with_its_line(
    tmp_path: Path, written: str, declared: str, advice: str
) -> None:
    data = content("1;Bo", "2;Åsa Öberg", header="Id;Namn").encode(written)
    said = refused(over(tmp_path, data, encoding=declared, **PEOPLE))
    assert advice in said
    assert ("line 3" if not written.startswith("utf-16") else "line 1") in said or "sig" in written


def test_letters_that_only_windows_has_are_not_taken_for_iso_8859_1(tmp_path: Path) -> None:
    data = content("1;Bo", "2;Zoë Šimić – Åberg", header="Id;Namn").encode("cp1252", "replace")
    said = refused(over(tmp_path, data, encoding="iso-8859-1", **PEOPLE))
    assert "line 3" in said
    assert "windows-1252" in said


def test_a_byte_that_windows_1252_does_not_know_is_refused(tmp_path: Path) -> None:
    data = "Id;Namn\n1;Bo\n2;\x81\n".encode("iso8859-1")
    assert "line 3" in refused(over(tmp_path, data, encoding="windows-1252", **PEOPLE))


def test_a_nul_byte_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "line 3: holds a NUL" in refused(over(tmp_path, "Id;Namn\n1;Bo\n2;\0\n", **PEOPLE))


def test_letters_in_pieces_are_composed_and_columns_found_by_either(tmp_path: Path) -> None:
    source = over(
        tmp_path,
        content("1;A\u030asa", header="Id;Fo\u0308rnamn"),
        kind="persons",
        map={"key": "Id", "given_name": "Förnamn"},
    )
    assert read(source)["persons"]["given_name"].to_list() == ["Åsa"]


def test_a_character_that_composes_to_a_delimiter_is_not_one(tmp_path: Path) -> None:
    greek_question_mark = "\u037e"
    found = names(tmp_path, content(f"1;A\u030a{greek_question_mark}", header="Id;Namn"))
    assert found == ["Å;"]


# ── header ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("S5")
def test_columns_may_come_in_any_order_with_others_between(tmp_path: Path) -> None:
    turned = [";".join([*reversed(line.split(";")), "x"]) for line in (HEADER, *ROWS)]
    plain = read(over(tmp_path, content(*ROWS)))
    other = read(over(tmp_path, content(*turned[1:], header=turned[0])))
    for kind, records in plain.items():
        assert records.equals(other[kind])


@pytest.mark.case("S5")
def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    header = HEADER.replace("Förnamn", "Fornamn")
    said = refused(over(tmp_path, content(*ROWS, header=header)))
    assert "no column Förnamn; the nearest is Fornamn" in said


def test_a_file_without_a_header_shows_nobody(tmp_path: Path) -> None:
    said = refused(over(tmp_path, content(*ROWS[1:], header=ROWS[0])))
    assert "line 1 is not the header" in said
    assert not [canary for canary in CANARIES if canary in said]


@pytest.mark.case("S5")
def test_another_delimiter_is_refused(tmp_path: Path) -> None:
    assert "set delimiter" in refused(over(tmp_path, content(*ROWS), delimiter=","))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    rows = [f"{row};x" for row in ROWS]
    said = refused(over(tmp_path, content(*rows, header=f"{HEADER};Tom")))
    assert "columns 6 and 7 have the same name" in said


def test_without_a_map_the_header_uses_the_fields_own_names(tmp_path: Path) -> None:
    header = HEADER
    for ours, theirs in MAP.items():
        header = header.replace(theirs, ours)
    plain = read(over(tmp_path, content(*ROWS)))
    other = read(over(tmp_path, content(*ROWS, header=header), map=None))
    for kind, records in plain.items():
        assert records.equals(other[kind])
    said = refused(over(tmp_path, content(*ROWS, header=header.replace("_to", "_too")), map=None))
    assert "column 6 is no field of employments; the nearest is valid_to" in said
    said = refused(over(tmp_path, content(*ROWS, header=header.replace("n_key", "n")), map=None))
    assert "no column person_key" in said


# ── quotes and fields ───────────────────────────────────────────────────────────────────


@pytest.mark.case("S5")
def test_quoted_delimiters_quotes_and_line_breaks_are_data(tmp_path: Path) -> None:
    data = 'Id;Namn\n1;"Öberg; Åsa"\n2;"Kalle ""Kula"" Ek"\n3;"Två\nrader"\n4;""\n"5";"=1+1"\n'
    wanted = ["Öberg; Åsa", 'Kalle "Kula" Ek', "Två\nrader", "", "=1+1"]
    assert names(tmp_path, data) == wanted
    assert names(tmp_path, data.replace("\n", "\r\n")) == wanted


def test_formulas_commas_and_odd_separators_of_lines_are_data(tmp_path: Path) -> None:
    odd = ["=1+1", "@SUM", "-2", "a,b", "a\u2028b", "a\x0bb", "a\x85b", "#not a comment"]
    data = content(*(f"{number};{text}" for number, text in enumerate(odd)), header="Id;Namn")
    assert names(tmp_path, data) == odd


def test_a_file_that_quotes_nothing_may_hold_quotes(tmp_path: Path) -> None:
    data = 'Id;Namn\n1;Kalle "Kula" Ek\n2;2" rör\n'
    assert names(tmp_path, data, quote="") == ['Kalle "Kula" Ek', '2" rör']
    assert names(tmp_path, data.replace('"', "'"), quote='"') == ["Kalle 'Kula' Ek", "2' rör"]
    assert names(tmp_path, "Id;Namn\n1;'a;b'\n", quote="'") == ["a;b"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "."])
def test_any_character_may_separate_fields(tmp_path: Path, delimiter: str) -> None:
    data = f'Id{delimiter}Namn\n1{delimiter}"a{delimiter}b"\n'
    assert names(tmp_path, data, delimiter=delimiter) == [f"a{delimiter}b"]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("Id;Namn\n1;Åsa\n2\n", "line 3:"),
        ("Id;Namn\n1;Åsa\n2;Östen;x\n", "line 3:"),
        ("Id;Namn\n1;Åsa;x\n2\n", "lines 2, 3:"),
        ("Id;Namn\n1;Åsa\n\n2;Östen\n", "line 3:"),
        ('Id;Namn\n1;"Å\ns\na"\n2;Östen;x\n', "line 5:"),
        ('Id;Namn\n1;"Åsa\n2;Östen\n', "line 2:"),
        ('Id;Namn\n1;"Åsa\nÖsten";x\n2;Bo\n', "line 2:"),
        ('Id;Namn\n1;Åsa\n2;Ö"sten"\n', "line 3:"),
        ('Id;Namn\n1;"Åsa" \n2;Östen\n', "line 2:"),
        ('Id;Namn\n1;"Å\nsa"\n2;"Öst"en\n', "line 4:"),
        ('Id;Namn\n1;"Åsa""\n2;Östen\n', "line 2"),
        ("Id;Namn\n1;Å\rsa\n2;Östen\n", "line 2:"),
    ],
)
def test_a_row_that_cannot_be_told_apart_refuses_the_file(
    tmp_path: Path, data: str, line: str
) -> None:
    said = refused(over(tmp_path, data, **PEOPLE))
    assert line in said.replace("in line 2: correct", "line 2: correct")
    assert not [canary for canary in CANARIES if canary in said]


def test_many_bad_rows_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    data = content(*(f"{number}" for number in range(50)), header="Id;Namn")
    assert "lines 2, 3, 4 and 47 more" in refused(over(tmp_path, data, **PEOPLE))


def test_an_enormous_field_is_refused_even_in_a_column_nobody_reads(tmp_path: Path) -> None:
    filler = "\n".join("x;y;z" for _ in range(20_000))
    data = f'Id;Namn;Not\n1;Åsa;""\n2;Östen;"{filler}"\n'
    assert "line 3: a field has more than 65536 bytes" in refused(over(tmp_path, data, **PEOPLE))


cells = st.text(st.sampled_from('ab;"\n åÖ,#'), max_size=6)


@given(
    rows=st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=12),
    quote=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_what_a_csv_writer_writes_is_read_back(rows: list[list[str]], quote: bool) -> None:
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=";",
        lineterminator="\n",
        quoting=csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL,
    )
    writer.writerows([["a", "b", "c"], *rows])
    table = parse(Sheet(Path("people.csv"), text.getvalue().removesuffix("\n"), ";", '"'))
    assert table.rows.rows() == [tuple(cell.strip() for cell in row) for row in rows]


@given(data=st.text(st.sampled_from('12;"\n\rå'), max_size=24))
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_taken_is_what_a_strict_reader_reads(tmp_path: Path, data: str) -> None:
    """Whatever else is in the file: either the source refuses it, or both read the same."""
    source = over(tmp_path, f"Id;Namn\n{data}\n", **PEOPLE)
    try:
        people = read(source)["persons"]
    except Exception as error:
        assert type(error).__name__ == "Incomplete", error
        return
    text = f"Id;Namn\n{data}\n".replace("\r\n", "\n").rstrip("\n") + "\n"
    lines = [line + "\n" for line in text.split("\n")[:-1]]
    rows = list(csv.reader(lines, delimiter=";", strict=True))[1:]
    wanted = dict.fromkeys((row[0].strip(), row[1].strip()) for row in rows)
    assert people.rows() == list(wanted)


# ── settings ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"map": MAP | {"valid_too": "Tom"}}, "no field valid_too: did you mean valid_to?"),
        ({"map": {"person_key": "PersonId"}}, "key is missing"),
        ({"values": {"kind": {"T": "permanent"}}}, "not mapped: kind"),
        ({"values": {"valid_to": {"aldrig": ""}}}, "valid_to is not a text"),
        ({"values": {"given_name": {"x": True}}}, "given_name is a text"),
        ({"map": MAP | {"primary": "Tom"}, "values": {"primary": {"x": "y"}}}, "true or false"),
        (
            {"map": MAP | {"protection": "Tom"}, "values": {"protection": {"J": "secret"}}},
            "one of none, secrecy_marking",
        ),
        ({"person": "employe_number"}, "did you mean employee_number?"),
        ({"as_of": {"trailer": 3}}, "there is no trailer"),
        ({"as_of": {}}, "{ trailer = N } or { modified = true }"),
        ({"as_of": {"trailer": 3, "modified": True}}, "{ trailer = N } or { modified = true }"),
        ({"dates": "%Y-%m"}, "year, month and day"),
        ({"dates": "%Q"}, "year, month and day"),
        ({"dates": ""}, "year, month and day"),
        ({"delimiter": ";;"}, "one character"),
        ({"delimiter": "å"}, "one character"),
        ({"quote": "''"}, "one character"),
        ({"quote": ";"}, "the same character"),
        ({"encoding": "latin-9"}, "'utf-8', 'windows-1252' or 'iso-8859-1'"),
        ({"timezone": "Europe/Stokholm"}, "no such time zone"),
        ({"unit_seperator": ">"}, "Extra inputs are not permitted"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        configured(tmp_path, **settings)
    assert said in str(caught.value)
