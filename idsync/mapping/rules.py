"""Who should hold what: rules over people, in columns. Pure; time is an argument.

The work is done once per distinct combination of what the rules look at, not per
person: a city has many people and few kinds of employment. Instants are handled as
microseconds, with the ends of the scale for "always" and "never ends".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

import polars as pl

from idsync.mapping.catalogue import Catalogue
from idsync.mapping.correlate import People
from idsync.mapping.ending import TIED
from idsync.mapping.matching import employment_facts, matches
from idsync.mapping.times import ALWAYS, NEVER, by_switch, micro, microseconds, moved, shifted
from idsync.mapping.training import narrowed, newcomer_until
from idsync.mapping.union import blocks_of, union_of_shared


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What everybody should hold.

    grants: person (row in `persons`), right (row in `rights`), valid_from, valid_to in
        microseconds since 1970, ALWAYS and NEVER where unbounded. One row a person and
        right: the interval in force now, or else the next one to begin.
    kept: person, right: nobody can say; what is held stays, nothing new is given.
    bases: person, employment (row), rule (row), valid_from, valid_to, certain: why.
    elsewhere: see `tied_elsewhere`; `people` is without employments that an order has ended.
    """

    grants: pl.DataFrame
    kept: pl.DataFrame
    bases: pl.DataFrame
    people: People
    catalogue: Catalogue
    zone: ZoneInfo
    elsewhere: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TIED))

    def given_in(self, target: str) -> pl.DataFrame:
        """Return the grants in one target: its rights stand side by side in the catalogue."""
        mine = self.rights.filter(pl.col("target") == target)["right"]
        if mine.is_empty():
            return self.grants.clear()
        first, last = int(mine[0]), int(mine[-1])
        return self.grants.filter(pl.col("right").is_between(first, last))

    @cached_property
    def rights(self) -> pl.DataFrame:
        """Row by row the rights that `right` counts: target, kind, ref."""
        columns = {"target": pl.String(), "kind": pl.String(), "ref": pl.String()}
        rows = [(right.target, right.kind, right.ref) for right in self.catalogue.rights]
        return pl.DataFrame(rows, schema=columns, orient="row").with_row_index("right")


def desire(
    people: People, catalogue: Catalogue, *, now: datetime, zone: ZoneInfo, ahead_days: int = 0
) -> Desired:
    """Return what *people* should hold by the rules of *catalogue* at *now*.

    Grants that begin within *ahead_days* are included, with their begin.
    """
    instant = microseconds(now)
    horizon = instant + ahead_days * 86_400_000_000
    facts = employment_facts(people, catalogue, now)
    bases = _windows(matches(facts, catalogue), facts, people, catalogue, now, zone)
    bases = bases.filter(
        (pl.col("valid_to") > instant)
        & (pl.col("valid_from") <= horizon)
        & (pl.col("valid_from") < pl.col("valid_to"))
    )
    certain = blocks_of(
        bases.filter("certain").select("person", "profile", "valid_from", "valid_to"), "profile"
    )
    doubtful = bases.filter(~pl.col("certain")).select("person", "profile").unique()
    spelled = _spelled(catalogue)
    grants = certain.join(spelled, on="profile", how="inner").select(
        "person", "right", "valid_from", "valid_to", "block"
    )
    return Desired(
        grants=union_of_shared(grants, spelled),
        kept=doubtful.join(spelled, on="profile", how="inner").select("person", "right").unique(),
        bases=bases.drop("profile"),
        people=people,
        catalogue=catalogue,
        zone=zone,
    )


# ── from when to when ───────────────────────────────────────────────────────────────────


def _windows(
    pairs: pl.DataFrame,
    facts: pl.DataFrame,
    people: People,
    catalogue: Catalogue,
    now: datetime,
    zone: ZoneInfo,
) -> pl.DataFrame:
    """person, employment, rule, profile, certain, valid_from, valid_to for each pair."""
    leads, suspensions = _leads(catalogue), _suspensions(catalogue)
    begins = {f"begin_{days}": shifted("instant", -days, zone, ALWAYS) for days in leads}
    times = facts.select(valid_to=micro("valid_to", NEVER)).hstack(
        moved(facts["valid_from"], begins)
    )
    newcomer = newcomer_until(facts["valid_from"], catalogue, zone)
    row = pairs["employment"]
    windows = pairs.with_columns(
        facts["person"].gather(row),
        *_constants(catalogue)[pairs["rule"]].get_columns(),
        **{name: times[name].gather(row) for name in times.columns},
    ).with_columns(valid_from=by_switch("lead", "begin", leads))
    windows = _with_leave(windows, facts, zone, suspensions).select(
        "person", "employment", "rule", "profile", "certain", "valid_from", "valid_to"
    )
    return narrowed(windows, newcomer, people, catalogue, now, zone)


def _leads(catalogue: Catalogue) -> list[int]:
    return sorted({profile.lead_days for profile in catalogue.profiles})


def _suspensions(catalogue: Catalogue) -> list[int]:
    return sorted(
        {p.suspend_after_days for p in catalogue.profiles if p.suspend_after_days is not None}
    )


def _constants(catalogue: Catalogue) -> pl.DataFrame:
    """Row by row what each rule's profile says: profile, lead, suspend (null: leave keeps)."""
    profiles = [catalogue.profile(rule) for rule in catalogue.rules]
    return pl.DataFrame(
        {
            "profile": [catalogue.profile_index[profile.id] for profile in profiles],
            "lead": [profile.lead_days for profile in profiles],
            "suspend": [profile.suspend_after_days for profile in profiles],
        },
        schema={"profile": pl.UInt32, "lead": pl.Int32, "suspend": pl.Int32},
    )


def _with_leave(
    windows: pl.DataFrame, facts: pl.DataFrame, zone: ZoneInfo, suspensions: Sequence[int]
) -> pl.DataFrame:
    """Cut the leave out where the profile suspends: a window before it and one after."""
    if not suspensions:
        return windows
    away = facts["leave_from"].is_not_null().gather(windows["employment"])
    away = away & windows["suspend"].is_not_null()
    mine = facts[windows.filter(away)["employment"]].select("leave_from", "leave_to")
    leaves = {f"leave_{days}": shifted("leave_from", days, zone, NEVER) for days in suspensions}
    told = mine.select(back=micro("leave_to", NEVER), **leaves)
    cut = windows.filter(away).hstack(told)
    cut = cut.with_columns(leave=by_switch("suspend", "leave", suspensions))
    split = cut.select(pl.col("leave") < pl.min_horizontal("back", "valid_to")).to_series()
    parts = cut.filter(split)
    before = parts.with_columns(valid_to=pl.col("leave"))
    after = parts.with_columns(valid_from=pl.max_horizontal("valid_from", "back"))
    columns = windows.columns
    return pl.concat(
        [
            windows.filter(~away),
            *(some.select(columns) for some in (cut.filter(~split), before, after)),
        ]
    )


def _spelled(catalogue: Catalogue) -> pl.DataFrame:
    """profile, right: what each profile gives, as rows of the catalogue."""
    position = {right: row for row, right in enumerate(catalogue.rights)}
    pairs = [
        (index, position[right])
        for index, profile in enumerate(catalogue.profiles)
        for right in dict.fromkeys(profile.rights)
    ]
    return pl.DataFrame(pairs, schema={"profile": pl.UInt32, "right": pl.UInt32}, orient="row")
