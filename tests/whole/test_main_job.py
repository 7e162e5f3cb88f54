"""Plan, apply, nothing left: as its users run it."""

from __future__ import annotations

import json

from idsync.config import connect_target, load
from idsync.model import Cardholder, Change, Grant
from tests.whole.town import Town


def rights(holder: Cardholder) -> set[str]:
    return {grant.ref for grant in holder.grants}


def by_key(holders: list[Cardholder]) -> dict[str | None, Cardholder]:
    return {holder.key: holder for holder in holders}


def gone_at_once(town: Town) -> None:
    """Let the first read that misses somebody count: this is about what happens then."""
    town.absent_reads = 1
    town.write_config()


def test_the_second_run_sends_no_write(town: Town) -> None:
    first = town.json("sync", code=0)
    assert first["format"] == "idsync.run/1"
    assert first["outcome"] == "applied"
    assert first["writes"] == 70
    assert first["targets"]["stadshuset"]["adopt"] == 30
    assert first["targets"]["skola"] | {"create": 40, "confirmed": 40} == first["targets"]["skola"]
    before = town.doors()
    second = town.json("sync", code=0)
    assert (second["outcome"], second["writes"]) == ("no-change", 0)
    assert second["targets"]["stadshuset"]["unchanged"] == 60
    assert town.doors() == before


def test_everybody_gets_what_the_rules_give(town: Town) -> None:
    town.json("sync", code=0)
    doors = town.doors()
    assert {rights(holder) >= {"ENTRE"} for holder in doors["stadshuset"]} == {True}
    assert [rights(holder) for holder in doors["skola"]] == [{"SKOLA", "LARM-SKOLA"}] * 40
    assert by_key(doors["skola"])["200004"].display_name == "Örjan Nuñez"


def test_a_plan_writes_nothing_anywhere(town: Town) -> None:
    files = sorted(path.name for path in town.folder.rglob("*"))
    plan = town.json("plan", code=0)
    assert plan["outcome"] == "planned"
    assert plan["writes"] == 0
    assert len(plan["changes"]) == 70
    assert sorted(path.name for path in town.folder.rglob("*")) == files


def test_a_saved_plan_is_done_exactly_or_refused(town: Town) -> None:
    town.json("plan", "--save", "tonight.plan", code=0)
    digest = json.loads((town.folder / "tonight.plan").read_text())["digest"]
    done = town.json("apply", "tonight.plan", code=0)
    assert (done["digest"], done["outcome"]) == (digest, "applied")
    again = town.run("apply", "tonight.plan")
    assert again.code == 3
    assert "something changed" in again.err


def test_a_saved_plan_dies_when_a_source_changes(town: Town) -> None:
    town.json("plan", "--save", "tonight.plan", code=0)
    town.leavers = {7}
    town.write_hr()
    assert town.run("apply", "tonight.plan").code == 3
    assert not (town.folder / "var" / "skola.db").exists()


def test_an_altered_plan_is_refused(town: Town) -> None:
    town.json("plan", "--save", "tonight.plan", code=0)
    file = town.folder / "tonight.plan"
    file.write_text(file.read_text().replace("LARM-SKOLA", "LARM-BANK", 1))
    assert town.run("apply", "tonight.plan").code == 5


def test_local_grants_are_never_touched(town: Town) -> None:
    gone_at_once(town)
    town.json("sync", code=0)
    town.leavers = {10, 20}
    town.write_hr()
    town.json("sync", code=0)
    holders = by_key(town.doors()["stadshuset"])
    assert rights(holders["200010"]) == {"GYM"}
    assert holders["200010"].status == "active"
    assert rights(holders["200030"]) == {"ENTRE", "GYM"}


def test_a_leaver_opens_nothing(town: Town) -> None:
    gone_at_once(town)
    town.json("sync", code=0)
    town.leavers = {2}
    town.write_hr()
    run = town.json("sync", code=0)
    assert run["targets"]["stadshuset"]["revoke"] == 1
    gone = by_key(town.doors()["stadshuset"])["200002"]
    assert (gone.grants, gone.status) == ((), "suspended")
    assert {card.state for card in gone.credentials} == {"suspended"}
    assert town.json("sync", code=0)["writes"] == 0


def test_a_returner_gets_back_what_idsync_blocked(town: Town) -> None:
    gone_at_once(town)
    town.json("sync", code=0)
    town.leavers = {2}
    town.write_hr()
    town.json("sync", code=0)
    town.leavers = set()
    town.write_hr()
    town.json("sync", code=0)
    back = by_key(town.doors()["stadshuset"])["200002"]
    assert (rights(back), back.status) == ({"ENTRE"}, "active")
    assert {card.state for card in back.credentials} == {"active"}


def test_a_grant_removed_by_hand_is_given_again(town: Town) -> None:
    town.json("sync", code=0)
    target = connect_target(load(town.folder / "connectors.toml").targets["skola"])
    holder = target.read_one("200001")
    assert holder is not None
    fewer = Cardholder(key=holder.key, grants=holder.grants[:1])
    target.put(Change(before=Cardholder(key=holder.key, grants=holder.grants), after=fewer))
    run = town.json("sync", code=0)
    assert run["targets"]["skola"]["update"] == 1
    assert rights(by_key(town.doors()["skola"])["200001"]) == {"SKOLA", "LARM-SKOLA"}


def test_a_grant_made_by_hand_stays_where_it_is(town: Town) -> None:
    town.json("sync", code=0)
    target = connect_target(load(town.folder / "connectors.toml").targets["skola"])
    by_hand = Cardholder(key="200001", grants=(Grant(ref="VIND"),))
    target.put(Change(before=Cardholder(key="200001"), after=by_hand))
    assert town.json("sync", code=0)["writes"] == 0
    assert "VIND" in rights(by_key(town.doors()["skola"])["200001"])
