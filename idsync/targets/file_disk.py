"""Files on the disk: read whole, written whole or not at all, by one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from idsync.errors import Denied, Incomplete, Unavailable

MEGABYTE = 1024 * 1024
NEW = ".new"
FOR_US_AND_OUR_GROUP = 0o660
BUSY_S = 1.0
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another."""

    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Return the stamp of what *found* tells."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Content:
    """The whole content of a file, and which state of it that was."""

    data: bytes
    stamp: Stamp


def read_whole(path: Path, max_mb: int) -> Content | None:
    """Return the file at *path*, which nobody wrote to meanwhile, or None where there is none.

    A symbolic link as its last part is not followed: whoever may write to the folder
    could point it at any file.

    Raises:
        Denied: it may not be read.
        Unavailable: it is no plain file, or the disk does not answer.
        Incomplete: it is larger than *max_mb*, or was written to while it was read.
    """
    try:
        # A named pipe would let open() wait for ever; O_NONBLOCK changes nothing for a file.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _told(path, "cannot be opened", error) from None
    try:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise Unavailable(f"{path}: is not a file: correct the path")
        if before.st_size > max_mb * MEGABYTE:
            raise Incomplete(
                f"{path}: has {before.st_size // MEGABYTE} MB and max_mb allows {max_mb}: "
                "raise max_mb if the file is right"
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(before.st_size + 1)
        after = os.fstat(handle)
    except OSError as error:
        raise _told(path, "cannot be read", error) from None
    finally:
        os.close(handle)
    if Stamp.of(before) != Stamp.of(after) or len(data) != before.st_size:
        raise Incomplete(f"{path}: changed while it was read: read it when it is finished")
    return Content(data, Stamp.of(after))


def stamp_of(path: Path) -> Stamp | None:
    """Return which state of the file stands there now, or None where there is none."""
    try:
        return Stamp.of(path.lstat())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _told(path, "cannot be looked at", error) from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other writer out; one that dies lets go by itself.

    Raises:
        Unavailable: another one is at work, or there is no such folder.
    """
    lock = lock_of(path)
    try:
        handle = os.open(
            lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FOR_US_AND_OUR_GROUP
        )
    except OSError as error:
        raise _told(lock, "cannot be made", error) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"{path}: another program is writing it: later", BUSY_S) from None
        except OSError as error:
            raise _told(lock, "cannot be locked", error) from None
        yield
    finally:
        os.close(handle)


def lock_of(path: Path) -> Path:
    """Return the file that a writer of *path* locks; hidden, so that no import takes it."""
    return path.with_name(f".{path.name}.lock")


def was_written(path: Path) -> bool:
    """Tell whether idsync has written the file before, so that its absence is no beginning."""
    stamp = stamp_of(lock_of(path))
    return stamp is not None and stamp.size > 0


def mark_written(path: Path) -> None:
    """Remember, beside the file, that it was written; only under the lock."""
    if not was_written(path):
        with suppress(OSError):
            lock_of(path).write_bytes(b"written\n")


def replace_whole(path: Path, data: bytes, seen: Stamp | None) -> Stamp:
    """Put *data* in the place of the file, of which the state *seen* was read; return the new.

    Raises:
        Unavailable: somebody changed the file meanwhile, or the disk does not take it: the
            old file stands.
    """
    new = _written(path, data, like=path if seen else None)
    try:
        if stamp_of(path) != seen:
            raise Unavailable(f"{path}: somebody changed it meanwhile: later", BUSY_S)
        stamp = Stamp.of(new.lstat())
        new.replace(path)
        _keep(path.parent)
    except OSError as error:
        raise _told(path, "cannot be written", error) from None
    finally:
        new.unlink(missing_ok=True)
    return stamp


def put_beside(path: Path, data: bytes) -> None:
    """Make the file *path* with *data*, whole from its first moment; never in another's place.

    Raises:
        Unavailable: there is such a file, or the disk does not take it.
    """
    new = _written(path, data)
    try:
        try:
            os.link(new, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if stamp_of(path) is not None:  # only we give such names, and we hold the lock
                raise FileExistsError(errno.EEXIST, "File exists") from None
            new.rename(path)
        _keep(path.parent)
    except OSError as error:
        raise _told(path, "cannot be put there", error) from None
    finally:
        new.unlink(missing_ok=True)


def _written(path: Path, data: bytes, like: Path | None = None) -> Path:
    """Return a hidden file in the same folder that holds *data*, on the disk."""
    new = path.with_name(f".{path.name}{NEW}")  # one name: a leftover of a crash is used up
    try:
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, FOR_US_AND_OUR_GROUP), "wb") as file:
            if like is not None:
                _resemble(file.fileno(), like)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise _told(path, "cannot be written", error) from None
    return new


def _resemble(handle: int, path: Path) -> None:
    """Give the new file the rights of the old one, and its owners as far as that is allowed."""
    old = path.lstat()
    for owner, group in ((old.st_uid, -1), (-1, old.st_gid)):
        with suppress(PermissionError):
            os.fchown(handle, owner, group)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _keep(folder: Path) -> None:
    """Let the folder's new entry survive a power cut, where the file system can."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def _told(path: Path, what: str, error: OSError) -> Unavailable | Denied:
    if error.errno == errno.ELOOP:
        return Unavailable(f"{path}: is a symbolic link, which is not followed: give the file")
    if isinstance(error, PermissionError):
        return Denied(f"{path}: {what}: give idsync's account the right to it and its folder")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"{path}: {what}: the disk is full: make room")
    return Unavailable(f"{path}: {what}: {error.strerror}: check the path")
