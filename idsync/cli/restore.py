"""idsync restore: give access back, as the rules give it."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import (
    opened,
    operator,
    options,
    print_json,
    print_table,
    reason_options,
    say,
)
from idsync.cli.ending import ending_when_asked


@click.command()
@click.argument("person")
@reason_options
@options
def command(person: str, reason: str, by: str | None, config: Path, as_json: bool) -> int:
    """Give access back, exactly as the rules give it today.

    PERSON is named as in revoke. What the rules no longer give does not come back, and
    cards that somebody else has blocked stay blocked.
    """
    from idsync.errors import ConfigError
    from idsync.service.applying import clock
    from idsync.service.finding import find_person
    from idsync.service.planning import stored_people
    from idsync.service.revoking import close_person

    with ending_when_asked(), opened(config) as (checked, state):
        found = find_person(person, stored_people(checked, state), state)
        if not state.orders.lift(found, reason, operator(by), clock()):
            raise ConfigError("no revocation of this person stands: there is nothing to restore")
        run = state.begin_run("restore", clock())
        given = close_person(checked, state, found, run, clock)
        sure = all(one.outcome in ("confirmed", "nothing") for one in given)
        state.end_run(run, "applied" if sure else "partial", {}, clock())
        if as_json:
            targets = [{**one.__dict__, "at": one.at.isoformat()} for one in given]
            print_json(
                {
                    "format": "idsync.restoration/1",
                    "person": found,
                    "confirmed": sure,
                    "targets": targets,
                }
            )
        else:
            say(f"The order is lifted: Person {found[:8]} has again what the rules give.")
            print_table(
                "", ["target", "shows", "reason"], [[o.target, o.outcome, o.reason] for o in given]
            )
        return 0 if sure else 1
