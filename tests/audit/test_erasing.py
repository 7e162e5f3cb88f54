"""Who is erased is found nowhere in the state, and the audit stays whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID, uuid5

import pytest
from sqlalchemy import insert, select

from idsync.errors import ConfigError
from idsync.model import Outcome
from idsync.service.erasing import Decision, erase, keep_person, release_person
from idsync.store import State
from idsync.store.audit_keys import keys_for, people_of
from idsync.store.erasing import erase_rows, purge, ranges, unfinished
from idsync.store.tables import audit, journal, metadata, part, person_key
from tests.audit.examples import MINUTE, NOTHING, Site
from tests.audit.town import Life
from tests.plan.examples import NOW
from tests.store.test_journal import adds

pytest_plugins = ("tests.servers.state_fixtures",)

WHY = Decision(reason="gallring", by="arkivarien", reference="KS 2026/17")
GONE = 4  # Örjan Nuñez, in the school


def bytes_of(folder: Path) -> bytes:
    """Everything idsync has written about people, the files of the access systems left out."""
    return b"".join(file.read_bytes() for file in sorted((folder / "var").glob("idsync.db*")))


def traces(town_id: str, instance: UUID, number: int) -> Iterable[bytes]:
    """What would tell of somebody: plain, and every hash that can be made from what is known."""
    plain = ["Nuñez", f"{200_000 + number}", f"p{number}", town_id]
    yield from (text.encode() for text in (plain[1], plain[3]))
    for text in plain:
        for salt in ("", str(instance)):
            for made in (salt + text, f"hr:{text}", f"{salt}hr:{text}"):
                for algorithm in ("md5", "sha1", "sha256"):
                    digest = hashlib.new(algorithm, made.encode(), usedforsecurity=False)
                    yield digest.digest()
                    yield digest.hexdigest().encode()
        for name in (text, f"hr:{text}"):
            yield str(uuid5(instance, name)).encode()
            yield uuid5(instance, name).bytes


def left_and_ended(life: Life) -> None:
    """Let somebody work here for a month, and leave."""
    life.sync()
    life.sync(30)
    life.everywhere_gone(GONE)
    for _ in range(3):
        life.sync()


@pytest.mark.case("A8")
def test_of_who_is_erased_no_byte_and_no_hash_is_left_and_the_chain_is_whole(life: Life) -> None:
    left_and_ended(life)
    with life.state() as state:
        person = life.person(state, GONE)
        instance = state.instance
        before = bytes_of(life.town.folder)
        assert b"200004" in before, "what is looked for is not what stands there"
        assert person.encode() in before
        assert erase(state, person, WHY, life.clock()) == 3
    after = bytes_of(life.town.folder)
    for trace in traces(person, instance, GONE):
        assert trace not in after
    assert life.problems() == []
    run = life.sync()
    assert run.writes == 0
    assert life.problems() == []
    assert b"200004" not in bytes_of(life.town.folder)


def test_what_was_done_stays_told_of_nobody(life: Life) -> None:
    left_and_ended(life)
    with life.state() as state:
        person = life.person(state, GONE)
        with state.engine.begin() as connection:
            alias = keys_for(connection, [person])[person].alias
        erase(state, person, WHY, life.clock())
        with state.engine.connect() as connection:
            rows = connection.execute(select(audit).where(audit.c.person == alias)).all()
            assert people_of(connection, [alias]) == {}
            assert (
                connection.execute(select(journal).where(journal.c.person_id == person)).all() == []
            )
        kinds = [row.kind for row in rows]
        assert kinds.count("intended") == 3
        erased = next(row for row in rows if row.kind == "erased")
        assert "KS 2026/17" in erased.facts
        assert "200004" not in "".join(row.facts for row in rows)


def refused(life: Life, state: State, number: int) -> str:
    with pytest.raises(ConfigError) as told:
        erase(state, life.person(state, number), WHY, life.clock())
    return str(told.value)


def test_who_still_has_something_is_not_erased(life: Life) -> None:
    life.sync()
    with life.state() as state:
        assert "this person holds rights in" in refused(life, state, GONE)
    life.everywhere_gone(GONE, 10)
    for _ in range(3):
        life.sync()
    with life.state() as state:
        # the local administrator's guest grant: whoever gets the number would inherit it
        assert "given locally" in refused(life, state, 10) or life.problems() == []
        person = life.person(state, GONE)
        state.orders.revoke(person, "uppsagd", "hr", life.clock())
        assert "a revocation of this person stands" in refused(life, state, GONE)
        state.orders.lift(person, "klart", "hr", life.clock())
        keep_person(state, person, WHY, life.clock())
        assert "a legal hold" in refused(life, state, GONE)
        release_person(state, person, WHY, life.clock())
        with pytest.raises(ConfigError, match="no legal hold"):
            release_person(state, person, WHY, life.clock())
        (number,) = state.journal.intend(1, [("skola", person, adds())], life.clock())
        assert "not answered yet" in refused(life, state, GONE)
        state.journal.settle_part(number, Outcome(status="refused"), NOTHING, life.clock())
        erase(state, person, WHY, life.clock())
    assert life.problems() == []


def test_who_a_source_still_tells_of_is_not_erased(life: Life) -> None:
    life.sync()
    life.town.leavers = {GONE}
    life.town.write_hr()  # the courses still have them
    for _ in range(3):
        life.sync()
    with life.state() as state:
        assert "the source lms still tells" in refused(life, state, GONE)


def test_the_command_erases_once_and_says_what_stays(life: Life) -> None:
    left_and_ended(life)
    town = life.town
    with life.state() as state:
        person = life.person(state, GONE)
    town.json("keep", person, "--reason", "tvist", code=0)
    assert "legal hold" in town.run("erase", person, "--reason", "gallring").err
    town.json("keep", person, "--release", "--reason", "avgjord", code=0)
    told = town.json("erase", person, "--reason", "gallring", "--decision", "KS 1", code=0)
    assert told == {"format": "idsync.erasure/1", "person": person, "operations": 3}
    again = town.run("erase", person, "--reason", "gallring")
    assert again.code == 2
    assert town.json("audit", "verify", code=0)["ok"]


# ── on both databases ───────────────────────────────────────────────────────────────────


@pytest.mark.case("A8")
def test_the_chain_is_whole_after_a_person_is_erased_on_each_database(site: Site) -> None:
    state = site.state
    with state.engine.begin() as connection:
        alias = keys_for(connection, ["id-1"])["id-1"].alias
        assert unfinished(connection, "id-1") == 0
    assert site.state.journal.of_person("id-1") != []
    state.journal.fold(["hall", "annex"])
    with state.engine.begin() as connection:
        ledger = state.journal.ledger("hall").clear()
        state.frames.save(connection, "ledger:hall", ledger)
    erase(state, "id-1", WHY, NOW + MINUTE)
    assert site.problems() == []
    with state.engine.connect() as connection:
        assert people_of(connection, [alias]) == {}
        for table in metadata.sorted_tables:
            if "person_id" in table.columns:
                found = connection.execute(select(table).where(table.c.person_id == "id-1")).all()
                assert found == [], table.name


def test_a_table_that_somebody_adds_is_erased_from_too(site: Site) -> None:
    with site.state.engine.begin() as connection:
        frame = adds(key="n1").select("key", "person_id")
        site.state.frames.save(connection, "later:anything", frame)
        erase_rows(connection, "id-1", {})
    assert site.state.frames.load("later:anything", frame.schema).is_empty()


def test_old_bytes_are_written_over(site: Site, file: Path) -> None:
    secret = "Österlånggatan 7 åäö".encode()
    with site.state.engine.begin() as connection:
        values = {"frame": "x", "number": 0, "rows": 0, "data": secret * 2000}
        connection.execute(insert(part).values(values))
    with site.state.engine.begin() as connection:
        connection.execute(part.delete())
    purge(site.state.engine)
    if file.exists():
        assert secret not in file.read_bytes()
        assert secret not in file.with_name(file.name + "-wal").read_bytes()
    assert site.problems() == []


def test_a_sealed_part_opens_with_its_own_key_alone(site: Site) -> None:
    from idsync.errors import IntegrityError

    with site.state.engine.connect() as connection:
        row = connection.execute(select(audit).where(audit.c.kind == "revoked")).one()
        mine = people_of(connection, [row.person])[row.person][1]
        other = connection.execute(select(person_key).where(person_key.c.alias != row.person))
        stranger = people_of(connection, [one.alias for one in other])
    assert mine.unseal(bytes(row.sealed)) == {"reason": "ended"}
    for _, key in stranger.values():
        with pytest.raises(IntegrityError):
            key.unseal(bytes(row.sealed))


def test_numbers_are_told_as_ranges() -> None:
    assert ranges([]) == []
    assert ranges([1, 2, 3, 7, 9, 10]) == [[1, 3], [7, 7], [9, 10]]
