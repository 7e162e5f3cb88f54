"""What a late mark of protection reaches, and where something of it may stand yet."""

from __future__ import annotations

from typing import Any

import polars as pl

from idsync.config import Config
from idsync.plan.attributes import HIDDEN
from idsync.plan.document import Plan
from idsync.service.reaching import capabilities_of


def minimised(config: Config, plan: Plan) -> list[dict[str, Any]]:
    """Return the targets in which *plan* overwrites names of protected people.

    target, people (how many), keeps_history (what stood there may be in its history yet).
    Who they are is not said: the mark itself is secret.
    """
    hidden = plan.go.filter((pl.col("part") == "attribute") & (pl.col("value_before") == HIDDEN))
    counts = hidden.group_by("target").agg(people=pl.col("person_id").n_unique()).sort("target")
    return [
        {
            "target": name,
            "people": people,
            "keeps_history": capabilities_of(config.targets[name]).keeps_history,
        }
        for name, people in counts.iter_rows()
    ]
