"""What others have given, as the runs saw it: since when, and until when.

Of its own grants idsync knows the instant; of those that others give it knows only what
stood there when it looked.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from idsync.plan.holdings import Holdings

INSTANT = pl.Datetime("us", "UTC")
LOCAL = pl.Schema(
    {
        "key": pl.String(),
        "native_id": pl.String(),
        "person_id": pl.String(),
        "kind": pl.String(),
        "ref": pl.String(),
        "valid_from": INSTANT,
        "valid_to": INSTANT,
        "seen_from": INSTANT,  # the first run that saw it
        "seen_to": INSTANT,  # the first run that saw it no longer; null: it stands
    }
)
"""Grants of others on cardholders that open something: one frame a target."""
SAME = ["key", "native_id", "kind", "ref", "valid_from", "valid_to"]
OWN = ["key", "kind", "ref", "valid_from", "valid_to"]


def seen_locally(
    before: pl.DataFrame,
    holdings: Holdings,
    own: pl.DataFrame,
    links: pl.DataFrame,
    now: datetime,
) -> pl.DataFrame:
    """Return the history *before* (of LOCAL) with what *holdings* show *now*.

    *own* has the columns OWN of what is idsync's own, *links* key and person_id. Where
    nothing is new, *before* itself is returned.
    """
    opening = holdings.cardholders.select("key", "native_id", "status").filter(
        pl.col("status") == "active"
    )
    shown = (
        holdings.grants.join(
            opening.unique(), on=["key", "native_id"], how="semi", nulls_equal=True
        )
        .join(own.select(OWN).cast({"kind": pl.String, "ref": pl.String}), on=OWN, how="anti",
              nulls_equal=True)
        .select(SAME)
        .unique(maintain_order=True)
    )  # fmt: skip
    standing = before.filter(pl.col("seen_to").is_null())
    gone = standing.join(shown, on=SAME, how="anti", nulls_equal=True)
    new = shown.join(standing, on=SAME, how="anti", nulls_equal=True)
    if gone.is_empty() and new.is_empty():
        return before
    whose = links.unique("key", keep="first")
    came = new.join(whose, on="key", how="left").with_columns(
        seen_from=pl.lit(now, INSTANT), seen_to=pl.lit(None, INSTANT)
    )
    ended = gone.with_columns(seen_to=pl.lit(now, INSTANT))
    kept = before.join(gone, on=[*SAME, "seen_from"], how="anti", nulls_equal=True)
    return pl.concat([kept, ended, came.select(*LOCAL)])
