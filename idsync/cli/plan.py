"""idsync plan: what would change, and why."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import Progress, opened, options, print_json, say


@click.command()
@click.option("--target", help="Show one target only.")
@click.option("--person", help="Show one person only: id, employee number, user name or mail.")
@click.option("--save", type=click.Path(path_type=Path), help="Save the whole plan, for apply.")
@options
def command(
    target: str | None, person: str | None, save: Path | None, config: Path, as_json: bool
) -> int:
    """Show what would change and why; write nothing anywhere.

    \b
    idsync plan                     everything, in short
    idsync plan --save tonight.plan the whole document, for `idsync apply tonight.plan`
    idsync plan --person 204117     one person's changes
    """
    import dataclasses
    import json

    import polars as pl

    from idsync.cli.showing import exit_code, show_changes, show_held, show_sources, show_targets
    from idsync.service.applying import clock
    from idsync.service.finding import find_person, require_target
    from idsync.service.looking import look

    progress = Progress(quiet=as_json)
    with opened(config, create=False) as (checked, state):
        require_target(checked, target)
        seen = look(checked, state, clock(), progress)
        progress.end()
        plan = seen.plan
        if save is not None:
            _save(save, plan.encoded())
        chosen = pl.lit(True)
        if target:
            chosen = chosen & (pl.col("target") == target)
        asked = find_person(person, seen.people, state) if person else None
        if asked:
            chosen = chosen & (pl.col("person_id") == asked)
        if as_json:
            document = json.loads(plan.encoded())
            document["changes"] = [
                change
                for change in document["changes"]
                if (not target or change["target"] == target)
                and (not asked or change["person"] == asked)
            ]
            print_json(document)
            return exit_code(plan.outcome)
        header = plan.header()
        show_sources(header["sources"])
        show_targets(header["targets"], done=False)
        show_changes(dataclasses.replace(plan, items=plan.items.filter(chosen)), seen.people)
        show_held(header["held"], plan.made_at)
        _show_set_aside(plan.refusals.height, seen.people.set_aside.height)
        if plan.outcome == "no-change":
            say("Nothing to change.")
        if save is not None:
            say(f"Saved as {save}. It holds personal data: keep it as you keep HR's files.")
        say(f"Plan {plan.digest[:12]}. Nothing was written.")
        return exit_code(plan.outcome)


def _save(path: Path, text: bytes) -> None:
    """Write the plan so that nobody else can read it, whole or not at all."""
    import os

    from idsync.errors import ConfigError

    partial = path.with_name(path.name + ".partial")
    try:
        with os.fdopen(
            os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
        ) as file:
            file.write(text)
        partial.replace(path)
    except OSError:
        raise ConfigError(f"{path} cannot be written: check the folder and its rights") from None


def _show_set_aside(refusals: int, set_aside: int) -> None:
    if refusals:
        say(f"{refusals} people or rights are left out, each with its reason: --json shows them.")
    if set_aside:
        say(f"{set_aside} records could not be tied to one person; nothing of theirs changes.")
