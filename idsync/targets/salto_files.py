"""Files of the CSV form: read whole, and put in place whole."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from idsync.errors import Incomplete, Unavailable

SEPARATOR = ";"


@dataclass(frozen=True, slots=True)
class Print:
    """What a file was when it was put in place: when, how large, and its digest."""

    time_ns: int
    size: int
    digest: str

    def __str__(self) -> str:
        return f"{self.time_ns}:{self.size}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Print | None:
        """Return what `str` wrote, or None where *text* is something else."""
        match text.split(":"):
            case [time_ns, size, digest] if time_ns.isdigit() and size.isdigit():
                return cls(int(time_ns), int(size), digest)
        return None


def read_whole(path: Path) -> tuple[bytes, int]:
    """Return the content of *path* and when it was written (ns).

    Raises:
        Unavailable: it is not there, or may not be read.
        Incomplete: it was written to while it was read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            before = os.fstat(handle)
            data = file.read()
            after = os.fstat(handle)
    except OSError as error:
        raise Unavailable(
            f"salto_staging: {path} cannot be read ({error.strerror}): check path and rights"
        ) from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(
        data
    ) != after.st_size:
        raise Incomplete(f"salto_staging: {path} changed while it was read: read it again")
    return data, after.st_mtime_ns


def put_whole(path: Path, data: bytes, *, mode: int = 0o666) -> Print:
    """Put *data* at *path* so that everybody sees all of it or nothing, a power cut included.

    There is one writer at a time (`held`), so what a killed one left is written over.

    Raises:
        Unavailable: it cannot be written, or somebody holds what stands there.
    """
    scratch = path.with_name(f".{path.name}.part")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(scratch, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        written = scratch.stat().st_mtime_ns
        scratch.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise Unavailable(
            f"salto_staging: {path} cannot be written ({error.strerror}): check its folder and "
            "whether somebody holds it open"
        ) from None
    return Print(written, len(data), hashlib.sha256(data).hexdigest())


def lock_of(path: Path) -> Path:
    """Return the file by which writers of *path* keep each other out."""
    return path.with_name(path.name + ".lock")


def mark_written(path: Path) -> None:
    """Note that *path* has been written once: from now on it is missed when it is gone."""
    with suppress(OSError):
        lock_of(path).write_text("written\n", encoding="ascii")


def was_written(path: Path) -> bool:
    """Tell whether *path* has ever been written."""
    lock = lock_of(path)
    return lock.exists() and lock.stat().st_size > 0


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep every other writer of *path* out; a writer that dies lets go by itself.

    Raises:
        Unavailable: another is writing, or the folder does not take the lock's file.
    """
    lock = lock_of(path)
    try:
        handle = lock.open("a")
    except OSError as error:
        raise Unavailable(
            f"salto_staging: {lock} cannot be written ({error.strerror}): check its folder"
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable(f"salto_staging: another is writing {path}: try again") from None
        yield


def digests(folder: Path, sizes: set[int]) -> set[str]:
    """Return the digests of the files in *folder* that have one of *sizes*.

    Raises:
        Unavailable: the folder cannot be read.
    """
    try:
        files = [each for each in folder.iterdir() if each.is_file() and not each.is_symlink()]
        alike = [each for each in files if each.stat().st_size in sizes]
    except OSError as error:
        raise Unavailable(
            f"salto_staging: {folder} cannot be read ({error.strerror}): check archive"
        ) from None
    return {hashlib.sha256(read_whole(each)[0]).hexdigest() for each in alike}


def table_text(head: Sequence[str], rows: Iterable[Mapping[str, str]], *, header: bool) -> str:
    """Return *rows* as lines with the columns of *head*."""
    written = io.StringIO()
    writer = csv.writer(written, delimiter=SEPARATOR, lineterminator="\r\n")
    if header:
        writer.writerow(head)
    writer.writerows([row.get(name, "") for name in head] for row in rows)
    return written.getvalue()


def table_rows(text: str, path: Path) -> list[dict[str, str]]:
    """Return the lines of *text* by the columns that its first line names.

    Raises:
        Incomplete: its last line is not finished, or a line has more or fewer cells.
    """
    if text and not text.endswith("\n"):
        raise Incomplete(f"salto_staging: {path} ends within a line: read it when it is finished")
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=SEPARATOR, strict=True))
    if not lines:
        raise Incomplete(f"salto_staging: {path} is empty: read it when it is written")
    head, *rows = lines
    if any(len(row) != len(head) for row in rows):
        raise Incomplete(f"salto_staging: {path} has lines of other lengths than its first")
    return [dict(zip(head, row, strict=True)) for row in rows]
