"""Every key of a TOML text is found, on the line where it stands."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from idsync.config.lines import Place, key_lines, line_of

AWKWARD = Path(__file__).with_name("awkward.toml").read_text(encoding="utf-8")


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of everything in *value*."""
    if place:
        yield place
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*place, key))
    if isinstance(value, list):
        for position, inner in enumerate(value):
            yield from places(inner, (*place, position))


def test_an_awkward_text_is_found_key_by_key() -> None:
    lines = key_lines(AWKWARD)
    assert set(lines) == set(places(tomllib.loads(AWKWARD)))
    shown = AWKWARD.split("\n")
    for place, line in lines.items():
        key = place[-1]
        if isinstance(key, str):
            assert key in shown[line - 1].replace("\\", ""), place


def test_elements_are_on_their_own_lines() -> None:
    lines = key_lines(AWKWARD)
    first = lines["a", "b", "many"]
    assert lines["a", "b", "many", 1] == first + 1
    assert lines["a", "b", "many", 2, "four", "five"] == first + 2
    assert lines["a", "b", "many", 3, 0] == first + 4
    when = lines["rules", 0, "when"]
    assert lines["rules", 0, "when", "any", 1, "unit"] == when + 1
    assert lines["rules", 1, "parts", 1, "n"] + 1 == lines["rules", 1, "last one"]


def test_what_is_not_there_is_told_at_the_nearest_thing_around_it() -> None:
    lines = key_lines(AWKWARD)
    assert line_of(("rules", 1, "parts", 0, "missing"), lines) == lines["rules", 1, "parts", 0]
    assert line_of(("elsewhere",), lines) is None


names = st.text(min_size=1, max_size=4).filter(lambda name: name.isprintable())
leaves = st.one_of(st.integers(0, 9), st.booleans(), st.text(max_size=5), st.just("]}#\n'''"))
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


def inline(value: Any) -> str:
    """Return *value* as TOML on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(k)} = {inline(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ",".join(map(inline, value)) + "]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def quoted(text: str) -> str:
    """Return *text* as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@given(st.dictionaries(names, values, max_size=5), st.dictionaries(names, values, max_size=3))
def test_any_table_is_found_on_its_line(top: dict[str, Any], table: dict[str, Any]) -> None:
    written = [f"{quoted(key)} = {inline(value)}" for key, value in top.items()]
    written += ['[["the list"]]', *(f"{quoted(k)} = {inline(v)}" for k, v in table.items())]
    text = "\n".join(written)
    raw = tomllib.loads(text)
    lines = key_lines(text)
    assert set(lines) == set(places(raw))
    for number, key in enumerate(top):
        assert {line for place, line in lines.items() if place[0] == key} == {number + 1}
