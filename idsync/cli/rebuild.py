"""idsync rebuild: let the systems say what is idsync's own, where the state is not the newest."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import Progress, opened, options, print_json, print_table, say
from idsync.cli.ending import ending_when_asked


@click.command()
@click.option("--reason", required=True, help="Why; kept with the run.")
@click.option("--yes", is_flag=True, help="Believe what was found. Without it, it is only shown.")
@options
def command(reason: str, yes: bool, config: Path, as_json: bool) -> int:
    """Rebuild what idsync knows to be its own, after a state was lost or an old copy restored.

    Every system is read and compared with the state that is left; no system is written.
    Idsync's own is what the state says and the system shows, and what the system says idsync
    gave. Everything else is counted here, and left alone from then on.
    """
    from idsync.service.applying import clock
    from idsync.service.rebuilding import rebuild

    progress = Progress(quiet=as_json)
    with ending_when_asked(), opened(config, create=yes, doubtful=True) as (checked, state):
        done = rebuild(checked, state, progress, clock, because=reason, act=yes)
        progress.end()
        document = done.document()
        if as_json:
            print_json(document)
        else:
            print_table(
                "What is idsync's own",
                ["target", "kept", "gone", "marked", "other", "not read"],
                [[one.target, one.kept, one.gone, one.marked, one.other, one.reason]
                 for one in done.found],
            )  # fmt: skip
            if done.orders_lost:
                say(f"{done.orders_lost} revocations or more are lost: give them again.")
            if done.operations_lost:
                say(f"{done.operations_lost} operations or more are not in the state.")
            say(
                "Done: the next `idsync sync` goes on from here; look at `idsync plan` first."
                if yes
                else "Nothing was changed: run it with --yes to believe this."
            )
        return 0 if done.complete else 4
