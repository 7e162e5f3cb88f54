"""idsync erase: what is known of somebody who has left goes."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import opened, operator, options, print_json, reason_options, say


@click.command()
@click.argument("person")
@click.option(
    "--decision", default="", metavar="REFERENCE", help="Where the decision to erase stands."
)
@reason_options
@options
def command(
    person: str, decision: str, reason: str, by: str | None, config: Path, as_json: bool
) -> int:
    """Erase what is known of somebody who has left.

    PERSON is named as in revoke. Their names, numbers and history go out of the state, and
    the key under which the audit holds what is personal is destroyed: the audit stays whole
    and points to nobody. Refused while they hold rights, while an order of theirs stands, or
    a source still tells of them. It cannot be undone. Name nobody in the reason: it stays.
    """
    from idsync.service.applying import clock
    from idsync.service.erasing import Decision, erase
    from idsync.service.finding import find_person
    from idsync.service.planning import stored_people

    with opened(config) as (checked, state):
        found = find_person(person, stored_people(checked, state), state)
        why = Decision(reason=reason, by=operator(by), reference=decision)
        operations = erase(state, found, why, clock())
        if as_json:
            told = {"format": "idsync.erasure/1", "person": found, "operations": operations}
            print_json(told)
        else:
            say(
                f"Person {found[:8]} is erased: {operations} operations left the journal, and "
                "what the audit had sealed opens for nobody."
            )
            say("Backups and the logs of a PostgreSQL server forget by their own schedule.")
    return 0
