"""What tells a damaged row from a sound one. Against a forger stands the audit, not this."""

from __future__ import annotations

import hashlib
import zlib

from idsync.errors import IntegrityError


def digest_of(*parts: str | int | bytes | None) -> str:
    """Return a digest of *parts*, each told from the next."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        # tables are large, and a checksum is had ten times as fast
        text = f"{zlib.crc32(part):08x}" if isinstance(part, bytes) else str(part)
        told = text.encode("utf-8", "surrogatepass")
        digest.update(f"{type(part).__name__} {len(told)} ".encode())
        digest.update(told)
    return digest.hexdigest()


def require_sound(written: str | None, *parts: str | int | bytes | None) -> None:
    """Raise IntegrityError where *parts* are not what *written* is of.

    A row of an older program has none, and is believed.
    """
    if written is not None and written != digest_of(*parts):
        raise IntegrityError(
            "the state is damaged, a row of it is not as it was written: restore its last copy, "
            "then `idsync rebuild`"
        )
