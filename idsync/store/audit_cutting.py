"""Lets the oldest records of the audit go, a whole signed segment at a time.

A segment ends where a checkpoint was signed. The hash of its last record stays, in a signed
statement that the next record is held against, so that what is left verifies as before. Who
has no key cannot make one: a beginning cut off by somebody else shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from idsync.store.audit_records import Record, canonical, facts_of
from idsync.store.audit_signing import PublicKey, SigningKey
from idsync.store.tables import audit, audit_cut

FORMAT = "idsync.cut/1"


def cut(
    connection: Connection,
    controller: str,
    number: int,
    hash_: str,
    *,
    key: SigningKey,
    limit_days: int,
    kept: Iterable[str],
    now: datetime,
) -> Record | None:
    """Take the records of *controller* up to *number* out; return the record that tells of it.

    Nothing goes (None) if nothing is there, if the record there has another hash than
    *hash_*, or if one is about somebody under a legal hold (aliases *kept*).
    """
    until = (audit.c.controller == controller, audit.c.number <= number)
    last = select(audit.c.hash).where(audit.c.controller == controller, audit.c.number == number)
    stored = connection.execute(last).scalar()
    if not isinstance(stored, bytes) or stored.hex() != hash_:
        return None
    held = select(audit.c.number).where(*until, audit.c.person.in_(list(kept))).limit(1)
    if connection.execute(held).first():
        return None
    counts = (func.min(audit.c.number), func.count(), func.max(audit.c.operation))
    first, count, operation = connection.execute(select(*counts).where(*until)).one()
    facts = {
        "format": FORMAT, "controller": controller, "first": first, "last": number,
        "records": count, "operations": operation, "hash": hash_,
        "limit_days": limit_days, "at": now.isoformat(), "key": key.name,
    }  # fmt: skip
    statement = canonical(facts | {"signature": key.sign(canonical(facts).encode())})
    connection.execute(delete(audit).where(*until))
    connection.execute(delete(audit_cut).where(audit_cut.c.controller == controller))
    connection.execute(
        insert(audit_cut).values(
            controller=controller, number=number, hash=stored, statement=statement
        )
    )
    return Record(kind="cut", controller=controller, facts=facts)


def cuts_of(connection: Connection) -> dict[str, int]:
    """Return the number of the last record that is gone, by controller."""
    query = select(audit_cut.c.controller, audit_cut.c.number)
    return {row.controller: row.number for row in connection.execute(query)}


def read_cuts(
    connection: Connection, keys: Sequence[PublicKey], found: Callable[[str], None]
) -> dict[str, tuple[int, bytes, int]]:
    """Return where each chain that was cut goes on.

    That is number and hash of the last record gone, and the highest operation in any.

    A statement that no known key has signed, or that says another thing than the row, is
    told to *found*, and the chain is taken to have been cut by somebody else.
    """
    known = {key.name: key for key in keys}
    cuts = {}
    for row in connection.execute(select(audit_cut)):
        if _is_signed(row, known):
            highest = facts_of(row.statement)["operations"]
            cuts[row.controller] = (row.number, bytes(row.hash), highest)
        else:
            found(
                f"chain {row.controller!r}: the statement about records up to {row.number} that "
                "retention let go is not genuine, or --public-key is missing"
            )
    return cuts


def _is_signed(row: Row[Any], known: dict[str, PublicKey]) -> bool:
    try:
        told: dict[str, Any] = json.loads(row.statement)
        signature = told.pop("signature")
        key = known[told["key"]]
        says = (told["format"], told["controller"], told["last"], told["hash"])
        stands = (FORMAT, row.controller, row.number, bytes(row.hash).hex())
        genuine = key.verifies(signature, canonical(told).encode())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    whole = canonical(told | {"signature": signature}) == row.statement
    return genuine and whole and says == stands
