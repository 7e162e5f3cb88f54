"""One change, carried out: looked at, sent, and known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from idsync.apply.before import still_fitting
from idsync.apply.readback import achieved, left, takes_away
from idsync.apply.retry import Budget, patiently
from idsync.errors import ConnectorError, Unavailable
from idsync.model import Cardholder, Change, Outcome
from idsync.plan.document import change_of
from idsync.targets import Target
from idsync.together import sleep

UNSEEN = "the system said it is done, and does not show it yet: it is looked at again"
"""Why an operation is unknown that may only be slow to show: see `Capabilities.settles_s`."""

LOOKS_S = (0.2, 0.5, 1.0, 2.0)
"""Pauses between looks at a system that is known to show late, as far as it may be that late."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one change: the outcome, and which of its items stand now."""

    outcome: Outcome
    standing: pl.DataFrame
    down: bool = False  # the system did not answer: it may be down for the next one too
    sent: bool = True


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a change is carried out.

    look: the record is looked at before the write, and what changed there since the plan is
    left alone. unwanted: why it is not to be sent after all, asked before every attempt; "":
    it is. budget: of retries.
    """

    look: bool = False
    unwanted: Callable[[], str] = str
    budget: Budget | None = None


PLAIN = Manner()


def carry_out_one(
    target: Target, change: Change, items: pl.DataFrame, manner: Manner = PLAIN
) -> Result:
    """Send *change* and find out what became of it.

    Silence is not an answer: when the system does not answer, what it shows decides, and
    the change is sent again only where it is seen not to have happened. Taking away is
    never believed, only seen. The rest of an operation that went half way is left to the
    next plan; what stands of it is known.
    """
    if manner.look:
        return _looked_at(target, items, replace(manner, look=False))
    try:
        outcome = patiently(lambda: _send(target, change, items, manner), manner.budget)
    except Unavailable as error:
        return Result(
            outcome=Outcome(status="unknown", reason=str(error)), standing=items.clear(), down=True
        )
    except ConnectorError as error:
        outcome = Outcome(status="refused", reason=str(error))
    except Exception as error:  # a fault in a connector ends one change, not the run
        outcome = Outcome(status="unknown", reason=f"the connector failed ({type(error).__name__})")
    return _known(target, change, items, outcome, manner.budget)


def _looked_at(target: Target, items: pl.DataFrame, manner: Manner) -> Result:
    """Carry out what of *items* still finds what the plan saw."""
    key = items["key"][0]
    try:
        shown = patiently(lambda: target.read_one(key), manner.budget)
    except Unavailable as error:
        reason = f"not sent: {error}"
        return Result(
            outcome=Outcome(status="refused", reason=reason), standing=items.clear(),
            down=True, sent=False,
        )  # fmt: skip
    except Exception:  # whatever hinders a look, the write says it better
        return carry_out_one(target, change_of(items), items, manner)
    one_per_right = target.capabilities.grants_per_right == "one"
    fit = still_fitting(items, shown, one_per_right=one_per_right)
    if fit.due.height == items.height:
        return carry_out_one(target, change_of(items), items, manner)
    if fit.due.is_empty():
        result = Result(outcome=outcome_of(shown), standing=fit.gone, sent=False)
    else:
        sent = carry_out_one(target, change_of(fit.due), fit.due, manner)
        result = replace(sent, standing=pl.concat([sent.standing, fit.gone]))
    if fit.overtaken.is_empty() or result.outcome.status == "unknown":
        return result
    told = (
        f"changed by hand since the plan was made: {fit.overtaken.height} of {items.height} "
        "parts are left alone, and planned anew by the next run"
    )
    reason = f"{told}; {result.outcome.reason}" if result.outcome.reason else told
    return replace(result, outcome=Outcome(status="refused", reason=reason))


def carry_out_many(
    target: Target, changes: Sequence[tuple[Change, pl.DataFrame]], manner: Manner = PLAIN
) -> list[Result]:
    """Send several changes of different cardholders in one call; see `carry_out_one`.

    Where the call as a whole gets no answer, each is carried out by itself: first looked
    at, and sent again only where it has not happened. A table or file is written on a fresh
    read of the whole, and not looked at before.
    """
    if manner.look and target.capabilities.wire == "calls":
        return _those_looked_at(target, changes, manner)
    try:
        outcomes = target.put_many([change for change, _ in changes])
        if len(outcomes) != len(changes):
            raise RuntimeError("as many outcomes as changes")
    except Exception:
        return [_after_silence(target, change, items, manner.budget) for change, items in changes]
    return [
        _known(target, change, items, outcome, manner.budget)
        for (change, items), outcome in zip(changes, outcomes, strict=True)
    ]


def _those_looked_at(
    target: Target, changes: Sequence[tuple[Change, pl.DataFrame]], manner: Manner
) -> list[Result]:
    """Send together what finds everything as planned; the others by themselves."""
    whole = [_fits_whole(target, items, manner) for _, items in changes]
    together = [change for change, fits in zip(changes, whole, strict=True) if fits]
    sent = iter(carry_out_many(target, together, replace(manner, look=False)) if together else ())
    return [
        next(sent) if fits else carry_out_one(target, change, items, manner)
        for (change, items), fits in zip(changes, whole, strict=True)
    ]


def _fits_whole(target: Target, items: pl.DataFrame, manner: Manner) -> bool:
    key = items["key"][0]
    try:
        shown = patiently(lambda: target.read_one(key), manner.budget)
    except ConnectorError:
        return False
    one_per_right = target.capabilities.grants_per_right == "one"
    fit = still_fitting(items, shown, one_per_right=one_per_right)
    return fit.due.height == items.height


def _after_silence(
    target: Target, change: Change, items: pl.DataFrame, budget: Budget | None
) -> Result:
    try:
        shown = patiently(lambda: target.read_one(change.key), budget)
    except Exception as error:
        reason = f"not seen afterwards: {error}" if isinstance(error, ConnectorError) else "unseen"
        unknown = Outcome(status="unknown", reason=reason)
        down = isinstance(error, Unavailable)
        return Result(outcome=unknown, standing=items.clear(), down=down)
    if achieved(items, shown).height == items.height:
        return Result(outcome=outcome_of(shown), standing=items)
    return carry_out_one(target, change, items, Manner(budget=budget))


def outcome_of(shown: Cardholder | None) -> Outcome:
    """Return what became of a change of which everything shows as it shall be."""
    if shown is not None and shown.pending:
        return Outcome(status="submitted")
    if shown is not None and shown.amiss:
        return Outcome(status="refused", reason=shown.amiss)
    return Outcome(status="confirmed")


def _known(
    target: Target, change: Change, items: pl.DataFrame, outcome: Outcome, budget: Budget | None
) -> Result:
    if outcome.status == "submitted":
        return Result(outcome=outcome, standing=items)
    if outcome.status == "confirmed" and not takes_away(items):
        return Result(outcome=outcome, standing=items)
    return _seen(target, change, items, outcome, budget)


def _send(target: Target, change: Change, items: pl.DataFrame, manner: Manner) -> Outcome:
    if reason := manner.unwanted():
        return Outcome(status="refused", reason=reason)
    try:
        return target.put(change)
    except Unavailable:
        # it may have happened: look before it is sent again
        shown = target.read_one(change.key)
        if achieved(items, shown).height == items.height:
            return outcome_of(shown)
        raise


def _seen(
    target: Target, change: Change, items: pl.DataFrame, outcome: Outcome, budget: Budget | None
) -> Result:
    try:
        shown = _look(target, items, budget, wait=outcome.status == "confirmed")
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
    if outcome.status == "confirmed" and target.capabilities.settles_s:
        return Result(outcome=Outcome(status="unknown", reason=UNSEEN), standing=items.clear())
    if outcome.status == "confirmed":
        missing = items.height - standing.height
        reason = f"the system said it is done, but {missing} of {items.height} parts do not show"
        outcome = Outcome(status="refused", reason=reason)
    if outcome.status == "unknown" and standing.is_empty():
        outcome = Outcome(status="refused", reason=outcome.reason)
    return Result(outcome=outcome, standing=left(items, shown))


def _look(
    target: Target, items: pl.DataFrame, budget: Budget | None, *, wait: bool
) -> Cardholder | None:
    """What the system shows; where it is known to show late, it is looked at a few times."""
    key = items["key"][0]
    shown = patiently(lambda: target.read_one(key), budget)
    waited = 0.0
    for pause in LOOKS_S:
        late = wait and waited < target.capabilities.settles_s
        if not late or achieved(items, shown).height == items.height:
            break
        sleep(pause)
        waited += pause
        shown = patiently(lambda: target.read_one(key), budget)
    return shown
