"""What a target shows just before a write, held against what the plan saw there.

Between the plan and the write somebody may have changed the same record by hand. What is
no longer as it was seen is left out: the next plan decides about it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from idsync.apply.readback import left
from idsync.model import Cardholder
from idsync.plan.attributes import HIDDEN


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """The items of one change by what the target shows now.

    due: as the plan saw them, to be sent. overtaken: changed meanwhile, and left alone.
    gone: what of idsync's own went without it, as the ledger has to know it.
    """

    due: pl.DataFrame
    overtaken: pl.DataFrame
    gone: pl.DataFrame


def still_fitting(items: pl.DataFrame, shown: Cardholder | None, *, one_per_right: bool) -> Fitting:
    """Return which of *items* still find what they were planned on.

    What stands already as it shall is neither sent nor overtaken. Where *one_per_right*, a
    right that somebody gave for another time stands in the way of an addition.
    """
    verdicts = [_verdict(row, shown, one_per_right) for row in items.to_dicts()]
    told = pl.Series(verdicts, dtype=pl.String)
    was_ours = items.filter((told != "due") & items["was"] & (items["part"] == "grant"))
    return Fitting(
        due=items.filter(told == "due"),
        overtaken=items.filter(told == "overtaken"),
        gone=left(was_ours, shown),
    )


def _verdict(item: dict[str, Any], shown: Cardholder | None, one_per_right: bool) -> str:
    """due, done or overtaken."""
    if item["part"] == "again":
        return "due"
    if shown is None:
        leaves = not item["shall"] or item["value_after"] == "suspended"
        return "due" if item["creates"] else "done" if leaves else "overtaken"
    if item["creates"]:
        return "overtaken"  # somebody has made this record meanwhile
    if item["part"] == "grant":
        return _of_grant(item, shown, one_per_right)
    if item["part"] == "credential":
        card = (item["ref"], item["kind"])
        states: set[str] = {c.state for c in shown.credentials if (c.number, c.medium) == card}
    elif item["part"] == "status":
        states = {shown.status}
    else:
        states = {getattr(shown, item["ref"]) or ""}
    before = item["value_before"] or ""
    if states == {item["value_after"]}:
        return "done"
    return "due" if before in states or before == HIDDEN else "overtaken"


def _of_grant(item: dict[str, Any], shown: Cardholder, one_per_right: bool) -> str:
    right = (item["kind"], item["ref"])
    before = (item["from_before"], item["to_before"])
    same = [grant for grant in shown.grants if (grant.kind, grant.ref) == right]
    ours = {
        (grant.valid_from, grant.valid_to)
        for grant in same
        if not any(reason.type == "manual" for reason in grant.because)
    }
    if item["was"]:
        return "due" if before in ours else "overtaken" if item["shall"] else "done"
    after = (item["from_after"], item["to_after"])
    in_the_way = [
        grant for grant in same if one_per_right or (grant.valid_from, grant.valid_to) == after
    ]
    return "overtaken" if in_the_way else "due"
