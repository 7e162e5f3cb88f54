"""Signed checkpoints outside the database: where every chain stood, and when.

A file that only grows: one JSON object a line, each signed (Ed25519, RFC 8032) and naming
the hash of the line before it. Whoever rewrites a chain, cuts its tail or brings an older
state back cannot make the lines fit. Nothing in it is personal: keep copies elsewhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, func, select

from idsync.errors import ConfigError, IntegrityError
from idsync.store.audit_records import canonical
from idsync.store.audit_signing import PublicKey, SigningKey
from idsync.store.putting import put
from idsync.store.tables import audit_head, journal, meta, run

FORMAT = "idsync.checkpoint/1"
WRITTEN = "checkpoints:"
"""Under this name, followed by the key's, the state remembers how many it has written."""
RETIRED = "operations retired"
"""Under this name the state remembers the highest operation that left the journal."""


class Checkpoints:
    """The file, and the key that signs in it."""

    def __init__(
        self, file: Path, key: SigningKey, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.file = file
        self.key = key
        self._clock = clock

    def write(self, engine: Engine) -> None:
        """Add a line that tells where every chain stands, unless the last one tells so.

        Raises:
            ConfigError: the file cannot be written or read.
            IntegrityError: the last line saw more than there is, or a head is damaged.
        """
        with self._opened() as handle:  # nobody else adds a line meanwhile
            last, torn = _last_line(handle)
            with engine.connect().execution_options(reads=True) as connection:
                stands = standing(connection)
                written = written_by(connection, self.key.name)
            before = json.loads(last) if last else {}
            if all(before.get(name) == value for name, value in stands.items()):
                return
            self._require_later(before, stands)
            line = {
                # where the file was lost, its next line says so by its number
                "format": FORMAT, "number": max(before.get("number", 0), written) + 1,
                "previous": hashlib.sha256(last).hexdigest() if last else "",
                "at": self._clock().isoformat(timespec="seconds"), "key": self.key.name,
                **stands,
            }  # fmt: skip
            left = (b"\n" if torn else b"") + signed_line(line, self.key) + b"\n"
            while left:  # a disk that is nearly full takes a part, and refuses the next
                left = left[handle.write(left) :]
            os.fsync(handle.fileno())
        with engine.begin() as connection:
            _remember(connection, WRITTEN + self.key.name, line["number"])

    def start_over(self, engine: Engine, now: datetime) -> Path:
        """Begin a new file, after a state that was lost was rebuilt; return where the old one is.

        What was signed before is kept, and still tells what is missing.
        """
        old = self.file.with_name(f"{self.file.name}.{now:%Y%m%dT%H%M%S}")
        self.file.rename(old)
        with engine.begin() as connection:
            _remember(connection, WRITTEN + self.key.name, 0)
        self.write(engine)
        return old

    def _require_later(self, before: dict[str, Any], stands: dict[str, Any]) -> None:
        """Refuse to sign for a state that knows less than what was signed already."""
        if before.get("instance") not in (None, stands["instance"]):
            raise ConfigError(
                f"{self.file} holds the checkpoints of another state: name a file of its own in "
                "[idsync] checkpoints"
            )
        heads = stands["heads"]
        for controller, (number, _) in before.get("heads", {}).items():
            if heads.get(controller, [0])[0] < number:
                raise IntegrityError(
                    "the state is older than the last signed checkpoint: an old copy was brought "
                    "back, or records were cut. Look with `idsync audit verify`"
                )

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW
            with os.fdopen(os.open(self.file, flags, 0o640), "r+b", buffering=0) as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield handle
        except OSError as error:
            raise ConfigError(
                f"the audit's checkpoints cannot be written to {self.file} ({error.strerror}): "
                "check [idsync] checkpoints, the rights of its folder and its room"
            ) from None


def standing(connection: Connection) -> dict[str, Any]:
    """Return where the state stands: the head of each chain, its runs and its operations.

    Raises:
        IntegrityError: somebody put into a head what is none.
    """
    heads = {}
    for row in connection.execute(select(audit_head).order_by(audit_head.c.controller)):
        if not isinstance(row.number, int) or not isinstance(row.hash, bytes):
            raise IntegrityError(
                "the head of a chain of the audit is damaged: look with `idsync audit verify`"
            )
        heads[row.controller] = [row.number, row.hash.hex()]
    value = select(meta.c.value).where(meta.c.name == "instance")
    return {
        "instance": connection.execute(value).scalar() or "",
        "runs": connection.execute(select(func.max(run.c.id))).scalar() or 0,
        "operations": max(
            connection.execute(select(func.max(journal.c.id))).scalar() or 0,
            retired_up_to(connection),
        ),
        "heads": heads,
    }


def signed_line(line: dict[str, Any], key: SigningKey) -> bytes:
    """Return *line* as canonical JSON, with the signature of it without one."""
    signature = key.sign(canonical(line).encode())
    return canonical(line | {"signature": signature}).encode()


def last_checkpoint(file: Path) -> dict[str, Any] | None:
    """Return the last whole line of *file*, or None where there is none.

    It has instance, runs, operations (the highest numbers given out), heads (controller to
    number and hash) and at. Nothing is verified: that is `read_checkpoints`.
    """
    try:
        with file.open("rb") as handle:
            last, _ = _last_line(handle)
    except OSError:
        return None
    line: dict[str, Any] | None = json.loads(last) if last else None
    return line


@dataclass(frozen=True, kw_only=True)
class Witness:
    """What the checkpoints say: those that are genuine, and what is wrong with the file."""

    lines: list[dict[str, Any]]
    problems: list[str]


def read_checkpoints(file: Path, keys: Sequence[PublicKey]) -> Witness:
    """Return the genuine lines of *file*, and a sentence for everything forged or missing.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
    """
    known = {key.name: key for key in keys}
    lines: list[dict[str, Any]] = []
    problems: list[str] = []
    before = b""
    try:
        with file.open("rb") as handle:
            for row, text in enumerate(handle, 1):
                stripped = text.rstrip(b"\n")
                line = parsed(stripped)
                if line is None:
                    continue  # torn by a crash, or destroyed: then the next one does not follow it
                told = f"{file.name} line {row}"
                fault = _fault(line, stripped, known, before, lines[-1] if lines else None)
                if fault:
                    problems.append(f"{told} {fault}")
                if fault != FORGED:
                    lines.append(line)
                    before = stripped
    except OSError as error:
        raise ConfigError(
            f"the checkpoints {file} cannot be read ({error.strerror}): name them with "
            "--checkpoints"
        ) from None
    return Witness(lines=lines, problems=problems)


def is_genuine(line: dict[str, Any], text: bytes, keys: Mapping[str, PublicKey]) -> bool:
    """Return whether *line*, as it stands in *text*, was signed by one of *keys* (by name)."""
    unsigned = {name: value for name, value in line.items() if name != "signature"}
    key = keys.get(str(line.get("key")))
    signature = line.get("signature")
    return (
        key is not None
        and isinstance(signature, str)
        and canonical(line).encode() == text
        and key.verifies(signature, canonical(unsigned).encode())
    )


FORGED = "is not signed by a key that is known here: it is forged, or --public-key is missing"


def _fault(
    line: dict[str, Any],
    text: bytes,
    keys: dict[str, PublicKey],
    before: bytes,
    earlier: dict[str, Any] | None,
) -> str:
    if not is_genuine(line, text, keys):
        return FORGED
    if earlier is None:
        return "" if line["number"] == 1 else "is not the first: those before it are missing"
    follows = line["previous"] == hashlib.sha256(before).hexdigest()
    if not follows or line["number"] != earlier["number"] + 1:
        return f"does not follow number {earlier['number']}: some are missing between them"
    return ""


def parsed(text: bytes) -> dict[str, Any] | None:
    """Return the checkpoint that a line of the file holds, genuine or not; None: it holds none."""
    try:
        line = json.loads(text)
        canonical(line)
    except (ValueError, TypeError):
        return None
    return line if isinstance(line, dict) and line.get("format") == FORMAT else None


def written_by(connection: Connection, name: str) -> int:
    """Return how many checkpoints this state remembers to have signed with the key *name*.

    Raises:
        IntegrityError: somebody changed what it remembers.
    """
    return _remembered(connection, WRITTEN + name)


def retired_up_to(connection: Connection) -> int:
    """Return the highest operation that retention or an erasure has taken out of the journal.

    Raises:
        IntegrityError: somebody changed what is remembered.
    """
    return _remembered(connection, RETIRED)


def _remembered(connection: Connection, name: str) -> int:
    value = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar() or 0
    try:
        return int(value)
    except ValueError:
        raise IntegrityError(
            f"what the state remembers as {name!r} is no number: it was changed"
        ) from None


def retire(connection: Connection, highest: int) -> None:
    """Remember that operations up to *highest* may have left the journal."""
    if highest > retired_up_to(connection):
        _remember(connection, RETIRED, highest)


def _remember(connection: Connection, name: str, number: int) -> None:
    put(connection, meta, {"name": name, "value": str(number)})


def _last_line(handle: IO[bytes]) -> tuple[bytes, bool]:
    """Return the last line that is whole, without its end, and whether the file ends in a line.

    A crash may have torn off no more than the end of a line: then it is whole, and counts.
    """
    end = handle.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start:
        step = min(start, 65_536)
        start -= step
        handle.seek(start)
        tail = handle.read(step) + tail
        whole = tail.split(b"\n")
        for text in reversed(whole[1 if start else 0 :]):
            if parsed(text) is not None:
                return text, whole[-1] != b""
    if end and not tail.strip():
        raise IntegrityError("the checkpoints of the audit are damaged: restore the file")
    return b"", bool(end) and not tail.endswith(b"\n")
