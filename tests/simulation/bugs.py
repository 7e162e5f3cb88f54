"""Faults to plant, at least one for each law: what the simulation is worth is what it finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, TypeAlias
from unittest.mock import patch

import polars as pl

from idsync.apply import one
from idsync.apply.before import Fitting
from idsync.config import connectors
from idsync.errors import Unavailable
from idsync.mapping import matching, rules
from idsync.model import Outcome
from idsync.plan import attributes, brake, recognise, states, target
from idsync.service import applying, braking, looking, planning, reading
from idsync.store.audit import Audit
from idsync.store.journal import Journal
from idsync.store.orders import Orders, Revocation
from tests.simulation import simulation
from tests.simulation.dice import Weights

Fault: TypeAlias = Callable[..., Any]
Planted: TypeAlias = dict[tuple[object, str], Fault]

OPEN = pl.Schema({"person_id": pl.String(), "because": pl.String()})


@dataclasses.dataclass(frozen=True)
class Bug:
    """One fault: the law it breaks, where it is planted, and what must happen often to see it."""

    law: int
    plant: Callable[[], Planted]
    weights: Weights = dataclasses.field(default_factory=dict)
    days: int = 40
    seed: int = 1  # of the city in which it shows
    also: tuple[int, ...] = ()  # laws that it breaks too


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Within it idsync has this fault."""
    with ExitStack() as stack:
        for (where, name), fault in bug.plant().items():
            stack.enter_context(patch.object(where, name, fault))
        yield


# ── 1: revoke wins ──────────────────────────────────────────────────────────────────────


def _orders_forgotten_by_the_plan() -> Planted:
    real = planning.orders_of

    def orders_of(state: Any, people: Any) -> Any:
        return dataclasses.replace(real(state, people), revoked=pl.DataFrame(schema=OPEN))

    return {(looking, "orders_of"): orders_of}


def _not_looked_at_before_sending() -> Planted:
    return {(Orders, "is_revoked"): lambda *_, **__: False}


def _an_ended_employment_counts() -> Planted:
    real = planning.desire_of

    def desire_of(config: Any, people: Any, orders: Any, now: datetime) -> Any:
        return real(config, people, dataclasses.replace(orders, ended=orders.ended.clear()), now)

    return {(looking, "desire_of"): desire_of}


# ── 2: nothing on missing data ──────────────────────────────────────────────────────────


def _half_an_answer_is_enough() -> Planted:
    return {(reading, "_require_enough"): lambda *_: None}


def _unknown_counts_as_true() -> Planted:
    real = matching.matches
    return {(rules, "matches"): lambda *all_: real(*all_).with_columns(certain=pl.lit(True))}


def _silence_means_nobody() -> Planted:
    real = reading._fall_back

    def fall_back(*all_: Any) -> Any:
        read = real(*all_)
        tables = {kind: table.clear() for kind, table in (read.tables or {}).items()}
        return dataclasses.replace(read, tables=tables or None)

    return {(reading, "_fall_back"): fall_back}


# ── 3 and 4: the brake, and what it never holds ─────────────────────────────────────────


def _no_limit() -> Planted:
    return {(brake.Limit, "of"): lambda _, __: 10_000}


def _gaining_without_limit() -> Planted:
    real = braking.limits_of
    return {(braking, "limits_of"): lambda config: {"losing": real(config)["losing"]}}


def _one_person_too_many() -> Planted:
    real = brake.Limit.of
    return {(brake.Limit, "of"): lambda limit, base: real(limit, base) + 1}


def _nothing_is_confirmed() -> Planted:
    real = planning.plan_all

    def plan_all(*all_: Any) -> Any:
        return [
            dataclasses.replace(one, items=one.items.with_columns(confirmed=pl.lit(False)))
            for one in real(*all_)
        ]

    # what had not got through is pursued before a plan is made: without that it is planned
    return {(looking, "plan_all"): plan_all, (applying, "pursue"): lambda *_: []}


# ── 5, 6, 7: what is others', the other employment, the other human being ───────────────


def _everything_is_ours() -> Planted:
    columns = ("person", "key", "kind", "ref", "begin", "end", "valid_from")

    def owned(_: Any, extra: pl.DataFrame) -> Any:
        return extra.select(columns), extra.select(columns).clear()

    return {(target._Stage, "_owned"): owned}


