"""What an operator of the local access system can do, idsync or a local administrator."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from idsync.model import ATTRIBUTES, CredentialState, GrantKind, HolderStatus
from idsync.targets.local_system.store import (
    HOLDERS,
    CardRecord,
    GrantRecord,
    HolderRecord,
    NotAllowed,
    whole_seconds,
)

CARDS = TypeAdapter(list[CardRecord])
GRANTS = TypeAdapter(list[GrantRecord])


class Session:
    """What an operator can do in one transaction. Every write goes into the log of events."""

    def __init__(self, connection: sqlite3.Connection, by: str, *, closed: bool) -> None:
        self._connection = connection
        self._by = by
        self._closed = closed

    def find(self, key: str) -> HolderRecord | None:
        """Return the cardholder with exactly this key, or None."""
        return find(self._connection, "key", key)

    def someone(self, who: str) -> HolderRecord:
        """Return the cardholder with this key, or else with this native id."""
        found = find(self._connection, "key", who) or find(self._connection, "native_id", who)
        if not found:
            raise NotAllowed("no cardholder has this key or native id")
        return found

    def add_record(self, record: HolderRecord) -> str:
        """Add a cardholder with everything it holds; return its native id ("" for nobody)."""
        holder = record.native_id
        if not record.is_nobody:
            holder = self.add_holder(record.key, holder)
            self.set_details(
                holder, {name: value for name in ATTRIBUTES if (value := getattr(record, name))}
            )
            if record.status != "active":
                self.set_status(holder, record.status)
        for card in record.credentials:
            self.issue_card(holder or None, card.number, card.medium, card.state, card.state_reason)
        for grant in record.grants:
            self.grant(
                holder, grant.kind, grant.ref, grant.valid_from, grant.valid_to, grant.note,
                by=grant.granted_by,
            )  # fmt: skip
        return holder

    def add_holder(self, key: str | None, native_id: str = "") -> str:
        """Add an active cardholder that holds nothing; return its native id."""
        native_id = native_id or self._next_native_id()
        self._write("INSERT INTO holder (native_id, key) VALUES (?, ?)", native_id, key)
        self._log("cardholder added", native_id, key=key)
        return native_id

    def set_details(self, native_id: str, details: dict[str, str]) -> None:
        """Write the named attributes; "" empties one."""
        for name in ATTRIBUTES:
            if name in details:
                self._write(
                    f"UPDATE holder SET {name} = ? WHERE native_id = ?",  # noqa: S608 - a name of ATTRIBUTES
                    details[name],
                    native_id,
                )
        if details:
            self._log("details changed", native_id, names=sorted(details))

    def set_status(self, native_id: str, status: HolderStatus) -> None:
        """Suspend a cardholder, or let it back in; what it holds stays as it is."""
        self._write("UPDATE holder SET status = ? WHERE native_id = ?", status, native_id)
        self._log("status changed", native_id, status=status)

    def delete_holder(self, native_id: str) -> None:
        """Delete a cardholder with its grants; its cards stay, without a holder."""
        self._write("DELETE FROM holder WHERE native_id = ?", native_id)
        self._log("cardholder deleted", native_id)

    def add_right(self, kind: GrantKind, ref: str) -> None:
        """Take a right into the catalogue, if it is not there."""
        if not self._knows(kind, ref):
            self._write("INSERT INTO catalogue VALUES (?, ?)", kind, ref)
            self._log("right added", "", kind=kind, ref=ref)

    def grant(
        self,
        native_id: str,
        kind: GrantKind,
        ref: str,
        valid_from: datetime | None,
        valid_to: datetime | None,
        note: str = "",
        *,
        by: str = "",
    ) -> None:
        """Give a right, beside what is there; *by* is who gave it, if not this operator.

        Raises:
            NotAllowed: the catalogue is closed and has no such right.
        """
        if self._closed and not self._knows(kind, ref):
            raise NotAllowed(
                f"the catalogue has no {kind} right {ref!r}: correct the profile, or add the right"
            )
        self.add_right(kind, ref)
        start, end = _stored(valid_from), _stored(valid_to)
        self._write(
            "INSERT INTO grants (holder, kind, ref, valid_from, valid_to, granted_by, note) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            native_id, kind, ref, start, end, by or self._by, note,
        )  # fmt: skip
        self._log("granted", native_id, kind=kind, ref=ref, valid_from=start, valid_to=end)

    def withdraw(self, native_id: str, grant: GrantRecord) -> None:
        """Take one grant away."""
        self._write("DELETE FROM grants WHERE id = ?", grant.id)
        self._log("withdrawn", native_id, **_told(grant))

    def set_end(self, native_id: str, grant: GrantRecord, valid_to: datetime | None) -> None:
        """Give one grant another end."""
        end = _stored(valid_to)
        self._write("UPDATE grants SET valid_to = ? WHERE id = ?", end, grant.id)
        self._log("end changed", native_id, **_told(grant) | {"valid_to": end})

    def issue_card(
        self,
        native_id: str | None,
        number: str,
        medium: str,
        state: CredentialState = "active",
        reason: str = "",
    ) -> None:
        """Add a card in the hands of a cardholder, or of nobody."""
        self._write(
            "INSERT INTO card (holder, number, medium, state, state_reason) VALUES (?, ?, ?, ?, ?)",
            native_id, number, medium, state, reason,
        )  # fmt: skip
        self._log("card issued", native_id or "", number=number, state=state)

    def set_card(
        self, native_id: str, card: CardRecord, state: CredentialState, reason: str
    ) -> None:
        """Set the state of one card and the reason for it."""
        self._write(
            "UPDATE card SET state = ?, state_reason = ? WHERE id = ?", state, reason, card.id
        )
        self._log("card changed", native_id, number=card.number, state=state)

    def move_card(self, number: str, native_id: str | None) -> None:
        """Move every card with this number to a cardholder, or to nobody."""
        moved = self._connection.execute(
            "UPDATE card SET holder = ? WHERE number = ?", [native_id, number]
        ).rowcount
        if not moved:
            raise NotAllowed("no card has this number")
        self._log("card moved", native_id or "", number=number)

    def _knows(self, kind: GrantKind, ref: str) -> bool:
        rows = self._connection.execute(
            "SELECT 1 FROM catalogue WHERE kind = ? AND ref = ?", [kind, ref]
        )
        return rows.fetchone() is not None

    def _next_native_id(self) -> str:
        # Taken from the log, which only grows, so that no id is ever given to two people.
        [number] = self._connection.execute(
            "SELECT coalesce(max(number), 0) + 1 FROM event"
        ).fetchone()
        return f"L{number:09}"

    def _write(self, statement: str, *values: str | int | None) -> None:
        if any(isinstance(value, str) and "\0" in value for value in values):
            raise NotAllowed("a text with a NUL character: correct it")
        self._connection.execute(statement, values)

    def _log(self, what: str, native_id: str, **detail: object) -> None:
        self._connection.execute(
            "INSERT INTO event (at, by, what, native_id, detail) VALUES (?, ?, ?, ?, ?)",
            [datetime.now(UTC).isoformat(), self._by, what, native_id, json.dumps(detail)],
        )


def record_of(row: tuple[Any, ...]) -> HolderRecord:
    """Return the cardholder that a row of HOLDERS tells of."""
    native_id, key, *details, status, cards, grants = row
    return HolderRecord.model_validate(
        {
            "native_id": native_id,
            "key": key,
            **dict(zip(ATTRIBUTES, details, strict=True)),
            "status": status,
            "credentials": CARDS.validate_json(cards),
            "grants": GRANTS.validate_json(grants),
        }
    )


def find(connection: sqlite3.Connection, column: str, value: str) -> HolderRecord | None:
    """Return the cardholder that has exactly *value* in the column key or native_id."""
    row = connection.execute(f"{HOLDERS} WHERE {column} = ?", [value]).fetchone()
    return record_of(row) if row else None


def _stored(instant: datetime | None) -> str | None:
    seconds = whole_seconds(instant)
    return seconds.isoformat() if seconds else None


def _told(grant: GrantRecord) -> dict[str, Any]:
    return grant.model_dump(
        mode="json", include={"kind", "ref", "valid_from", "valid_to", "granted_by"}
    )
