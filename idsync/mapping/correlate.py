"""Who is who: one person out of what several sources say. Pure, and in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import cast
from uuid import UUID, uuid5

import polars as pl

from idsync.mapping.following import (
    NOBODY,
    followed,
    kept_apart,
    not_by_old_reads,
    set_aside_in_place_of,
)
from idsync.mapping.protection import strictest
from idsync.model import (
    Employment,
    IdentityLink,
    Kind,
    Membership,
    Person,
    TrainingCompletion,
    schema,
)

Reads = Mapping[str, Mapping[Kind, pl.DataFrame]]
"""What each source says, complete or as last accepted: source, kind, records."""

ATTRIBUTES = tuple(name for name in schema(Person) if name != "id")


@dataclass(frozen=True, kw_only=True)
class Matching:
    """How records of different sources are recognised as one person.

    keys: attributes that are equal for one person everywhere, strongest first.
    fingerprint: attributes that never change for one human being.
    precedence: per attribute (or "default") the sources in the order they are believed.
    marks_expected: a source that may carry marks of protection has never been read.
    stale: sources that could not be read now.
    """

    keys: tuple[str, ...] = ("employee_number",)
    fingerprint: tuple[str, ...] = ("birth_date",)
    precedence: Mapping[str, Sequence[str]] = field(default_factory=dict)
    marks_expected: bool = False
    stale: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, eq=False)
class People:
    """Everybody, correlated, and what could not be.

    set_aside: source, key, reason, person_id (null when never seen before): records that
    cannot be tied to one person for certain. Their access is neither widened nor removed.
    disagreements: person_id, attribute, sources: known values that differ.
    unmatched: source, count: records of training or group systems about nobody we know.
    faces: everybody ever known, with the fingerprint alone: `persons_before` of the next read.
        Whoever is away must be in it, or a reused number would make a newcomer of them.
    """

    persons: pl.DataFrame
    employments: pl.DataFrame
    trainings: pl.DataFrame
    memberships: pl.DataFrame
    links: pl.DataFrame
    set_aside: pl.DataFrame
    disagreements: pl.DataFrame
    unmatched: pl.DataFrame
    trainings_known: bool = True
    memberships_known: bool = True
    faces: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=schema(Person)))

    @cached_property
    def employed_rows(self) -> pl.Series:
        """`person`, row by row of the employments: the row of their person; null if unknown."""
        rows = self.persons.select(person_id="id").with_row_index("person")
        named = self.employments.select("person_id")
        return named.join(rows, on="person_id", how="left", maintain_order="left")["person"]


def correlate(
    reads: Reads,
    matching: Matching,
    *,
    links: pl.DataFrame,
    persons_before: pl.DataFrame,
    instance: UUID,
    now: datetime,
    away: pl.DataFrame = NOBODY,
) -> People:
    """Return the people behind the records of all sources.

    *links* ties keys of earlier reads to persons, *persons_before* is who they were (`faces`),
    *instance* is the namespace of new ids: the same record always gets the same id. *away*
    (see AWAY) are records that are believed although a complete read has missed them.
    """
    records = _records(reads)
    records = _components(records, matching.keys)
    anchors = _anchors(reads)
    records = _known(records, links, persons_before, matching.fingerprint, anchors)
    records = _identify(records, matching.fingerprint, instance, anchors)
    how = {"keys": matching.keys, "fingerprint": matching.fingerprint}
    records = kept_apart(followed(records, **how), persons_before, anchors=anchors, **how)
    records = set_aside_in_place_of(records, away, anchors=anchors)
    old = matching.stale - set(anchors)
    records = not_by_old_reads(records, old, fingerprint=matching.fingerprint)
    accepted = records.filter(pl.col("reason").is_null())
    owners = accepted.select("source", "key", person_id="id").unique()
    persons, disagreements = _merge(accepted, matching, list(reads), persons_before)
    return People(
        persons=persons,
        employments=_employments(reads, owners),
        trainings=_facts(reads, owners, "trainings", TrainingCompletion),
        memberships=_facts(reads, owners, "memberships", Membership),
        links=_links(links, owners, now),
        set_aside=_set_aside(records),
        disagreements=disagreements,
        unmatched=records.filter(pl.col("reason") == "unmatched")
        .group_by("source")
        .agg(count=pl.len())
        .sort("source"),
        trainings_known=any("trainings" in kinds for kinds in reads.values()),
        memberships_known=any("memberships" in kinds for kinds in reads.values()),
        faces=_faces(persons, persons_before, matching.fingerprint),
    )


def _records(reads: Reads) -> pl.DataFrame:
    """Every persons record of every source, once, with its row number."""
    columns = pl.Schema({"key": pl.String(), **{name: pl.String() for name in ATTRIBUTES}})
    tables = [
        kinds["persons"].select(pl.lit(source).alias("source"), *columns)
        for source, kinds in reads.items()
        if "persons" in kinds
    ]
    if not tables:
        return pl.DataFrame(schema={"row": pl.UInt32(), "source": pl.String(), **columns})
    return pl.concat(tables).unique(maintain_order=True).with_row_index("row")


def _anchors(reads: Reads) -> list[str]:
    """Sources whose records are people in their own right, not only mentioned."""
    return [
        name
        for name, kinds in reads.items()
        if {"employments"} & set(kinds) or set(kinds) == {"persons"}
    ]


def _components(records: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Label records that share a key value, directly or through others, alike."""
    labelled = records.with_columns(label=pl.col("row"))
    ties = [["source", "key"], *([key] for key in keys)]
    while True:
        before = labelled["label"]
        for tie in ties:
            known = pl.all_horizontal([pl.col(name).fill_null("") != "" for name in tie])
            lowest = pl.col("label").min().over(tie)
            labelled = labelled.with_columns(label=pl.when(known).then(lowest).otherwise("label"))
        if labelled["label"].equals(before):
            return labelled


