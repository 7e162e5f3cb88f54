"""Shows what became of a list of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from idsync.cli.console import print_table, say
from idsync.cli.showing import whom


def show_revoked(
    people: Sequence[Mapping[str, Any]], unknown: Sequence[Mapping[str, Any]], targets: int
) -> None:
    """Show who opens nothing any more, who may yet open what, and which lines are of nobody."""
    parts = sum(one["employment"] is not None for one in people)
    of = f", {parts} of them on one employment alone" if parts else ""
    say(
        f"{len(people)} orders stand{of}: these people are given nothing"
        f"{' by what was ended' if parts else ''} until `idsync restore`."
    )
    shut = sum(one["confirmed"] for one in people)
    say(f"Closed in all of {targets} systems, seen there: {shut} of {len(people)}.")
    rows = [
        [str(one["line"]), whom(one["person"], one["employment"]), target, told]
        for one in people
        for target, told in one["open"].items()
    ]
    if rows:
        print_table("Not confirmed yet", ["line", "person", "target", "shows"], rows)
        say("These are tried again first in every run: `idsync status` shows them until then.")
    if unknown:
        lines = [[str(one["line"]), one["reason"]] for one in unknown]
        print_table("Nobody was ended for these lines", ["line", "why"], lines)
