"""What is not known yet: read back before anything new is planned.

After a crash or a silence nobody knows what happened; of a system that answers later it is
known only then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import polars as pl

from idsync.apply.one import UNSEEN
from idsync.apply.readback import achieved, left
from idsync.apply.retry import patiently
from idsync.errors import ConfigError, ConnectorError
from idsync.model import Cardholder, Outcome
from idsync.plan.items import ITEMS
from idsync.store import Operation, State
from idsync.targets import Target
from idsync.together import workers

MANY = 200
"""Operations at one target from which on it is read as a whole, not cardholder by cardholder."""
LANES = 8
TOGETHER = 64  # outcomes made durable in one transaction

Connect = Callable[[str], Target]
Settled = tuple[int, Outcome, pl.DataFrame]


def settle_unknown(state: State, connect: Connect, clock: Callable[[], datetime]) -> dict[str, str]:
    """Find out what became of operations that nobody knows about, or that waited for an answer.

    What stands in the target is idsync's own from then on; what does not stand is planned
    anew. Targets do not wait for each other. Returns the targets that could not be asked,
    with the reason: there the unknown stays unknown.
    """
    by_target: dict[str, list[Operation]] = {}
    for operation in [*state.journal.unsettled(), *state.journal.submitted()]:
        by_target.setdefault(operation.target, []).append(operation)

    def one(name: str) -> str:
        return _settle_at(state, name, by_target[name], connect, clock)

    with workers(len(by_target)) as pool:
        told = dict(zip(by_target, pool.map(one, by_target), strict=True))
    return {name: reason for name, reason in told.items() if reason}


def _settle_at(
    state: State,
    name: str,
    operations: list[Operation],
    connect: Connect,
    clock: Callable[[], datetime],
) -> str:
    """Settle the operations of one target; return why it could not be asked, or ""."""
    batches = _shown(name, operations, connect)
    while True:
        try:
            batch = next(batches, None)
        except (ConnectorError, ConfigError) as error:
            return str(error)
        if batch is None:
            return ""
        settles_s, shown = batch
        now = clock()
        found = [_known(operation, holder, settles_s, now) for operation, holder in shown]
        state.journal.settle_parts([one for one in found if one is not None], now)


def _shown(
    name: str, operations: list[Operation], connect: Connect
) -> Iterator[tuple[float, list[tuple[Operation, Cardholder | None]]]]:
    """Yield the operations with what their target shows of the cardholder, some at a time.

    With them goes after how many seconds the target shows what it has done.
    """
    own = threading.local()
    opened: list[Target] = []

    def target() -> Target:
        if not hasattr(own, "target"):
            own.target = connect(name)
            opened.append(own.target)
        connected: Target = own.target
        return connected

    def asked(operation: Operation) -> Cardholder | None:
        key = operation.items["key"][0]
        return patiently(lambda: target().read_one(key))

    try:
        everybody = _everybody(target()) if len(operations) >= MANY else {}
        lanes = min(LANES, max(1, target().capabilities.lanes))
        with workers(lanes) as pool:
            for start in range(0, len(operations), TOGETHER):
                batch = operations[start : start + TOGETHER]
                shown = [everybody.get(one.items["key"][0]) for one in batch]
                if not everybody:
                    shown = list(pool.map(asked, batch))
                yield target().capabilities.settles_s, list(zip(batch, shown, strict=True))
    finally:
        for one in opened:
            one.close()


def _everybody(target: Target) -> dict[str, Cardholder]:
    """Return everybody the target holds; nobody, to be asked one by one, where a key is twice."""
    read = patiently(lambda: [one for one in target.read() if one.key is not None])
    found = {one.key: one for one in read if one.key is not None}
    return found if len(found) == len(read) else {}


def _known(
    operation: Operation, shown: Cardholder | None, settles_s: float, now: datetime
) -> Settled | None:
    """Return what became of *operation*; None where that is what was known already."""
    number, items = operation.id, operation.items
    if shown is not None and shown.pending:
        if operation.state == "submitted":
            return None
        waiting = Outcome(status="submitted", reason="seen afterwards, not answered yet")
        return number, waiting, items
    if shown is not None and shown.amiss and operation.state == "submitted":
        # what is shown is how it shall be: it is idsync's own, and the next plan sends it again
        return number, Outcome(status="refused", reason=shown.amiss), left(items, shown)
    if achieved(items, shown).height == items.height:
        return number, Outcome(status="confirmed", reason="seen afterwards"), items
    if may_show_yet(operation, settles_s, now):
        return None
    reason = "seen afterwards not to have happened as a whole"
    return number, Outcome(status="refused", reason=reason), left(items, shown)


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
