"""What is wanted in one target, as far as the system can hold it; and what is due there later."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from idsync.mapping.rules import Desired
from idsync.mapping.times import ALWAYS, NEVER
from idsync.plan.attributes import shown_attributes
from idsync.plan.fitting import dates_that_fit, names_that_do_not_fit
from idsync.plan.given import Target
from idsync.plan.holdings import Holdings
from idsync.plan.recognise import Known

NO_CARD = "has no card in this system, where rights hang on cards: they follow when one is given"
CROOKED = "ends within a {step}, and this system keeps whole {step}s: let it end between two"
REFUSED = pl.Schema({"person": pl.UInt32(), "ref": pl.String(), "reason": pl.String()})
DUE = pl.Schema(
    {"person": pl.UInt32(), "right": pl.UInt32(), "at": pl.Int64(), "action": pl.String()}
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the rules give in one target.

    grants: person, right, begin, end, valid_from, as `interval` makes them. due: person,
    right, at, action: what the system cannot do by itself on the day (begins, ends).
    refused: person, ref, reason: what it cannot hold. kept: person, right: of that, what
    is held stays as it is: nobody loses a right because it cannot be written anew.
    """

    grants: pl.DataFrame
    due: pl.DataFrame
    refused: pl.DataFrame
    kept: pl.DataFrame


def wanted_in(
    target: Target,
    desired: Desired,
    given: pl.DataFrame,
    known: Known,
    holdings: Holdings,
    *,
    able: pl.Series,
    instant: int,
) -> Wanted:
    """Return what of *given* can be held; *able* says by person whose wishes count at all."""
    capabilities = target.capabilities
    grants = given.filter(able.gather(given["person"]))
    if grants.is_empty():
        return Wanted(
            grants=grants.select("person", "right", *interval(instant)),
            due=pl.DataFrame(schema=DUE), refused=pl.DataFrame(schema=REFUSED),
            kept=grants.select("person", "right"),
        )  # fmt: skip
    without_card = _without_card(target, grants, known, holdings)
    cardless = known.mask(without_card["person"]).gather(grants["person"])
    kept = [grants.filter(cardless).select("person", "right")]
    refused = [
        without_card,
        _newcomers_that_do_not_fit(target, desired, grants, known, holdings),
    ]
    for unfit in refused:
        if unfit.height:
            grants = grants.filter(~known.mask(unfit["person"]).gather(grants["person"]))
    grants, waiting, crooked = dates_that_fit(grants, capabilities, desired.zone, instant)
    if crooked.height:
        reason = CROOKED.format(step=capabilities.granularity)
        named = crooked.join(desired.rights, on="right")
        refused.append(named.select("person", "ref", reason=pl.lit(reason)))
    there = known.mask(known.there["person"])
    due = [_begins(waiting), _ends(crooked.filter(there.gather(crooked["person"])))]
    if not capabilities.dated_grants:
        begun = pl.col("valid_from") <= instant
        due += [_begins(grants.filter(~begun)), _ends(grants)]
        grants = grants.filter(begun).with_columns(
            valid_from=pl.lit(ALWAYS), valid_to=pl.lit(NEVER)
        )
    return Wanted(
        grants=grants.select("person", "right", *interval(instant)),
        due=pl.concat([pl.DataFrame(schema=DUE), *due]),
        refused=pl.concat([pl.DataFrame(schema=REFUSED), *refused]),
        kept=pl.concat([*kept, crooked.select("person", "right")]),
    )


def interval(instant: int) -> list[pl.Expr]:
    """begin and end as compared, valid_from as written: a begin that has passed is no news."""
    begun = pl.col("valid_from") <= instant
    return [
        pl.when(~begun).then("valid_from").alias("begin"),
        pl.when(pl.col("valid_to") != NEVER).then("valid_to").alias("end"),
        pl.when(pl.col("valid_from") != ALWAYS).then("valid_from").alias("valid_from"),
    ]


def _begins(grants: pl.DataFrame) -> pl.DataFrame:
    return grants.select("person", "right", at="valid_from", action=pl.lit("begins"))


def _ends(grants: pl.DataFrame) -> pl.DataFrame:
    return grants.filter(pl.col("valid_to") != NEVER).select(
        "person", "right", at="valid_to", action=pl.lit("ends")
    )


def _without_card(
    target: Target, grants: pl.DataFrame, known: Known, holdings: Holdings
) -> pl.DataFrame:
    """Who wants something where rights hang on cards, and has none there."""
    if target.capabilities.rights_on != "credential":
        return pl.DataFrame(schema=REFUSED)
    carrying = known.there.join(holdings.credentials.select("holder"), on="holder", how="semi")
    wishing = grants.select(pl.col("person").unique())
    return wishing.filter(~known.mask(carrying["person"]).gather(wishing["person"])).select(
        "person", ref=pl.lit(""), reason=pl.lit(NO_CARD)
    )


def _newcomers_that_do_not_fit(
    target: Target, desired: Desired, grants: pl.DataFrame, known: Known, holdings: Holdings
) -> pl.DataFrame:
    """Whom the system cannot take in, since it cannot hold their key or their name."""
    capabilities = target.capabilities
    if not (capabilities.unique or "key" in capabilities.lengths or _narrow(target)):
        return pl.DataFrame(schema=REFUSED)
    names = [name for name in target.release if name in capabilities.attributes]
    wishing = known.mask(grants["person"])
    new = known.keys.filter(wishing.gather(known.keys["person"]) & ~known.keys["exists"])
    people = shown_attributes(desired.people)
    new = new.filter(pl.col("person") < people.height)
    shown = new.select("person", "key").hstack(people[new["person"]].select(names))
    others = holdings.cardholders.select(names)
    return (
        names_that_do_not_fit(shown, others, capabilities, names)
        .unique("person", keep="first", maintain_order=True)
        .select("person", "reason", ref=pl.lit(""))
        .select(*REFUSED)
    )


def _narrow(target: Target) -> bool:
    return target.capabilities.characters != "unicode"
