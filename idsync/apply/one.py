"""One change, carried out: sent, and known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from idsync.apply.readback import achieved, left, takes_away
from idsync.apply.retry import patiently
from idsync.errors import ConnectorError, Unavailable
from idsync.model import Cardholder, Change, Outcome
from idsync.targets import Target


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one change: the outcome, and which of its items stand now."""

    outcome: Outcome
    standing: pl.DataFrame
    down: bool = False  # the system did not answer: it may be down for the next one too
    sent: bool = True


def carry_out_one(target: Target, change: Change, items: pl.DataFrame) -> Result:
    """Send *change* and find out what became of it.

    Silence is not an answer: when the system does not answer, what it shows decides, and
    the change is sent again only where it is seen not to have happened. Taking away is
    never believed, only seen. The rest of an operation that went half way is left to the
    next plan; what stands of it is known.
    """
    try:
        outcome = patiently(lambda: _send(target, change, items))
    except Unavailable as error:
        return Result(
            outcome=Outcome(status="unknown", reason=str(error)), standing=items.clear(), down=True
        )
    except ConnectorError as error:
        outcome = Outcome(status="refused", reason=str(error))
    except Exception as error:  # a fault in a connector ends one change, not the run
        outcome = Outcome(status="unknown", reason=f"the connector failed ({type(error).__name__})")
    return _known(target, change, items, outcome)


def carry_out_many(target: Target, changes: Sequence[tuple[Change, pl.DataFrame]]) -> list[Result]:
    """Send several changes of different cardholders in one call; see `carry_out_one`.

    Where the call as a whole gets no answer, each is carried out by itself: first looked
    at, and sent again only where it has not happened.
    """
    try:
        outcomes = target.put_many([change for change, _ in changes])
        if len(outcomes) != len(changes):
            raise RuntimeError("as many outcomes as changes")
    except Exception:
        return [_after_silence(target, change, items) for change, items in changes]
    return [
        _known(target, change, items, outcome)
        for (change, items), outcome in zip(changes, outcomes, strict=True)
    ]


def _after_silence(target: Target, change: Change, items: pl.DataFrame) -> Result:
    try:
        shown = patiently(lambda: target.read_one(change.key))
    except Exception as error:
        reason = f"not seen afterwards: {error}" if isinstance(error, ConnectorError) else "unseen"
        unknown = Outcome(status="unknown", reason=reason)
        down = isinstance(error, Unavailable)
        return Result(outcome=unknown, standing=items.clear(), down=down)
    if achieved(items, shown).height == items.height:
        return Result(outcome=outcome_of(shown), standing=items)
    return carry_out_one(target, change, items)


def outcome_of(shown: Cardholder | None) -> Outcome:
    """Return what became of a change of which everything shows as it shall be."""
    if shown is not None and shown.pending:
        return Outcome(status="submitted")
    if shown is not None and shown.amiss:
        return Outcome(status="refused", reason=shown.amiss)
    return Outcome(status="confirmed")


def _known(target: Target, change: Change, items: pl.DataFrame, outcome: Outcome) -> Result:
    if outcome.status == "submitted":
        return Result(outcome=outcome, standing=items)
    if outcome.status == "confirmed" and not takes_away(items):
        return Result(outcome=outcome, standing=items)
    return _seen(target, change, items, outcome)


def _send(target: Target, change: Change, items: pl.DataFrame) -> Outcome:
    try:
        return target.put(change)
    except Unavailable:
        # it may have happened: look before it is sent again
        shown = target.read_one(change.key)
        if achieved(items, shown).height == items.height:
            return outcome_of(shown)
        raise


def _seen(target: Target, change: Change, items: pl.DataFrame, outcome: Outcome) -> Result:
    try:
        shown = patiently(lambda: target.read_one(change.key))
    except Exception as error:
        reason = (
            f"not seen afterwards: {error}" if isinstance(error, ConnectorError) else "not seen"
        )
        down = isinstance(error, Unavailable)
        unknown = Outcome(status="unknown", reason=reason)
        return Result(outcome=unknown, standing=items.clear(), down=down)
    standing = achieved(items, shown)
    if standing.height == items.height:
        return Result(outcome=outcome_of(shown), standing=standing)
    if outcome.status == "confirmed":
        missing = items.height - standing.height
        reason = f"the system said it is done, but {missing} of {items.height} parts do not show"
        outcome = Outcome(status="refused", reason=reason)
    if outcome.status == "unknown" and standing.is_empty():
        outcome = Outcome(status="refused", reason=outcome.reason)
    return Result(outcome=outcome, standing=left(items, shown))
