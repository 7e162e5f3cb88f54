"""idsync approve: let a held part go, once."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import opened, operator, options, print_json, reason_options, say, vars_of


@click.command()
@click.argument("digest")
@reason_options
@options
def command(digest: str, reason: str, by: str | None, config: Path, as_json: bool) -> int:
    """Let a held part of a plan go, once.

    DIGEST is what sync or status printed, at least its first 8 signs. The approval is for
    exactly what was held: if anything in it changes, it is void. It lasts a day. The next
    `idsync sync` carries it out. Nobody approves what would give access to themselves, and
    a part of a sensitive profile needs two different people.
    """
    from idsync.service.applying import clock
    from idsync.service.approving import approve

    with opened(config) as (checked, state):
        part = approve(checked, state, digest, operator(by), reason, clock())
        if as_json:
            print_json({"format": "idsync.approval/1", **vars_of(part)})
        elif part.waits_for_another:
            say(
                f"Agreed by one of two: {part.scope}, {part.people} people {part.direction} "
                "access. Somebody else has to approve it too, within a day."
            )
        else:
            say(
                f"Approved once: {part.scope}, {part.people} people {part.direction} access. "
                "Now run `idsync sync`."
            )
    return 0
