"""Salto ProAccess Space by its synchronisation: a staging table, or the CSV form of it.

idsync writes each person's next state into a row and flags it; the product's scheduled job
takes flagged rows, and writes into them what became of it. So a read proves what was asked
for and what the job answered, not what stands in the product: what somebody changes there
by hand is not seen, and is overwritten when the row is next taken.

A row belongs to idsync by its key: in `columns.key`, or in ExtID behind `prefix`. All other
rows are shown without a key and never written. Where the facts stand: salto_rows, salto_lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from idsync.capabilities import profile
from idsync.errors import Refused
from idsync.model import ATTRIBUTES, Cardholder, Change, Outcome
from idsync.targets import Target
from idsync.targets.salto_csv import CsvStore
from idsync.targets.salto_rows import (
    DELETE,
    PLAIN_ACTIONS,
    Row,
    Rules,
    cardholder,
    changed,
    new_row,
)
from idsync.targets.salto_settings import StagingSettings

BATCH = 500
CONFIRMED, SUBMITTED = Outcome(status="confirmed"), Outcome(status="submitted")


class Session(Protocol):
    """Rows that are written together, or not at all."""

    limits: dict[str, int]

    def find(self, key: str) -> list[Row]:
        """Return the rows with exactly this key, kept from others until the session ends."""

    def check_text(self, text: str) -> None:
        """Refuse what cannot be written here."""

    def insert(self, row: Row, now: datetime) -> None:
        """Add *row* for the job to take."""

    def update(self, before: Row, after: Row) -> None:
        """Write what differs, and ask the job to take the row again."""


class Store(Protocol):
    """Where rows stand."""

    def rows(self) -> list[Row]:
        """Return all rows, or raise."""

    def with_key(self, key: str) -> list[Row]:
        """Return the rows with exactly this key."""

    def session(self) -> AbstractContextManager[Session]:
        """Open a session; an error in it leaves everything as it was."""

    def check(self) -> str:
        """Reach the store, and say what stands there."""

    def close(self) -> None:
        """Let go of connections."""


class SaltoStagingTarget(Target):
    """The rows of one staging table or file."""

    class Config(StagingSettings):
        """Keys of a [targets.NAME] table with type = "salto_staging"."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._store = _store(config)
        names = config.names
        attributes = tuple(name for name in ATTRIBUTES if name in names and name in config.limits())
        limits = config.limits()
        key_room = min(
            limits["ext_id"] - len(config.prefix), limits.get("key", 32), limits.get("number", 32)
        )
        latin = config.form == "csv" and config.encoding == "windows-1252"
        self.capabilities = profile(
            "salto-space-6",
            attributes=attributes,
            lengths={name: limits[name] for name in attributes} | {"key": key_room},
            characters="latin-1" if latin else "unicode",
            answer_hours=config.answer_hours,
            offline_hours=config.offline_hours,
            batch=BATCH if config.form == "csv" else 1,
        )

    def read(self) -> Iterator[Cardholder]:
        """Yield every row as a person: as it was asked for, see the head of this file."""
        rows = self._store.rows()
        now = self._now()
        keys = Counter(row.key for row in rows)
        ids = Counter(row.ext_id for row in rows)
        for row in rows:
            is_one = keys[row.key] == 1 and ids[row.ext_id] == 1
            yield cardholder(row, row.key if is_one else None, now)

    def read_one(self, key: str) -> Cardholder | None:
        """Return the person whose row has this key; see `Target.read_one`.

        Raises:
            Refused: several rows have it.
        """
        row = _single(self._store.with_key(key)) if _can_be(key) else None
        return None if row is None else cardholder(row, key, self._now())

    def put(self, change: Change) -> Outcome:
        """Write the person's next state into the row, for the job to take; see `Target.put`."""
        with self._store.session() as session:
            outcome, refusal = self._written(session, change)
        if refusal is not None:  # only now: what takes away is kept
            raise refusal
        return outcome

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        """Put *changes*; in the CSV form by one file for all of them."""
        if self._config.form == "table":
            return super().put_many(changes)
        outcomes = []
        with self._store.session() as session:
            for change in changes:
                try:
                    outcome, refusal = self._written(session, change)
                except Refused as error:
                    outcome, refusal = CONFIRMED, error
                if refusal is not None:
                    outcome = Outcome(status="refused", reason=str(refusal))
                outcomes.append(outcome)
        return outcomes

    def check(self) -> str:
        """Reach the table or the files, writing nothing; see `Target.check`.

        That the product's licence covers synchronisation cannot be seen from here: without
        it, rows wait for ever.
        """
        return f"{super().check()}, {self._store.check()}"

    def close(self) -> None:
        """Let go of the connection."""
        self._store.close()

    # ── writing ─────────────────────────────────────────────────────────────────────────

    def _written(self, session: Session, change: Change) -> tuple[Outcome, Refused | None]:
        rules = self._rules(session)
        before = _single(session.find(change.key)) if _can_be(change.key) else None
        if before is None:
            return self._begun(session, change, rules), None
        after, refusal = changed(before, change, rules)
        if after != before:
            _leave_others_actions(before)
            session.update(before, after)
        elif before.amiss and refusal is None:
            session.update(before, before)
        else:
            return SUBMITTED if before.waiting else CONFIRMED, refusal
        return SUBMITTED, refusal

    def _begun(self, session: Session, change: Change, rules: Rules) -> Outcome:
        if change.before is not None:
            raise Refused(
                "the row that the plan was made from is gone, and the person may still stand in "
                "Salto: look there, then plan again"
            )
        if change.after.status == "suspended":
            return CONFIRMED
        session.insert(new_row(change, rules), rules.now)
        return SUBMITTED

    def _rules(self, session: Session) -> Rules:
        config = self._config
        is_csv = config.form == "csv"
        return Rules(
            prefix=config.prefix,
            limits=session.limits,
            now=self._now(),
            braces=is_csv if config.braces is None else config.braces,
            empty=config.empty_list or ("braces" if is_csv else "null"),
            blocks="blocked" in config.names,
            number="number" in session.limits,
            check_text=session.check_text,
        )

    def _now(self) -> datetime:
        """Return the time in the product's zone, without a zone, as the product keeps times."""
        return datetime.now(self._config.timezone).replace(tzinfo=None)


def _store(config: StagingSettings) -> Store:
    if config.form == "csv":
        return CsvStore(config)
    from idsync.targets.salto_table import TableStore  # SQLAlchemy takes its time

    return TableStore(config)


def _single(rows: list[Row]) -> Row | None:
    if len(rows) > 1:
        raise Refused(f"{len(rows)} rows carry one key: clear the wrong ones by hand")
    return rows[0] if rows else None


def _can_be(key: str) -> bool:
    """Tell whether *key* is text that a row could hold at all."""
    return bool(key) and key.isprintable()


def _leave_others_actions(row: Row) -> None:
    """Refuse to write over an action that others have asked for and the job has not done."""
    if row.waiting and row.action not in PLAIN_ACTIONS and row.action != DELETE:
        raise Refused(
            f"the row waits for another action (Action {row.action}) that others have asked for: "
            "it is written after the import job's next run"
        )
