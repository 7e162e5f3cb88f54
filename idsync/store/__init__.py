"""The state: people, ledger, journal and orders. Only this package knows SQL."""

from sqlalchemy import Connection as Transaction

from idsync.store.alarms import Alarm
from idsync.store.circuits import Circuit
from idsync.store.closings import Exposure
from idsync.store.frames import Frames
from idsync.store.inbox import Event, EventAlarm, Inbox, Settled, Told
from idsync.store.journal import Journal, Operation
from idsync.store.nights import Night
from idsync.store.orders import Approval, Orders, Revocation
from idsync.store.state import Snapshot, State, open_state

__all__ = [
    "Alarm",
    "Approval",
    "Circuit",
    "Event",
    "EventAlarm",
    "Exposure",
    "Frames",
    "Inbox",
    "Journal",
    "Night",
    "Operation",
    "Orders",
    "Revocation",
    "Settled",
    "Snapshot",
    "State",
    "Told",
    "Transaction",
    "open_state",
]
