"""Reaches every target and asks what it is, before anything is read from it."""

from __future__ import annotations

from idsync.capabilities import Capabilities
from idsync.config import Config, TargetConfig, connect_target
from idsync.errors import IdsyncError
from idsync.service.reading import Progress


def reach_targets(config: Config, progress: Progress) -> dict[str, str]:
    """Return why a target cannot be worked with, for each of which that is so."""
    failures = {}
    for name, table in config.targets.items():
        progress(f"reaching {name}")
        try:
            adapter = connect_target(table)
            try:
                adapter.check()
            finally:
                adapter.close()
        except IdsyncError as error:
            failures[name] = str(error)
        except Exception as error:  # a fault in a connector is told, and the others go on
            failures[name] = f"the connector failed ({type(error).__name__}): tell its author"
    return failures


def capabilities_of(table: TargetConfig) -> Capabilities:
    """Return what the target of *table* can hold; nothing is contacted."""
    adapter = connect_target(table)
    try:
        return adapter.capabilities
    finally:
        adapter.close()