def _known(
    records: pl.DataFrame,
    links: pl.DataFrame,
    persons_before: pl.DataFrame,
    fingerprint: Sequence[str],
    anchors: Sequence[str],
) -> pl.DataFrame:
    """Add who each record was (`linked`), and who it still is (`known`)."""
    linked = records.join(
        links.select(source="system", key="value", linked="person_id"),
        on=["source", "key"], how="left", maintain_order="left",
    )  # fmt: skip
    faces = persons_before.select(linked="id", **{f"{name}_before": name for name in fingerprint})
    compared = linked.join(faces, on="linked", how="left", maintain_order="left")
    differs = [_told(n) & _told(f"{n}_before") & (pl.col(n) != pl.col(f"{n}_before"))
               for n in fingerprint]  # fmt: skip
    # what the others of a component tell of the face of a record that tells nothing itself
    others = [pl.col(n).filter(_told(n)).min().over("label") for n in fingerprint]
    before = [pl.when(_told(f"{n}_before")).then(f"{n}_before") for n in fingerprint]
    pairs = list(zip(others, before, strict=True))
    strange = pl.any_horizontal(pl.lit(False), *((o != b).fill_null(False) for o, b in pairs))
    alike = pl.any_horizontal(pl.lit(False), *((o == b).fill_null(False) for o, b in pairs))
    # one record with another face is enough: the whole component describes somebody new
    reused = pl.any_horizontal(pl.lit(False), *differs).fill_null(False).any().over("label")
    anchored = pl.col("source").is_in(anchors)
    settled = (anchored & pl.col("linked").is_not_null()).any().over("label")
    # whoever is only mentioned goes with the number: it says who somebody is if their face agrees
    trusted = pl.when(anchored).then(~strange).otherwise(alike & ~strange & ~settled)
    return (
        compared.with_columns(reused=reused, trusted=trusted)
        .with_columns(known=pl.when(~pl.col("reused") & pl.col("trusted")).then("linked"))
        .drop("trusted", *(f"{name}_before" for name in fingerprint))
    )


