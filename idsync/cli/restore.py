"""idsync restore: give access back, as the rules give it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from idsync.store import Revocation


@click.command()
@click.argument("person")
@click.option(
    "--employment", metavar="KEY", default=None,
    help="Lift the order on this one employment alone.",
)  # fmt: skip
@reason_options
@options
def command(
    person: str,
    employment: str | None,
    reason: str,
    by: str | None,
    config: Path,
    as_json: bool,
) -> int:
    """Give access back, exactly as the rules give it today.

    PERSON is named as in revoke. What the rules no longer give does not come back, and
    cards that somebody else has blocked stay blocked. An order on one employment is lifted
    by --employment, and one on the person without it: neither lifts the other.
    """
    from idsync.cli.showing import whom
    from idsync.errors import ConfigError
    from idsync.service.applying import clock
    from idsync.service.finding import find_employment, find_person
    from idsync.service.planning import stored_people
    from idsync.service.revoking import close_person

    with ending_when_asked(), opened(config) as (checked, state):
        people = stored_people(checked, state)
        found = find_person(person, people, state)
        one = employment
        if one is not None:
            one = find_employment(one, found, people, state, standing=True)
        if not state.orders.lift(found, reason, operator(by), clock(), employment=one):
            raise ConfigError(_nothing(state.orders.revocations(), found))
        run = state.begin_run("restore", clock())
        given = close_person(checked, state, found, run, clock, giving=True)
        sure = all(one.outcome in ("confirmed", "nothing") for one in given)
        state.end_run(run, "applied" if sure else "partial", {}, clock())
        if as_json:
            targets = [{**one.__dict__, "at": one.at.isoformat()} for one in given]
            print_json(
                {
                    "format": "idsync.restoration/1",
                    "person": found,
                    "employment": one,
                    "confirmed": sure,
                    "targets": targets,
                }
            )
        else:
            say(f"The order is lifted: {whom(found, one)} has again what the rules give.")
            print_table(
                "", ["target", "shows", "reason"], [[o.target, o.outcome, o.reason] for o in given]
            )
        return 0 if sure else 1


def _nothing(standing: list[Revocation], person: str) -> str:
    """Why nothing was lifted, in words."""
    parts = [
        one.employment for one in standing if one.person_id == person and one.employment is not None
    ]
    if not parts:
        return "no revocation of this person stands: there is nothing to restore"
    return (
        f"no revocation of the whole person stands, but of employments ({', '.join(parts)}): "
        "name one with --employment"
    )
