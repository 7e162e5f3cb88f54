"""A small city to plan for: people are made with one call, and planned with another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from idsync.capabilities import Capabilities
from idsync.mapping.catalogue import Catalogue, Profile, Right, Rule
from idsync.mapping.conditions import parse
from idsync.mapping.correlate import People
from idsync.mapping.rules import Desired, desire
from idsync.model import (
    Cardholder,
    Credential,
    Employment,
    Grant,
    IdentityLink,
    Membership,
    Person,
    TrainingCompletion,
    table,
)
from idsync.plan.document import Plan, SourceState, TargetState
from idsync.plan.given import Orders, Target, TargetPlan
from idsync.plan.holdings import Holdings
from idsync.plan.items import LEDGER, merged_ledger
from idsync.plan.target import plan_target, reasoned

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
PAST, SOON, LATER = NOW - 300 * DAY, NOW + 30 * DAY, NOW + 400 * DAY
GONE = NOW - DAY
ZONE = ZoneInfo("Europe/Stockholm")
LINKS = pl.Schema({"key": pl.String(), "person_id": pl.String()})

CAN = Capabilities(
    dated_grants=True,
    grants_per_right="many",
    credential=("read", "update"),
    kinds=("access", "alarm"),
)
HALL = Target(
    name="hall", controller="stadskontoret", key="employee_number",
    release=("display_name", "mail", "department"), adopt="nothing", contacted=True,
    capabilities=CAN,
)  # fmt: skip


def rule(name: str, *rights: Right, **when: Any) -> tuple[Profile, Rule]:
    """Return a profile that gives *rights*, and its rule."""
    profile = Profile(id=name, name=name, rights=rights)
    return profile, Rule(id=name, profile=name, when=parse(when))


def catalogue(*pairs: tuple[Profile, Rule]) -> Catalogue:
    """Return the catalogue of *pairs*."""
    return Catalogue(
        profiles=tuple(profile for profile, _ in pairs), rules=tuple(rule for _, rule in pairs)
    )


ENTRE = Right("hall", "access", "ENTRÉ")
KITCHEN = Right("hall", "access", "KÖK")
ALARM = Right("hall", "alarm", "LARM")
RULES = catalogue(
    rule("städ", ENTRE, job_code="1"),
    rule("kök", ENTRE, KITCHEN, job_code="2"),
    rule("vakt", ENTRE, ALARM, job_code="3"),
)


def person(number: int | str, **more: Any) -> Person:
    """Return a person whose id, name and number follow from *number*."""
    known: dict[str, Any] = {
        "id": f"id-{number}", "given_name": f"Åsa{number}", "family_name": f"Öberg{number}",
        "employee_number": f"n{number}", "mail": f"a{number}@exempel.se", "protection": "none",
    }  # fmt: skip
    return Person(**{**known, **more})


def job(number: int | str, code: str = "1", suffix: str = "", **more: Any) -> Employment:
    """Return an employment of that person; by default begun long ago and without an end."""
    known: dict[str, Any] = {
        "job_code": code, "valid_from": PAST, "unit": "Skola / Ängen", "title": "Vaktmästare",
    }  # fmt: skip
    own: dict[str, Any] = {"id": f"e-{number}-{code}{suffix}", "person_id": f"id-{number}"}
    return Employment(**{**own, **known, **more})


def holder(number: int | str, *grants: Grant, **more: Any) -> Cardholder:
    """Return what the hall holds for that person."""
    known: dict[str, Any] = {
        "key": f"n{number}", "native_id": f"x{number}", "grants": grants,
        "display_name": f"Åsa{number} Öberg{number}", "mail": f"a{number}@exempel.se",
        "department": "Skola",
    }  # fmt: skip
    return Cardholder(**{**known, **more})


def people(persons: Iterable[Person], jobs: Iterable[Employment]) -> People:
    """Return *persons* and *jobs* as if correlated."""
    return People(
        persons=table(persons, Person).sort("id"),
        employments=table(jobs, Employment).sort("person_id", "id"),
        trainings=table([], TrainingCompletion),
        memberships=table([], Membership),
        links=table([], IdentityLink),
        set_aside=pl.DataFrame(),
        disagreements=pl.DataFrame(),
        unmatched=pl.DataFrame(),
    )


@dataclass(kw_only=True)
class City:
    """People, one target, and what idsync remembers of it."""

    persons: Sequence[Person] = ()
    jobs: Sequence[Employment] = ()
    holders: Sequence[Cardholder] = ()
    owned: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEDGER))
    links: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LINKS))
    revoked: Sequence[str] = ()
    frozen: Sequence[str] = ()
    target: Target = HALL
    rules: Catalogue = RULES
    now: datetime = NOW
    kept: Sequence[tuple[str, Right]] = ()

    def desired(self) -> Desired:
        """Return what the rules give."""
        found = desire(
            people(self.persons, self.jobs), self.rules, now=self.now, zone=ZONE, ahead_days=60
        )
        if not self.kept:
            return found
        rows = {one: row for row, one in enumerate(found.people.persons["id"])}
        rights = {right: row for row, right in enumerate(self.rules.rights)}
        doubtful = [(rows[who], rights[right]) for who, right in self.kept]
        return replace(found, kept=pl.DataFrame(doubtful, schema=found.kept.schema, orient="row"))

    def plan(self, seed: int = 0) -> TargetPlan:
        """Return what must change."""
        orders = Orders(
            revoked=pl.DataFrame(
                [(one, "ordered by HR") for one in self.revoked],
                schema={"person_id": pl.String(), "because": pl.String()}, orient="row",
            ),
            frozen=pl.Series("person_id", self.frozen, dtype=pl.String),
        )  # fmt: skip
        desired = self.desired()
        plan = plan_target(
            self.target, desired, Holdings.collect(self.holders),
            ledger=self.owned, links=self.links, orders=orders, now=self.now, seed=seed,
        )  # fmt: skip
        return reasoned([plan], desired, orders, self.now)[0]

    def after(self, plan: TargetPlan) -> City:
        """Return the city when everything in *plan* has been done and written down."""
        done = plan.items.select("key", "person_id").unique()
        links = pl.concat([self.links, plan.links, done]).unique("person_id").sort("person_id")
        return replace(
            self,
            holders=applied(self.holders, plan.items),
            owned=merged_ledger(pl.concat([self.owned, plan.adopt]), plan.items),
            links=links,
            target=replace(self.target, contacted=True),
        )


def links(*numbers: int | str) -> pl.DataFrame:
    """Return the links of those people, as idsync remembers them."""
    rows = [(f"n{number}", f"id-{number}") for number in numbers]
    return pl.DataFrame(rows, schema=LINKS, orient="row")


def owned(*rows: tuple[int | str, Grant] | tuple[int | str, str]) -> pl.DataFrame:
    """Return the ledger of (person, grant), or (person, "status" or "credential:…") suspended."""
    told = [
        (
            ("hall", f"n{who}", "block", what, None, None, f"id-{who}", "x")
            if isinstance(what, str)
            else (
                "hall", f"n{who}", what.kind, what.ref, what.valid_from, what.valid_to,
                f"id-{who}", "x",
            )
        )
        for who, what in rows
    ]  # fmt: skip
    return pl.DataFrame(told, schema=LEDGER, orient="row")


def grant(right: Right, begin: datetime | None = PAST, end: datetime | None = None) -> Grant:
    """Return *right* as a grant."""
    return Grant(ref=right.ref, kind=right.kind, valid_from=begin, valid_to=end)


def applied(holders: Sequence[Cardholder], items: pl.DataFrame) -> list[Cardholder]:
    """Do *items* to *holders*: the simplest target there is."""
    there = {one.key: one for one in holders if one.key is not None}
    others = [one for one in holders if one.key is None]
    for row in items.to_dicts():
        there[row["key"]] = _done(there.get(row["key"]) or Cardholder(key=row["key"]), row)
    return [*there.values(), *others]


def _done(one: Cardholder, row: Mapping[str, Any]) -> Cardholder:
    if row["part"] == "status":
        return replace(one, status=row["value_after"])
    if row["part"] == "attribute":
        return replace(one, **{row["ref"]: row["value_after"]})
    if row["part"] == "credential":
        states = {row["ref"]: row["value_after"]}
        return replace(
            one,
            credentials=tuple(
                replace(c, state=states.get(c.number, c.state)) for c in one.credentials
            ),
        )
    grants = list(one.grants)
    for stands, side in (("was", "before"), ("shall", "after")):
        told = Grant(
            ref=row["ref"], kind=row["kind"],
            valid_from=row[f"from_{side}"], valid_to=row[f"to_{side}"],
        )  # fmt: skip
        if not row[stands]:
            continue
        if side == "before":
            grants.remove(told)
        else:
            grants.append(told)
    return replace(one, grants=tuple(grants))


def document(*plans: TargetPlan, items: pl.DataFrame | None = None, **more: Any) -> Plan:
    """Return the document of *plans*."""
    one = plans[0]
    known: dict[str, Any] = {
        "made_at": NOW, "instance": "11111111-1111-1111-1111-111111111111",
        "config_digest": "c0ffee",
        "sources": {"hr": SourceState(records=3, complete=True, reason="", content="abc")},
        "targets": {plan.target.name: TargetState(complete=True) for plan in plans},
        "items": one.items if items is None else items,
        "adopt": one.adopt,
        "links": one.links.select(pl.lit("hall").alias("target"), "key", "person_id"),
        "refusals": one.refusals.select(
            pl.lit("hall").alias("target"), "person_id", "ref", "reason"
        ),
    }  # fmt: skip
    return Plan(**{**known, **more})


def brief(items: pl.DataFrame) -> list[tuple[str, str, str, bool, bool]]:
    """Return items as (key, part, ref, was, shall), sorted."""
    return sorted(items.select("key", "part", "ref", "was", "shall").iter_rows())


def card(number: str, state: str = "active") -> Credential:
    """Return a card."""
    return Credential(number=number, state=state)  # type: ignore[arg-type]  # any state, from a table


def removed(items: pl.DataFrame) -> list[tuple[str, str]]:
    """(key, right) of grants that go and do not come back."""
    gone = items.filter((pl.col("part") == "grant") & ~pl.col("shall"))
    return sorted(gone.select("key", "ref").iter_rows())


def given_to(items: pl.DataFrame) -> list[tuple[str, str]]:
    """(key, right) of grants that shall be there and are not."""
    new = items.filter((pl.col("part") == "grant") & pl.col("shall") & ~pl.col("was"))
    return sorted(new.select("key", "ref").iter_rows())


def suspended(items: pl.DataFrame) -> list[str]:
    """Keys of cardholders that are suspended."""
    return sorted(items.filter(pl.col("value_after") == "suspended")["key"].unique())


def leaver(number: int | str = 1, **more: Any) -> dict[str, Any]:
    """Somebody whose only job is over, with a grant of idsync's own."""
    known: dict[str, Any] = {
        "persons": [person(number)],
        "jobs": [job(number, valid_to=GONE)],
        "holders": [holder(number, grant(ENTRE))],
        "owned": owned((number, grant(ENTRE))),
        "links": links(number),
    }
    return {**known, **more}
