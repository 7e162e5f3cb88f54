"""Finds the parts of a read that are outside their band. Pure, and in columns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from idsync.mapping.absence import IDENTITY, Tables
from idsync.mapping.bands import Bands, Decisive, Doubt
from idsync.mapping.conditions import glob_pattern
from idsync.mapping.training import passed
from idsync.model import Kind

SEPARATOR = " / "
MARKS = {"secrecy_marking": 1, "protected_registration": 2}
MARKS_AT_ONCE = 3
"""So few protected people may lose their mark in one read: there are never many of them."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A doubt, and what it is about.

    stay: by kind the identities of records that did not come and stay. was: kind, attribute,
    and a table of identity and `was`: values that stay for records that came.
    """

    doubt: Doubt
    stay: dict[Kind, pl.DataFrame] = field(default_factory=dict)
    was: tuple[tuple[Kind, str, pl.DataFrame], ...] = ()


# ── departments ─────────────────────────────────────────────────────────────────────────


def departments(source: str, before: Tables, came: Tables, bands: Bands) -> list[Finding]:
    """Return the departments of which too few people are left where they were."""
    if "employments" not in before or "employments" not in came:
        return []
    old, new = before["employments"], came["employments"]
    depth = _depth(old["unit"])
    now = new.select("key", unit_now="unit", now=_department(depth), here=True).unique("key")
    told = old.select("key", "person_key", "unit", was=_department(depth))
    told = told.filter(pl.col("was").fill_null("") != "")
    told = told.join(now, on="key", how="left", maintain_order="left").with_columns(
        pl.col("here").fill_null(False), stays=pl.col("now") == pl.col("was")
    )
    told = told.with_columns(pl.col("stays").fill_null(False))
    sizes = told.group_by("was").agg(
        base=pl.col("person_key").n_unique(),
        left=pl.col("person_key").filter("stays").n_unique(),
    )
    lost = pl.col("base") - pl.col("left")
    small = (pl.col("left") < pl.col("base") * bands.department_share) & (lost >= bands.people)
    return [
        _department_finding(
            source, name, base, base - left, told.filter(pl.col("was") == name), bands.people
        )
        for name, base, left in sizes.filter(small).sort("was").iter_rows()
    ]


def _depth(units: pl.Series) -> int:
    """How many parts every unit begins with alike: the city itself is no department."""
    parts = units.drop_nulls().unique().str.split(SEPARATOR)
    depth = 0
    while (parts.list.len() > depth + 1).any():
        if parts.list.get(depth, null_on_oob=True).drop_nulls().n_unique() > 1:
            break
        depth += 1
    return depth


def _department(depth: int) -> pl.Expr:
    return pl.col("unit").str.split(SEPARATOR).list.get(depth, null_on_oob=True)


def _department_finding(
    source: str, name: str, base: int, people: int, told: pl.DataFrame, floor: int
) -> Finding:
    lost = told.filter(~pl.col("stays"))
    moved, absent = lost.filter("here"), lost.filter(~pl.col("here"))
    if moved.height >= absent.height:
        if absent.height < floor:  # they left while the others moved
            lost, absent = moved, absent.clear()
        to = moved["now"].drop_nulls().value_counts(sort=True)
        where = f"stand under {to['now'][0]} now" if to.height else "have no unit now"
        reason = (
            f"scope changed: {people} of {base} people of department {name} {where}, as when a "
            "unit is renamed or moved: their unit stays as it was"
        )
    else:
        reason = (
            f"department {name}: {people} of its {base} people are not in this read: they stay "
            "as last accepted"
        )
    digest = digest_of(source, f"department {name}", lost.select("key", "unit_now"))
    doubt = Doubt(part=f"department {name}", people=people, base=base, reason=reason, digest=digest)
    return Finding(
        doubt=doubt,
        stay={"employments": absent.select("key")},
        was=(("employments", "unit", moved.select("key", was="unit")),),
    )


# ── attributes ──────────────────────────────────────────────────────────────────────────


def attributes(
    source: str, before: Tables, came: Tables, asked: Decisive, bands: Bands
) -> list[Finding]:
    """Return the attributes that are another, or none any longer, for too many at once."""
    found = []
    for kind, name in asked.attributes:
        if kind in before and kind in came:
            finding = _attribute(source, kind, name, before[kind], came[kind], bands)
            found += [finding] if finding else []
    return found


def _attribute(
    source: str, kind: Kind, name: str, before: pl.DataFrame, came: pl.DataFrame, bands: Bands
) -> Finding | None:
    identity = list(IDENTITY[kind])
    was = before.select(*identity, was=name).unique().filter(~pl.struct(identity).is_duplicated())
    now = came.select(*identity, now=name).unique().filter(~pl.struct(identity).is_duplicated())
    known = was.filter(pl.col("was").is_not_null()).join(now, on=identity)
    people = bands.people
    if name == "protection":  # only a mark that is lost is a danger
        strict = [pl.col(one).replace_strict(MARKS, default=0, return_dtype=pl.Int32) for one in
                  ("was", "now")]  # fmt: skip
        known = known.filter(strict[0] > 0)
        changed = known.filter(strict[1] < strict[0])
        people = min(people, MARKS_AT_ONCE)
    else:
        changed = known.filter(pl.col("was").ne_missing(pl.col("now")))
    if changed.height < people or changed.height <= known.height * bands.attribute_share:
        return None
    empty = changed.filter(pl.col("now").is_null() | (pl.col("now").cast(pl.String) == "")).height
    doubt = Doubt(
        part=f"attribute {name}",
        people=changed.height,
        base=known.height,
        reason=f"attribute {name}: it is another for {changed.height} of {known.height} records"
        + (f", and empty for {empty} of them" if empty else "")
        + ": what was last known stays",
        digest=digest_of(source, f"attribute {name}", changed),
    )
    return Finding(doubt=doubt, was=((kind, name, changed.select(*identity, "was")),))


# ── courses and groups ──────────────────────────────────────────────────────────────────


def facts(
    source: str, before: Tables, came: Tables, asked: Decisive, bands: Bands, now: datetime
) -> list[Finding]:
    """Return the courses and groups that too many people do not have any longer.

    What was over before *now* is nobody's loss.
    """
    running = pl.col("valid_to").is_null() | (pl.col("valid_to") > now)
    found: list[Finding] = []
    if asked.courses and "trainings" in before:
        wanted = running & pl.col("course_id").is_in(asked.courses)
        found += _facts(source, "trainings", "course", before, came, wanted, bands)
    if (asked.groups or asked.globs) and "memberships" in before:
        role = pl.col("role")
        fits = [role.str.contains(glob_pattern(one)) for one in asked.globs]
        wanted = running & pl.any_horizontal(role.is_in(asked.groups), *fits)
        found += _facts(source, "memberships", "group", before, came, wanted, bands)
    return found


def _facts(
    source: str,
    kind: Kind,
    word: str,
    before: Tables,
    came: Tables,
    wanted: pl.Expr,
    bands: Bands,
) -> list[Finding]:
    person, name = IDENTITY[kind]
    was = _holders(before[kind].filter(wanted), kind, "was")
    now = _holders(came[kind].filter(wanted) if kind in came else before[kind].clear(), kind, "now")
    told = was.join(now, on=[person, name], how="left", maintain_order="left")
    lost = told.filter(pl.col("now").is_null() | (pl.col("now") < pl.col("was")))
    sizes = was.group_by(name).agg(base=pl.len())
    counts = lost.group_by(name).agg(people=pl.len()).join(sizes, on=name)
    many = (pl.col("people") >= bands.people) & (
        pl.col("people") > pl.col("base") * bands.attribute_share
    )
    found = []
    for ref, people, base in counts.filter(many).sort(name).iter_rows():
        rows = lost.filter(pl.col(name) == ref)
        doubt = Doubt(
            part=f"{word} {ref}",
            people=people,
            base=base,
            reason=f"{word} {ref}: {people} of the {base} people who have it do not any longer, or "
            "for a shorter time: what was last known stays",
            digest=digest_of(source, f"{word} {ref}", rows),
        )
        found.append(Finding(doubt=doubt, stay={kind: rows.select(person, name)}))
    return found


def _holders(table: pl.DataFrame, kind: Kind, until: str) -> pl.DataFrame:
    """Who has it, and for how long at most."""
    if kind == "trainings":
        table = table.filter(passed())
    end = pl.col("valid_to").dt.timestamp("us").fill_null(2**62)
    return table.group_by(IDENTITY[kind], maintain_order=True).agg(end.max().alias(until))


# ── scope ───────────────────────────────────────────────────────────────────────────────


def scope(source: str, gone: Tables) -> list[Finding]:
    """Return the doubt about whoever a source with new settings does not tell of any longer."""
    new = {kind: rows.filter(pl.col("missed") == 0) for kind, rows in gone.items()}
    stay = {kind: rows.select(IDENTITY[kind]) for kind, rows in new.items() if rows.height}
    if not stay:
        return []
    people = pl.concat(
        [rows.select(pl.first().alias("key")) for kind, rows in stay.items() if kind == "persons"]
        or [rows.select(pl.first().alias("key")) for rows in stay.values()]
    )["key"].n_unique()
    told = pl.concat(
        [
            rows.select(pl.concat_str(pl.lit(kind), pl.all(), separator="\t").alias("told"))
            for kind, rows in sorted(stay.items())
        ]
    )
    doubt = Doubt(
        part="scope",
        people=people,
        base=people,
        reason=f"scope changed: the settings of this source are others than at the last accepted "
        f"read, and {people} people are not in it any longer: they stay as last accepted",
        digest=digest_of(source, "scope", told),
    )
    return [Finding(doubt=doubt, stay=stay)]


def digest_of(source: str, part: str, rows: pl.DataFrame) -> str:
    """Return the digest of a doubt, over every record that is concerned and what it says now."""
    told = rows.select(pl.all().cast(pl.String)).sort(pl.all(), nulls_last=True).write_csv()
    return hashlib.sha256(f"idsync.doubt/1\n{source}\n{part}\n{told}".encode()).hexdigest()
