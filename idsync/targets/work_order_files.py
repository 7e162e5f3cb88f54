"""The folder that idsync and the landlord share: how files get into it, and whose it is."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from idsync.errors import Denied, Unavailable
from idsync.targets.work_order_tasks import unreadable

MARK = "idsync-ledger.txt"
ORDER_FILE = re.compile(r"order-(\d{6,})[.-]")
OLD_DRAFT_S = 3600


def stem(order: int) -> str:
    """Return how the names of an order's files begin."""
    return f"order-{order:06}"


class Folder:
    """The shared folder. It is never made: one that is not there is not mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> str | None:
        """Return the id of the ledger whose folder this is; None: of none yet.

        Raises:
            Unavailable: the folder is not there.
        """
        try:
            if not self.path.is_dir():
                raise Unavailable(
                    f"folder {self.path} is not there: mount it, or correct `folder` "
                    "(idsync does not make it)"
                )
            return (self.path / MARK).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise unreadable(f"folder {self.path}", error) from None

    def claim(self, ledger: str) -> None:
        """Write down whose folder this is."""
        self.write([(MARK, f"{ledger}\n".encode())])

    def writable(self) -> bool:
        """Whether files may be made here."""
        return os.access(self.path, os.W_OK | os.X_OK)

    def highest(self) -> int:
        """Return the highest number of an order that lies here; 0 if there is none."""
        try:
            found = [ORDER_FILE.match(path.name) for path in self.path.iterdir() if path.is_file()]
        except OSError as error:
            raise unreadable(f"folder {self.path}", error) from None
        return max((int(each.group(1)) for each in found if each), default=0)

    def write(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files one after another, each whole or not at all, and see them on the disk.

        Raises:
            Denied: the folder may not be written to.
            Unavailable: it does not answer.
        """
        try:
            for name, data in files:
                self._write(name, data)
            folder = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except PermissionError:
            raise Denied(
                f"folder {self.path} may not be written to: give idsync the right"
            ) from None
        except OSError as error:
            raise unreadable(f"folder {self.path}", error) from None

    def _write(self, name: str, data: bytes) -> None:
        for left in self.path.glob(f".{name}.*"):  # by a crash; a younger one is being written
            if left.stat().st_mtime < time.time() - OLD_DRAFT_S:
                left.unlink(missing_ok=True)
        draft = self.path / f".{name}.{secrets.token_hex(4)}"
        try:
            handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path / name)
        finally:
            draft.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, or None if it is not there."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(f"folder {self.path}", error) from None

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise unreadable(f"folder {self.path}", error) from None
