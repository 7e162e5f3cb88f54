"""The tables of the state. Bulk facts are columnar parts; what is looked up singly has rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

VERSION = 4
"""Of the schema. An older program refuses a newer state."""


class Word(TypeDecorator[str]):
    """A text that keeps every sign and sorts by its bytes, in both databases.

    A city's PostgreSQL sorts as its people do, where "." may count for nothing: there the
    order is said. It takes no U+0000 either, so that is written in two signs, which do not
    change the order.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type in one of the databases."""
        return Text(collation="C") if dialect.name == "postgresql" else self.impl_instance

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return *value* as it is stored."""
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace("\x01", "\x01\x02").replace("\0", "\x01\x01")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what was stored as it was."""
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace("\x01\x01", "\0").replace("\x01\x02", "\x01")


class Words(Word):
    """A longer one."""

    impl = Text
    cache_ok = True


metadata = MetaData()

# Instants are ISO texts in UTC: they sort, and both databases hold them alike.

meta = Table(
    "meta", metadata,
    Column("name", Word, primary_key=True),
    Column("value", Words, nullable=False),
)  # fmt: skip

part = Table(
    "part", metadata,
    Column("frame", Word, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("low", Word),   # smallest and largest value of the frame's first column,
    Column("high", Word),  # so that one person is found without reading the rest
    Column("rows", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("digest", Word),  # of all of it: a damaged part is never taken for a sound one
)  # fmt: skip

snapshot = Table(
    "snapshot", metadata,
    Column("source", Word, primary_key=True),
    Column("accepted_at", Word, nullable=False),
    Column("records", Integer, nullable=False),
    Column("content", Word, nullable=False),  # digest of the records
    Column("proof", Words, nullable=False),
    Column("cursor", Words),
    Column("settings", Word),  # digest of the settings it was read by
)  # fmt: skip

journal = Table(
    "journal", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", Integer, nullable=False),
    Column("target", Word, nullable=False),
    Column("person_id", Word, nullable=False),
    Column("items", Words, nullable=False),  # the rows of the plan that this operation carries out
    # intent, confirmed, submitted, partly, refused, unknown
    Column("state", Word, nullable=False),
    Column("reason", Words, nullable=False),
    Column("intent_at", Word, nullable=False),
    Column("outcome_at", Word),
    Column("folded", Boolean, nullable=False),  # its effect on the ledger is in the ledger's frame
    Column("digest", Word),  # of what it says
    # losing, gaining, both: what the brake counts of it; "" where nothing, or it is exempt
    Column("counted", Word, nullable=False, server_default=""),
    sqlite_autoincrement=True,  # a number is never given twice, whatever was erased
)  # fmt: skip
Index("journal_open", journal.c.folded, journal.c.target)
Index("journal_person", journal.c.person_id)
Index("journal_counted", journal.c.counted, journal.c.intent_at)

revocation = Table(
    "revocation", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("person_id", Word, nullable=False),
    Column("reason", Words, nullable=False),
    Column("ordered_by", Word, nullable=False),
    Column("ordered_at", Word, nullable=False),
    Column("lifted_at", Word),
    Column("lifted_by", Word),
    Column("lifted_reason", Words),
    Column("digest", Word),  # of the order as it was given
    Column("told_at", Word),  # when the word came that it follows from, where that was before it
    Column("employment", Words),  # the one that it ends ("SOURCE:KEY"); null: the whole person
    sqlite_autoincrement=True,  # a number is never given twice, whatever was erased
)  # fmt: skip
Index("revocation_person", revocation.c.person_id)

approval = Table(
    "approval", metadata,
    Column("digest", Word, primary_key=True),
    Column("scope", Word, nullable=False),
    Column("direction", Word, nullable=False),
    Column("people", Integer, nullable=False),
    Column("base", Integer, nullable=False),
    Column("allowed", Integer, nullable=False),
    Column("seen_at", Word, nullable=False),
    Column("state", Word, nullable=False),  # held, approved, used, gone
    Column("approved_by", Word),
    Column("approved_at", Word),
    Column("reason", Words),
    Column("full_window", Word, nullable=False, server_default="run"),  # run, day, week, floor
    Column("already", Integer, nullable=False, server_default="0"),  # had changed in it before
    Column("approvals", Integer, nullable=False, server_default="1"),  # how many must agree
    Column("first_seen_at", Word),
    Column("first_by", Word),  # who agreed first, where two must
    Column("first_at", Word),
    Column("first_reason", Words),
)  # fmt: skip

run = Table(
    "run", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("command", Word, nullable=False),
    Column("started_at", Word, nullable=False),
    Column("ended_at", Word),
    Column("outcome", Word),
    Column("summary", Words),
    sqlite_autoincrement=True,  # a number is never given twice, whatever was erased
)  # fmt: skip

closing = Table(
    "closing", metadata,
    Column("revocation", Integer, primary_key=True),
    Column("target", Word, primary_key=True),
    Column("outcome", Word, nullable=False),  # as service.revoking.Closed tells it
    Column("reason", Words, nullable=False),
    Column("at", Word, nullable=False),
    Column("sent_at", Word),  # when a write there was first intended
    Column("confirmed_at", Word),  # when it was first seen to be done, whatever was seen later
)  # fmt: skip

latency = Table(  # how long confirmations took: it only grows, whoever is erased
    "latency", metadata,
    Column("target", Word, primary_key=True),
    Column("bound_ms", BigInteger, primary_key=True, autoincrement=False),  # 0: longer than any
    Column("count", BigInteger, nullable=False),
    Column("total_ms", BigInteger, nullable=False),
)  # fmt: skip

circuit = Table(
    "circuit", metadata,
    Column("target", Word, primary_key=True),
    Column("since", Word, nullable=False),
    Column("reason", Words, nullable=False),
    Column("probes", Integer, nullable=False),  # in vain, since then
    Column("next_probe_at", Word, nullable=False),
)  # fmt: skip
# ── the audit: a chain of records a controller ──────────────────────────────────────────

audit = Table(
    "audit", metadata,
    Column("controller", Word, primary_key=True),  # "": the whole city
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1, without gaps
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("target", String, nullable=False),  # "": none
    Column("person", String, nullable=False),  # an alias, see person_key; "": nobody
    Column("operation", Integer, nullable=False),  # of the journal; 0: none
    Column("facts", Text, nullable=False),  # canonical JSON, nothing personal
    Column("sealed", LargeBinary, nullable=False),  # the rest, under the person's key
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),  # SHA-256 over previous and everything else
)  # fmt: skip
Index("audit_person", audit.c.person)

audit_head = Table(
    "audit_head", metadata,
    Column("controller", Word, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)  # fmt: skip

audit_cut = Table(  # where a chain begins, once its oldest records were old enough to go
    "audit_cut", metadata,
    Column("controller", Word, primary_key=True),
    Column("number", Integer, nullable=False),  # of the last record that is gone
    Column("hash", LargeBinary, nullable=False),
    Column("statement", Text, nullable=False),  # signed
)  # fmt: skip

person_key = Table(
    "person_key", metadata,
    Column("person_id", Word, primary_key=True),
    Column("alias", String, nullable=False),  # random: it tells nothing once this row is gone
    Column("key", LargeBinary, nullable=False),
    Column("kept_at", String),  # a legal hold: nothing about them is erased
    Column("kept_by", Words),
    Column("kept_reason", Words),
)  # fmt: skip
Index("person_key_alias", person_key.c.alias, unique=True)
verdict = Table(
    "verdict", metadata,
    Column("source", Word, primary_key=True),
    Column("at", Word, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("reason", Words, nullable=False),
    Column("doubts", Words, nullable=False),  # a JSON list
)  # fmt: skip
"""How the last read of each source ended."""

night = Table(
    "night", metadata,
    Column("local_date", Word, primary_key=True),  # who inserts it has the night
    Column("claimed_by", Word, nullable=False),  # "": nobody ran
    Column("claimed_at", Word, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("run", Integer),
    Column("outcome", Word, nullable=False),  # of the run, or before, missed, failed; "": none yet
    Column("ended_at", Word),
)  # fmt: skip

alarm = Table(
    "alarm", metadata,
    Column("name", Word, primary_key=True),
    Column("since", Word, nullable=False),
    Column("detail", Words, nullable=False),
    Column("told_at", Word, nullable=False),
    Column("acknowledged_at", Word),
    Column("acknowledged_by", Words),
)  # fmt: skip

# ── whom the on-call was told by ────────────────────────────────────────────────────────

oncall_told = Table(
    "oncall_told", metadata,
    Column("alarm", Word, primary_key=True),
    Column("way", Word, primary_key=True),  # mail, webhook
    Column("since", Word, nullable=False),  # of the alarm that was told: another is another alarm
    Column("told_at", Word, nullable=False),
    Column("times", Integer, nullable=False),
)  # fmt: skip

oncall_way = Table(
    "oncall_way", metadata,
    Column("way", Word, primary_key=True),
    Column("next_at", Word, nullable=False),  # whoever sets it anew has the way until then
    Column("failing_since", Word),
    Column("failures", Integer, nullable=False),  # in a row
    Column("reason", Words, nullable=False),
)  # fmt: skip

# ── what senders have told ──────────────────────────────────────────────────────────────

event = Table(
    "event", metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("issuer", Word, nullable=False),
    Column("id", Word, nullable=False),  # the sender's own
    Column("received_at", Word, nullable=False),
    Column("digest", Word, nullable=False),  # SHA-256 of the raw body, which is not kept
    Column("kind", Word, nullable=False),
    Column("person", Words, nullable=False),  # as the sender's source knows them
    Column("employment", Words),
    Column("occurred_at", Word),
    Column("sequence", BigInteger),
    Column("ends", Word),  # the instant from which it is over
    Column("state", Word, nullable=False),  # waiting, parked, doubtful, done, refused
    Column("reason", Words, nullable=False),
    Column("person_id", Word),
    Column("tried_at", Word),
    Column("at_once", Boolean, nullable=False),  # obeyed on the sender's word alone
    sqlite_autoincrement=True,
)  # fmt: skip
Index("event_id", event.c.issuer, event.c.id, unique=True)
Index("event_state", event.c.state, event.c.number)
Index("event_at_once", event.c.issuer, event.c.at_once, event.c.tried_at)
Index("event_received", event.c.received_at)

event_alarm = Table(  # what somebody has to look at, once a sender and a kind of trouble
    "event_alarm", metadata,
    Column("issuer", Word, primary_key=True),
    Column("what", Word, primary_key=True),
    Column("first_at", Word, nullable=False),
    Column("last_at", Word, nullable=False),
    Column("count", Integer, nullable=False),
)  # fmt: skip
