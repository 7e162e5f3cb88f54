"""Carries plans out, and keeps what was learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from idsync.apply import Done, Work, carry_out, settle_unknown
from idsync.config import Config, connect_target
from idsync.errors import ChangedError, ConfigError
from idsync.mapping.correlate import People
from idsync.plan.document import Plan, ordered_changes
from idsync.service.absences import doubted_parts
from idsync.service.keeping import source_frames
from idsync.service.looking import Look, look
from idsync.service.planning import LINKS
from idsync.service.reading import Progress
from idsync.service.revoking import close_person
from idsync.store import State
from idsync.targets import Target


def clock() -> datetime:
    """Return the time; the only clock of the line."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run did."""

    look: Look
    done: Mapping[str, Done]

    @property
    def writes(self) -> int:
        """How many changes were sent, in all."""
        return sum(done.written for done in self.done.values())

    @property
    def outcome(self) -> str:
        """In one word: incomplete, partial, held, applied or no-change."""
        plan = self.look.plan
        if not plan.complete or any(done.down for done in self.done.values()):
            return "incomplete"
        if any(done.refused or done.unknown for done in self.done.values()):
            return "partial"
        if plan.held:
            return "held"
        return "applied" if self.writes or plan.adopt.height else "no-change"

    def document(self) -> dict[str, Any]:
        """Return the run as `--json` shows it."""
        told = self.look.plan.header()
        for name, counts in told["targets"].items():
            done = self.done.get(name, Done())
            refused = counts["refused"]
            counts |= {
                "written": done.written, "confirmed": done.confirmed, "unknown": done.unknown,
                "submitted": done.submitted, "refused": done.refused, "set_aside": refused,
            }  # fmt: skip
            if done.reason:
                counts["reason"] = done.reason
        return told | {
            "format": "idsync.run/1",
            "outcome": self.outcome,
            "writes": self.writes,
            "problems": [
                {"target": name, "person": person, "reason": reason}
                for name, done in self.done.items()
                for person, reason in done.problems
            ],
        }


def sync(
    config: Config,
    state: State,
    progress: Progress,
    *,
    approved_digest: str | None = None,
    sources: bool = True,
    step: Callable[[int, int], None] = lambda _done, _all: None,
) -> Run:
    """Plan and apply within the brakes; what is held waits for approval.

    With *approved_digest* exactly the plan of that digest is carried out, or none. Without
    *sources* none is read, and what was last accepted decides.

    Raises:
        ChangedError: the plan of now is not the approved one.
        Unavailable: another run is at work.
    """
    with state.run_lock():
        silent = settle_unknown(state, lambda name: _connect(config, name), clock)
        for name in silent:
            progress(f"{name} does not answer: what it did last is still unknown")
        now = clock()
        seen = look(config, state, now, progress, sources=sources)
        if approved_digest is not None and seen.plan.digest != approved_digest:
            raise ChangedError(
                "something changed since this plan was made, so it is not carried out: "
                "look at a new plan with `idsync plan --save FILE`"
            )
        number = state.begin_run("apply" if approved_digest else "sync", now)
        remember(config, state, seen, now)
        done = _carry_out(config, state, number, seen.plan, step)
        run = Run(look=seen, done=done)
        state.journal.fold(config.targets)
        summary = {name: _counts(one) for name, one in done.items()}
        state.end_run(number, run.outcome, summary, clock())
        return run


def _counts(done: Done) -> dict[str, Any]:
    counts = asdict(done)
    return {
        name: value for name, value in counts.items() if name not in ("problems", "close_again")
    }


def limits_of_calls(config: Config) -> dict[str, float | None]:
    """Return how many calls a second each target may get, where the configuration says."""
    return {name: table.calls_per_second for name, table in config.targets.items()}


def _connect(config: Config, name: str) -> Target:
    if name not in config.targets:
        raise ConfigError(
            f"{name} is not in connectors.toml any longer, and something sent there was never "
            "answered: put it back until it is"
        )
    return connect_target(config.targets[name])


def _carry_out(
    config: Config, state: State, number: int, plan: Plan, step: Callable[[int, int], None]
) -> dict[str, Done]:
    work = [
        Work(target=target, person_id=person, change=change, items=items)
        for target, person, change, items in ordered_changes(plan.go)
    ]
    sent = 0

    def progressed(count: int) -> None:
        nonlocal sent
        sent += count
        step(sent, len(work))

    done = carry_out(
        number, work, lambda name: _connect(config, name), state, clock, progressed,
        limits=limits_of_calls(config),
    )  # fmt: skip
    for one in done.values():
        for person in one.close_again:
            close_person(config, state, person, number, clock)
    return done


def remember(config: Config, state: State, seen: Look, now: datetime) -> None:
    """Keep what was read and understood: all of it, or nothing, in one transaction."""
    people = seen.released.people if seen.released else seen.people
    plan = seen.plan
    parts = [*plan.held, *doubted_parts(config, state, seen.reads)]
    kept = source_frames(state, seen, people)
    with state.engine.begin() as connection:
        for name, read in seen.reads.items():
            state.verdicts.keep(connection, name, read.verdict, now)
            if read.fresh is not None:
                state.accept(connection, name, read.fresh)
        for name, frame in kept.items():
            state.frames.save(connection, name, frame)
        if seen.reads or seen.released:
            for name, frame in people_frames(people).items():
                state.frames.save(connection, name, frame)
        for name, frame in seen.due.items():
            state.frames.save(connection, f"due:{name}", frame)
        for name, target in plan.targets.items():
            if not target.complete:
                continue
            mine = pl.col("target") == name
            if config.targets[name].adopt == "matching" and not state.remembered(f"adopted:{name}"):
                state.journal.adopt(connection, name, plan.adopt.filter(mine))
                state.remember(connection, f"adopted:{name}", now.isoformat())
            written = plan.go.filter(mine).select("key", "person_id")
            new = [
                written,
                plan.links.filter(mine).select(*LINKS),
                plan.adopt.filter(mine).select(*LINKS),
            ]
            known = state.frames.load(f"link:{name}", LINKS)
            linked = pl.concat([known, *new]).unique("key", keep="first", maintain_order=True)
            if linked.height != known.height:
                state.frames.save(connection, f"link:{name}", linked)
        state.orders.hold_in(connection, parts, plan.used_approvals, now)


def people_frames(people: People) -> dict[str, pl.DataFrame]:
    """Return the stored tables of people; each begins with the column it is looked up by."""
    return {
        "person": people.persons,
        "face": people.faces,  # of everybody ever known: a reused number is told by it
        "employment": people.employments.select("person_id", pl.exclude("person_id")),
        "training_completion": people.trainings,
        "membership": people.memberships,
        "identity_link": people.links,
        "set_aside": people.set_aside,
        "disagreement": people.disagreements,
    }
