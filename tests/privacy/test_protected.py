"""Every kind of system sees its release list, and of a protected person an alias: I25."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import idsync
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


# ── what nobody needs ───────────────────────────────────────────────────────────────────

ASKED = {
    "scim": rb"^[A-Z]+ /scim/v2/(Users|Groups|ServiceProviderConfig|Schemas|ResourceTypes)\b",
    "gallagher": rb"^[A-Z]+ /api(/cardholders|/access_groups|/personal_data_fields|/card_types"
                 rb"|/competencies|/divisions|/operator_groups)?\b",
    "arx": rb"^(GET|POST) /arx/(export|import|export_accesscategory)[? ]",
}  # fmt: skip
"""The addresses that an adapter may call; events of passages and doors are not among them."""

CALLED = re.compile(rb"(?:GET|POST|PUT|PATCH|DELETE) \S+ HTTP/1\.1\r")
OPENS = (
    b"AccessDoor", b"UnlockDoor", b"LockOpenDoor", b"ExternalAuthorization", b"doorcontrol",
    b"accesscontrol", b"AccessGranted", b"AccessTaken",
)  # fmt: skip
"""Words of ONVIF for opening a door, and for the events of who passed it."""


@pytest.mark.case("A10", "X16")
@pytest.mark.parametrize("kind", ["scim", "gallagher", "arx", "onvif"])
def test_no_system_is_asked_who_passed_or_told_to_open(story: Story, kind: str) -> None:
    sent = story.before[kind] + story.after[kind]
    called = CALLED.findall(sent)
    assert len(called) > 5, "nothing is looked at here"
    if kind in ASKED:
        assert [one for one in called if not re.match(ASKED[kind], one)] == []
    for word in OPENS:
        assert word.lower() not in sent.lower(), word


CARDS_ONLY = {
    f"{name}_request"
    for name in (
        "get_controller", "get_time", "get_time_profile", "get_cards", "get_card",
        "get_card_by_index", "put_card", "delete_card",
    )
}  # fmt: skip


@pytest.mark.case("A10", "X16")
def test_a_controller_is_sent_no_command_but_those_for_cards() -> None:
    """Messages of the UT0311 that open a door or read events are not among those that are made."""
    files = (Path(idsync.__file__).parent / "targets").glob("uhppote*.py")
    text = "".join(file.read_text("utf-8") for file in files)
    made = set(re.findall(r"encode\.(\w+_request)", text))
    assert made <= CARDS_ONLY
    assert "put_card_request" in made
