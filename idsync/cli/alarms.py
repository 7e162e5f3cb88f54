"""idsync alarms: what is wrong, and who sees to it."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import local_time, opened, operator, options, print_json, say


@click.command()
@click.argument("name", required=False)
@click.option("--by", default=None, help="Who sees to it.  [default: the user who runs it]")
@click.option("--try", "trial", is_flag=True, help="Send the on-call a trial by every way.")
@options
def command(name: str | None, by: str | None, trial: bool, config: Path, as_json: bool) -> int:
    """Show what is wrong; with NAME, say that somebody sees to that alarm.

    It is not told again then, and stands until what it tells of is over. Exit code 1 while
    there is an alarm that nobody sees to. With --try the on-call gets a message that says that
    nothing is wrong; exit code 4 where a way fails.
    """
    if trial and name is not None:
        raise click.UsageError("--try sends a trial: leave out NAME")
    if trial:
        return _try(config, as_json)
    from idsync.errors import ConfigError
    from idsync.service.applying import clock
    from idsync.service.health import standing, watch

    with opened(config, create=name is not None) as (checked, state):
        if name is not None:
            watch(checked, state, clock())
            if not state.alarms.acknowledge(name, operator(by), clock()):
                raise ConfigError("no alarm of this name stands: see `idsync alarms`")
        told = standing(checked, state, clock())
        if as_json:
            print_json({"format": "idsync.alarms/1", "alarms": told})
        else:
            for one in told:
                since = local_time(one["since"], checked.idsync.timezone)
                whose = f" ({one['acknowledged_by']} sees to it)" if one["acknowledged_at"] else ""
                say(f"{one['name']} since {since}{whose}: {one['detail']}")
            if not told:
                say("nothing is wrong")
    return int(any(one["acknowledged_at"] is None for one in told))


def _try(config: Path, as_json: bool) -> int:
    from idsync.errors import ConfigError
    from idsync.service.applying import clock
    from idsync.service.calling import try_out

    with opened(config) as (checked, state):
        if not checked.oncall.ways:
            raise ConfigError("nobody would be told: write [oncall.mail] or [oncall.webhook]")
        called = try_out(checked, state, clock)
    if as_json:
        ways = {one.way: {"told": one.told, "reason": one.reason} for one in called}
        print_json({"format": "idsync.trial/1", "ways": ways})
    else:
        for one in called:
            say(f"{one.way}: {'told' if one.told else 'FAILED'}" +
                (f": {one.reason}" if one.reason else ""))  # fmt: skip
    return 4 if any(one.reason for one in called) else 0
