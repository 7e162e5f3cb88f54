"""The rows a plan is made of: one row for each thing that changes."""

from __future__ import annotations

import polars as pl

INSTANT = pl.Datetime("us", "UTC")

ITEMS = pl.Schema(
    {
        "target": pl.String(),
        "person_id": pl.String(),
        "key": pl.String(),
        "part": pl.String(),  # grant, credential, status, attribute, again
        "kind": pl.String(),  # of a grant: access, alarm; of a credential: its medium; else ""
        "ref": pl.String(),  # the right, the credential's number, "status", the attribute's name
        "was": pl.Boolean(),  # it stands there now, with the values "before"
        "shall": pl.Boolean(),  # it shall stand there, with the values "after"
        "from_before": INSTANT,
        "to_before": INSTANT,
        "from_after": INSTANT,
        "to_after": INSTANT,
        "value_before": pl.String(),
        "value_after": pl.String(),
        "effect": pl.String(),  # losing, gaining, neutral: what it does to opening doors
        "confirmed": pl.Boolean(),  # a confirmed termination: no brake holds it
        "creates": pl.Boolean(),  # the target has no such cardholder yet
        "because": pl.String(),
        "held": pl.String(),  # digest of the held part it belongs to, or absent; null: it goes
        "exempt": pl.Boolean(),  # somebody let it go, or it was announced: no limit counts it
    }
)

NULLS = {name: pl.lit(None, dtype).alias(name) for name, dtype in ITEMS.items()}

LEDGER = pl.Schema(
    {
        "target": pl.String(),
        "key": pl.String(),
        "kind": pl.String(),  # access, alarm; block: what idsync has suspended
        "ref": pl.String(),
        "valid_from": INSTANT,
        "valid_to": INSTANT,
        "person_id": pl.String(),
        "because": pl.String(),
    }
)
"""Which grants (and which suspensions) are idsync's own. Everything else in a target is local."""

OWNED = pl.Schema(
    {
        "key": pl.String(),
        "kind": pl.Categorical(),
        "ref": pl.Categorical(),
        "valid_from": INSTANT,
        "valid_to": INSTANT,
    }
)
"""What the planner needs of it; texts that stand again and again stay numbers until looked at."""

ORDER = (
    "target",
    "key",
    "part",
    "kind",
    "ref",
    "from_before",
    "to_before",
    "from_after",
    "to_after",
)


def items(rows: pl.DataFrame, **constants: object) -> pl.DataFrame:
    """Return *rows* with every column of ITEMS: given, constant, or null."""
    given = {name: pl.lit(value, ITEMS[name]).alias(name) for name, value in constants.items()}
    own = dict.fromkeys(rows.columns)
    return rows.select([given.get(name, name if name in own else NULLS[name]) for name in ITEMS])


def merged_ledger(ledger: pl.DataFrame, done: pl.DataFrame) -> pl.DataFrame:
    """Return *ledger* after the items *done*: what was added is ours, what was removed is not."""
    own = done.filter(pl.col("part").is_in(["grant", "credential", "status"]))
    if own.is_empty():
        return ledger
    is_grant = pl.col("part") == "grant"
    name = pl.when(is_grant).then("ref").when(pl.col("part") == "credential").then(
        pl.concat_str(pl.lit("credential:"), "ref")
    ).otherwise(pl.lit("status"))  # fmt: skip
    kind = pl.when(is_grant).then("kind").otherwise(pl.lit("block"))
    gone = own.filter(pl.col("was")).select(
        "target", "key", kind=kind, ref=name, valid_from="from_before", valid_to="to_before"
    )
    came = own.filter(
        pl.when(is_grant).then("shall").otherwise(pl.col("value_after") == "suspended")
    ).select(
        "target", "key", kind=kind, ref=name, valid_from="from_after", valid_to="to_after",
        person_id="person_id", because="because",
    )  # fmt: skip
    identity = ["target", "key", "kind", "ref", "valid_from", "valid_to"]
    kept = ledger.join(gone, on=identity, how="anti", nulls_equal=True)
    kept = kept.join(came, on=identity, how="anti", nulls_equal=True)
    return pl.concat([kept, came.unique(identity).select(*LEDGER)])
