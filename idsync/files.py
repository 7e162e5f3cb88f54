"""A file, read once and whole, as bytes and as text."""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from idsync.errors import Denied, Incomplete, Unavailable

MEGABYTE = 1024 * 1024
CODECS = {"utf-8": "utf-8-sig", "windows-1252": "cp1252", "iso-8859-1": "iso8859-1"}
CONTROLS = re.compile("[\x80-\x9f]")  # ISO 8859-1 has only controls there; Windows has letters


@dataclass(frozen=True, slots=True)
class File:
    """The whole content of a file, and when it was last written (UTC)."""

    path: Path
    data: bytes
    modified: datetime

    def line_at(self, offset: int) -> int:
        """Return the number of the line that holds the byte at *offset*; the first is 1."""
        return self.data.count(b"\n", 0, offset) + 1


def read_file(path: Path, max_mb: int) -> File:
    """Return the file at *path*, which nobody wrote to meanwhile.

    A symbolic link as its last part is not followed: whoever may write to a drop folder
    could point it at any file.

    Raises:
        Unavailable: there is no such plain file, or it may not be read.
        Denied: anybody on this machine may have written it.
        Incomplete: it is larger than *max_mb*, or was written to while it was read.
    """
    try:
        # A named pipe would let open() wait for ever; O_NONBLOCK changes nothing for a file.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(f"{path}: cannot be opened: {_reason(error)}") from None
    try:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise Unavailable(f"{path}: is not a file: correct the path")
        _refuse_what_anybody_wrote(path, before)
        if before.st_size > max_mb * MEGABYTE:
            raise Incomplete(
                f"{path}: has {before.st_size / MEGABYTE:.0f} MB and max_mb allows {max_mb}: "
                "raise max_mb if the file is right"
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(before.st_size + 1)
        after = os.fstat(handle)
    except OSError as error:
        raise Unavailable(
            f"{path}: cannot be read: {error.strerror}: read it again later"
        ) from None
    finally:
        os.close(handle)
    unchanged = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not unchanged or len(data) != before.st_size:
        raise Incomplete(f"{path}: changed while it was read: read it when it is finished")
    return File(path, data, datetime.fromtimestamp(after.st_mtime, UTC))


def _refuse_what_anybody_wrote(path: Path, file: os.stat_result) -> None:
    """Raise Denied where not only the file's owner and group decide what is in it.

    In a folder that everybody may write to, such as /tmp, everybody may put a file of
    their own: there it has to be that of idsync's own account, or of root.
    """
    if file.st_mode & stat.S_IWOTH:
        raise Denied(f"{path}: anybody may write to it: take that right away (chmod o-w)")
    folder = path.parent.stat()
    mine = file.st_uid in (0, os.geteuid()) and folder.st_mode & stat.S_ISVTX
    if folder.st_mode & stat.S_IWOTH and not mine:
        raise Denied(f"{path}: anybody may write to its folder: take that right away (chmod o-w)")


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it is a symbolic link, which is not followed: give the path of the file itself"
    return f"{error.strerror}: check the path and its rights"


def decode(file: File, encoding: str) -> str:
    """Return the file's text, its line ends as "\\n", decoded exactly as *encoding* says.

    Raises:
        Incomplete: some bytes are not text in that encoding, or clearly are in another.
    """
    data = file.data
    if b"\0" in data:
        line = file.line_at(data.index(b"\0"))
        raise Incomplete(
            f"{file.path}: line {line}: holds a NUL byte: write the file as {encoding}"
        )
    try:
        text = data.decode(CODECS[encoding])
    except UnicodeDecodeError as error:
        line = file.line_at(error.start)
        raise Incomplete(
            f"{file.path}: line {line}: is not {encoding}: correct the file or set encoding"
        ) from None
    if encoding != "utf-8" and not data.isascii():
        _refuse_other_encodings(file, text, encoding)
    return text.replace("\r\n", "\n") if "\r" in text else text


def _refuse_other_encodings(file: File, text: str, encoding: str) -> None:
    """Refuse what decodes without an error and still gives wrong letters."""
    try:
        file.data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        line = file.line_at(next(i for i, byte in enumerate(file.data) if byte > 127))
        raise Incomplete(f'{file.path}: line {line}: is UTF-8: set encoding = "utf-8"')
    if encoding == "iso-8859-1" and (control := CONTROLS.search(text)):
        line = file.line_at(control.start())
        raise Incomplete(
            f"{file.path}: line {line}: holds a character that ISO 8859-1 has no letter for: "
            'try encoding = "windows-1252"'
        )
