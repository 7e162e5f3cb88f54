"""idsync keep: a legal hold."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import opened, operator, options, print_json, reason_options, say


@click.command()
@click.argument("person")
@click.option("--release", is_flag=True, help="Lift the hold.")
@click.option("--decision", default="", metavar="REFERENCE", help="Where the decision stands.")
@reason_options
@options
def command(
    person: str,
    release: bool,
    decision: str,
    reason: str,
    by: str | None,
    config: Path,
    as_json: bool,
) -> int:
    """Put a legal hold on somebody, or release it.

    PERSON is named as in revoke. While it stands neither erase nor retention takes anything
    of theirs, and no part of the audit that tells of them.
    """
    from idsync.service.applying import clock
    from idsync.service.erasing import Decision, keep_person, release_person
    from idsync.service.finding import find_person
    from idsync.service.planning import stored_people

    with opened(config) as (checked, state):
        found = find_person(person, stored_people(checked, state), state)
        why = Decision(reason=reason, by=operator(by), reference=decision)
        (release_person if release else keep_person)(state, found, why, clock())
        if as_json:
            print_json({"format": "idsync.hold/1", "person": found, "kept": not release})
        else:
            say(f"Person {found[:8]} is {'no longer ' if release else ''}kept.")
    return 0
