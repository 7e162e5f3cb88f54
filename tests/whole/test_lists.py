"""Many people's access ended by one list."""

from __future__ import annotations

from pathlib import Path

import pytest

from idsync.config import load
from idsync.errors import ConfigError
from idsync.service.lists import listed
from tests.whole.test_main_job import by_key, rights
from tests.whole.test_pursuing import down, up
from tests.whole.town import Town

HEADER = "namn;person;slut\n"


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path / "en stad", people=12)
    made.write()
    made.json("sync", code=0)
    return made


def write(town: Town, text: str, encoding: str = "utf-8-sig") -> None:
    (town.folder / "lista.csv").write_text(text, encoding=encoding)


def shut(town: Town, number: str) -> bool:
    held = (by_key(holders).get(number) for holders in town.doors().values())
    return not any(rights(one) for one in held if one is not None)


REVOKE = ("revoke", "--file", "lista.csv", "--reason", "varsel")


def test_everybody_in_a_list_is_closed_everywhere_and_stays_so(town: Town) -> None:
    write(town, HEADER + "Åsa;200001;i dag\n\nBjörn;200003;\n# de andra senare\nÅsa;200001;\n")
    told = town.json(*REVOKE, "--by", "Örjan", code=0)
    assert (told["format"], told["unknown"]) == ("idsync.revocations/1", [])
    assert [(one["line"], one["confirmed"], one["open"]) for one in told["people"]] == [
        (2, True, {}), (4, True, {}),
    ]  # fmt: skip
    orders = [one["order"] for one in told["people"]]
    assert len(set(orders)) == 2
    town.json("sync", code=0)
    assert shut(town, "200001")
    assert shut(town, "200003")
    assert not shut(town, "200002")
    again = town.json(*REVOKE, code=0)
    assert [one["order"] for one in again["people"]] == orders, "no second order for the same"


def test_a_line_of_nobody_is_told_by_its_number_and_holds_nobody_up(town: Town) -> None:
    write(town, '200001\n999999\n"",x\n-\n200003\n')
    answer = town.run(*REVOKE)
    assert answer.code == 1
    assert "2 orders stand" in answer.out
    assert "Closed in all of 2 systems, seen there: 2 of 2." in answer.out
    assert "nobody is known by this" in answer.out
    assert "999999" not in answer.out + answer.err, "what stands in a list is not repeated"
    assert shut(town, "200001")
    assert shut(town, "200003")
    told = town.json(*REVOKE, code=1)
    assert [one["line"] for one in told["unknown"]] == [2, 3, 4]


def test_a_system_that_is_down_shows_who_may_open_it_yet_and_is_pursued(town: Town) -> None:
    write(town, "person\n200001\n200003\n")
    away = down(town)
    told = town.json(*REVOKE, code=1)
    assert [list(one["open"]) for one in told["people"]] == [["skola"], ["skola"]]
    assert all(one["open"]["skola"].startswith("unavailable ") for one in told["people"])
    shown = town.run(*REVOKE)
    assert "Not confirmed yet" in shown.out
    assert "Closed in all of 2 systems, seen there: 0 of 2." in shown.out
    up(town, away)
    town.json("sync", "--due", code=0)
    assert shut(town, "200001")
    assert town.json(*REVOKE, code=0)["people"][0]["confirmed"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "names nobody"), ("person\n# ingen\n", "names nobody"), ("\xe5sa", "is not UTF-8")],
)
def test_a_list_that_says_nothing_ends_nobody(town: Town, text: str, said: str) -> None:
    write(town, text, "latin-1")
    answer = town.run(*REVOKE)
    assert (answer.code, said in answer.err) == (2, True), answer
    assert town.json("status", code=0)["unconfirmed"] == []


def test_a_person_or_a_list_is_named_and_not_both(town: Town) -> None:
    write(town, "200001\n")
    for words in (("revoke", "--reason", "x"), (*REVOKE, "200001")):
        answer = town.run(*words)
        assert answer.code == 2
        assert "name one PERSON, or a list with --file" in answer.err
    assert not shut(town, "200001")
    assert load(town.folder / "connectors.toml").targets


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\nb\n", [(1, "a"), (2, "b")]),
        ("\ufeffPerson\tEnhet\na\tx\n", [(2, "a")]),
        ("mail,titel\na@x.se,Lärare\n", [(2, "a@x.se")]),
        ("titel;person\nLärare;a\nRektor\n", [(2, "a"), (3, "")]),
        ("mail;Employee_Number\na@x.se;7\n", [(2, "7")]),
        ("titel;namn\nLärare;a\n", [(1, "titel"), (2, "Lärare")]),
        ("id;person\n7;a\n8\n", [(2, "a"), (3, "")]),
        ('"a;b";x\n', [(1, "a;b")]),
        (" a \r\n\r\n#b\r\nc\r\n", [(1, "a"), (4, "c")]),
    ],
)
def test_a_list_is_read_as_people_write_it(
    tmp_path: Path, text: str, found: list[tuple[int, str]]
) -> None:
    file = tmp_path / "lista.csv"
    file.write_text(text, encoding="utf-8", newline="")
    assert [(one.number, one.person, one.employment) for one in listed(file)] == [
        (*line, "") for line in found
    ]


def test_a_list_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        list(listed(tmp_path / "ingen.csv"))
