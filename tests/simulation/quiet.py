"""What must be true of a system after a run in which nothing went wrong."""

from __future__ import annotations

from datetime import datetime

from idsync.plan.document import Plan
from tests.simulation.laws import CONVERGES, ROUNDS, Broken, Judge, covers
from tests.simulation.records import Record
from tests.simulation.reference import NEVER, Right, Span
from tests.simulation.systems import System


def settled(judge: Judge, system: System, plan: Plan) -> None:
    """Hold what *system* holds against what everybody should; a debt may last a few rounds."""
    now = judge.tell()
    excused = judge.reference.doubted() | judge.reference.unsettled()
    excused |= excused_here(judge, system, plan)
    owing: dict[tuple[object, ...], int] = {}
    for uid in judge.feeds.town.humans:
        records = [r for r in system.of(uid) if r.key]
        if uid in judge.revoked:
            closed(judge, system, uid, records, plan)
            continue
        want, unsure = judge.reference.want(uid, now)
        mine = {right: span for right, span in want.items() if right[0] == system.name}
        owed = [
            *missing(system, records, mine, now),
            *left_over(system, records, mine, unsure, now),
        ]
        for law, what in owed if uid not in excused else ():
            debt = (system.name, uid, what)
            owing[debt] = judge.debts.get(debt, 0) + 1
            if owing[debt] > ROUNDS:
                raise Broken(law, f"human {uid} in {system.name} after {ROUNDS} rounds: {what}")
    others = {debt: n for debt, n in judge.debts.items() if debt[0] != system.name}
    judge.debts = others | owing


def excused_here(judge: Judge, system: System, plan: Plan) -> set[int]:
    """Whose change the brake holds, or whom the system cannot take, and that is told."""
    held = plan.items.filter(
        plan.items["held"].is_not_null() & (plan.items["target"] == system.name)
    )
    told = plan.refusals.filter(plan.refusals["target"] == system.name)
    people = {*held["person_id"], *told["person_id"]}
    return {judge.ids[person] for person in people if person in judge.ids}


def closed(judge: Judge, system: System, uid: int, records: list[Record], plan: Plan) -> None:
    """A person who is revoked opens nothing of idsync's, at once."""
    now = judge.tell()
    for record in records:
        ours = [g for g in record.grants if g.by == "idsync" and g.opens(now)]
        if ours and record.status == "active":
            law = 4 if plan.held else 1
            raise Broken(law, f"human {uid} is revoked and still opens {ours[0].ref}")


def missing(
    system: System, records: list[Record], want: dict[Right, Span], now: datetime
) -> list[tuple[int, str]]:
    """What somebody should hold and does not."""
    owed = []
    for (_, kind, ref), span in want.items():
        wanted = span
        if not system.capabilities.dated_grants:
            if span[0] > now:
                continue
            wanted = (span[0], now)
        there = [g for r in records for g in r.grants if (g.kind, g.ref) == (kind, ref)]
        blocked = system.capabilities.grants_per_right == "one" and any(
            g.by != "idsync" for g in there
        )
        if not blocked and not any(covers(g, wanted, now) for g in there):
            owed.append((CONVERGES, f"{ref} is wanted"))
    if any(r.status != "active" and r.stopped_by == "idsync" for r in records) and want:
        owed.append((CONVERGES, "is suspended yet"))
    return owed


def left_over(
    system: System, records: list[Record], want: dict[Right, Span], unsure: set[Right],
    now: datetime,
) -> list[tuple[int, str]]:  # fmt: skip
    """What somebody holds of idsync's and should not."""
    owed = []
    for grant in (g for r in records for g in r.grants if g.by == "idsync"):
        right = (system.name, grant.kind, grant.ref)
        end = grant.ends or NEVER
        if right in unsure or end <= now:
            continue
        span = want.get(right)
        longest = NEVER if span and not system.capabilities.dated_grants else span and span[1]
        if longest is None or end > longest:
            owed.append((11, f"{grant.ref} should be over"))
    return owed
