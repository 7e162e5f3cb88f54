"""idsync status: where things stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from idsync.cli.console import local_time, opened, options, print_json, print_table, say, vars_of
from idsync.cli.showing import aged, limit_words, waits_since


@click.command()
@options
def command(config: Path, as_json: bool) -> int:
    """Show the last runs, what is held, and what is not confirmed.

    Reads the state only; no system is asked.
    """
    from idsync.service.applying import clock
    from idsync.service.braking import margins
    from idsync.service.waiting import due, waiting

    with opened(config, create=False) as (checked, state):
        runs = state.runs()
        held = [aged(vars_of(part), clock()) for part in state.orders.waiting()]
        room = [vars_of(one) for one in margins(checked, state, clock())]
        orders = [vars_of(order) for order in state.orders.revocations()]
        unsettled = state.journal.unsettled()
        waits = [vars_of(one) for one in waiting(checked, state, clock())]
        schedule = [vars_of(one) for one in due(checked, state, clock())]
        sources = {
            name: vars_of(seen) if (seen := state.snapshot(name)) else None
            for name in checked.sources
        }
        zone = checked.idsync.timezone
        if as_json:
            print_json(
                {
                    "format": "idsync.status/1", "runs": runs, "held": held, "revocations": orders,
                    "unsettled": len(unsettled), "sources": sources,
                    "waiting": waits, "due": schedule, "brakes": room,
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
        for part in held:
            _show_held(part)
        _show_room(room)
        _show_waiting(waits, schedule, zone)
        say(f"{len(orders)} revocations stand. {len(unsettled)} operations are not confirmed.")
    return 0


def _show_held(part: dict[str, Any]) -> None:
    told = {**part, "limit": part["allowed"]}
    agreed = f"{part['first_by']} has agreed, somebody else must too; " if part["first_by"] else ""
    say(
        f"{part['state'].upper()}{waits_since(part)}: {part['scope']}: {part['people']} people "
        f"{part['direction']} access, {limit_words(told)}; {agreed}"
        f"idsync approve {part['digest'][:12]}"
    )


def _show_room(room: list[dict[str, Any]]) -> None:
    """Show the limits of which something is used."""
    used = [one for one in room if one["used"]]
    if used:
        print_table(
            "Brakes, as far as they are used",
            ["scope", "access", "in", "people", "limit"],
            [
                [one["scope"], one["direction"], one["window"], one["used"], one["limit"]]
                for one in used
            ],
        )


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