def _faces(
    persons: pl.DataFrame, persons_before: pl.DataFrame, fingerprint: Sequence[str]
) -> pl.DataFrame:
    """Everybody ever known: fingerprint and mark as known now, or else as known before."""
    names = list(dict.fromkeys([*fingerprint, "protection"]))
    columns = ["id", *names]
    both = pl.concat([persons.select(columns), persons_before.select(columns)])
    found = both.group_by("id").agg(pl.col(name).filter(_told(name)).first() for name in names)
    absent = [pl.lit(None, pl.String).alias(n) for n in schema(Person) if n not in columns]
    return found.with_columns(absent).select(*schema(Person)).sort("id")


def _told(name: str) -> pl.Expr:
    return pl.col(name).fill_null("") != ""


def _identify(
    known: pl.DataFrame, fingerprint: Sequence[str], instance: UUID, anchors: list[str]
) -> pl.DataFrame:
    """Give every component its person id, or the reason why it has none."""
    summary = _summary(known, fingerprint, anchors)
    claims = pl.len().over(pl.when("anchored").then("known_id"))
    summary = summary.with_columns(
        reason=pl.when(~pl.col("anchored")).then(pl.lit("unmatched"))
        .when("two_keys").then(pl.lit("one source has two records with the same key attribute"))
        .when("two_faces").then(pl.lit("one source describes the same record in two ways"))
        .when("two_humans").then(pl.lit("records with the same key attribute are of two people"))
        .when(pl.col("ids") > 1).then(pl.lit("two persons known before now look like one"))
        .when(pl.col("known_id").is_not_null() & (claims > 1))
        .then(pl.lit("a person known before now looks like two"))
    )  # fmt: skip
    fresh = summary.filter(pl.col("reason").is_null() & pl.col("known_id").is_null())
    names = [
        f"person:{source}:{key}" + (f":{face}" if reused else "")
        for source, key, reused, face in fresh.select(
            "first_source", "first_key", "reused", "face"
        ).iter_rows()
    ]
    minted = fresh.select(
        "label", minted=pl.Series([str(uuid5(instance, name)) for name in names], dtype=pl.String)
    )
    decided = summary.join(minted, on="label", how="left").select(
        "label", "reason", id=pl.coalesce("known_id", "minted")
    )
    return known.join(decided, on="label", how="left", maintain_order="left")


def _summary(known: pl.DataFrame, fingerprint: Sequence[str], anchors: list[str]) -> pl.DataFrame:
    """One row a component: what must be known to decide who it is, whatever the order of rows."""
    per_source = known.group_by("label", "source").agg(keys=pl.col("key").n_unique(), rows=pl.len())
    doubtful = per_source.group_by("label").agg(
        two_keys=(pl.col("keys") > 1).any(), two_faces=(pl.col("rows") > pl.col("keys")).any()
    )
    # a component worth an id has one key a source: the order of sources settles it all
    ordered = known.sort(~pl.col("source").is_in(anchors), "source")
    told = [pl.col(name).filter(_told(name)) for name in fingerprint]
    humans = pl.any_horizontal([values.n_unique() > 1 for values in told]) if told else False
    faces = [values.min().fill_null("") for values in told]
    summary = ordered.group_by("label", maintain_order=True).agg(
        anchored=pl.col("source").is_in(anchors).any(),
        ids=pl.col("known").drop_nulls().n_unique(),
        known_id=pl.col("known").drop_nulls().min(),
        first_source=pl.col("source").first(),
        first_key=pl.col("key").first(),
        reused=pl.col("reused").any(),
        two_humans=humans,
        face=pl.concat_str(faces) if faces else pl.lit(""),
    )
    return summary.join(doubtful, on="label", how="left", maintain_order="left")


