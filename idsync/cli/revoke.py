"""idsync revoke: end somebody's access now, or that of everybody in a list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from idsync.cli.console import (
    opened,
    operator,
    options,
    print_json,
    reason_options,
    vars_of,
)
from idsync.cli.ending import ending_when_asked

if TYPE_CHECKING:
    from idsync.config import Config
    from idsync.service.revoking import Closed
    from idsync.store import Progress, State


@click.command()
@click.argument("person", required=False)
@click.option(
    "--file", "listed", type=click.Path(path_type=Path, dir_okay=False), default=None,
    help="End the access of everybody in this CSV file: one person a line.",
)  # fmt: skip
@click.option(
    "--employment", metavar="KEY", default=None,
    help="End this one employment alone: its key in the source, as explain shows it.",
)  # fmt: skip
@reason_options
@options
def command(
    person: str | None,
    listed: Path | None,
    employment: str | None,
    reason: str,
    by: str | None,
    config: Path,
    as_json: bool,
) -> int:
    """End somebody's access now, in every target, until restore.

    PERSON is an employee number, user name, mail or idsync's id. The order is durable
    before anything is sent: a later sync does not give access back. Exit code 1 tells that
    some system has not confirmed; run it again, it may be run as often as you like.

    With --employment what that one alone gives goes, and what others give stays.

    With --file all orders are durable before the first is carried out. A line that names
    nobody, or several people, is told by its number, and holds nobody else up. A column
    "employment" names the one that ends; where it is empty, everything does.
    """
    if (person is None) == (listed is None):
        raise click.UsageError("name one PERSON, or a list with --file")
    if listed is not None and employment is not None:
        raise click.UsageError('a list names employments in a column "employment"')
    with ending_when_asked(), opened(config, doubtful=True) as (checked, state), state.urgent():
        if listed is not None:
            return _everybody(checked, state, listed, reason, operator(by), as_json)
        return _one(checked, state, person or "", employment, reason, operator(by), as_json)


def _one(
    config: Config, state: State, person: str, employment: str | None, reason: str, by: str,
    as_json: bool,
) -> int:  # fmt: skip
    from idsync.cli.showing import show_closed
    from idsync.service.applying import clock
    from idsync.service.finding import find_employment, find_person
    from idsync.service.planning import stored_people
    from idsync.service.revoking import close_person

    people = stored_people(config, state)
    found = find_person(person, people, state)
    one = None if employment is None else find_employment(employment, found, people, state)
    order = state.orders.revoke(found, reason, by, clock(), employment=one)
    run = state.begin_run("revoke", clock())
    closed = close_person(config, state, found, run, clock)
    sure = all(one.outcome in ("confirmed", "nothing") for one in closed)
    state.end_run(run, "applied" if sure else "partial", {}, clock())
    times = {one.target: one for one in state.closings.progress(order.id)}
    if as_json:
        print_json(
            {
                "format": "idsync.revocation/1", "order": order.id, "person": found,
                "employment": order.employment,
                "accepted": order.ordered_at, "confirmed": sure,
                "targets": [_told(one, times.get(one.target)) for one in closed],
            }
        )  # fmt: skip
    else:
        show_closed(order, closed, times, config.idsync.timezone)
    return 0 if sure else 1


def _told(one: Closed, times: Progress | None) -> dict[str, Any]:
    until = one.open_until.isoformat() if one.open_until else None
    return {
        **one.__dict__, "at": one.at.isoformat(), "open_until": until,
        "sent_at": times.sent_at if times else None,
        "confirmed_at": times.confirmed_at if times else None,
    }  # fmt: skip


# ── a list ──────────────────────────────────────────────────────────────────────────────


def _everybody(
    config: Config, state: State, file: Path, reason: str, by: str, as_json: bool
) -> int:
    from idsync.cli.showing_lists import show_revoked
    from idsync.service.applying import clock
    from idsync.service.lists import listed, order_all
    from idsync.service.planning import stored_people
    from idsync.service.pursuing import pursue

    rows = list(listed(file))
    orders, nobody = order_all(state, stored_people(config, state), rows, reason, by, clock())
    pursue(config, state, clock)
    open_: dict[int, dict[str, str]] = {one.id: {} for one in orders.values()}
    for one in state.closings.unconfirmed(config.targets):
        if one.order.id in open_:
            told = " ".join(part for part in (one.outcome or "not tried", one.reason) if part)
            open_[one.order.id][one.target] = told
    people = [
        {
            "line": line, "person": one.person_id, "employment": one.employment,
            "order": one.id, "accepted": one.ordered_at, "confirmed": not open_[one.id],
            "open": open_[one.id],
        }
        for line, one in orders.items()
    ]  # fmt: skip
    unknown = [vars_of(one) for one in nobody]
    if as_json:
        print_json({"format": "idsync.revocations/1", "people": people, "unknown": unknown})
    else:
        show_revoked(people, unknown, len(config.targets))
    return 0 if all(one["confirmed"] for one in people) and not unknown else 1
