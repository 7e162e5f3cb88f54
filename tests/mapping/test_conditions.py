"""Conditions: what a `when` table says, and how it is held against facts."""

from __future__ import annotations

import itertools
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idsync.mapping import conditions
from idsync.mapping.conditions import (
    All,
    AnyOf,
    Condition,
    Not,
    expression,
    glob_pattern,
    parse,
    words,
)

FACTS: dict[str, Any] = {
    "unit": "Förskoleförvaltningen / Förskola norr / Ängen",
    "title": "Barnskötare",
    "job_code": "403010",
    "percent_permille": 755,
    "primary": True,
    "employer": None,
    "kind": "",
}
DTYPES = {
    **dict.fromkeys(FACTS, pl.String()),
    "percent_permille": pl.Int64(),
    "primary": pl.Boolean(),
}


def holds(condition: Condition | dict[str, Any], **facts: Any) -> bool | None:
    """Return whether the condition holds for one employment with these facts."""
    row = FACTS | facts
    frame = pl.DataFrame({name: [value] for name, value in row.items()}, schema_overrides=DTYPES)
    parsed = parse(condition) if isinstance(condition, dict) else condition
    found: bool | None = frame.select(truth=expression(parsed))["truth"][0]
    return found


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, True),
        ({"title": "Barnskötare"}, True),
        ({"title": "barnskötare"}, False),
        ({"job_code": ["403010", "403011"]}, True),
        ({"job_code": {"one_of": ["403011"]}}, False),
        ({"job_code": {"between": ["403000", "403999"]}}, True),
        ({"job_code": {"between": ["403011", "403999"]}}, False),
        ({"title": {"glob": "*sköt*"}}, True),
        ({"title": {"glob": ["Kock", "Barnsk?tare"]}}, True),
        ({"title": {"glob": "sköt"}}, False),
        ({"title": {"not": "Kock"}}, True),
        ({"percent": {"between": [75.5, 100]}}, True),
        ({"percent": {"between": [75.6, 100]}}, False),
        ({"percent": 75.5}, True),
        ({"primary": True}, True),
        ({"primary": False}, False),
        ({"unit_under": "Förskola norr"}, True),
        ({"unit_under": "Förskoleförvaltningen / Förskola norr"}, True),
        ({"unit_under": "Ängen"}, True),
        ({"unit_under": "Förskola"}, False),  # a name, not a part of one
        ({"unit_under": ["Hamnen", "Ängen"]}, True),
        ({"employer": "Staden"}, None),
        ({"kind": "permanent"}, False),  # "" is known to be absent
        ({"kind": {"not": "permanent"}}, True),
        ({"employer": {"not": "Staden"}}, None),
        ({"title": "Kock", "employer": "Staden"}, False),
        ({"title": "Barnskötare", "employer": "Staden"}, None),
        ({"any": [{"title": "Barnskötare"}, {"employer": "Staden"}]}, True),
        ({"any": [{"title": "Kock"}, {"employer": "Staden"}]}, None),
        ({"any": []}, False),
        ({"all": []}, True),
        ({"not": {"any": [{"title": "Kock"}, {"job_code": "1"}]}}, True),
    ],
)
def test_a_condition_holds_fails_or_is_unknown(when: dict[str, Any], expected: bool | None) -> None:
    assert holds(when) is expected


@pytest.mark.parametrize("operator", ["one_of", "glob", "unit_under", "between"])
def test_an_unknown_fact_makes_every_test_unknown(operator: str) -> None:
    field = "unit_under" if operator == "unit_under" else "job_code"
    kind = "one_of" if operator == "unit_under" else operator
    test = conditions.Test(field, kind, ("1", "2"))
    assert holds(test, unit=None, job_code=None) is None
    assert holds(Not(test), unit=None, job_code=None) is None


THREE = (True, False, None)


@pytest.mark.parametrize(("left", "right"), list(itertools.product(THREE, THREE)))
def test_joining_follows_three_valued_logic(left: bool | None, right: bool | None) -> None:
    parts = (
        conditions.Test("title", "one_of", ("ja",)),
        conditions.Test("kind", "one_of", ("ja",)),
    )
    text = {True: "ja", False: "nej", None: None}
    facts = {"title": text[left], "kind": text[right]}
    both = False if False in (left, right) else (None if None in (left, right) else True)
    either = True if True in (left, right) else (None if None in (left, right) else False)
    assert holds(All(parts), **facts) is both
    assert holds(AnyOf(parts), **facts) is either
    assert holds(Not(All(parts)), **facts) is (None if both is None else not both)


def fits(glob: str, text: str) -> bool:
    """Return whether *text* fits, by the plainest recursion there is."""
    if not glob:
        return not text
    if glob[0] == "*":
        return fits(glob[1:], text) or (bool(text) and fits(glob, text[1:]))
    return bool(text) and glob[0] in ("?", text[0]) and fits(glob[1:], text[1:])


signs = st.text("aå/.[]()+^$\\|{}-&~#<> \n*?", max_size=7)


@given(signs, signs)
def test_a_glob_means_its_signs_and_nothing_else(glob: str, text: str) -> None:
    found = pl.Series([text]).str.contains(glob_pattern(glob))[0]
    assert found is fits(glob, text)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"titel": "Kock"}, "did you mean title"),
        ({"shoe_size": "43"}, "one of unit, employer"),
        ({"title": 3}, "takes a text"),
        ({"title": []}, "takes a text"),
        ({"percent": True}, "takes a number"),
        ({"primary": "ja"}, "true or false"),
        ({"title": {"between": ["a", "b"]}}, "does not fit title"),
        ({"percent": {"between": [1]}}, "two values"),
        ({"percent": {"glob": "*"}}, "glob does not fit percent"),
        ({"title": {"like": "x"}}, "one operator"),
        ({"title": {"glob": 3}}, "glob takes a text"),
        ({"any": {"title": "x"}}, "list of tables"),
        ({"not": ["x"]}, "takes a table"),
    ],
)
def test_a_wrong_condition_is_refused_in_words(when: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(when)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"title": "Kock"}, "title is Kock"),
        ({"job_code": ["1", "2"]}, "job_code is one of 1, 2"),
        ({"percent": {"between": [50, 100]}}, "percent between 50 and 100"),
        ({"title": {"glob": "*lärare*"}}, "title looks like *lärare*"),
        ({}, "always"),
        ({"any": []}, "never"),
        (
            {"title": "Kock", "any": [{"kind": "a"}, {"not": {"kind": "b"}}]},
            "title is Kock and (kind is a or not (kind is b))",
        ),
    ],
)
def test_a_condition_can_be_said_in_words(when: dict[str, Any], said: str) -> None:
    assert words(parse(when)) == said


@pytest.mark.parametrize(
    "when",
    [{"member_of": ["g", "g"]}, {"has_training": ["b", "b"]}, {"title": {"glob": ["a*", "a*"]}}],
)
def test_a_value_written_twice_is_one(when: dict[str, Any]) -> None:
    condition = parse(when)
    assert isinstance(condition, conditions.Test)
    assert len(condition.values) == 1