def _dates_do_not_matter_to_the_ledger() -> Planted:
    real = target._Stage._owned

    def owned(stage: Any, extra: pl.DataFrame) -> Any:
        mine, others = real(stage, extra)
        ours = stage.ledger.select("key", pl.col("kind", "ref").cast(pl.String))
        on = ["key", "kind", "ref"]
        also = others.join(ours, on=on, how="semi")
        return pl.concat([mine, also]), others.join(ours, on=on, how="anti")

    return {(target._Stage, "_owned"): owned}


def _one_employment_each() -> Planted:
    real = planning.desire_of

    def desire_of(config: Any, people: Any, orders: Any, now: datetime) -> Any:
        first = people.employments.unique("person_id", keep="last", maintain_order=True)
        return real(config, dataclasses.replace(people, employments=first), orders, now)

    return {(looking, "desire_of"): desire_of}


def _a_number_is_a_person() -> Planted:
    real = planning.matching_of
    return {
        (planning, "matching_of"): lambda *given: dataclasses.replace(real(*given), fingerprint=())
    }


def _whoever_has_the_number_has_the_record() -> Planted:
    def doubt(claims: pl.DataFrame, *_: Any) -> pl.Series:
        return pl.Series("reason", [None] * claims.height, dtype=pl.String)

    def known(*all_: Any) -> Any:
        people, links, *rest = all_
        return recognise_all(people, links.clear(), *rest)

    recognise_all = recognise.recognise
    return {(recognise, "_doubt"): doubt, (target, "recognise"): known}


# ── 8 to 12: twice, crash, approval, dates, journal ─────────────────────────────────────


def _names_are_written_every_time() -> Planted:
    nobody = pl.DataFrame(schema={"person": pl.UInt32, "holder": pl.UInt32})

    def all_fit(items: pl.DataFrame, *_: Any, **__: Any) -> Fitting:
        return Fitting(due=items, overtaken=items.clear(), gone=items.clear())

    # the look before each write would catch it too
    return {(target, "first_records"): lambda *_: nobody, (one, "still_fitting"): all_fit}


def _after_a_crash_all_is_taken_for_done() -> Planted:
    def settle_unknown(state: Any, _: Any, clock: Any) -> dict[str, str]:
        done = Outcome(status="confirmed")
        for operation in state.journal.unsettled():
            state.journal.settle_part(operation.id, done, operation.items, clock())
        return {}

    return {(applying, "settle_unknown"): settle_unknown}


def _an_approval_is_for_the_scope() -> Planted:
    return {(brake, "_digest"): lambda scope, direction, *_: f"{scope}/{direction}".encode().hex()}


def _a_saved_plan_is_made_anew() -> Planted:
    real = applying.sync

    def sync(*all_: Any, approved_digest: str | None, **more: Any) -> Any:
        return real(*all_, **more)

    return {(simulation, "sync"): sync}


def _outcomes_are_not_audited() -> Planted:
    return {(Audit, "settled"): lambda *_: None}


def _nothing_ends_without_its_source() -> Planted:
    real = looking.look

    def look(*all_: Any, sources: bool = True) -> Any:
        seen = real(*all_, sources=sources)
        if sources:
            return seen
        items = seen.plan.items.filter(pl.col("effect") != "losing")
        return dataclasses.replace(seen, plan=dataclasses.replace(seen.plan, items=items))

    return {(applying, "look"): look}


def _sent_before_it_is_written_down() -> Planted:
    return {(Journal, "intend"): lambda _, __, operations, ___: list(range(len(operations)))}


# ── 13, 14, and coming right in the end ─────────────────────────────────────────────────


def _errors_are_passed_on_as_they_are() -> Planted:
    real = connectors.connect_source

    def connect_source(config: Any) -> Any:
        source: Any = real(config)
        read = source.read

        def loud(since: str | None) -> Any:
            try:
                yield from read(since)
            except KeyError as error:
                raise Unavailable(f"it failed: {error}") from None

        source.read = loud
        return source

    return {(reading, "connect_source"): connect_source}


def _nobody_is_protected() -> Planted:
    return {(attributes, "is_protected"): lambda: pl.lit(value=False)}


def _orders_are_kept_in_memory() -> Planted:
    standing, told = Orders.revocations, Orders.is_revoked

    def all_of(self: Any, of: Collection[str] | None = None) -> list[Revocation]:
        kept = vars(self).get("kept", [])
        return [*standing(self, of), *(one for one in kept if of is None or one.person_id in of)]

    def revoke(
        self: Any, person: str, reason: str, by: str, now: datetime, **more: str | None
    ) -> Revocation:
        order = Revocation(
            id=0, person_id=person, reason=reason, ordered_by=by, ordered_at=now.isoformat(), **more
        )
        self.__dict__.setdefault("kept", []).append(order)
        return order

    return {
        (Orders, "revoke"): revoke,
        (Orders, "revocations"): all_of,
        (Orders, "is_revoked"): lambda self, person, **more: (
            told(self, person, **more)
            or any(order.person_id == person for order in vars(self).get("kept", []))
        ),
    }


