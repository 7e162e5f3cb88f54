"""idsync audit: is the record of everything whole, and what does it say?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from idsync.cli.console import Progress, local_time, opened, options, print_json, say, vars_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from idsync.store.audit_verifying import Verdict


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Verify the audit; show who could open what, when and why."""


@command.command()
@click.option(
    "--checkpoints",
    type=click.Path(path_type=Path),
    help="A copy of the checkpoints kept elsewhere.",
)
@click.option(
    "--public-key", "keys", multiple=True, type=click.Path(path_type=Path),
    help="Who may have signed them; several times for several machines.",
)  # fmt: skip
@options
def verify(checkpoints: Path | None, keys: tuple[Path, ...], config: Path, as_json: bool) -> int:
    """Find every changed, dropped, inserted, moved or cut record of the audit.

    Holds each chain against itself, against the journal and against the signed checkpoints.
    Writes nothing. Exit code 5 tells that something is wrong, and where.
    """
    from idsync.service.auditing import verify_audit

    progress = Progress(quiet=as_json)

    def step(done: int, total: int) -> None:
        progress(f"verifying {done} of {total} records")

    with opened(config, create=False) as (checked, state):
        verdict = verify_audit(checked, state, checkpoints=checkpoints, keys=keys, progress=step)
        progress.end()
        sound = not verdict.problems
        if as_json:
            print_json({"format": "idsync.audit/1", "ok": sound, **vars_of(verdict)})
        else:
            _show_verdict(verdict, checked.idsync.timezone)
    return 0 if sound else 5


def _show_verdict(verdict: Verdict, zone: ZoneInfo) -> None:
    for problem in verdict.problems:
        say(f"WRONG: {problem}")
    chains = len(verdict.controllers)
    say(
        f"{verdict.records} records in {chains} chains, {verdict.operations} operations of the "
        f"journal, {verdict.checkpoints} signed checkpoints."
    )
    if verdict.last_checkpoint:
        last = local_time(verdict.last_checkpoint, zone)
        say(f"The last one is of {last}; {verdict.unsigned} records came after it.")
    else:
        say("No checkpoint was found: a chain that was rewritten as a whole would not show.")
    say(
        "The audit is whole." if not verdict.problems else "The audit is NOT whole: stop, and look."
    )
