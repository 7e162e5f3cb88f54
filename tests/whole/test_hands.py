"""Cards that move, tags of others, and the fire brigade's: what is not idsync's stays as it is."""

from __future__ import annotations

import json

import pytest

from idsync.targets.local_system import LocalSystem
from tests.whole.test_main_job import by_key, rights
from tests.whole.town import Town

BY = "lokal.admin"


def cityhall(town: Town) -> LocalSystem:
    return LocalSystem(town.folder / "var" / "stadshuset.db")


def cards(town: Town, number: str) -> dict[str, str]:
    holder = by_key(town.doors()["stadshuset"])[number]
    return {card.number: card.state for card in holder.credentials}


@pytest.mark.case("T15")
def test_a_card_that_somebody_else_has_now_is_not_blocked_with_its_former_holder(
    town: Town,
) -> None:
    town.json("sync", code=0)
    system = cityhall(town)
    with system.session(BY) as session:
        session.move_card("T2", session.someone("200004").native_id)
    town.json("revoke", "200002", "--reason", "uppsagd", code=0)
    assert cards(town, "200002") == {}
    assert cards(town, "200004") == {"T4": "active", "T2": "active"}
    assert by_key(town.doors()["stadshuset"])["200002"].status == "suspended"
    assert town.json("sync", code=0)["writes"] == 0
    assert cards(town, "200004")["T2"] == "active"


@pytest.mark.case("D8")
def test_a_leavers_card_that_opens_something_of_others_stays_and_is_reported(town: Town) -> None:
    town.absent_reads = 1
    town.write()
    town.json("sync", code=0)  # 200010 has the gym from a local administrator
    town.leavers = {10, 11}
    town.write_hr()
    town.json("sync", code=0)
    doors = by_key(town.doors()["stadshuset"])
    assert rights(doors["200010"]) == {"GYM"}
    assert (doors["200010"].status, cards(town, "200010")) == ("active", {"T10": "active"})
    assert rights(doors["200011"]) == set()
    assert doors["200011"].status == "suspended"
    told = json.dumps(town.json("orphans", code=0), ensure_ascii=False)
    assert "GYM" in told or "T10" in told


def guard(town: Town) -> None:
    """Say that the fire brigade's key and the caretaker's card are not to be touched."""
    config = town.folder / "connectors.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(
        text.replace('adopt = "matching"\n', 'adopt = "matching"\nexempt = ["200002", "T4"]\n', 1),
        encoding="utf-8",
    )


@pytest.mark.case("D6")
def test_what_is_exempt_is_never_touched_and_always_told(town: Town) -> None:
    town.absent_reads = 1
    town.write()
    town.json("sync", code=0)
    guard(town)
    before = by_key(town.doors()["stadshuset"])
    town.leavers = {2, 4, 6}
    town.write_hr()
    run = town.json("sync", code=0)
    doors = by_key(town.doors()["stadshuset"])
    for exempt in ("200002", "200004"):
        assert doors[exempt] == before[exempt]
    assert doors["200006"].status == "suspended"
    told = [one for one in run["refusals"] if "exempt" in one["reason"]]
    assert len(told) == 2
    order = town.json("revoke", "200002", "--reason", "uppsagd", code=1)
    shown = {one["target"]: (one["outcome"], one["reason"]) for one in order["targets"]}
    assert shown["stadshuset"][0] == "refused"
    assert "close it by hand" in shown["stadshuset"][1]
    assert shown["skola"][0] == "confirmed"
    assert by_key(town.doors()["stadshuset"])["200002"] == before["200002"]
