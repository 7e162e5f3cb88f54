"""The beginning of a chain goes as a whole and signed, or it does not go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from idsync.store.audit_checkpoints import last_checkpoint
from idsync.store.audit_cutting import FORMAT, cut
from idsync.store.audit_keys import keys_for
from idsync.store.audit_records import Record, canonical, facts_of
from idsync.store.audit_signing import SigningKey
from idsync.store.tables import audit, audit_cut
from tests.audit.examples import MINUTE, Site, rows_of
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)

CHAIN = "kulturnämnden"
NOT_GENUINE = (
    "chain 'kulturnämnden': the statement about records up to 6 that retention let go is not "
    "genuine, or --public-key is missing"
)


def head(site: Site) -> tuple[int, str]:
    """Where a checkpoint saw the chain."""
    told = last_checkpoint(site.file)
    assert told is not None
    number, hash_ = told["heads"][CHAIN]
    return number, hash_


def cut_up_to(site: Site, number: int, hash_: str, kept: list[str] | None = None) -> Record | None:
    with site.state.engine.begin() as connection:
        record = cut(
            connection, CHAIN, number, hash_,
            key=site.key, limit_days=30, kept=kept or [], now=NOW + MINUTE,
        )  # fmt: skip
        if record is not None:
            site.state.audit.append(connection, [record], NOW + MINUTE)
    return record


def chain(site: Site) -> list[dict[str, Any]]:
    with site.state.engine.connect() as connection:
        return [row for row in rows_of(connection) if row["controller"] == CHAIN]


def test_what_was_cut_is_told_by_the_next_record_and_what_is_left_verifies(site: Site) -> None:
    site.operations(1)
    assert cut_up_to(site, *head(site)) is not None
    assert [(row["number"], row["kind"]) for row in chain(site)] == [
        (7, "intended"), (8, "settled"), (9, "cut"),
    ]  # fmt: skip
    told = facts_of(chain(site)[-1]["facts"])
    assert (told["first"], told["last"], told["records"]) == (1, 6, 6)
    assert site.problems() == []


def altered(site: Site) -> tuple[int, str]:
    number, hash_ = head(site)
    here = (audit.c.controller == CHAIN) & (audit.c.number == number)
    site.change(lambda c: c.execute(update(audit).where(here).values(hash=b"x" * 32)))
    return number, hash_


def of_another_type(site: Site) -> tuple[int, str]:
    number, hash_ = head(site)
    words = f"UPDATE audit SET hash = 'x' WHERE controller = '{CHAIN}' AND number = {number}"
    site.change(lambda c: c.exec_driver_sql(words))
    return number, hash_


def of_an_earlier_record(site: Site) -> tuple[int, str]:
    number, hash_ = head(site)
    return number - 1, hash_


def not_there(site: Site) -> tuple[int, str]:
    number, hash_ = head(site)
    return number + 1, hash_


@pytest.mark.parametrize("where", [altered, of_another_type, of_an_earlier_record, not_there])
def test_a_chain_that_is_another_than_the_checkpoint_saw_is_not_cut(
    plain: Site, where: Callable[[Site], tuple[int, str]]
) -> None:
    place = where(plain)
    before = chain(plain)
    assert cut_up_to(plain, *place) is None
    assert chain(plain) == before
    with plain.state.engine.connect() as connection:
        assert connection.execute(select(audit_cut)).all() == []


def test_a_chain_that_tells_of_somebody_under_a_legal_hold_is_not_cut(site: Site) -> None:
    with site.state.engine.begin() as connection:
        alias = keys_for(connection, ["id-2"])["id-2"].alias
    assert cut_up_to(site, *head(site), kept=[alias]) is None
    assert len(chain(site)) == 6


# ── statements that are none ────────────────────────────────────────────────────────────


def signed(key: SigningKey, told: dict[str, Any]) -> str:
    unsigned = {name: value for name, value in told.items() if name != "signature"}
    return canonical(unsigned | {"signature": key.sign(canonical(unsigned).encode())})


def other(told: dict[str, Any], **values: object) -> str:
    return canonical(told | values)


FORGED: dict[str, Callable[[dict[str, Any], SigningKey], str]] = {
    "no JSON": lambda _, __: "x",
    "no object": lambda _, __: "[]",
    "null": lambda _, __: "null",
    "boxes without end": lambda _, __: "[" * 100_000,
    "nothing in it": lambda _, __: "{}",
    "no key": lambda told, _: canonical({"signature": told["signature"]}),
    "a key nobody knows": lambda told, _: other(told, key="0123"),
    "a key that is no name": lambda told, _: other(told, key=[]),
    "a signature that is a number": lambda told, _: other(told, signature=7),
    "a signature that is no number": lambda told, _: other(told, signature="å"),
    "another's signature": lambda told, _: other(told, signature="00" * 64),
    "no text": lambda told, _: canonical(told)[:-1] + ',"z":"\\ud800"}',
    "other words": lambda told, _: other(told, records=1),
    "other signs": lambda told, _: canonical(told) + " ",
    "a signed one of another chain": lambda told, key: signed(key, told | {"controller": ""}),
    "a signed one of another record": lambda told, key: signed(key, told | {"last": 5}),
    "a signed one of another hash": lambda told, key: signed(key, told | {"hash": "00" * 32}),
    "a signed one of another kind": lambda told, key: signed(key, told | {"format": FORMAT + "0"}),
    "a signed one without a hash": lambda told, key: signed(
        key, {name: value for name, value in told.items() if name != "hash"}
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_statement_that_is_not_what_idsync_signed_is_not_believed(plain: Site, what: str) -> None:
    cut_up_to(plain, *head(plain))
    with plain.state.engine.connect() as connection:
        told = facts_of(connection.execute(select(audit_cut.c.statement)).scalar_one())
    forged = FORGED[what](told, plain.key)
    plain.change(lambda c: c.execute(update(audit_cut).values(statement=signed(plain.key, told))))
    assert plain.problems() == []
    plain.change(lambda c: c.execute(update(audit_cut).values(statement=forged)))
    problems = plain.problems()
    assert problems[0] == NOT_GENUINE
    assert "chain 'kulturnämnden', record 7: 1 to 6 are missing or out of their order" in problems


@pytest.mark.parametrize("value", ["'x'", "7", "X'00'"])
def test_a_row_that_says_another_hash_than_its_statement_is_not_believed(
    plain: Site, value: str
) -> None:
    cut_up_to(plain, *head(plain))
    plain.change(lambda c: c.exec_driver_sql(f"UPDATE audit_cut SET hash = {value}"))
    assert plain.problems()[0] == NOT_GENUINE
