"""What Graph has subscribed idsync to, as the state remembers it, and when that has lapsed.

Nobody tells when a notification of users or groups was lost, nor always when a subscription
is: what was not kept for a while may have missed something, and a fresh read makes up for it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from idsync.config import Config, GraphTable
from idsync.errors import ConfigError
from idsync.store import State

KEPT_EVERY = timedelta(hours=1)
"""So often each is renewed. That also lets Graph say in time that one is gone."""

LAPSED = timedelta(hours=3)
"""A subscription that nobody could renew for so long is alarming, weeks before it ends."""

KEPT, ASKED, FAULT = "subscription:kept:", "subscription:asked:", "subscription:fault:"
"""Under these names the state remembers it."""


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One subscription. `id`: of Graph; "": there is none.

    `kept_at`: when Graph last confirmed one; before the first, since when one is wanted.
    `agreed`: what it was made with. `expires_at`: when it ends by itself.
    """

    id: str
    agreed: str
    kept_at: datetime
    expires_at: datetime


def subscription(state: State, name: str, resource: str) -> Subscription | None:
    """Return what is remembered of the sender *name*; None: nobody has tried yet."""
    text = state.remembered(f"{KEPT}{name}:{resource}")
    if not text:
        return None
    told = json.loads(text)
    for key in ("kept_at", "expires_at"):
        told[key] = datetime.fromisoformat(told[key])
    return Subscription(**told)


def note_kept(state: State, name: str, resource: str, one: Subscription) -> None:
    """Remember how it is with the subscription to *resource*."""
    _remember(
        state, f"{KEPT}{name}:{resource}", json.dumps(asdict(one), default=datetime.isoformat)
    )


def asked_at(state: State, name: str) -> datetime | None:
    """Return when Graph last asked that the subscriptions of *name* be seen to; None: never."""
    text = state.remembered(ASKED + name)
    return datetime.fromisoformat(text) if text else None


def note_asked(state: State, name: str, now: datetime) -> None:
    """Remember that Graph asks for it: whichever process keeps subscriptions sees it soon."""
    _remember(state, ASKED + name, now.isoformat())


def note_fault(state: State, name: str, reason: str) -> None:
    """Remember why the subscriptions of *name* cannot be kept; "": they can."""
    if state.remembered(FAULT + name) != reason:
        _remember(state, FAULT + name, reason)


def _remember(state: State, name: str, value: str) -> None:
    with state.engine.begin() as connection:
        state.remember(connection, name, value)


# ── what was agreed ─────────────────────────────────────────────────────────────────────


def client_state_of(sender: GraphTable) -> str:
    """Return the secret that each notification has to carry.

    Raises:
        ConfigError: it cannot be read, or is none that Graph would keep and nobody guess.
    """
    secret = sender.client_state.reveal()
    fits = secret.isascii() and secret.isprintable() and " " not in secret
    if not fits or not 32 <= len(secret) <= 128:
        raise ConfigError(
            "client_state has to be 32 to 128 letters, digits or signs without spaces: make one "
            "with `openssl rand -hex 32`, and write it where it is kept"
        )
    return secret


def agreement(sender: GraphTable) -> str:
    """Return the digest of what a subscription is made with: with other things, it is another.

    Raises:
        ConfigError: as `client_state_of`.
    """
    parts = (
        sender.tenant, sender.client_id, sender.notification_url, sender.graph_url,
        client_state_of(sender),
    )  # fmt: skip
    return sha256(json.dumps(parts).encode()).hexdigest()


# ── how it is ───────────────────────────────────────────────────────────────────────────


def subscribed(config: Config, state: State, now: datetime) -> dict[str, dict[str, Any]]:
    """Return, by sender and resource, until when each subscription lasts, as `/health` shows it."""
    found: dict[str, dict[str, Any]] = {}
    for name, sender in config.events.subscribed.items():
        found[name] = {}
        for resource in sender.resources:
            one = subscription(state, name, resource)
            lives = one is not None and one.id and one.expires_at > now
            found[name][resource] = {
                "expires_at": one.expires_at.isoformat() if one and lives else None,
                "left_s": (one.expires_at - now).total_seconds() if one and lives else 0.0,
            }
    return found


def lapsed(config: Config, state: State, now: datetime) -> dict[str, str]:
    """Return the alarms of senders whose subscriptions could not be kept, each by its name."""
    found = {}
    for name, sender in config.events.subscribed.items():
        kept = [subscription(state, name, resource) for resource in sender.resources]
        late = [now - one.kept_at for one in kept if one is not None and now - one.kept_at > LAPSED]
        if late:
            hours, why = max(late) // timedelta(hours=1), state.remembered(FAULT + name)
            found[f"subscription-lapsed:{name}"] = (
                f"Graph could not be asked to notify [events.{name}] for {hours} hours: "
                f"{why or 'nobody tried, so see that `idsync serve` runs'}"
            )
    return found
