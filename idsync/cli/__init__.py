"""The command line: one file a command, loaded when it is used."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command; end with the exit code that docs/commands.md lists."""
    import click

    from idsync.cli.app import app
    from idsync.cli.console import plain
    from idsync.cli.secrecy import fault, keep_secrets
    from idsync.errors import DiskFailed, IdsyncError

    keep_secrets()
    try:
        code = app(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped; what was sent is in the journal and is read back next time", err=True)
        code = 1
    except click.ClickException as error:
        error.show()
        code = 2
    except DiskFailed as error:
        # at once: to close the state would be to try the disk again
        sys.stdout.flush()
        click.echo(f"idsync: {error}", err=True)
        os._exit(error.exit_code)
    except IdsyncError as error:
        click.echo(f"idsync: {plain(str(error))}", err=True)
        code = error.exit_code
    except BrokenPipeError:
        code = 0
    except Exception as error:  # no stack trace: it would show personal data
        told = fault(type(error), error.__traceback__)
        click.echo(
            f"idsync: a fault in idsync itself ({told}): nothing more was done; please report it",
            err=True,
        )
        code = 2
    sys.exit(code or 0)
