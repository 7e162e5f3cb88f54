"""The Salto staging table: what has no place in it, its lists, layouts and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from idsync.errors import ConfigError, Refused, Unavailable
from idsync.model import Credential, Grant
from idsync.targets.salto_lists import is_item, is_whole, items_of, place_of, ref_of, text_of
from idsync.targets.salto_staging import SaltoStagingTarget
from tests.fakes.salto import LEVELS, Staging
from tests.targets.salto_contract import (
    ASA,
    LEVEL_LIST,
    ONE,
    ROW,
    THREE,
    TWO,
    put,
    shown,
    suspend,
    target_of,
)


@pytest.fixture
def system(tmp_path: Path) -> Staging:
    return Staging(f"sqlite:///{tmp_path / 'staging.db'}")


@pytest.fixture
def target(system: Staging) -> SaltoStagingTarget:
    return target_of(url=system.url)


@pytest.fixture
def without_stamp(tmp_path: Path) -> Staging:
    return Staging(f"sqlite:///{tmp_path / 'plain.db'}", stamp=False)


# ── what has no place ───────────────────────────────────────────────────────────────────

DAY = datetime(2031, 5, 1, tzinfo=UTC)
LONG = [f"LEVEL-{number:03}-{'x' * 90}" for number in range(11)]
PLACELESS: dict[str, dict[str, Any]] = {
    "an end": {"grants": (replace(TWO, valid_to=DAY),)},
    "a beginning": {"grants": (replace(TWO, valid_from=DAY),)},
    "an alarm right": {"grants": (replace(TWO, kind="alarm"),)},
    "a competency": {"grants": (replace(TWO, kind="competency"),)},
    "a comma": {"grants": (Grant(ref="A,B"),)},
    "a brace": {"grants": (Grant(ref="A}"),)},
    "a line end": {"grants": (Grant(ref="A\nB"),)},
    "nothing": {"grants": (Grant(ref="zone:"),)},
    "another name for a level": {"grants": (Grant(ref="level:SKOLA-ENTRE"),)},
    "more than fits": {"grants": tuple(Grant(ref=each) for each in LONG)},
    "a card": {"credentials": (Credential(number="70001"),)},
    "a long name": {"given_name": "Å" * 41},
    "a name of two lines": {"family_name": "Öberg\nSöder"},
    "an attribute without a column": {"mail": "asa@example.org"},
}


@pytest.mark.parametrize("what", PLACELESS)
def test_what_has_no_place_is_refused_and_what_takes_away_is_done(
    target: SaltoStagingTarget, system: Staging, what: str
) -> None:
    before = replace(ASA, grants=(ONE, THREE))
    put(target, before)
    system.run()
    after = replace(before, **({"grants": ()} | PLACELESS[what]))
    after = replace(after, grants=(THREE, *after.grants))
    with pytest.raises(Refused) as caught:
        put(target, after, before)
    assert shown(target).grants == (THREE,)
    assert shown(target).family_name == "Öberg"
    system.run()
    assert not system.users[ROW].opens(LEVELS[0])
    assert not {"Öberg", "Åsa", "1001", "70001"} & set(str(caught.value).split())


@pytest.mark.parametrize("what", PLACELESS)
def test_nobody_is_made_where_something_has_no_place(
    target: SaltoStagingTarget, system: Staging, what: str
) -> None:
    with pytest.raises(Refused):
        put(target, replace(ASA, **PLACELESS[what]))
    assert system.rows() == []


@pytest.mark.parametrize("key", ["", " 1001", "1001 ", "10\n01", "1" * 26, "1" * 11])
def test_a_key_that_has_no_place_is_refused(
    target: SaltoStagingTarget, system: Staging, key: str
) -> None:
    with pytest.raises(Refused):
        put(target, replace(ASA, key=key))
    assert system.rows() == []
    assert target.read_one(key) is None


def test_a_level_that_begins_like_a_zone_keeps_its_own_name(
    target: SaltoStagingTarget, system: Staging
) -> None:
    wanted = replace(ASA, grants=(Grant(ref="level:zone:odd"), Grant(ref="zone:Z-HAMN")))
    put(target, wanted)
    system.run()
    assert set(shown(target).grants) == set(wanted.grants)
    assert system.users[ROW].lists[LEVEL_LIST] == ("zone:odd",)
    assert system.users[ROW].lists["ExtZoneIDList"] == ("Z-HAMN",)


@pytest.mark.parametrize(("setting", "written"), [("null", None), ("text", ""), ("braces", "{}")])
def test_an_emptied_list_is_written_as_the_site_has_found_out(
    system: Staging, setting: str, written: str | None
) -> None:
    target = target_of(url=system.url, empty_list=setting)
    put(target, ASA)
    put(target, replace(ASA, grants=()), ASA)
    assert system.row(ROW)[LEVEL_LIST] == written
    assert shown(target).grants == ()


@pytest.mark.parametrize("listed", ["FSK-ENTRE,{SKOLA", '"FSK-ENTRE,STADSHUS'])
def test_a_list_that_is_damaged_is_not_added_to(
    target: SaltoStagingTarget, system: Staging, listed: str
) -> None:
    put(target, ASA)
    system.run()
    system.set(ROW, **{LEVEL_LIST: listed})
    before = shown(target)
    with pytest.raises(Refused, match="cut or damaged"):
        put(target, replace(before, grants=(*before.grants, TWO)), before)
    assert system.row(ROW)[LEVEL_LIST] == listed
    put(target, replace(before, grants=before.grants[1:]), before)
    assert shown(target).grants == before.grants[1:]


# ── lists ───────────────────────────────────────────────────────────────────────────────

LISTED = {
    "": (),
    "{}": (),
    "{{}}": ("{}",),
    "A": ("A",),
    " A , B ,,A": ("A", "B"),
    "{A,B}": ("A", "B"),
    '{{"A",6,,},{"B",1,,}}': ('{"A",6,,}', '{"B",1,,}'),
    '"A","B;C"': ("A", "B;C"),
    '"A,B",C': ('"A,B"', "C"),
    "{A},{B}": ("{A}", "{B}"),
    "A,B,{C": ("A", "B", "{C"),
    'A,"B,C': ("A", '"B', "C"),
}


@pytest.mark.parametrize("listed", LISTED)
def test_a_list_is_read_item_by_item(listed: str) -> None:
    assert items_of(listed) == LISTED[listed]


@given(st.lists(st.text(max_size=8).filter(is_item), max_size=6, unique=True), st.booleans())
def test_items_that_have_a_place_are_read_back(items: list[str], braces: bool) -> None:
    assert items_of(text_of(tuple(items), braces=braces, empty="null")) == tuple(items)


@given(st.text(alphabet='AB",{}; ', max_size=12), st.text(alphabet="CD", min_size=1, max_size=3))
def test_a_list_made_by_hand_loses_nothing_when_an_item_is_added(listed: str, new: str) -> None:
    items = items_of(listed)
    again = items_of(text_of((*items, new), braces=False, empty="null"))
    if is_whole(listed) and all(map(is_item, items)):
        assert again == (*items, new)


@given(st.sampled_from(("levels", "zones", "doors")), st.text(min_size=1))
def test_a_ref_stands_for_one_item_of_one_list(kind: str, item: str) -> None:
    assert place_of(ref_of(kind, item)) == (kind, item)


# ── layouts and settings ────────────────────────────────────────────────────────────────


def test_the_columns_of_an_older_layout_can_be_named(tmp_path: Path) -> None:
    system = Staging(f"sqlite:///{tmp_path / 'old.db'}")
    renames = {
        "ExtID": "ExtUserID", "dtActivation": "UserActivation",
        "dtExpiration": "UserExpiration.ExpDate", "Dummy5": "GPF5",
    }  # fmt: skip
    with system.engine.begin() as connection:
        for old, new in renames.items():
            connection.execute(text(f'ALTER TABLE "SaltoCardholders" RENAME "{old}" TO "{new}"'))
    columns = {
        "ext_id": "extuserid", "activation": "UserActivation", "key": "GPF5",
        "expiration": "UserExpiration.ExpDate",
    }  # fmt: skip
    target = target_of(url=system.url, columns=columns)
    put(target, ASA)
    assert suspend(target).status == "suspended"
    with pytest.raises(ConfigError, match="no column ExtID, dtExpiration"):
        target_of(url=system.url).check()


WRONG: dict[str, dict[str, Any]] = {
    "a password never stands in url": {"url": "postgresql://idsync:hemligt@db/x"},
    "password never": {"url": "mssql+pyodbc://?odbc_connect=PWD%3Dhemligt"},
    "url begins with": {"url": "mysql://db/x"},
    "needs url": {},
    "needs path, drop and answers": {"form": "csv"},
    "columns knows": {"url": "sqlite:///x", "columns": {"colour": "Dummy1"}},
    "two words name": {"url": "sqlite:///x", "columns": {"key": "title"}},
    "must have a column": {"url": "sqlite:///x", "columns": {"waiting": ""}},
    "shut out": {"url": "sqlite:///x", "columns": {"expiration": ""}},
    "without a prefix": {"url": "sqlite:///x", "prefix": ""},
    "is written by idsync itself": {"url": "sqlite:///x", "defaults": {"extid": "A"}},
    "to the minute": {"url": "sqlite:///x", "date_format": "%Y-%m-%d"},
}


@pytest.mark.parametrize("words", WRONG)
def test_settings_that_do_not_fit_are_refused_without_their_values(words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        SaltoStagingTarget.Config.model_validate(WRONG[words])
    assert "hemligt" not in str(caught.value)


def test_the_capabilities_follow_the_settings(system: Staging) -> None:
    plain = target_of(url=system.url).capabilities
    assert plain.attributes == ("given_name", "family_name")
    assert (plain.answer_hours, plain.lengths["key"], plain.batch) == (26, 10, 1)
    columns = {"department": "Dummy3", "key": "Dummy5", "number": ""}
    more = target_of(url=system.url, columns=columns, prefix="", answer_hours=2).capabilities
    assert more.attributes == ("given_name", "family_name", "department")
    assert (more.answer_hours, more.lengths["department"], more.lengths["key"]) == (2, 32, 32)


FAULTS: dict[str, Callable[[Staging], SaltoStagingTarget]] = {
    "there is no file": lambda system: target_of(url=f"{system.url}x"),
    "no such table": lambda system: target_of(url=system.url, table="Elsewhere"),
    "no column Dummy9": lambda system: target_of(url=system.url, columns={"key": "Dummy9"}),
    "defaults names no column": lambda system: target_of(url=system.url, defaults={"X": 1}),
}


@pytest.mark.parametrize("words", FAULTS)
def test_the_check_tells_what_is_wrong(system: Staging, words: str) -> None:
    with pytest.raises((Unavailable, ConfigError), match=words):
        FAULTS[words](system).check()


def test_the_check_counts_what_waits_and_misses_the_stamp(
    target: SaltoStagingTarget, without_stamp: Staging
) -> None:
    put(target, ASA)
    assert target.check().endswith("table with 1 rows, 1 of them waiting for the job")
    assert "without a stamp column" in target_of(url=without_stamp.url).check()
