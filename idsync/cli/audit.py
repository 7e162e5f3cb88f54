"""idsync audit: is the record of everything whole, and what does it say?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from idsync.cli.console import (
    Progress,
    local_time,
    opened,
    operator,
    options,
    print_json,
    say,
    vars_of,
)

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


@command.command()
@click.option("--person", help="Whose access: named as in revoke.")
@click.option("--door", metavar="TARGET:RIGHT", help="Who could open it, by the target's own name.")
@click.option("--at", "instant", metavar="TIME", help="When, in local time.  [default: now]")
@click.option("--from", "begin", metavar="TIME", help="Everything since then.")
@click.option("--to", "end", metavar="TIME", help="And until then.  [default: now]")
@click.option("--controller", help="Only what one controller answers for.")
@click.option("--all", "everything", is_flag=True, help="All that is known of --person, as JSON.")
@click.option("--by", help="Who looks.  [default: the user who runs the command]")
@options
def show(
    person: str | None,
    door: str | None,
    instant: str | None,
    begin: str | None,
    end: str | None,
    controller: str | None,
    everything: bool,
    by: str | None,
    config: Path,
    as_json: bool,
) -> int:
    """Show who could open what, when and why, from history.

    TIME is local: 2026-11-25, or "2026-11-25 17:30". That somebody looked is itself told to
    the audit. Of its own grants idsync knows the instant; of those that others gave, what the
    runs saw.
    """
    from idsync.cli.showing_history import period, show_answer
    from idsync.service import showing_access
    from idsync.service.applying import clock
    from idsync.service.finding import find_person
    from idsync.service.planning import stored_people

    if (person is None) == (door is None) or (everything and person is None):
        raise click.UsageError("name a --person or a --door; --all goes with --person")
    with opened(config) as (checked, state):
        now, zone = clock(), checked.idsync.timezone
        start, until = period(instant, begin, end, now, zone)
        asked = {"from": start.isoformat(), "to": until.isoformat(), "door": door or ""}
        if person is None:
            found, title = "", door or ""
            answer = showing_access.access_to_door(
                checked, state, title, start, until, Progress(quiet=as_json)
            )
        else:
            found = find_person(person, stored_people(checked, state), state)
            title = f"Person {found[:8]}"
            if everything:
                told = showing_access.everything_about(checked, state, found, now, controller)
                showing_access.note_look(state, operator(by), now, found, all="true")
                print_json(told)
                return 0
            answer = showing_access.access_of_person(
                checked, state, found, start, until, controller
            )
        showing_access.note_look(state, operator(by), now, found, **asked)
        show_answer(answer, title, start, until, zone, as_json=as_json)
    return 0


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
