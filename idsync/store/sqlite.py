"""What errors of SQLite mean, and where its file must not stand.

Facts from sqlite.org: Result and Error Codes; Write-Ahead Logging, part 1 (all users of a
database on one host); How To Corrupt An SQLite Database File, parts 2 and 3.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from idsync.errors import (
    ConfigError,
    DiskFailed,
    IdsyncError,
    IntegrityError,
    NoRoom,
    Unavailable,
)

NO_ROOM = NoRoom(
    "there is no room for the state: make room on its disk, then run again; revocations go on "
    "meanwhile in the space kept for them"
)

SHARED = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs"))
"""File systems of another machine's, by their names in mountinfo: no locks hold there for sure."""

MEANINGS: dict[int, tuple[type[IdsyncError], str]] = {
    sqlite3.SQLITE_IOERR_SHORT_READ: (
        IntegrityError, "the state is cut short: restore its last copy, then `idsync rebuild`"
    ),
    sqlite3.SQLITE_IOERR: (
        DiskFailed,
        "the disk of the state failed, and idsync ends at once: nothing counts as written that "
        "was not; have the disk looked at before the next run",
    ),
    sqlite3.SQLITE_CORRUPT: (
        IntegrityError, "the state is damaged: restore its last copy, then `idsync rebuild`"
    ),
    sqlite3.SQLITE_NOTADB: (IntegrityError, "is not an idsync state, or is damaged"),
    sqlite3.SQLITE_CONSTRAINT: (
        IntegrityError, "the state refuses what no state refuses: it is damaged; restore its copy"
    ),
    sqlite3.SQLITE_BUSY: (
        Unavailable, "the state is kept by another program too long: run again"
    ),
    sqlite3.SQLITE_READONLY: (
        ConfigError, "the state may not be written: check the rights of its file and folder"
    ),
    sqlite3.SQLITE_PERM: (
        ConfigError, "the state may not be opened: check the rights of its file and folder"
    ),
    sqlite3.SQLITE_CANTOPEN: (
        ConfigError,
        "the state cannot be opened: check [idsync] state, its folder and its rights",
    ),
}  # fmt: skip
"""By extended code where it stands here, else by primary code."""

DAMAGED = (
    "no such", "has no column", "Could not decode", "malformed", "unsupported file format",
)  # fmt: skip
"""Words on a head, a schema or a text that was sound when it was written, whatever the code."""


def told(error: BaseException | None, file: Path) -> IdsyncError | None:
    """Return SQLite's *error* in idsync's words; None for a fault of idsync's own.

    Nothing of what SQLite wrote is repeated: it may hold values.
    """
    if isinstance(error, UnicodeDecodeError):  # a text, or what is wrong with the schema
        kind, sentence = MEANINGS[sqlite3.SQLITE_CORRUPT]
        return kind(sentence)
    if not isinstance(error, DBAPIError) or not isinstance(error.orig, sqlite3.Error):
        return None
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        return NoRoom(str(NO_ROOM))
    words = str(error.orig)
    if any(part in words for part in DAMAGED):
        code = sqlite3.SQLITE_CORRUPT
    found = MEANINGS.get(code or 0) or MEANINGS.get((code or 0) & 0xFF)
    if found is None:
        return None
    kind, sentence = found
    return kind(f"{file} {sentence}" if code == sqlite3.SQLITE_NOTADB else sentence)


def refuse_shared(file: Path, mounts: str) -> None:
    """Raise ConfigError where *file* stands on another machine's disk by *mounts*.

    *mounts* is in the form of /proc/self/mountinfo: mount point in field 5, type after " - ".
    """
    there, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        point = fields[4].encode().decode("unicode_escape") if len(fields) > 4 else ""
        inside = point and file.is_relative_to(point)
        if inside and len(point) >= len(there) and after:
            there, kind = point, after.split(" ")[0]
    if kind in SHARED:
        raise ConfigError(
            f"the state stands on a network share ({kind}), where no lock holds for sure: put it "
            "on a disk of this machine, or in PostgreSQL"
        )
