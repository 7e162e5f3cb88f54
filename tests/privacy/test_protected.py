"""Every kind of system sees its release list, and of a protected person an alias: I25."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.privacy.people import LATE, LEAVER, OPEN, PROTECTED, Human
from tests.privacy.search import Search
from tests.privacy.site import KINDS, RELEASE
from tests.privacy.story import Story, told
from tests.privacy.watch import NOWHERE

FIELDS = {
    "display_name": {"shown", "given", "family"},
    "given_name": {"given"},
    "family_name": {"family"},
    "mail": {"mail"},
}
"""Which planted values an attribute may carry: a name shown as a whole has both its parts."""

ALWAYS = {"number", "card"}
"""By what a system knows anybody."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with told(tmp_path_factory.mktemp("canary") / "stad") as one:
        yield one


def fields_in(data: bytes | str, human: Human) -> set[str]:
    """Return the fields of which *data* holds this person's value."""
    octets = data.encode() if isinstance(data, str) else data
    return {found.name for found in Search(human.values())(octets, "there")}


def released(kind: str) -> set[str]:
    return ALWAYS.union(*(FIELDS[name] for name in RELEASE[kind]))


@pytest.mark.case("A1")
@pytest.mark.parametrize("kind", KINDS)
def test_a_system_is_told_what_its_release_list_names_and_nothing_else(
    story: Story, kind: str
) -> None:
    for human in (OPEN, LATE, LEAVER):
        seen = fields_in(story.before[kind], human)
        assert seen <= released(kind)
        if RELEASE[kind]:
            assert seen - ALWAYS, "nothing of anybody: this test looks in the wrong place"


@pytest.mark.case("A1")
@pytest.mark.parametrize("kind", KINDS)
def test_a_system_is_told_an_alias_of_the_protected(story: Story, kind: str) -> None:
    for data in (story.before[kind], story.after[kind]):
        assert fields_in(data, PROTECTED) <= ALWAYS
    if RELEASE[kind]:
        assert "Person " in story.held[kind]


@pytest.mark.case("A2")
@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_that_comes_late_overwrites_the_name_at_the_next_run(
    story: Story, kind: str
) -> None:
    assert fields_in(story.held[kind], LATE) <= ALWAYS
    assert fields_in(story.held[kind], OPEN) - ALWAYS or not RELEASE[kind]
    assert fields_in(story.after[kind], LATE) <= ALWAYS, "an old name went out again"


@pytest.mark.case("A2")
@pytest.mark.parametrize("said", ["plan", "plan --json", "sync --json"])
def test_a_plan_that_takes_a_name_away_does_not_say_the_name(story: Story, said: str) -> None:
    answer = story.said[said].answer
    for human in (LATE, PROTECTED):
        assert fields_in(answer.out + answer.err, human) <= ALWAYS
    saved = (story.site.folder / "tonight.plan").read_bytes()
    assert fields_in(saved, LATE) <= ALWAYS
    assert fields_in(saved, LEAVER) - ALWAYS == set(), "of a leaver no name is written"


@pytest.mark.case("A2")
def test_a_late_mark_tells_in_which_systems_the_old_name_may_stay(story: Story) -> None:
    run = json.loads(story.said["sync --json"].answer.out)
    told = {one["target"]: (one["people"], one["keeps_history"]) for one in run["minimised"]}
    named = [kind for kind in KINDS if RELEASE[kind]]
    assert told == {kind: (1, kind != "local") for kind in named}


@pytest.mark.parametrize("said", ["plan", "plan --json", "sync --json"])
def test_with_systems_of_every_kind_nothing_comes_out_by_the_way(story: Story, said: str) -> None:
    for place in NOWHERE:
        assert story.said[said].found(place) == []
