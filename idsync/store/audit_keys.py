"""A key and an alias for each person: what is personal in the audit is under the key.

Without the key the sealed part is noise, and without its row the alias points to nobody:
so erasing a person leaves every hash of the chain as it was.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from idsync.errors import IntegrityError
from idsync.store.tables import person_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12  # octets, as NIST SP 800-38D recommends for GCM
AT_ONCE = 500


@dataclass(frozen=True)
class PersonKey:
    """How one person stands in the audit."""

    alias: str
    key: bytes

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.key)

    def seal(self, hidden: Mapping[str, Any]) -> bytes:
        """Return *hidden* so that only this key opens it, and only in a record of this person."""
        text = json.dumps(hidden, separators=(",", ":"), ensure_ascii=False)
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher.encrypt(nonce, text.encode(), self.alias.encode())

    def unseal(self, sealed: bytes) -> dict[str, Any]:
        """Return what was sealed.

        Raises:
            IntegrityError: it was altered, or sealed with another key.
        """
        from cryptography.exceptions import InvalidTag

        try:
            text = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], self.alias.encode())
        except (InvalidTag, ValueError):
            raise IntegrityError(
                "a sealed part of the audit does not open with its person's key: "
                "run `idsync audit verify`"
            ) from None
        opened: dict[str, Any] = json.loads(text)
        return opened


def keys_for(connection: Connection, person_ids: Iterable[str]) -> dict[str, PersonKey]:
    """Return the keys of people, made now for who has none."""
    wanted = sorted(set(person_ids))
    known = known_keys(connection, wanted)
    missing = [person_id for person_id in wanted if person_id not in known]
    if missing:
        rows = [
            {"person_id": one, "alias": str(uuid4()), "key": secrets.token_bytes(32)}
            for one in missing
        ]
        # another transaction may have made one meanwhile: then that one stands
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(person_key).on_conflict_do_nothing(), rows)
        known |= known_keys(connection, missing)
    return known


def known_keys(connection: Connection, person_ids: list[str]) -> dict[str, PersonKey]:
    """Return the keys of those of *person_ids* that have one."""
    found = {}
    for start in range(0, len(person_ids), AT_ONCE):
        some = person_ids[start : start + AT_ONCE]
        query = select(person_key).where(person_key.c.person_id.in_(some))
        for row in connection.execute(query):
            found[row.person_id] = PersonKey(row.alias, row.key)
    return found


def people_of(connection: Connection, aliases: Iterable[str]) -> dict[str, tuple[str, PersonKey]]:
    """Return, by alias, the ids and keys of the people who were not erased."""
    wanted = sorted(set(aliases))
    found = {}
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        query = select(person_key).where(person_key.c.alias.in_(some))
        for row in connection.execute(query):
            found[row.alias] = (row.person_id, PersonKey(row.alias, row.key))
    return found


# ── keeping and forgetting ──────────────────────────────────────────────────────────────


def keep(connection: Connection, person_id: str, reason: str, by: str, now: datetime) -> None:
    """Put a legal hold on somebody: nothing about them is erased until it is released."""
    keys_for(connection, [person_id])
    connection.execute(
        update(person_key)
        .where(person_key.c.person_id == person_id)
        .values(kept_at=now.isoformat(), kept_by=by, kept_reason=reason)
    )


def release(connection: Connection, person_id: str) -> bool:
    """Lift the legal hold on somebody; return whether there was one."""
    lifted = connection.execute(
        update(person_key)
        .where(person_key.c.person_id == person_id, person_key.c.kept_at.is_not(None))
        .values(kept_at=None, kept_by=None, kept_reason=None)
    )
    return lifted.rowcount > 0


def kept(connection: Connection) -> dict[str, str]:
    """Return who is under a legal hold: person id to alias."""
    query = select(person_key.c.person_id, person_key.c.alias).where(
        person_key.c.kept_at.is_not(None)
    )
    return {row.person_id: row.alias for row in connection.execute(query)}


def forget(connection: Connection, person_id: str) -> None:
    """Destroy the key and the alias: from now on nobody opens what was sealed with it."""
    connection.execute(delete(person_key).where(person_key.c.person_id == person_id))
