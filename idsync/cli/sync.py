"""idsync sync: plan and apply within the brakes."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import Progress, opened, options, print_json
from idsync.cli.ending import ending_when_asked


@click.command()
@click.option("--due", is_flag=True, help="read no source: do what known dates ask for")
@options
def command(due: bool, config: Path, as_json: bool) -> int:
    """Plan and apply within the brakes; what is held waits for approve.

    Run it every night. A second run with nothing new sends no write. With --due known dates
    act whatever is down: a system without dates is given its changes on their day.
    """
    from idsync.cli.showing import exit_code, show_run
    from idsync.service.applying import sync

    progress = Progress(quiet=as_json)
    with ending_when_asked(), opened(config) as (checked, state):
        run = sync(checked, state, progress, sources=not due, step=progress.step)
        progress.end()
        document = run.document()
        if as_json:
            print_json(document)
        else:
            show_run(document)
        return exit_code(run.outcome)
