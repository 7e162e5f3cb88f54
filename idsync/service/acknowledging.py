"""Takes somebody's word that a work order has been done, and settles what waited for it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from idsync.apply import settle_unknown
from idsync.config import Config, connect_target
from idsync.errors import ConfigError
from idsync.service.applying import clock
from idsync.store import State
from idsync.store.audit_records import Record


@runtime_checkable
class Acknowledging(Protocol):
    """What a target has whose work is done by people."""

    def acknowledge(self, order: int, line: int | None, done: bool, reason: str, by: str) -> None:
        """Note that a line of an order (or all of it) was done, or could not be."""


def acknowledge(
    config: Config,
    state: State,
    name: str,
    *,
    order: int,
    line: int | None,
    refused: str,
    by: str,
) -> dict[str, int]:
    """Note it in the target, and return what became of its operations.

    Raises:
        ConfigError: there is no such target, or nobody acknowledges anything there.
    """
    if name not in config.targets:
        known = ", ".join(config.targets)
        raise ConfigError(f"there is no target of this name: write one of {known}")
    adapter = connect_target(config.targets[name])
    try:
        if not isinstance(adapter, Acknowledging):
            raise ConfigError(f"{name} answers by itself: only work orders are acknowledged")
        adapter.acknowledge(order, line, not refused, refused, by)
    finally:
        adapter.close()
    told = {"order": order, "line": line, "refused": bool(refused), "by": by}
    controller = config.targets[name].controller
    state.audit.note(
        clock(), Record(kind="acknowledged", controller=controller, target=name, facts=told)
    )
    before = {one.id for one in state.journal.submitted() if one.target == name}
    settle_unknown(state, lambda asked: connect_target(config.targets[asked]), clock)
    waiting = {one.id for one in state.journal.submitted() if one.target == name}
    states = state.journal.states(before - waiting)
    return {
        "confirmed": states.count("confirmed"),
        "refused": len(states) - states.count("confirmed"),
        "waiting": len(waiting),
    }
