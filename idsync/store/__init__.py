"""The state: people, ledger, journal and orders. Only this package knows SQL."""

from sqlalchemy import Connection as Transaction

from idsync.store.alarms import Alarm
from idsync.store.circuits import Circuit
from idsync.store.closings import Exposure, Progress
from idsync.store.frames import Frames
from idsync.store.inbox import Event, EventAlarm, Inbox, Settled, Told
from idsync.store.journal import Journal, Operation
from idsync.store.latencies import BOUNDS_MS, Latencies, latencies
from idsync.store.nights import Night
from idsync.store.oncall import Failing
from idsync.store.orders import Approval, Orders, Revocation
from idsync.store.state import Snapshot, State, open_state

__all__ = [
    "BOUNDS_MS",
    "Alarm",
    "Approval",
    "Circuit",
    "Event",
    "EventAlarm",
    "Exposure",
    "Failing",
    "Frames",
    "Inbox",
    "Journal",
    "Latencies",
    "Night",
    "Operation",
    "Orders",
    "Progress",
    "Revocation",
    "Settled",
    "Snapshot",
    "State",
    "Told",
    "Transaction",
    "latencies",
    "open_state",
]
