"""idsync status: where things stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from idsync.cli.console import (
    controller_option,
    local_time,
    opened,
    options,
    print_json,
    print_table,
    say,
    vars_of,
)

if TYPE_CHECKING:
    from idsync.config import Config
    from idsync.store import State


@click.command()
@controller_option
@options
def command(controller: str | None, config: Path, as_json: bool) -> int:
    """Show the last runs, what is held, and what is not confirmed.

    Reads the state only; no system is asked.
    """
    with opened(config, create=False) as (checked, state):
        told = _told(checked, state, controller)
        zone = checked.idsync.timezone
        if as_json:
            print_json(told)
            return 0
        print_table(
            "Last runs",
            ["run", "command", "began", "ended", "outcome"],
            [
                [row["id"], row["command"], local_time(row["started_at"], zone),
                 local_time(row["ended_at"], zone) if row["ended_at"] else "did not end",
                 row["outcome"] or "?"]
                for row in told["runs"]
            ],
        )  # fmt: skip
        print_table(
            "Sources, as last accepted",
            ["source", "records", "accepted", "proof"],
            [
                [name, seen["records"] if seen else 0,
                 local_time(str(seen["accepted_at"]), zone) if seen else "never",
                 seen["proof"] if seen else ""]
                for name, seen in told["sources"].items()
            ],
        )  # fmt: skip
        for part in told["held"]:
            say(
                f"{part['state'].upper()}: {part['scope']}: {part['people']} people "
                f"{part['direction']} access, limit {part['allowed']}; "
                f"idsync approve {part['digest'][:12]}"
            )
        _show_waiting(told["waiting"], told["due"], zone)
        orders, unsettled = len(told["revocations"]), told["unsettled"]
        say(f"{orders} revocations stand. {unsettled} operations are not confirmed.")
    return 0


def _told(whole: Config, state: State, controller: str | None) -> dict[str, Any]:
    """Return the document that --json prints: of everything, or of what one controller may see."""
    import dataclasses

    from idsync.service.applying import clock
    from idsync.service.planning import stored_people
    from idsync.service.scope import scope_of
    from idsync.service.waiting import due, waiting

    checked, runs, unsettled = whole, state.runs(), state.journal.unsettled()
    held = [vars_of(part) for part in state.orders.waiting()]
    orders = [vars_of(order) for order in state.orders.revocations()]
    waits = [vars_of(one) for one in waiting(whole, state, clock())]
    if controller is not None:
        scope = scope_of(whole, controller)
        theirs = set(scope.people(stored_people(whole, state)).persons["id"])
        checked = dataclasses.replace(scope.config(whole), sources={})
        runs = [scope.run(row) for row in runs]
        held = [part for part in held if scope.holds(part["scope"])]
        orders = [order for order in orders if order["person_id"] in theirs]
        unsettled = [one for one in unsettled if one.target in scope.targets]
        waits = [one for one in waits if one["target"] in scope.targets]
    sources = {
        name: vars_of(seen) if (seen := state.snapshot(name)) else None for name in checked.sources
    }
    return {
        "format": "idsync.status/1", "runs": runs, "held": held, "revocations": orders,
        "unsettled": len(unsettled), "sources": sources, "waiting": waits,
        "due": [vars_of(one) for one in due(checked, state, clock())],
        "oldest_unsettled": unsettled[0].intent_at if unsettled else None,
    }  # fmt: skip


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