def _what_was_taken_is_never_given_back() -> Planted:
    real = states.state_items

    def state_items(name: str, holdings: Any, ledger: pl.DataFrame, *rest: Any, **more: Any) -> Any:
        return real(name, holdings, ledger.clear(), *rest, **more)

    return {(target, "state_items"): state_items}


BUSY = {"revoke": 0.7, "restore": 0.5, "hire": 1.0}
REUSING = {"reuse": 1.0, "end_by_absence": 0.8, "end": 0.5, "hire": 0.5}
UNTROUBLED = {"source_fault": 0.0, "outage": 0.0, "target_fault": 0.0, "target_outage": 0.0}
UNSURE = {"source_fault": 0.6, "outage": 0.1}

BUGS: dict[str, Bug] = {
    "orders forgotten by the plan": Bug(1, _orders_forgotten_by_the_plan, BUSY, also=(4,)),
    "not looked at before sending": Bug(
        1,
        _not_looked_at_before_sending,
        {
            "revoke_within": 1.0,
            "hire": 1.0,
            "move": 1.0,
            "group": 1.0,
            "training": 1.0,
            "second_job": 1.0,
        },
    ),
    "an ended employment counts": Bug(
        1, _an_ended_employment_counts, {"second_job": 1.0, "order_end": 1.0, "lift_end": 0.0}
    ),
    "half an answer is enough": Bug(2, _half_an_answer_is_enough, UNSURE),
    "unknown counts as true": Bug(2, _unknown_counts_as_true, {"open_kind": 0.6}),
    "silence means nobody": Bug(2, _silence_means_nobody, UNSURE),
    "no limit": Bug(3, _no_limit),
    "gaining without limit": Bug(3, _gaining_without_limit),
    "one person too many": Bug(3, _one_person_too_many, {"mass_end": 0.6, "hire": 1.0}),
    "nothing is confirmed": Bug(
        4,
        _nothing_is_confirmed,
        {"mass_end": 0.6, "revoke": 1.0, "target_outage": 0.3, "hire": 1.0, "restore": 0.1},
    ),
    "everything is ours": Bug(5, _everything_is_ours, seed=2),
    "dates do not matter to the ledger": Bug(
        5, _dates_do_not_matter_to_the_ledger, {"local": 1.0}, days=80, seed=4
    ),
    "one employment each": Bug(6, _one_employment_each, {"second_job": 1.0}, also=(18,)),
    "a number is a person": Bug(7, _a_number_is_a_person, REUSING, days=80),
    "whoever has the number has the record": Bug(
        7, _whoever_has_the_number_has_the_record, REUSING, days=80
    ),
    "names are written every time": Bug(8, _names_are_written_every_time, seed=6),
    "after a crash all is taken for done": Bug(
        9, _after_a_crash_all_is_taken_for_done, {"crash": 0.8, "hire": 1.0, **UNTROUBLED}, seed=8
    ),
    "an approval is for the scope": Bug(
        10,
        _an_approval_is_for_the_scope,
        {"mass_end": 0.6, "correct": 1.0, "hire": 1.0},
        days=100,
    ),
    "a saved plan is made anew": Bug(10, _a_saved_plan_is_made_anew, {"apply_saved": 0.8}),
    "nothing ends without its source": Bug(
        11, _nothing_ends_without_its_source, {"due_only": 1.0, "end": 1.0}, days=60
    ),
    "sent before it is written down": Bug(12, _sent_before_it_is_written_down),
    "outcomes are not audited": Bug(12, _outcomes_are_not_audited),
    "errors are passed on as they are": Bug(13, _errors_are_passed_on_as_they_are, UNSURE, days=80),
    "nobody is protected": Bug(13, _nobody_is_protected, {"marked": 1.0, "hire": 1.0}, days=60),
    "orders are kept in memory": Bug(
        14, _orders_are_kept_in_memory, {"revoke": 0.8, "crash": 0.5, "restore": 0.0}
    ),
    "what was taken is never given back": Bug(
        18, _what_was_taken_is_never_given_back, {"revoke": 0.7, "restore": 0.9}, days=60
    ),
}
