"""Tells systemd how the service is: sd_notify, by one datagram (manual sd_notify(3))."""

from __future__ import annotations

import os
import socket


def notify(message: str) -> None:
    """Send *message* (READY=1, WATCHDOG=1, STOPPING=1, STATUS=…) where somebody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(message.encode(), address)
    except OSError:
        return  # a supervisor that does not listen holds no revocation up


def watchdog_s() -> float | None:
    """Return how often systemd wants to hear of this process, in seconds; None: it does not."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2_000_000 if microseconds.isdecimal() else None
