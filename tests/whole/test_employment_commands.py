"""One employment is ended, shown, listed and given back by the commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.whole.test_main_job import by_key, rights
from tests.whole.town import Town

REVOKE = ("revoke", "200001", "--reason", "uppdraget slut")
SCOPES = '\n[controllers]\nskolan = ["Skola"]\nkontoret = ["Stadskontoret"]\n'


def job(town: Town, i: int, key: str, unit: str) -> str:
    return (
        f"p{i};{town.number(i)};{town.given(i)};{town.family(i)};{key};{unit};Vikarie;2020-01-01;"
    )


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A town in which two teachers work at the city's office too."""
    made = Town(tmp_path_factory.mktemp("begun") / "en stad", people=8)
    made.write()
    extra = [job(made, i, f"x{i}", "Stadskontoret") for i in (1, 2)]
    made.write_hr([*made.hr_rows(), *extra])
    with (made.folder / "connectors.toml").open("a", encoding="utf-8") as file:
        file.write(SCOPES)
    made.json("sync", code=0)
    return made


@pytest.fixture
def town(begun: Town, tmp_path: Path) -> Town:
    return Town(Path(shutil.copytree(begun.folder, tmp_path / "en stad")), people=8)


def held(town: Town, i: int) -> set[str]:
    """Return what somebody holds, anywhere."""
    found = (by_key(holders).get(town.number(i)) for holders in town.doors().values())
    return {right for one in found if one is not None for right in rights(one)}


@pytest.mark.case("S11")
def test_an_employment_is_ended_shown_everywhere_and_given_back(town: Town) -> None:
    before = held(town, 1)
    assert "SKOLA" in before
    told = town.json(*REVOKE, "--employment", "e1", code=0)
    assert (told["employment"], told["confirmed"]) == ("hr:e1", True)
    assert {one["target"]: one["outcome"] for one in told["targets"]} == {
        "stadshuset": "confirmed", "skola": "confirmed",
    }  # fmt: skip
    assert held(town, 1) == {"ENTRE"}
    town.json("sync", code=0)
    assert held(town, 1) == {"ENTRE"}

    status = town.json("status", code=0)
    assert [one["employment"] for one in status["revocations"]] == ["hr:e1"]
    assert {one["employment"] for one in status["progress"]} == {"hr:e1"}
    assert ", hr:e1" in town.run("status").out
    said = town.run("explain", "200001").out
    assert "Employment as Lärare in Norr (hr:e1): ended by order 1: it gives nothing" in said
    explained = town.json("explain", "200001", code=0)
    assert {one["id"]: one["state"] for one in explained["employments"]} == {
        "hr:e1": "revoked", "hr:x1": "current",
    }  # fmt: skip
    assert "Revoked by order" not in said
    refused = town.run("restore", "200001", "--reason", "x")
    assert refused.code == 2
    assert "but of employments (hr:e1)" in refused.err
    back = town.json(
        "restore", "200001", "--employment", "hr:e1", "--reason", "misstag", code=0
    )  # fmt: skip
    assert (back["employment"], back["confirmed"]) == ("hr:e1", True)
    assert held(town, 1) == before
    audit = town.json("audit", "show", "--person", "200001", "--all", code=0)
    sealed = {
        one["kind"]: one["personal"]
        for one in audit["records"]
        if one["kind"] in ("revoked", "restored")
    }
    assert sealed == {
        "revoked": {"reason": "uppdraget slut", "employment": "hr:e1"},
        "restored": {"reason": "misstag", "employment": "hr:e1"},
    }


def test_each_controller_sees_the_orders_on_its_own_employments(town: Town) -> None:
    town.json(*REVOKE, "--employment", "e1", code=0)
    for controller, seen in (("skolan", ["hr:e1"]), ("kontoret", [])):
        scope = ("--controller", controller)
        status = town.json("status", *scope, code=0)
        assert [one["employment"] for one in status["revocations"]] == seen
        assert {one["employment"] for one in status["progress"]} == {*seen}
        explained = town.json("explain", "200001", *scope, code=0)
        assert [one["employment"] for one in explained["revoked"]] == seen


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("revoke", "200001", "--employment", "e2"), "no employment of this person is known"),
        (("revoke", "200001", "--employment", ""), "no employment of this person is known"),
        (("restore", "200001", "--employment", "e1"), "no order on this employment stands"),
        (("revoke", "--file", "x.csv", "--employment", "e1"), 'in a column "employment"'),
    ],
)
def test_what_is_not_known_is_refused_and_ends_nothing(
    town: Town, words: tuple[str, ...], said: str
) -> None:
    answer = town.run(*words, "--reason", "x")
    assert (answer.code, said in answer.err) == (2, True), answer
    assert town.json("status", code=0)["revocations"] == []


def test_a_list_ends_employments_where_it_names_them(town: Town) -> None:
    lines = ["person;employment", "200001;e1", "200002;x2", "200002;e2", "200004;", "200005;e4"]
    (town.folder / "lista.csv").write_text("\n".join([*lines, "200001;hr:e1"]), encoding="utf-8")
    told = town.json("revoke", "--file", "lista.csv", "--reason", "varsel", code=1)
    assert [(one["line"], one["employment"], one["confirmed"]) for one in told["people"]] == [
        (2, "hr:e1", True), (3, "hr:x2", True), (4, "hr:e2", True), (5, None, True),
    ]  # fmt: skip
    assert [one["line"] for one in told["unknown"]] == [6]
    assert [held(town, i) for i in (1, 2, 4)] == [{"ENTRE"}, set(), set()]
    assert "SKOLA" in held(town, 5)
    shown = town.run("revoke", "--file", "lista.csv", "--reason", "varsel").out
    assert "4 orders stand, 3 of them on one employment alone" in shown
    assert json.dumps("e4") not in shown


def test_a_list_of_employments_that_names_nobody_is_refused_whole(town: Town) -> None:
    (town.folder / "lista.csv").write_text("namn;employment\n200001;e1\n", encoding="utf-8")
    answer = town.run("revoke", "--file", "lista.csv", "--reason", "varsel")
    assert answer.code == 2
    assert "names a column of employments and none of people" in answer.err
    assert "SKOLA" in held(town, 1)


def test_nobody_is_erased_while_an_order_on_an_employment_stands(town: Town) -> None:
    town.json(*REVOKE, "--employment", "e1", code=0)
    answer = town.run("erase", "200001", "--reason", "gallring")
    assert answer.code == 2
    assert "stands, or of an employment" in answer.err
