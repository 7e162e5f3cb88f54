"""`python -m benchmarks PART`: measure a part against its peers and show the ratios."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import country, plan, revoke
from benchmarks.measure import BenchmarkError

FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one part. Return 0, or 1 where a measurement failed."""
    options = _parser().parse_args(arguments)
    try:
        document = _measured(options)
    except BenchmarkError as error:
        _say(f"benchmark failed: {error}")
        return FAILED
    if options.json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        shown = {"plan": _show, "revoke": _show_revoke, "country": _show_country}
        shown[document["part"]](document)
    return 0


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    if options.part == "country":
        return country.run(options.people, options.state, options.cache, _say)
    if options.part == "revoke":
        return revoke.run(options.people, options.events, options.burst, options.cache, _say)
    return plan.run(options.people, options.rounds, options.measure, options.cache, _say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    part = parts.add_parser("plan", help="the difference and the plan, against DiffSync")
    part.add_argument("--people", type=_positive, default=10_000, help="default: 10000")
    part.add_argument("--rounds", type=_positive, default=3, help="default: 3")
    part.add_argument("--measure", choices=(*plan.MEASURES, "all"), default="all")
    other = parts.add_parser("revoke", help="from an event to the last door, against bare HTTP")
    other.add_argument("--people", type=_positive, default=10_000, help="default: 10000")
    other.add_argument("--events", type=_positive, default=100, help="default: 100")
    other.add_argument("--burst", type=_positive, default=1000, help="default: 1000")
    third = parts.add_parser("country", help="what one municipality costs, on PostgreSQL")
    third.add_argument("--people", type=_positive, default=2_700, help="default: 2700")
    third.add_argument("--state", required=True, help="postgresql://…, an empty database")
    for one in (part, other, third):
        one.add_argument("--json", action="store_true", help="one JSON document on stdout")
        one.add_argument(
            "--cache", type=Path, default=plan.default_cache(), help="folder of tables"
        )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for name, measure in document["measures"].items():
        title = f"{document['part']} / {name}: {document['people']} people, medians"
        shown = Table("", "runs", "wall s", "CPU s", "peak MB", "wall ×", "memory ×", title=title)
        for column in shown.columns[1:]:
            column.justify = "right"
        for who, figures in {"idsync": measure["idsync"], **measure["peers"]}.items():
            shown.add_row(who, *_cells(figures))
        console.print(shown)
    for note in document["notes"]:
        console.print(note)


def _show_revoke(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    title = f"revoke: {document['events']} events, {document['doors']} doors, milliseconds"
    shown = Table("", "p50", "p99", "p50 ×", "p99 ×", "goal ×", title=title)
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, figures in document["measures"].items():
        goal = document["goals"].get(name, {})
        ratios = [str(goal.get(one, "")) for one in ("p50_ratio", "p99_ratio", "goal")]
        shown.add_row(name, f"{figures['p50_ms']:.2f}", f"{figures['p99_ms']:.2f}", *ratios)
    console.print(shown)
    burst = document["burst"]
    console.print(
        f"burst: {burst['kept_after_kill']} of {burst['events']} events kept after a kill, in "
        f"order for each person; {burst['per_s']} a second, accept p99 {burst['accept_p99_ms']} "
        f"ms; settled {burst['settled_s']} s after another start"
    )


def _show_country(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    title = f"country: a municipality of {document['people']} people"
    shown = Table("sync", "wall s", "CPU s", "peak MB", "state MB", title=title)
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, figures in document["runs"].items():
        shown.add_row(name, *(str(figure) for figure in figures.values()))
    console.print(shown)
    for name in ("serve", "events"):
        told = (f"{what} {figure}" for what, figure in document[name].items())
        console.print(f"{name}: {', '.join(told)}")


def _cells(figures: dict[str, Any]) -> list[str]:
    ratios = [figures.get(name) for name in ("wall_ratio", "memory_ratio")]
    return [
        str(figures["runs"]),
        f"{figures['wall_s']:.3f}",
        f"{figures['cpu_s']:.3f}",
        f"{figures['peak_mb']:.0f}",
        *("" if ratio is None else f"{ratio:.1f}" for ratio in ratios),
    ]


if __name__ == "__main__":
    sys.exit(main())
