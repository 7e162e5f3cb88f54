"""Employments that an order has ended: they give nothing, whatever the sources say of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import polars as pl

from idsync.mapping.catalogue import Catalogue
from idsync.mapping.correlate import People
from idsync.mapping.matching import employment_facts, matches

ENDED = pl.Schema(dict.fromkeys(("person_id", "employment", "because"), pl.String()))
"""Which employment (its id) of whom an order has ended, and which order that is, in words."""

TIED = pl.Schema(dict.fromkeys(("person_id", "target", "kind", "ref"), pl.String()))
"""A right that the rules tie to an employment of somebody."""


def split_ended(people: People, ended: pl.DataFrame) -> tuple[People, pl.DataFrame]:
    """Return *people* without the employments in *ended* (see ENDED), and those employments.

    An order is on one employment of one person: whoever else gets its key has their own.
    """
    if ended.is_empty():
        return people, people.employments.clear()
    orders = ended.select("person_id", id="employment")
    on = ["person_id", "id"]
    gone = people.employments.join(orders, on=on, how="semi", maintain_order="left")
    if gone.is_empty():
        return people, gone
    left = people.employments.join(orders, on=on, how="anti", maintain_order="left")
    return replace(people, employments=left), gone


def tied_elsewhere(
    left: People, gone: pl.DataFrame, ended: pl.DataFrame, catalogue: Catalogue, now: datetime
) -> pl.DataFrame:
    """Return TIED: what the rules tie to other employments of those in *ended*, and to no ended.

    Where they lose that, it is not by the order. *left* and *gone* are of `split_ended`.
    """
    mine = pl.col("person_id").is_in(ended["person_id"].unique().implode())
    few = replace(
        left, persons=left.persons.filter(pl.col("id").is_in(ended["person_id"].implode()))
    )
    others = _tied(replace(few, employments=left.employments.filter(mine)), catalogue, now)
    theirs = _tied(replace(few, employments=gone), catalogue, now)
    return others.join(theirs, on=list(TIED), how="anti").sort(*TIED)


def _tied(people: People, catalogue: Catalogue, now: datetime) -> pl.DataFrame:
    """TIED of *people*, whatever dates, leave and courses say, and whether certain or not."""
    facts = employment_facts(people, catalogue, now)
    rows = [
        (number, right.target, right.kind, right.ref)
        for number, rule in enumerate(catalogue.rules)
        for right in catalogue.profile(rule).rights
    ]
    columns = {"rule": pl.UInt32(), **{name: TIED[name] for name in ("target", "kind", "ref")}}
    spelled = pl.DataFrame(rows, schema=columns, orient="row")
    whose = facts.select("employment", "person_id")
    pairs = matches(facts, catalogue).join(whose, on="employment")
    return pairs.join(spelled, on="rule").select(*TIED).unique()
