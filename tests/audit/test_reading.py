"""What is asked of the audit is answered from its records alone, however many they are."""

from __future__ import annotations

import pytest

from idsync.store import audit_reading
from idsync.store.audit_reading import of_person, of_right
from tests.audit.examples import Site

pytest_plugins = ("tests.servers.state_fixtures",)


def test_of_somebody_who_was_never_in_it_the_audit_tells_nothing(site: Site) -> None:
    assert of_person(site.state.engine, "id-77") == []
    told = of_person(site.state.engine, "id-2")
    assert sorted(one.kind for one in told) == ["intended", "revoked", "settled"]
    assert {one.person_id for one in told} == {"id-2"}


def test_a_long_search_for_a_right_tells_how_far_it_is_and_finds_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    at_once = of_right(site.state.engine, "hall", "ENTRÉ", seen.append)
    assert seen == []
    assert [told.kind for told in at_once] == ["intended", "settled"] * 3
    monkeypatch.setattr(audit_reading, "AT_ONCE", 2)
    assert of_right(site.state.engine, "hall", "ENTRÉ", seen.append) == at_once
    assert seen == [2, 4, 6]
