"""idsync status: where things stand."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from idsync.cli.ending import ending_when_asked
from idsync.cli.showing import aged, limit_words, show_progress, waits_since, whom

if TYPE_CHECKING:
    from idsync.config import Config
    from idsync.store import State

SHOWN = 20


@click.command()
@controller_option
@click.option(
    "--watch", type=click.IntRange(1, 3600), metavar="SECONDS", default=None,
    help="Show it anew every so many seconds, until Ctrl-C.",
)  # fmt: skip
@options
def command(controller: str | None, watch: int | None, config: Path, as_json: bool) -> int:
    """Show the last runs, what is held, and what is not confirmed.

    Reads the state only; no system is asked.
    """
    if watch is not None and as_json:
        raise click.UsageError("--json tells once: leave out --watch")
    with opened(config, create=False) as (checked, state), _until_asked(watch) as rest:
        while True:
            told = _told(checked, state, controller)
            if as_json:
                print_json(told)
                return 0
            if watch is not None:
                click.clear()  # on a terminal; elsewhere one follows the other
                say(f"{local_time(_now(), checked.idsync.timezone)}, every {watch} s")
            _show(told, checked.idsync.timezone)
            if rest():
                return 0


@contextmanager
def _until_asked(watch: int | None) -> Iterator[Callable[[], bool]]:
    """Give what waits for the next look, and tells whether there is none: Ctrl-C is not lost.

    As an exception it may come where a library lets none through.
    """
    if watch is None:
        yield lambda: True
        return
    from idsync.apply import ASKED

    with ending_when_asked((signal.SIGINT,), lambda _: None):
        yield lambda: ASKED.wait(watch)


def _now() -> str:
    from idsync.service.applying import clock

    return clock().isoformat()


def _show(told: dict[str, Any], zone: ZoneInfo) -> None:
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
    _show_verdicts(told["verdicts"], zone)
    for part in told["held"]:
        _show_held(part)
    _show_room(told["brakes"])
    _show_waiting(told["waiting"], told["due"], zone)
    show_progress(told["progress"], zone)
    _show_exposure(told["unconfirmed"], told["circuits"], zone)
    for one in told["alarms"]:
        if one["acknowledged_at"] is None:
            say(f"ALARM {one['name']}: {one['detail']} (`idsync alarms {one['name']}`)")
    _show_events(told["events"], zone)
    _show_disagreements(told["disagreements"])
    orders, unsettled = len(told["revocations"]), told["unsettled"]
    say(f"{orders} revocations stand. {unsettled} operations are not confirmed.")


def _told(whole: Config, state: State, controller: str | None) -> dict[str, Any]:
    """Return the document that --json prints: of everything, or of what one controller may see."""
    import dataclasses

    from idsync.service.applying import clock
    from idsync.service.braking import margins
    from idsync.service.disagreeing import disagreeing
    from idsync.service.health import standing
    from idsync.service.planning import stored_people
    from idsync.service.scope import scope_of
    from idsync.service.waiting import due, waiting

    now = clock()
    checked, runs, unsettled = whole, state.runs(), state.journal.unsettled()
    held = [aged(vars_of(part), now) for part in state.orders.waiting()]
    room = [vars_of(one) for one in margins(whole, state, now)]
    orders = [vars_of(order) for order in state.orders.revocations()]
    waits = [vars_of(one) for one in waiting(whole, state, now)]
    open_ = [vars_of(one) for one in state.closings.unconfirmed(whole.targets)]
    progress = _progress(whole, state)
    circuits = [vars_of(one) for one in state.circuits.all()]
    alarms = standing(whole, state, now) if controller is None else []
    events = [vars_of(one) for one in state.inbox.alarms(now)]
    if controller is not None:
        scope = scope_of(whole, controller)
        people = scope.people(stored_people(whole, state))
        theirs = {one.id for one in scope.orders(state.orders.revocations(), people)}
        checked = dataclasses.replace(scope.config(whole), sources={})
        runs = [scope.run(row) for row in runs]
        held = [part for part in held if scope.holds(part["scope"])]
        room = [one for one in room if scope.holds(one["scope"])]
        orders = [order for order in orders if order["id"] in theirs]
        unsettled = [one for one in unsettled if one.target in scope.targets]
        waits = [one for one in waits if one["target"] in scope.targets]
        open_ = [one for one in open_ if one["order"]["id"] in theirs]
        progress = [one for one in progress if one["order"] in theirs]
        circuits = [one for one in circuits if one["target"] in scope.targets]
        senders = whole.events.senders
        own = {name for name, sender in senders.items() if sender.controller == controller}
        events = [one for one in events if one["issuer"] in own]
    verdicts = {name: state.verdicts.last(name) for name in checked.sources}
    differ = disagreeing(whole, state, now) if controller is None else []  # they name sources
    return {
        "format": "idsync.status/1", "runs": runs, "held": held, "revocations": orders,
        "unsettled": len(unsettled),
        "sources": {
            name: vars_of(seen) if (seen := state.snapshot(name)) else None
            for name in checked.sources
        },
        "verdicts": {
            name: {"at": last[0], **vars_of(last[1])} if last else None
            for name, last in verdicts.items()
        },
        "waiting": waits, "due": [vars_of(one) for one in due(checked, state, now)],
        "brakes": room, "unconfirmed": open_, "progress": progress, "circuits": circuits,
        "events": events, "alarms": alarms, "disagreements": differ,
        "oldest_unconfirmed": open_[0]["order"]["ordered_at"] if open_ else None,
        "oldest_unsettled": unsettled[0].intent_at if unsettled else None,
    }  # fmt: skip


def _progress(config: Config, state: State) -> list[dict[str, Any]]:
    """Return when each standing order was accepted, sent and confirmed, the newest order first."""
    known = {(one.order, one.target): one for one in state.closings.progress()}
    rows = []
    for order in reversed(state.orders.revocations()):
        for name in config.targets:
            one = known.get((order.id, name))
            rows.append({
                "order": order.id, "person": order.person_id, "employment": order.employment,
                "target": name,
                "outcome": one.outcome if one else "", "told_at": order.told_at,
                "accepted_at": order.ordered_at, "sent_at": one.sent_at if one else None,
                "confirmed_at": one.confirmed_at if one else None,
            })  # fmt: skip
    return rows


def _show_events(alarms: list[dict[str, Any]], zone: ZoneInfo) -> None:
    for one in alarms:
        last = local_time(one["last_at"], zone)
        say(f"EVENTS of {one['issuer']}: {one['what']}: {one['count']}, the last {last}")


def _show_disagreements(rows: list[dict[str, Any]]) -> None:
    counts = Counter((row["attribute"], row["sources"]) for row in rows)
    for (attribute, sources), people in sorted(counts.items()):
        what = f"disagree on {attribute}"
        if attribute == "employment":
            what = "have an account that is active, and no employment any longer: the end counts"
        say(f"{sources}: {people} people {what}.")


def _show_verdicts(verdicts: dict[str, Any], zone: ZoneInfo) -> None:
    for name, last in verdicts.items():
        if last and not last["complete"]:
            say(f"{name}: INCOMPLETE at {local_time(last['at'], zone)}: {last['reason']}")


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


def _show_exposure(
    unconfirmed: list[dict[str, Any]], circuits: list[dict[str, Any]], zone: ZoneInfo
) -> None:
    """Show who may still open what, oldest order first, and which systems do not answer."""
    for one in unconfirmed[:SHOWN]:
        order = one["order"]
        since = local_time(order["ordered_at"], zone)
        seen = " ".join(part for part in (one["outcome"] or "not tried yet", one["reason"]) if part)
        if one["sent_at"]:
            seen = f"sent {local_time(one['sent_at'], zone)}, {seen}"
        say(
            f"NOT CONFIRMED: {one['target']}: {whom(order['person_id'], order['employment'])}, "
            f"order {order['id']} of {since}: {seen}"
        )
    if len(unconfirmed) > SHOWN:
        say(f"… and {len(unconfirmed) - SHOWN} more: --json shows all.")
    for one in circuits:
        since, again = local_time(one["since"], zone), local_time(one["next_probe_at"], zone)
        say(
            f"{one['target']} does not answer since {since}, tried again from {again}, "
            f"revocations at every run: {one['reason']}"
        )