def _merge(
    accepted: pl.DataFrame, matching: Matching, order: list[str], before: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row a person: each attribute from the most believed source that knows it."""
    persons = accepted.select("id").unique(maintain_order=True)
    disagreements = []
    for name in ATTRIBUTES:
        believed = [*matching.precedence.get(name, matching.precedence.get("default", ())), *order]
        rank = {
            source: len(believed) - 1 - index for index, source in enumerate(reversed(believed))
        }
        said = accepted.filter(pl.col(name).is_not_null()).select(
            "id", name, "source", rank=pl.col("source").replace_strict(rank, return_dtype=pl.Int32)
        )
        if said.is_empty():
            persons = persons.with_columns(pl.lit(None, pl.String).alias(name))
            continue
        # "" is known to be absent: it counts only when nobody knows more
        ranked = said.with_columns(empty=pl.col(name) == "").sort("id", "empty", "rank", name)
        first = ranked.unique("id", keep="first", maintain_order=True).select("id", name)
        persons = persons.join(first, on="id", how="left", maintain_order="left")
        disagreements.append(
            said.filter(pl.col(name) != "")
            .group_by("id")
            .agg(
                values=pl.col(name).n_unique(),
                sources=pl.col("source").unique().sort().str.join(", "),
            )
            .filter(pl.col("values") > 1)
            .select(person_id="id", attribute=pl.lit(name), sources="sources")
        )
    persons = persons.with_columns(
        protection=strictest(accepted, persons, before, expected=matching.marks_expected)
    )
    columns = schema(Person)
    report = {"person_id": pl.String(), "attribute": pl.String(), "sources": pl.String()}
    found = pl.concat([pl.DataFrame(schema=report), *disagreements])
    return persons.select(*columns).cast(columns).sort("id"), found.sort("person_id", "attribute")


def _employments(reads: Reads, owners: pl.DataFrame) -> pl.DataFrame:
    columns = schema(Employment)
    tables = [
        _owned(kinds["employments"], owners, source)
        .with_columns(id=pl.concat_str(pl.lit(f"{source}:"), "key"))
        .select(*columns)
        .cast(columns)
        for source, kinds in reads.items()
        if "employments" in kinds
    ]
    return pl.concat([pl.DataFrame(schema=columns), *tables]).sort("person_id", "id")


def _facts(reads: Reads, owners: pl.DataFrame, kind: Kind, cls: type) -> pl.DataFrame:
    columns = schema(cls)
    tables = [
        _owned(kinds[kind], owners, source).select(*columns).cast(columns)
        for source, kinds in reads.items()
        if kind in kinds
    ]
    return pl.concat([pl.DataFrame(schema=columns), *tables]).unique().sort(*columns)


def _owned(records: pl.DataFrame, owners: pl.DataFrame, source: str) -> pl.DataFrame:
    theirs = owners.filter(pl.col("source") == source).select(
        person_key="key", person_id="person_id"
    )
    return records.join(theirs, on="person_key", how="inner", maintain_order="left")


def _links(links: pl.DataFrame, owners: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """All links ever seen; the newest owner of a key stands."""
    seen = owners.select(
        system="source", value="key", person_id="person_id",
        first_seen=pl.lit(now).cast(pl.Datetime("us", "UTC")),
    )  # fmt: skip
    columns = schema(IdentityLink)
    same = links.join(seen, on=["system", "value", "person_id"], how="semi")
    others = links.join(seen, on=["system", "value"], how="anti")
    new = seen.join(links, on=["system", "value", "person_id"], how="anti")
    return pl.concat([same, others, new.select(*columns)]).sort("system", "value")


def _set_aside(records: pl.DataFrame) -> pl.DataFrame:
    doubtful = pl.col("reason").is_not_null() & (pl.col("reason") != "unmatched")
    return (
        records.filter(doubtful)
        .select("source", "key", "reason", person_id="linked")
        .unique()
        .sort("source", "key")
    )


def empty_people() -> People:
    """Return nobody: what is known before the first read."""
    return correlate(
        cast(Reads, {}),
        Matching(),
        links=pl.DataFrame(schema=schema(IdentityLink)),
        persons_before=pl.DataFrame(schema=schema(Person)),
        instance=UUID(int=0),
        now=datetime.fromisoformat("2000-01-01T00:00:00+00:00"),
    )
