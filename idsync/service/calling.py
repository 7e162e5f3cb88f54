"""Tells the on-call of alarms that nobody sees to, by every way there is, until somebody does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from idsync.config import Config
from idsync.errors import IdsyncError, IntegrityError, NoRoom, Unavailable
from idsync.service import calling_mail, calling_webhook
from idsync.service.calling_words import Message, message_of
from idsync.store import State
from idsync.together import workers

LEASE = timedelta(minutes=2)
"""For how long one process has a way to itself: longer than any try takes. One that dies
within it is followed by another after it, with the same message's id."""


@dataclass(frozen=True, kw_only=True)
class Called:
    """What became of one try. `told`: somebody took it. `reason`: what was wrong; "": nothing."""

    way: str
    alarms: tuple[str, ...] = ()
    told: bool
    reason: str = ""


def call(config: Config, state: State, clock: Callable[[], datetime]) -> list[Called]:
    """Tell what is due by each way, the ways side by side, and return what became of it.

    Ways do not wait for each other, nor does one rely on another: each tells everything.
    """
    oncall = config.oncall
    standing = state.alarms.all()
    state.calls.forget(standing)
    loud = [one for one in standing if one.acknowledged_at is None]

    def by(way: str) -> Called | None:
        mine = [one for one in loud if oncall.wants(one.name, way)]
        now = clock()
        if not state.calls.due(way, mine, oncall.again, now):
            return None
        if not state.calls.claim(way, LEASE, now):
            return None
        due = state.calls.due(way, mine, oncall.again, now)  # whoever had it may have told all
        message = message_of(config, state, way, due, now)
        called, wait = _try(config, way, message)
        with state.urgent():
            if called.told:
                state.calls.told(way, due, clock())
            if called.reason:
                state.calls.failed(way, called.reason, clock(), wait)
        return called

    if not loud or not oncall.ways:
        return []
    with workers(len(oncall.ways)) as pool:
        return [one for one in pool.map(by, oncall.ways) if one is not None]


def try_out(config: Config, state: State, clock: Callable[[], datetime]) -> list[Called]:
    """Send a trial by every way; one that works is no longer told as failing."""

    def by(way: str) -> Called:
        called, _ = _try(config, way, message_of(config, state, way, [], clock()))
        if called.told and not called.reason:
            state.calls.told(way, [], clock())
        else:
            state.calls.failed(way, called.reason, clock())
        return called

    with workers(len(config.oncall.ways)) as pool:
        return list(pool.map(by, config.oncall.ways))


def look(config: Config) -> dict[str, str]:
    """Return what is wrong with each way as far as that shows without a message; "": nothing."""

    def by(way: str) -> str:
        oncall = config.oncall
        try:
            if way == "mail" and oncall.mail is not None:
                calling_mail.look(oncall.mail)
            elif oncall.webhook is not None:
                calling_webhook.look(oncall.webhook)
        except IdsyncError as error:
            return str(error)
        return ""

    with workers(len(config.oncall.ways)) as pool:
        return dict(zip(config.oncall.ways, pool.map(by, config.oncall.ways), strict=True))


def _try(config: Config, way: str, message: Message) -> tuple[Called, timedelta | None]:
    """Send *message* by *way*: what became of it, and how long the other side wants to be left."""
    oncall, reason, told, wait = config.oncall, "", True, None
    try:
        if way == "mail" and oncall.mail is not None:
            reason = calling_mail.mail(oncall.mail, message)
        elif oncall.webhook is not None:
            calling_webhook.post(oncall.webhook, message)
    except (IntegrityError, NoRoom):
        raise  # the state's own
    except IdsyncError as error:
        told, reason = False, str(error)
        if isinstance(error, Unavailable) and error.retry_after_s:
            wait = timedelta(seconds=min(error.retry_after_s, 3600.0))
    except Exception as error:  # a fault in one way keeps neither the other nor the service
        told, reason = False, f"{way} failed ({type(error).__name__}): report it"
    names = tuple(one.name for one in message.alarms)
    return Called(way=way, alarms=names, told=told, reason=reason), wait
