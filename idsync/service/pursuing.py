"""Pursues revocations: what has not got through is tried again, first in every run, for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from idsync.apply import PATIENCE
from idsync.config import Config
from idsync.service.planning import remembered, stored_people
from idsync.service.revoking import Closed, close_in, only, orders_on
from idsync.store import State
from idsync.together import workers


def pursue(config: Config, state: State, clock: Callable[[], datetime]) -> list[Closed]:
    """Try every revocation that is not confirmed once, and return what the targets show.

    Oldest first, targets side by side; one that has been silent several times in a row is
    left for the next time, so that it costs no more than that. No circuit holds this up, no
    brake and no source, and it may use the room kept for it.
    """
    open_ = state.closings.unconfirmed(config.targets)
    if not open_:
        return []
    with state.urgent():
        run = state.begin_run("pursue", clock())
        by_target: dict[str, dict[str, None]] = {}  # who, oldest order first, each once
        for one in open_:
            by_target.setdefault(one.target, {})[one.order.person_id] = None
        everybody = stored_people(config, state)

        def at(name: str) -> list[Closed]:
            known = remembered(config, state, [name])
            shown: list[Closed] = []
            silences = 0
            for person in by_target[name]:
                if silences >= PATIENCE:
                    break
                people = only(everybody, person)
                orders = orders_on(state, people, person)
                closed = close_in(
                    config, state, people, orders, name, person, run, clock, known=known
                )
                silences = silences + 1 if closed.outcome in ("unavailable", "unknown") else 0
                shown.append(closed)
            return shown

        with workers(len(by_target)) as pool:
            closed = [one for shown in pool.map(at, by_target) for one in shown]
        sure = not state.closings.unconfirmed(config.targets)
        state.end_run(run, "applied" if sure else "partial", {}, clock())
    return closed
