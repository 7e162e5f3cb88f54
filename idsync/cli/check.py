"""idsync check: is everything there, and what can it do?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from idsync.cli.console import Progress, opened, options, print_json, print_table, say

if TYPE_CHECKING:
    from idsync.config import Config
    from idsync.service.reading import SourceRead
    from idsync.service.warning import Ending


@click.command()
@options
def command(config: Path, as_json: bool) -> int:
    """Read the configuration, reach every system, say what each can and cannot do.

    Reads each system whole, as a run would, and writes nothing.
    """
    from dataclasses import asdict

    from idsync.service.applying import clock
    from idsync.service.calling import look
    from idsync.service.planning import read_targets
    from idsync.service.reaching import capabilities_of, reach_targets
    from idsync.service.reading import read_sources
    from idsync.service.senders import reach_senders
    from idsync.service.warning import endings, zone_data, zone_data_is_old

    progress = Progress(quiet=as_json)
    with opened(config, create=False) as (checked, state):
        reads = read_sources(checked, state, clock(), progress)
        refused = reach_targets(checked, progress)
        holdings, failures = read_targets(checked, progress, leave=refused)
        failures |= refused
        ending = endings(checked, clock())
        ways = look(checked)
        senders = reach_senders(checked, clock)
        progress.end()
        able = {name: asdict(capabilities_of(table)) for name, table in checked.targets.items()}
    held = {
        name: holdings[name].cardholders.height if name in holdings else 0
        for name in checked.targets
    }
    zones = zone_data()
    old_zones = zone_data_is_old(zones, clock())
    sound = not failures and all(read.state.complete for read in reads.values())
    sound = sound and not any(ways.values()) and not any(senders.values())
    if as_json:
        print_json(
            {
                "format": "idsync.check/1", "ok": sound,
                "time_zones": {"version": zones, "old": old_zones},
                "certificates": [{**asdict(one), "ends": one.ends.isoformat()} for one in ending],
                "sources": {name: asdict(read.state) for name, read in reads.items()},
                "wide_limits": checked.brakes.wide_limits,
                "oncall": {way: {"ok": not wrong, "reason": wrong} for way, wrong in ways.items()},
                "senders": {name: {"ok": not wrong, "reason": wrong}
                            for name, wrong in senders.items()},
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
    if senders:
        found = [[name, "FAILED" if wrong else "ok", wrong] for name, wrong in senders.items()]
        print_table("Senders of events", ["sender", "", "what is wrong"], found)
    _warn(checked, ending, ways, zones if old_zones else "")
    return 0 if sound else 4


def _warn(config: Config, ending: list[Ending], ways: dict[str, str], old_zones: str) -> None:
    """Say what will go wrong if nobody does anything; *old_zones* is a version that is too old."""
    for one in ending:
        say(
            f"{one.target}: {one.whose} certificate ends on {one.ends:%Y-%m-%d}, in {one.days} "
            f"days: renew it {one.renew}."
        )
    for way, wrong in ways.items():
        told = f"FAILED: {wrong}" if wrong else "ok; `idsync alarms --try` sends a trial"
        say(f"on-call by {way}: {told}")
    if not ways:
        say("No [oncall]: an alarm is told by the log, `idsync alarms` and /metrics alone.")
    for limit in config.brakes.wide_limits:
        say(f"brakes ({limit}): a limit above 500 people or 50 percent holds next to nothing.")
    if old_zones:
        say(f"The time-zone data is of {old_zones} and may not know today's rules: update tzdata.")


def _show(
    checked: Config,
    reads: dict[str, SourceRead],
    held: dict[str, int],
    able: dict[str, dict[str, Any]],
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


def _able(capabilities: dict[str, Any]) -> str:
    can = [
        "grants with dates"
        if capabilities["dated_grants"]
        else "grants without dates: changed on the day",
        "cards blocked" if "update" in capabilities["credential"]
        else "cards shown" if "read" in capabilities["credential"]
        else "no cards",
        *(f"{kind} rights" for kind in capabilities["kinds"] if kind != "access"),
    ]  # fmt: skip
    if capabilities["answer_hours"]:
        can.append("answers later")
    return ", ".join(can)
