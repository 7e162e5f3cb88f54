"""The tables of the state. Bulk facts are columnar parts; what is looked up singly has rows."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

VERSION = 1
"""Of the schema. An older program refuses a newer state."""

metadata = MetaData()

# Instants are ISO texts in UTC: they sort, and both databases hold them alike.

meta = Table(
    "meta", metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)  # fmt: skip

part = Table(
    "part", metadata,
    Column("frame", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("low", String),   # smallest and largest value of the frame's first column,
    Column("high", String),  # so that one person is found without reading the rest
    Column("rows", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)  # fmt: skip

snapshot = Table(
    "snapshot", metadata,
    Column("source", String, primary_key=True),
    Column("accepted_at", String, nullable=False),
    Column("records", Integer, nullable=False),
    Column("content", String, nullable=False),  # digest of the records
    Column("proof", Text, nullable=False),
    Column("cursor", Text),
)  # fmt: skip

journal = Table(
    "journal", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", Integer, nullable=False),
    Column("target", String, nullable=False),
    Column("person_id", String, nullable=False),
    Column("items", Text, nullable=False),  # the rows of the plan that this operation carries out
    # intent, confirmed, submitted, partly, refused, unknown
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("intent_at", String, nullable=False),
    Column("outcome_at", String),
    Column("folded", Boolean, nullable=False),  # its effect on the ledger is in the ledger's frame
)  # fmt: skip
Index("journal_open", journal.c.folded, journal.c.target)
Index("journal_person", journal.c.person_id)

revocation = Table(
    "revocation", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("person_id", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ordered_by", String, nullable=False),
    Column("ordered_at", String, nullable=False),
    Column("lifted_at", String),
    Column("lifted_by", String),
    Column("lifted_reason", Text),
)  # fmt: skip
Index("revocation_person", revocation.c.person_id)

approval = Table(
    "approval", metadata,
    Column("digest", String, primary_key=True),
    Column("scope", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("people", Integer, nullable=False),
    Column("base", Integer, nullable=False),
    Column("allowed", Integer, nullable=False),
    Column("seen_at", String, nullable=False),
    Column("state", String, nullable=False),  # held, approved, used, gone
    Column("approved_by", String),
    Column("approved_at", String),
    Column("reason", Text),
)  # fmt: skip

run = Table(
    "run", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("command", String, nullable=False),
    Column("started_at", String, nullable=False),
    Column("ended_at", String),
    Column("outcome", String),
    Column("summary", Text),
)  # fmt: skip
