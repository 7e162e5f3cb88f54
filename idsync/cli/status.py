"""idsync status: where things stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from idsync.cli.console import local_time, opened, options, print_json, print_table, say, vars_of
from idsync.cli.showing import aged, limit_words, waits_since

SHOWN = 20


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
        open_ = [vars_of(one) for one in state.closings.unconfirmed(checked.targets)]
        circuits = [vars_of(one) for one in state.circuits.all()]
        verdicts = {name: state.verdicts.last(name) for name in checked.sources}
        zone = checked.idsync.timezone
        if as_json:
            print_json(
                {
                    "format": "idsync.status/1", "runs": runs, "held": held, "revocations": orders,
                    "unsettled": len(unsettled), "sources": sources,
                    "verdicts": {
                        name: {"at": last[0], **vars_of(last[1])} if last else None
                        for name, last in verdicts.items()
                    },
                    "waiting": waits, "due": schedule, "brakes": room,
                    "unconfirmed": open_, "circuits": circuits,
                    "oldest_unconfirmed": open_[0]["order"]["ordered_at"] if open_ else None,
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
        for name, last in verdicts.items():
            if last and not last[1].complete:
                say(f"{name}: INCOMPLETE at {local_time(last[0], zone)}: {last[1].reason}")
        for part in held:
            _show_held(part)
        _show_room(room)
        _show_waiting(waits, schedule, zone)
        _show_exposure(open_, circuits, zone)
        say(f"{len(orders)} revocations stand. {len(unsettled)} operations are not confirmed.")
    return 0


def _show_held(part: dict[str, Any]) -> None:
    agreed = f"{part['first_by']} has agreed, somebody else must too; " if part["first_by"] else ""
    say(
        f"{part['state'].upper()}{waits_since(part)}: {part['scope']}: {part['people']} people "
        f"{part['direction']} access, {limit_words(part)}; {agreed}"
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


def _show_exposure(
    unconfirmed: list[dict[str, Any]], circuits: list[dict[str, Any]], zone: ZoneInfo
) -> None:
    """Show who may still open what, oldest order first, and which systems do not answer."""
    for one in unconfirmed[:SHOWN]:
        order = one["order"]
        since = local_time(order["ordered_at"], zone)
        seen = " ".join(part for part in (one["outcome"] or "not tried yet", one["reason"]) if part)
        say(
            f"NOT CONFIRMED: {one['target']}: Person {order['person_id'][:8]}, order "
            f"{order['id']} of {since}: {seen}"
        )
    if len(unconfirmed) > SHOWN:
        say(f"… and {len(unconfirmed) - SHOWN} more: --json shows all.")
    for one in circuits:
        since, again = local_time(one["since"], zone), local_time(one["next_probe_at"], zone)
        say(
            f"{one['target']} does not answer since {since}, tried again from {again}, "
            f"revocations at every run: {one['reason']}"
        )
