"""An employment that an order has ended counts for nothing, and for nobody else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl

from idsync.mapping.ending import ENDED, split_ended, tied_elsewhere
from idsync.mapping.explain import Explanation, explain
from idsync.model import Person
from tests.mapping.examples import ALARM, ENTRE, KITCHEN, NOW, catalogue, given, job, people, wish

RULES = catalogue(
    {"when": {"job_code": "1"}, "gives": (ENTRE, KITCHEN)},
    {"when": {"job_code": "2"}, "gives": (ENTRE, ALARM), "requires": ("brand",)},
)
PAST = datetime(2025, 1, 1, tzinfo=UTC)


def ended(*jobs: tuple[int, str]) -> pl.DataFrame:
    """Return orders on employments of these people, by their suffix."""
    rows = [(f"p{number}", f"hr:{number}{suffix}", "order 7") for number, suffix in jobs]
    return pl.DataFrame(rows, schema=ENDED, orient="row")


def elsewhere(*rows: Any, orders: pl.DataFrame) -> set[tuple[str, str]]:
    left, gone = split_ended(people(*rows), orders)
    found = tied_elsewhere(left, gone, orders, RULES, NOW)
    return set(found.select("person_id", "ref").iter_rows())


def test_without_orders_everybody_is_who_they_were() -> None:
    everybody = people(job(1), job(2))
    left, gone = split_ended(everybody, ended())
    assert left is everybody
    assert gone.is_empty()
    assert split_ended(everybody, ended((3, "a")))[0] is everybody


def test_one_employment_of_one_person_goes_and_the_rest_stays() -> None:
    everybody = people(job(1), job(1, "b", job_code="2"), job(2))
    left, gone = split_ended(everybody, ended((1, "a")))
    assert left.employments["id"].to_list() == ["hr:1b", "hr:2a"]
    assert gone["id"].to_list() == ["hr:1a"]
    assert left.persons is everybody.persons
    assert set(given(wish(left, RULES))) == {("p2", "ENTRÉ"), ("p2", "KÖK")}


def test_an_order_is_on_the_employment_of_one_person_alone() -> None:
    orders = ended((1, "a")).with_columns(person_id=pl.lit("p2"))
    left, gone = split_ended(people(job(1), job(2)), orders)
    assert gone.is_empty()
    assert left.employments.height == 2


def test_what_another_employment_may_give_is_tied_to_it_whatever_its_dates() -> None:
    both = (job(1), job(1, "b", job_code="2", valid_to=PAST), job(2, job_code="2"))
    assert elsewhere(*both, orders=ended((1, "a"))) == {("p1", "LARM")}
    assert elsewhere(*both, orders=ended((1, "b"))) == {("p1", "KÖK")}
    assert elsewhere(*both, orders=ended((1, "a"), (1, "b"))) == set()
    # of one that no source tells of any longer nobody knows what it gave
    assert elsewhere(*both, orders=ended((1, "x"))) == {
        ("p1", "ENTRÉ"), ("p1", "KÖK"), ("p1", "LARM"),
    }  # fmt: skip
    assert elsewhere(orders=ended((1, "a"))) == set()


# ── in words ────────────────────────────────────────────────────────────────────────────


def told(*rows: Any, orders: pl.DataFrame) -> Explanation:
    everybody = people(*rows)
    desired = wish(split_ended(everybody, orders)[0], RULES)
    named = dict.fromkeys(orders["employment"], 7)
    return explain("p1", desired, now=NOW, ended=named, everybody=everybody)


def test_an_explanation_tells_the_order_and_counts_the_employment_no_longer() -> None:
    found = told(job(1), job(1, "b", job_code="2", unit="Vård"), orders=ended((1, "a")))
    assert (
        "Employment as Kock in Ängen (hr:1a): ended by order 7: it gives nothing, whatever the "
        "sources say of it."
    ) in found.sentences
    assert [(one["id"], one["state"]) for one in found.employments] == [
        ("hr:1b", "current"), ("hr:1a", "revoked"),
    ]  # fmt: skip
    [kitchen] = [one for one in found.rights if one["ref"] == "KÖK"]
    assert not kitchen["given"]


def test_of_several_employments_the_keys_are_told() -> None:
    found = told(job(1), job(1, "b", unit="Vård"), orders=ended())
    assert found.sentences[:2] == (
        "Employment as Kock in Ängen (hr:1a): current.",
        "Employment as Kock in Vård (hr:1b): current.",
    )
    assert told(job(1), orders=ended()).sentences[0] == "Employment as Kock in Ängen: current."


def test_an_order_is_told_where_no_source_tells_of_the_employment_or_the_person() -> None:
    gone = told(job(1), orders=ended((1, "x"))).sentences
    nobody = told(job(2), orders=ended((1, "x"))).sentences
    for sentences in (gone, nobody):
        assert any(one.startswith("Employment (hr:1x): ended by order 7") for one in sentences)
    hidden = told(
        Person(id="p1", protection="secrecy_marking"), job(1), orders=ended((1, "a"))
    ).sentences
    assert any(one.startswith("Employment (hr:1a): ended by order 7") for one in hidden)
