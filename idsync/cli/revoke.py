"""idsync revoke: end somebody's access now."""

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
)
from idsync.cli.ending import ending_when_asked

if TYPE_CHECKING:
    from idsync.service.revoking import Closed


@click.command()
@click.argument("person")
@reason_options
@options
def command(person: str, reason: str, by: str | None, config: Path, as_json: bool) -> int:
    """End somebody's access now, in every target, until restore.

    PERSON is an employee number, user name, mail or idsync's id. The order is durable
    before anything is sent: a later sync does not give access back. Exit code 1 tells that
    some system has not confirmed; run it again, it may be run as often as you like.
    """
    from idsync.cli.finding import find_person
    from idsync.cli.showing import show_closed
    from idsync.service.applying import clock
    from idsync.service.planning import stored_people
    from idsync.service.revoking import close_person

    with ending_when_asked(), opened(config, doubtful=True) as (checked, state), state.urgent():
        found = find_person(person, stored_people(checked, state), state)
        order = state.orders.revoke(found, reason, operator(by), clock())
        run = state.begin_run("revoke", clock())
        closed = close_person(checked, state, found, run, clock)
        sure = all(one.outcome in ("confirmed", "nothing") for one in closed)
        state.end_run(run, "applied" if sure else "partial", {}, clock())
        if as_json:
            print_json(
                {
                    "format": "idsync.revocation/1", "order": order.id, "person": found,
                    "accepted": order.ordered_at, "confirmed": sure,
                    "targets": [_told(one) for one in closed],
                }
            )  # fmt: skip
        else:
            show_closed(order.id, found, closed, checked.idsync.timezone)
        return 0 if sure else 1


def _told(one: Closed) -> dict[str, Any]:
    until = one.open_until.isoformat() if one.open_until else None
    return {**one.__dict__, "at": one.at.isoformat(), "open_until": until}
