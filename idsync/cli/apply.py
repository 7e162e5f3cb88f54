"""idsync apply: exactly the saved plan."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import Progress, opened, options, print_json
from idsync.cli.ending import ending_when_asked


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@options
def command(file: Path | None, config: Path, as_json: bool) -> int:
    """Do exactly a saved plan, or refuse because something changed.

    FILE was saved by `idsync plan --save FILE`. Everything is read again; only if the very
    same plan comes out is it carried out. Without FILE this is `idsync sync`.
    """
    from idsync.cli.showing import exit_code, show_run
    from idsync.service.applying import sync

    digest, instance = _approved(file)
    progress = Progress(quiet=as_json)
    with ending_when_asked(), opened(config, instance=instance) as (checked, state):
        run = sync(checked, state, progress, approved_digest=digest, step=progress.step)
        progress.end()
        document = run.document()
        if as_json:
            print_json(document)
        else:
            show_run(document)
        return exit_code(run.outcome)


def _approved(file: Path | None) -> tuple[str | None, str]:
    """The digest and the instance that a saved plan names."""
    from idsync.errors import ConfigError
    from idsync.plan.document import read_saved

    if file is None:
        return None, ""
    try:
        saved = read_saved(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{file} cannot be read: save a plan with `idsync plan --save`") from None
    return saved["digest"], saved["instance"]
