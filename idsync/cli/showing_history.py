"""How the history of access is shown: sentences with local times, or JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from idsync.cli.console import print_json, say
from idsync.service.showing_access import Answer, span_told

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from idsync.service.replaying import Span


def period(
    instant: str | None, begin: str | None, end: str | None, now: datetime, zone: ZoneInfo
) -> tuple[datetime, datetime]:
    """Return from when to when is asked: one instant, or a time with both ends in it."""
    if instant is not None and (begin or end):
        raise click.UsageError("--at is one instant: leave --from and --to out")
    if begin is None and end is None:
        at = _instant(instant, zone) if instant else now
        return at, at
    start = _instant(begin, zone) if begin else datetime.min.replace(tzinfo=UTC)
    until = _instant(end, zone, last=True) if end else now
    if until < start:
        raise click.UsageError("--to is before --from")
    return start, until


def _instant(text: str, zone: ZoneInfo, *, last: bool = False) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError('write a time as 2026-11-25 or "2026-11-25 17:30"') from None
    if last and len(text) == 10:
        at += timedelta(days=1, microseconds=-1)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def show_answer(
    answer: Answer, title: str, start: datetime, end: datetime, zone: ZoneInfo, *, as_json: bool
) -> None:
    """Show what was found."""
    if as_json:
        print_json(
            {
                "format": "idsync.access/1", "asked": title, "from": start.isoformat(),
                "to": end.isoformat(), "complete_from": answer.complete_from,
                "rights": [
                    span_told(span)
                    | ({"name": answer.names[span.person]} if span.person in answer.names else {})
                    for span in answer.spans
                ],
            }
        )  # fmt: skip
        return
    early = start <= datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
    since = "the beginning" if early else _local(start, zone)
    when = f"at {_local(start, zone)}" if start == end else f"from {since} to {_local(end, zone)}"
    if not answer.spans:
        say(f"{title}, {when}: nothing that idsync gave or saw could be opened.")
    else:
        say(f"{title}, {when}:")
    for span in answer.spans:
        say(_sentence(span, answer.names, zone))
    if any(span.origin == "local" for span in answer.spans):
        say(
            "Local grants are as the runs saw them: they may have begun and ended between two runs."
        )
    if answer.complete_from:
        at = _local(datetime.fromisoformat(answer.complete_from), zone)
        say(f"What was before {at} was let go by retention.")


def _sentence(span: Span, names: dict[str, str], zone: ZoneInfo) -> str:
    who = f"Person {span.person[:8]}" if span.person else "A cardholder that nobody knows"
    if span.person in names:
        who += f" ({names[span.person]})"
    could = "could open" if span.certain else "may have been able to open"
    kind = " (alarm)" if span.kind == "alarm" else ""
    begins, ends = span.begins, span.ends
    since = f"from {_local(begins, zone)}" if begins else "since before the history begins"
    until = f" to {_local(ends, zone)}" if ends else ""
    why = {
        "idsync": f"given by idsync (operation {span.operation})",
        "adopted": "taken over by idsync at first contact",
        "ledger": "idsync's own since before the history begins",
        "local": "given by others",
    }[span.origin]
    because = f": {span.because}" if span.because else ""
    ended = f"; ended: {span.ended_because}" if span.ended_because else ""
    return f"- {who} {could} {span.target}:{span.ref}{kind} {since}{until}; {why}{because}{ended}."


def _local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
