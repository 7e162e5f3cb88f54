"""idsync status: where things stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from idsync.cli.console import local_time, opened, options, print_json, print_table, say, vars_of

if TYPE_CHECKING:
    from idsync.mapping.believing import Verdict


@click.command()
@options
def command(config: Path, as_json: bool) -> int:
    """Show the last runs, what is held, and what is not confirmed.

    Reads the state only; no system is asked.
    """
    from idsync.service.applying import clock
    from idsync.service.waiting import due, waiting

    with opened(config, create=False) as (checked, state):
        runs = state.runs()
        held = [vars_of(part) for part in state.orders.waiting()]
        orders = [vars_of(order) for order in state.orders.revocations()]
        unsettled = state.journal.unsettled()
        waits = [vars_of(one) for one in waiting(checked, state, clock())]
        schedule = [vars_of(one) for one in due(checked, state, clock())]
        sources = {
            name: vars_of(seen) if (seen := state.snapshot(name)) else None
            for name in checked.sources
        }
        verdicts = {name: state.verdicts.last(name) for name in checked.sources}
        zone = checked.idsync.timezone
        if as_json:
            print_json(
                {
                    "format": "idsync.status/1", "runs": runs, "held": held, "revocations": orders,
                    "unsettled": len(unsettled), "sources": sources,
                    "verdicts": _told(verdicts),
                    "waiting": waits, "due": schedule,
                    "oldest_unsettled": unsettled[0].intent_at if unsettled else None,
                }
            )  # fmt: skip
            return 0
        print_table(
            "Last runs",
            ["run", "command", "began", "ended", "outcome"],
            [
                [row["id"], row["command"], local_time(row["started_at"], zone),
                 local_time(row["ended_at"], zone) if row["ended_at"] else "did not end",
                 row["outcome"] or "?"]
                for row in runs
            ],
        )  # fmt: skip
        print_table(
            "Sources, as last accepted",
            ["source", "records", "accepted", "proof"],
            [
                [name, seen["records"] if seen else 0,
                 local_time(str(seen["accepted_at"]), zone) if seen else "never",
                 seen["proof"] if seen else ""]
                for name, seen in sources.items()
            ],
        )  # fmt: skip
        _show_verdicts(verdicts, zone)
        for part in held:
            say(
                f"{part['state'].upper()}: {part['scope']}: {part['people']} people "
                f"{part['direction']} access, limit {part['allowed']}; "
                f"idsync approve {part['digest'][:12]}"
            )
        _show_waiting(waits, schedule, zone)
        say(f"{len(orders)} revocations stand. {len(unsettled)} operations are not confirmed.")
    return 0


def _told(verdicts: dict[str, tuple[str, Verdict] | None]) -> dict[str, Any]:
    return {
        name: {"at": last[0], **vars_of(last[1])} if last else None
        for name, last in verdicts.items()
    }


def _show_verdicts(verdicts: dict[str, tuple[str, Verdict] | None], zone: ZoneInfo) -> None:
    for name, last in verdicts.items():
        if last and not last[1].complete:
            say(f"{name}: INCOMPLETE at {local_time(last[0], zone)}: {last[1].reason}")


def _show_waiting(
    waits: list[dict[str, Any]], schedule: list[dict[str, Any]], zone: ZoneInfo
) -> None:
    for one in waits:
        late = f", {one['overdue']} OVERDUE" if one["overdue"] else ""
        oldest = local_time(str(one["oldest"]), zone)
        count = one["submitted"]
        say(f"{one['target']}: {count} changes wait for an answer since {oldest}{late}")
    for one in schedule:
        when = f", the next {local_time(str(one['next']), zone)}" if one["next"] else ""
        say(
            f"{one['target']} keeps no such dates itself: {one['now']} changes are due now "
            f"(`idsync sync --due`), {one['later']} later{when}"
        )
