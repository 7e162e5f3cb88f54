"""An access control system in one file: what the `local` adapter talks to.

It stands in for a vendor's server, so it has what such a server has: operators besides
idsync, a catalogue of rights, cards, transactions, a log of every write, and errors of
its own.
"""

from idsync.targets.local_system.session import Session
from idsync.targets.local_system.store import (
    BadContent,
    CardRecord,
    GrantRecord,
    HolderRecord,
    NotAllowed,
    ShortAnswer,
    SystemDown,
    whole_seconds,
)
from idsync.targets.local_system.system import Event, LocalSystem

__all__ = [
    "BadContent",
    "CardRecord",
    "Event",
    "GrantRecord",
    "HolderRecord",
    "LocalSystem",
    "NotAllowed",
    "Session",
    "ShortAnswer",
    "SystemDown",
    "whole_seconds",
]
