"""Erases somebody who has left: what is known of them goes, what was done stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from idsync.errors import ConfigError
from idsync.model import IdentityLink, schema
from idsync.plan.items import LEDGER
from idsync.service.history import LOCAL
from idsync.sources import RECORDS
from idsync.store import State
from idsync.store.audit_keys import forget, keep, kept, release
from idsync.store.audit_records import Record
from idsync.store.erasing import erase_rows, purge, unfinished


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Why somebody is erased or kept: the reason, who decided, and where that stands."""

    reason: str
    by: str
    reference: str = ""


def erase(state: State, person_id: str, decision: Decision, now: datetime) -> int:
    """Erase one person; return how many operations left the journal.

    Their key and alias are destroyed, so that what the audit sealed opens for nobody, and
    its public part points to nobody. The chain stays as it was.

    Raises:
        ConfigError: they may not be erased now; the sentence says why.
        Unavailable: another run is at work.
    """
    with state.run_lock():
        gone = erase_unpurged(state, person_id, decision, now)
        purge(state.engine)
    state.audit.sign_off()
    return gone


def erase_unpurged(state: State, person_id: str, decision: Decision, now: datetime) -> int:
    """Do as `erase`, and leave the old bytes in the database to be purged."""
    state.journal.fold(name.partition(":")[2] for name in state.frames.names("link:"))
    keys = keys_in_sources(state, person_id)
    reason = why_not(state, person_id, keys)
    if reason:
        raise ConfigError(reason)
    with state.engine.begin() as connection:
        gone = erase_rows(connection, person_id, keys)
        facts = {
            "operations": gone, "by": decision.by, "reason": decision.reason,
            "decision": decision.reference,
        }  # fmt: skip
        record = Record(kind="erased", person_id=person_id, facts=facts)
        state.audit.append(connection, [record], now)
        forget(connection, person_id)
        state.begin_epoch(connection)  # its newest numbers may have gone with them
    state.note(surely=True)
    return sum(last - first + 1 for first, last in gone)


def keys_in_sources(state: State, person_id: str) -> dict[str, list[str]]:
    """Return the keys that sources have given somebody, by source."""
    links = state.frames.load("identity_link", schema(IdentityLink))
    theirs = links.filter(pl.col("person_id") == person_id)
    keys: dict[str, list[str]] = {}
    for system, value in theirs.select("system", "value").iter_rows():
        keys.setdefault(system, []).append(value)
    return keys


def why_not(state: State, person_id: str, keys: dict[str, list[str]]) -> str:
    """Return why somebody may not be erased now, or ""."""
    with state.engine.connect().execution_options(reads=True) as connection:
        held = person_id in kept(connection)
        open_ = unfinished(connection, person_id)
    if held:
        return "a legal hold is on this person: `idsync keep PERSON --release` lifts it"
    if open_:
        return "something sent about this person is not answered yet: run `idsync sync` first"
    if state.orders.is_revoked(person_id):
        return (
            "a revocation of this person stands, or of an employment: without it their access "
            "could come back. Lift it first with `idsync restore`, when no rule gives them "
            "anything any longer"
        )
    return _holds(state, person_id) or _told_by(state, keys)


def _holds(state: State, person_id: str) -> str:
    """Say where somebody still holds rights, by idsync or as last seen."""
    mine = pl.col("person_id") == person_id
    for name in state.frames.names("ledger:"):
        held = state.frames.load(name, LEDGER).filter(mine & (pl.col("kind") != "block"))
        if held.height:
            return f"this person holds rights in {name.partition(':')[2]}: end them first"
    for name in state.frames.names("local:"):
        held = state.frames.load(name, LOCAL).filter(mine & pl.col("seen_to").is_null())
        if held.height:
            return (
                f"{name.partition(':')[2]} shows rights of this person that were given locally: "
                "have them ended there, then run `idsync sync`"
            )
    return ""


def _told_by(state: State, keys: dict[str, list[str]]) -> str:
    """Say which source still tells of somebody: it would bring them back."""
    for source, values in keys.items():
        if _tells(state, source, values):
            return (
                f"the source {source} still tells of this person: it would bring them back. Have "
                "them erased there, then run `idsync sync`"
            )
    return ""


def _tells(state: State, source: str, keys: list[str]) -> bool:
    prefix = f"read:{source}:"
    for name in state.frames.names(prefix):
        kind = name.removeprefix(prefix)
        columns = next((found for known, found in RECORDS.items() if known == kind), None)
        if columns is None:
            continue
        told = state.frames.load(name, columns)
        if told["key" if kind == "persons" else "person_key"].is_in(keys).any():
            return True
    return False


# ── legal holds ─────────────────────────────────────────────────────────────────────────


def keep_person(state: State, person_id: str, decision: Decision, now: datetime) -> None:
    """Put a legal hold on somebody: neither `erase` nor retention takes anything of theirs."""
    with state.engine.begin() as connection:
        keep(connection, person_id, decision.reason, decision.by, now)
        state.audit.append(connection, [_told("kept", person_id, decision)], now)


def release_person(state: State, person_id: str, decision: Decision, now: datetime) -> None:
    """Lift the legal hold on somebody.

    Raises:
        ConfigError: there is none.
    """
    with state.engine.begin() as connection:
        if not release(connection, person_id):
            raise ConfigError("no legal hold is on this person: there is nothing to release")
        state.audit.append(connection, [_told("released", person_id, decision)], now)


def _told(kind: str, person_id: str, decision: Decision) -> Record:
    facts = {"by": decision.by, "decision": decision.reference}
    sealed = {"reason": decision.reason}
    return Record(kind=kind, person_id=person_id, facts=facts, sealed=sealed)
