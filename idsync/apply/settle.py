"""What is not known yet: read back before anything new is planned.

After a crash or a silence nobody knows what happened; of a system that answers later it is
known only then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl

from idsync.apply.one import UNSEEN
from idsync.apply.readback import achieved, left
from idsync.apply.retry import patiently
from idsync.errors import ConfigError, ConnectorError
from idsync.model import Outcome
from idsync.plan.items import ITEMS
from idsync.store import Operation, State
from idsync.targets import Target


def settle_unknown(
    state: State, connect: Callable[[str], Target], clock: Callable[[], datetime]
) -> dict[str, str]:
    """Find out what became of operations that nobody knows about, or that waited for an answer.

    What stands in the target is idsync's own from then on; what does not stand is planned
    anew. Returns the targets that could not be asked, with the reason: there the unknown
    stays unknown.
    """
    silent: dict[str, str] = {}
    by_target: dict[str, list[Operation]] = {}
    for operation in [*state.journal.unsettled(), *state.journal.submitted()]:
        by_target.setdefault(operation.target, []).append(operation)
    for name, operations in by_target.items():
        try:
            target = connect(name)
            try:
                for operation in operations:
                    _settle(state, target, operation, clock)
            finally:
                target.close()
        except (ConnectorError, ConfigError) as error:
            silent[name] = str(error)
    return silent


def _settle(
    state: State, target: Target, operation: Operation, clock: Callable[[], datetime]
) -> None:
    key = operation.items["key"][0]
    shown = patiently(lambda: target.read_one(key))
    if shown is not None and shown.pending:
        if operation.state != "submitted":
            waiting = Outcome(status="submitted", reason="seen afterwards, not answered yet")
            state.journal.settle_part(operation.id, waiting, operation.items, clock())
        return
    if shown is not None and shown.amiss and operation.state == "submitted":
        # what is shown is how it shall be: it is idsync's own, and the next plan sends it again
        refused = Outcome(status="refused", reason=shown.amiss)
        standing = left(operation.items, shown)
        state.journal.settle_part(operation.id, refused, standing, clock())
        return
    happened = achieved(operation.items, shown).height == operation.items.height
    if not happened and may_show_yet(operation, target.capabilities.settles_s, clock()):
        return
    standing = operation.items if happened else left(operation.items, shown)
    outcome = Outcome(
        status="confirmed" if happened else "refused",
        reason="seen afterwards" if happened else "seen afterwards not to have happened as a whole",
    )
    state.journal.settle_part(operation.id, outcome, standing, clock())


def may_show_yet(operation: Operation, settles_s: float, now: datetime) -> bool:
    """Whether a system that shows late may show *operation* yet: it has said it is done."""
    if operation.reason != UNSEEN:
        return False
    return now - datetime.fromisoformat(operation.intent_at) < timedelta(seconds=settles_s)


SAID = ["key", "part", "kind", "ref"]
DONE = [*SAID, "was", "shall", "from_before", "to_before", "from_after", "to_after", "value_after"]


def not_sent_again(
    state: State, name: str, items: pl.DataFrame, settles_s: float, now: datetime
) -> pl.DataFrame:
    """Return *items* of one target without what was sent so lately that it need not show yet.

    A system that shows late would be given everything twice. A revocation is sent again:
    that does no harm, and is never waited with.
    """
    if not settles_s or items.is_empty():
        return items
    lately = state.journal.since(name, now - timedelta(seconds=settles_s))
    sent = [one.items for one in lately if one.state != "refused"]
    last = pl.concat([pl.DataFrame(schema=ITEMS), *sent]).unique(
        SAID, keep="last", maintain_order=True
    )
    waiting = items.filter(~pl.col("confirmed")).join(last, on=DONE, how="semi", nulls_equal=True)
    return items.join(waiting, on=DONE, how="anti", nulls_equal=True, maintain_order="left")
