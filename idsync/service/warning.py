"""What will go wrong if nobody does anything: certificates that end, time zones that are old."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import TZPATH

from idsync.config import Config, TargetConfig
from idsync.http_certificates import end_of_file, end_of_service
from idsync.together import workers

EARLY = ((7, "now"), (14, "this week"), (30, "this month"))
"""How many days before its end a certificate is told of, and how urgent that is."""

OLD_YEARS = 2
"""Governments change their clocks at a year's notice: older data may know last year's rules."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """A certificate that ends soon, or has ended: the service's, or the one idsync shows it."""

    target: str  # or the sender that idsync signs in for
    whose: str  # the service's, idsync's own
    ends: datetime
    days: int
    renew: str  # now, this week, this month


def endings(config: Config, now: datetime) -> list[Ending]:
    """Return the certificates that end within 30 days, soonest first."""
    with workers(len(config.targets)) as pool:
        asked = pool.map(lambda table: _endings(table, now), config.targets.values())
        all_ = [one for found in asked for one in found]
    for name, sender in config.events.subscribed.items():
        end = end_of_file(sender.certificate) if sender.certificate else None
        all_ += _soon(f"events.{name}", {"idsync's own": end}, now)
    return sorted(all_, key=lambda one: one.ends)


def _endings(table: TargetConfig, now: datetime) -> list[Ending]:
    url = getattr(table.settings, "url", "")
    authority: Path | None = getattr(table.settings, "ca_file", None)
    own: Path | None = getattr(table.settings, "client_certificate", None)
    ends = {
        "the service's": end_of_service(url, authority, own) if isinstance(url, str) else None,
        "idsync's own": end_of_file(own) if own else None,
    }
    return _soon(table.name, ends, now)


def _soon(name: str, ends: Mapping[str, datetime | None], now: datetime) -> list[Ending]:
    found = []
    for whose, end in ends.items():
        left = (end - now) // timedelta(days=1) if end else EARLY[-1][0] + 1
        renew = next((word for days, word in EARLY if left <= days), "")
        if end and renew:
            found.append(Ending(target=name, whose=whose, ends=end, days=left, renew=renew))
    return found


def zone_data() -> str:
    """Return the version of the time-zone data in use (as 2025b); "" where it does not tell."""
    for folder in TZPATH:
        file = Path(folder) / "tzdata.zi"
        if file.exists():
            with file.open(encoding="utf-8") as opened:
                told = re.search(r"\d{4}[a-z]+", opened.readline())
            return told[0] if told else ""
    return ""


def zone_data_is_old(version: str, now: datetime) -> bool:
    """Whether data of this version may not know the rules of today."""
    return bool(version) and now.year - int(version[:4]) >= OLD_YEARS
