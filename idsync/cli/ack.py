"""idsync ack: say that a work order has been done, or could not be."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import opened, operator, options, print_json, say


@click.command()
@click.argument("target")
@click.argument("order", type=click.IntRange(min=1))
@click.option("--line", type=click.IntRange(min=1), help="one line, not all of it")
@click.option("--refused", metavar="REASON", default="", help="it could not be done, and why")
@click.option("--by", help="who says so; without it whoever runs this")
@options
def command(
    target: str,
    order: int,
    line: int | None,
    refused: str,
    by: str | None,
    config: Path,
    as_json: bool,
) -> int:
    """Say that work order ORDER of TARGET has been done, or with --refused that it could not.

    Until then its changes count as submitted. What could not be done is ordered again by
    the next run.
    """
    from idsync.service.acknowledging import acknowledge

    with opened(config) as (checked, state):
        told = acknowledge(
            checked, state, target, order=order, line=line, refused=refused, by=operator(by)
        )
    if as_json:
        print_json({"format": "idsync.acknowledgement/1", "target": target, "order": order, **told})
    else:
        say(f"{target}: order {order}: {told['confirmed']} operations confirmed, "
            f"{told['refused']} could not be done, {told['waiting']} still wait.")  # fmt: skip
    return 1 if told["refused"] else 0
