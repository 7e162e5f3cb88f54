"""What the on-call is told: which alarm, how long, whose door, what to do. Nobody is named."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

from idsync.config import Config
from idsync.config.oncall import MailTable
from idsync.store import Alarm, Exposure, State

SHOWN = 20
"""How many open doors a message names: the rest is in `idsync status`."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is told at once. `id` is the same when the same is told once more after a crash."""

    id: str
    at: datetime
    alarms: tuple[Alarm, ...]
    open: tuple[Exposure, ...]
    again_minutes: int
    manual: str
    zone: ZoneInfo

    @property
    def trial(self) -> bool:
        """Whether it only shows that the way works."""
        return not self.alarms


def message_of(
    config: Config, state: State, way: str, alarms: Sequence[tuple[Alarm, int]], now: datetime
) -> Message:
    """Return the message that tells of *alarms* (each with how often it was told before)."""
    said = [str(state.instance), way, *(f"{one.name} {one.since} {n}" for one, n in alarms)]
    if not alarms:
        said.append(now.isoformat())
    exposed = any(one.name == "revocation-unconfirmed" for one, _ in alarms)
    return Message(
        id="idsync_" + hashlib.sha256("\n".join(said).encode()).hexdigest()[:32],
        at=now,
        alarms=tuple(one for one, _ in alarms),
        open=tuple(state.closings.unconfirmed(config.targets)) if exposed else (),
        again_minutes=config.oncall.again_minutes,
        manual=config.oncall.manual,
        zone=config.idsync.timezone,
    )


def age_s(since: str, now: datetime) -> int:
    """Return for how many whole seconds something has been so."""
    return max(0, int((now - datetime.fromisoformat(since)).total_seconds()))


def _for(since: str, now: datetime) -> str:
    minutes = age_s(since, now) // 60
    if minutes < 120:
        return f"for {minutes} minutes"
    return f"for {minutes // 60} hours"


# ── as a document ───────────────────────────────────────────────────────────────────────


def document_of(message: Message) -> dict[str, Any]:
    """Return the message as JSON can hold it; docs/operate.md tells of every key."""
    return {
        "type": "idsync.trial" if message.trial else "idsync.alarm",
        "timestamp": message.at.isoformat(),
        "data": {
            "machine": socket.gethostname(),
            "alarms": [
                {
                    "name": one.name, "since": one.since, "age_s": age_s(one.since, message.at),
                    "detail": one.detail, "see": message.manual,
                }
                for one in message.alarms
            ],
            "unconfirmed": [
                {
                    "order": one.order.id, "person": one.order.person_id[:8],
                    "target": one.target, "age_s": age_s(one.order.ordered_at, message.at),
                    "outcome": one.outcome,
                }
                for one in message.open[:SHOWN]
            ],
            "unconfirmed_in_all": len(message.open),
        },
    }  # fmt: skip


def body_of(message: Message) -> bytes:
    """Return the document's bytes, as they are signed and sent."""
    return json.dumps(document_of(message), ensure_ascii=False).encode()


# ── as a letter ─────────────────────────────────────────────────────────────────────────


def letter_of(message: Message, mail: MailTable) -> EmailMessage:
    """Return the message as mail."""
    letter = EmailMessage(policy=SMTP)
    letter["From"] = mail.sender
    letter["To"] = ", ".join(mail.to)
    letter["Subject"] = _subject(message)
    letter["Date"] = format_datetime(message.at)
    letter["Message-ID"] = f"<{message.id}@{mail.sender.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content("\n".join(_lines(message)) + "\n", cte="quoted-printable")
    return letter


def _subject(message: Message) -> str:
    if message.trial:
        return "idsync: a trial, nothing is wrong"
    names = [one.name for one in message.alarms]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"idsync ALARM: {', '.join(names[:3])}{more}"


def _lines(message: Message) -> list[str]:
    machine = socket.gethostname()
    if message.trial:
        return [f"idsync on {machine} can tell you of alarms this way. Nothing is wrong."]
    lines = [f"idsync on {machine}: nobody sees to this yet.", ""]
    for one in message.alarms:
        since = datetime.fromisoformat(one.since).astimezone(message.zone)
        lines += [
            f"{one.name}, {_for(one.since, message.at)} (since {since:%Y-%m-%d %H:%M})",
            f"  {one.detail}",
            f'  You see to it: idsync alarms {one.name} --by "your name"',
            "",
        ]
    if message.open:
        lines.append("Who may still open what:")
    for door in message.open[:SHOWN]:
        lines.append(
            f"  {door.target}: Person {door.order.person_id[:8]}, order {door.order.id}, "
            f"{_for(door.order.ordered_at, message.at)}: {door.outcome or 'not tried yet'}"
        )
    if len(message.open) > SHOWN:
        lines.append(f"  and {len(message.open) - SHOWN} more: idsync status --json")
    return [
        *lines, *([""] if message.open else []),
        f"What to do: {message.manual}",
        f"This is told again every {message.again_minutes} minutes until somebody sees to it or "
        "it is over.",
    ]  # fmt: skip
