"""idsync orphans: what nothing explains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from idsync.cli.console import (
    Progress,
    controller_option,
    opened,
    options,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ["target", "cls", "what", "ref", "key", "department", "detail"]


@click.command()
@click.option("--target", help="One target only.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout, safe to open in a spreadsheet.")
@controller_option
@options
def command(
    target: str | None, as_csv: bool, controller: str | None, config: Path, as_json: bool
) -> int:
    """List tags and grants that no current person or basis explains.

    By class: no holder, holder has left, holder unknown, basis ended, shared card number.
    Nothing is changed: idsync takes away only what it gave. To close what a former
    employee still holds, use `idsync revoke`; the rest is put right in the target itself.
    """
    import polars as pl

    from idsync.service.applying import clock
    from idsync.service.finding import require_target
    from idsync.service.finding_orphans import all_orphans
    from idsync.service.planning import stored_people
    from idsync.service.scope import scope_of

    progress = Progress(quiet=as_json or as_csv)
    with opened(config, create=False) as (whole, state):
        scope = scope_of(whole, controller) if controller is not None else None
        checked = scope.config(whole) if scope else whole
        require_target(checked, target)
        found, failures = all_orphans(checked, state, clock(), progress)
        if scope:
            found = scope.orphans(found, stored_people(checked, state))
        progress.end()
    if target:
        found = found.filter(pl.col("target") == target)
    code = 4 if failures else 0
    if as_json:
        print_json(
            {
                "format": "idsync.orphans/1", "failures": failures,
                "counts": _counts(found).to_dicts(), "orphans": found.to_dicts(),
            }
        )  # fmt: skip
        return code
    if as_csv:
        click.echo(_safe(found).write_csv(), nl=False)
        return code
    print_table("Orphans", ["target", "class", "tags", "grants"], _counts(found).rows())
    departments = found.group_by("target", "department").len()
    departments = departments.sort("len", "target", "department", descending=[True, False, False])
    rows = departments.head(20).rows()
    print_table("By department", ["target", "department", "rows"], rows)
    names = ["target", "class", "what", "name", "key", "department", "why"]
    print_table("The first of them", names, found.select(COLUMNS).head(25).rows())
    if found.height > 25:
        say(f"… and {found.height - 25} more: --json or --csv lists all.")
    for name, reason in failures.items():
        say(f"{name} could not be read: {reason}")
    return code


def _counts(found: pl.DataFrame) -> pl.DataFrame:
    """target, class, tags, grants."""
    import polars as pl

    return (
        found.group_by("target", "cls")
        .agg(tags=(pl.col("what") == "credential").sum(), grants=(pl.col("what") == "grant").sum())
        .sort("target", "cls")
    )


def _safe(found: pl.DataFrame) -> pl.DataFrame:
    """Texts that a spreadsheet would take for a formula get a quote before them."""
    import polars as pl

    formula = r"^[=+\-@\t\r\n\x00]"
    texts = [name for name, kind in found.schema.items() if kind == pl.String()]
    return found.with_columns(
        pl.when(pl.col(name).str.contains(formula))
        .then(pl.concat_str(pl.lit("'"), name))
        .otherwise(name)
        .alias(name)
        for name in texts
    )
