"""The commands, found by name and loaded when they are asked for."""

from __future__ import annotations

import importlib

import click

from idsync import __version__

COMMANDS = {
    "check": "Read the configuration, reach every system, say what each can do.",
    "plan": "Show what would change and why; write nothing anywhere.",
    "apply": "Do exactly a saved plan, or refuse because something changed.",
    "sync": "Plan and apply within the brakes; what is held waits for approve.",
    "approve": "Let a held part of a plan go, once.",
    "revoke": "End somebody's access now, in every target.",
    "restore": "Give access back, exactly as the rules give it.",
    "explain": "Say why somebody has access, and why not.",
    "orphans": "List tags and grants that no current person or basis explains.",
    "ack": "Say that a work order has been done, or could not be.",
    "status": "Show the last runs, what is held, and what is not confirmed.",
    "serve": "Run every night, act on known dates, pursue revocations, tell of its health.",
    "alarms": "Show what is wrong; say that somebody sees to it.",
    "rebuild": "Let the systems say what is idsync's own, where the state is not the newest.",
    "audit": "Verify the audit; show who could open what, when and why.",
    "erase": "Erase what is known of somebody who has left.",
    "keep": "Put a legal hold on somebody, or release it.",
    "demo": "Run the whole thing on a made-up city, on this machine only.",
}


class _Lazy(click.Group):
    """Commands whose help costs nothing and whose code is loaded when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"idsync.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"there is no command of this name{hint}")
        return super().resolve_command(ctx, args)


@click.command(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with `idsync demo`, then `idsync check` and `idsync plan`.",
)
@click.version_option(__version__, prog_name="idsync")
def app() -> None:
    """Keep the doors of a city in step with the people who work there.

    Reads connectors.toml in this folder, or the file that --config names.

    Exit codes: 0 done or nothing to do; 1 some people refused or unconfirmed; 2 usage or
    configuration; 3 something is held, or a saved plan no longer fits; 4 a system is
    unavailable or a read incomplete; 5 the state or a file is damaged or was altered.
    """
