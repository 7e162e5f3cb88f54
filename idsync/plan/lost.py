"""What idsync gave or suspended and a target no longer shows: it is idsync's own no longer.

Else a grant that somebody took away by hand, and later gave by hand, would count as
idsync's, and be taken away with its reasons.
"""

from __future__ import annotations

import polars as pl

from idsync.plan.holdings import Holdings

IDENTITY = ["key", "kind", "ref", "valid_from", "valid_to"]
AT_ONCE, SHARE = 10, 0.05
"""How many may be forgotten in one run, and what share: more look like a restored system."""


def lost(ledger: pl.DataFrame, holdings: Holdings) -> pl.DataFrame:
    """Return the rows of *ledger* (with IDENTITY) that one complete read of its target lacks."""
    named = holdings.grants.filter(pl.col("reason").fill_null("") != "manual")
    suspended = [
        holdings.cardholders.filter(pl.col("status") == "suspended").select(
            "key", ref=pl.lit("status")
        ),
        holdings.credentials.filter(pl.col("state") == "suspended").select(
            "key", ref=pl.concat_str(pl.lit("credential:"), "number")
        ),
    ]
    blocks = pl.col("kind") == "block"
    grants = ledger.filter(~blocks).join(named, on=IDENTITY, how="anti", nulls_equal=True)
    taken = ledger.filter(blocks).join(pl.concat(suspended), on=["key", "ref"], how="anti")
    return pl.concat([grants, taken])


def too_many(count: int, of: int) -> bool:
    """Whether *count* rows gone of *of* are more than hands take away between two runs."""
    return count > max(AT_ONCE, of * SHARE)
