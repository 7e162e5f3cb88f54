"""Carries plans out, and keeps what was learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from idsync.apply import Done, Work, carry_out, not_sent_again, settle_unknown
from idsync.config import Config, connect_target
from idsync.errors import ChangedError, ConfigError
from idsync.plan.document import Plan, ordered_changes
from idsync.service.auditing import attend
from idsync.service.cycles import RUN, SOURCE, TARGET, note_cycles
from idsync.service.looking import Look, look
from idsync.service.minimising import minimised
from idsync.service.pursuing import pursue
from idsync.service.reaching import capabilities_of
from idsync.service.reading import Progress
from idsync.service.remembering import remember
from idsync.service.retaining import retain
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
    minimised: list[dict[str, Any]] = field(default_factory=list)  # see service/minimising
    number: int = 0  # of it in the state

    @property
    def whole(self) -> list[str]:
        """What went through all of it, by the names of service/cycles."""
        plan = self.look.plan
        names = [SOURCE + name for name, one in plan.sources.items() if one.complete]
        names += [
            TARGET + name
            for name, one in plan.targets.items()
            if one.complete and not self.done.get(name, Done()).down
        ]
        good = bool(plan.sources) and self.outcome != "incomplete"
        return [*names, *([RUN] if good else [])]

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
            "minimised": self.minimised,
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
    time: Callable[[], datetime] | None = None,
    step: Callable[[int, int], None] = lambda _done, _all: None,
) -> Run:
    """Plan and apply within the brakes; what is held waits for approval.

    With *approved_digest* exactly the plan of that digest is carried out, or none. Without
    *sources* none is read, and what was last accepted decides. *time* tells the time, in place
    of the clock of this machine.

    Revocations that have not got through go before everything else.

    Raises:
        ChangedError: the plan of now is not the approved one.
        NoRoom: there is no room for the state; the revocations have been tried.
        Unavailable: another run is at work.
    """
    tell = time or clock
    with state.run_lock():
        attend(config, state, tell, strict=True)
        with state.urgent():
            silent = settle_unknown(state, lambda name: _connect(config, name), tell)
            for name in silent:
                progress(f"{name} does not answer: what it did last is still unknown")
            progress("pursuing revocations")
            pursue(config, state, tell)
        state.require_room()
        state.audit.witness()  # where nothing can be signed, nothing but a revocation is sent
        now = tell()
        seen = look(config, state, now, progress, sources=sources)
        if approved_digest is not None and seen.plan.digest != approved_digest:
            raise ChangedError(
                "something changed since this plan was made, so it is not carried out: "
                "look at a new plan with `idsync plan --save FILE`"
            )
        number = state.begin_run("apply" if approved_digest else "sync", now)
        remember(config, state, seen, now)
        done = _carry_out(config, state, number, seen, tell, step)
        run = Run(look=seen, done=done, minimised=minimised(config, seen.plan), number=number)
        state.journal.fold(config.targets)
        retain(config, state, tell())
        summary = {name: _counts(one) for name, one in done.items()}
        state.end_run(number, run.outcome, summary, tell())
        note_cycles(state, run.whole, tell())
        if sources and seen.plan.complete:
            state.inbox.reread_done(now)
        return run


def _counts(done: Done) -> dict[str, Any]:
    return {name: value for name, value in asdict(done).items() if name != "problems"}


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
    config: Config,
    state: State,
    number: int,
    seen: Look,
    tell: Callable[[], datetime],
    step: Callable[[int, int], None],
) -> dict[str, Done]:
    work = [
        Work(target=target, person_id=person, change=change, items=items)
        for target, person, change, items in ordered_changes(
            _due_now(config, state, seen.plan, tell)
        )
    ]
    sent = 0

    def progressed(count: int) -> None:
        nonlocal sent
        sent += count
        step(sent, len(work))

    def close_again(name: str, person: str) -> str:
        [closed] = close_person(config, state, person, number, tell, names=[name])
        return "" if closed.shut else f"revoked while it was written, and {closed.outcome}"

    return carry_out(
        number, work, lambda name: _connect(config, name), state, tell, progressed,
        limits=limits_of_calls(config), close_again=close_again, planned=seen.newest_order,
    )  # fmt: skip


def _due_now(
    config: Config, state: State, plan: Plan, tell: Callable[[], datetime]
) -> pl.DataFrame:
    """What goes now: of a system that shows late, nothing that was sent a moment ago."""
    go = plan.go
    late = {name: capabilities_of(config.targets[name]).settles_s for name in go["target"].unique()}
    return (
        pl.concat(
            not_sent_again(state, name, go.filter(pl.col("target") == name), settles_s, tell())
            for name, settles_s in late.items()
        )
        if any(late.values())
        else go
    )
