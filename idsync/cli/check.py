"""idsync check: is everything there, and what can it do?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from idsync.cli.console import Progress, opened, options, print_json, print_table, say

if TYPE_CHECKING:
    from idsync.config import Config
    from idsync.service.reading import SourceRead


@click.command()
@options
def command(config: Path, as_json: bool) -> int:
    """Read the configuration, reach every system, say what each can and cannot do.

    Reads each system whole, as a run would, and writes nothing.
    """
    from dataclasses import asdict

    from idsync.config import connect_target
    from idsync.service.applying import clock
    from idsync.service.planning import read_targets
    from idsync.service.reading import read_sources

    progress = Progress(quiet=as_json)
    with opened(config, create=False) as (checked, state):
        reads = read_sources(checked.sources, state, clock(), progress)
        holdings, failures = read_targets(checked, progress)
        progress.end()
        able = {}
        for name, table in checked.targets.items():
            adapter = connect_target(table)
            able[name] = asdict(adapter.capabilities)
            adapter.close()
    held = {
        name: holdings[name].cardholders.height if name in holdings else 0
        for name in checked.targets
    }
    sound = not failures and all(read.state.complete for read in reads.values())
    if as_json:
        print_json(
            {
                "format": "idsync.check/1", "ok": sound,
                "sources": {name: asdict(read.state) for name, read in reads.items()},
                "targets": {
                    name: {
                        "ok": name in holdings, "reason": failures.get(name, ""),
                        "cardholders": held[name], "capabilities": able[name],
                    }
                    for name in checked.targets
                },
            }
        )  # fmt: skip
        return 0 if sound else 4
    profiles, rules = len(checked.profiles), len(checked.rules)
    say(f"{config}: {profiles} profiles, {rules} rules; the configuration is sound.")
    _show(checked, reads, held, able, failures)
    return 0 if sound else 4


def _show(
    checked: Config,
    reads: dict[str, SourceRead],
    held: dict[str, int],
    able: dict[str, dict[str, object]],
    failures: dict[str, str],
) -> None:
    rows = [
        [
            name,
            checked.sources[name].type,
            read.state.records,
            "ok" if read.state.complete else "FAILED",
            read.state.reason,
        ]
        for name, read in reads.items()
    ]
    print_table("Sources", ["source", "type", "records", "", "proof, or what is wrong"], rows)
    rows = [
        [
            name,
            table.type,
            held[name],
            "FAILED" if name in failures else "ok",
            failures.get(name) or _able(able[name]),
        ]
        for name, table in checked.targets.items()
    ]
    print_table("Targets", ["target", "type", "cardholders", "", "can"], rows)


def _able(capabilities: dict[str, object]) -> str:
    can = [
        "grants with dates"
        if capabilities["dated_grants"]
        else "grants without dates: changed on the day",
        {"none": "no cards", "read": "cards shown", "write": "cards blocked"}[
            str(capabilities["credentials"])
        ],
    ]
    if capabilities["alarm_rights"]:
        can.append("alarm rights")
    return ", ".join(can)
