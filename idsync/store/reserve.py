"""Room kept for revocations, for the day on which the disk of the state is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE = 8 * 2**20
"""In bytes. A revocation in a dozen systems writes less than half a MB."""
ENOUGH = 2**20
"""What has to be free, in bytes, so that a revocation does not need the reserve."""


class Reserve:
    """A file of nothing beside the state. Taking it away makes the room that it held."""

    def __init__(self, state: Path) -> None:
        self._file = state.with_name(state.name + ".reserve")

    def make(self) -> bool:
        """Set the room aside, if it is not; return whether it is."""
        try:
            if self._file.stat().st_size == SIZE:
                return True
        except FileNotFoundError:
            pass
        return _allocated(self._file, SIZE)

    def release(self) -> bool:
        """Give the room away; return whether there was any."""
        try:
            self._file.unlink()
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def opened_if_needed(self) -> Iterator[None]:
        """Within it there is room, if need be the reserved; it is set aside again afterwards."""
        probe = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        if _allocated(probe, ENOUGH):
            probe.unlink(missing_ok=True)
        else:
            self.release()
        try:
            yield
        finally:
            self.make()


def _allocated(file: Path, size: int) -> bool:
    """Make *file* with *size* bytes that are really there; else leave no such file."""
    try:
        handle = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError:
        with suppress(FileNotFoundError):
            file.unlink()
        return False
    finally:
        os.close(handle)
    return True
