"""A witness outside the database of how far the state has come.

A copy of the state from last week is sound in itself. That it is old shows only beside
something that did not go back with it.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from idsync.errors import ConfigError, IntegrityError

SIZE = 512  # bytes: one sector, which a disk writes whole or not at all


@dataclass(frozen=True, kw_only=True)
class Height:
    """How far a state has come: its newest numbers. A rebuilt state begins a new epoch."""

    instance: str
    epoch: int
    runs: int
    operations: int
    orders: int

    def reaches(self, other: Height) -> bool:
        """Return whether a state of this height knows all that one of *other* did."""
        if self.instance != other.instance:
            return False
        if self.epoch != other.epoch:
            return self.epoch > other.epoch
        return (
            self.runs >= other.runs
            and self.operations >= other.operations
            and self.orders >= other.orders
        )


class Witness:
    """The file with the greatest height that was ever reached. It holds nothing of people."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def seen(self) -> Height | None:
        """Return the height written last; None where there is no witness yet.

        Raises:
            IntegrityError: it is damaged.
            ConfigError: it cannot be read.
        """
        try:
            told = self._file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            raise ConfigError(
                "the witness of the state cannot be read: check [idsync] witness and its rights"
            ) from None
        return _read(told) if told else None

    def note(self, height: Height, *, surely: bool = False) -> None:
        """Write *height* down unless more was; *surely*: it survives a power cut.

        Called when the state itself is durable, so the witness is never ahead of it.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                before = os.pread(handle, SIZE, 0)
                if not before or height.reaches(_read(before)):
                    os.pwrite(handle, _written(height), 0)
                    if surely:
                        os.fsync(handle)
            finally:
                os.close(handle)
        except OSError:
            raise ConfigError(
                "the witness of the state cannot be written: check [idsync] witness, its rights "
                "and its disk"
            ) from None


def _written(height: Height) -> bytes:
    text = json.dumps({"format": "idsync.witness/1", **asdict(height)})
    line = f"{zlib.crc32(text.encode()):08x} {text}".encode()
    return line.ljust(SIZE - 1) + b"\n"


def _read(told: bytes) -> Height:
    check, _, text = told.partition(b" ")
    text = text.rstrip()
    try:
        if int(check, 16) != zlib.crc32(text):
            raise ValueError
        fields = json.loads(text)
        del fields["format"]
        return Height(**fields)
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(
            "the witness of the state is damaged: take that file away and, unless you are sure "
            "that the state is the newest, `idsync rebuild`"
        ) from None
