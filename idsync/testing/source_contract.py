"""The promises of a source, as tests that any connector can inherit.

Derive from `SourceContract`, give the five fixtures, and run pytest. The population is
yours: at least three people, with keys of five characters or more, and every letter of
`SWEDISH` somewhere in the records (a unit, a course or a role will do).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

import polars as pl
import pytest

from idsync.errors import ConnectorError, Unavailable
from idsync.model import Kind
from idsync.sources import RECORDS, Batch, Source

Expected: TypeAlias = Mapping[Kind, int | Collection[str]]
"""What a read gives: for each kind the number of records, or the `key` (of trainings and
memberships the `person_key`) of every record."""

SWEDISH = "åäöÅÄÖé"
SMALLEST_POPULATION = 3
NEVER_EMPTY: dict[Kind, tuple[str, ...]] = {
    "persons": ("key",),
    "employments": ("key", "person_key"),
    "trainings": ("person_key", "course_id"),
    "memberships": ("person_key", "role"),
}
IMPERSONAL = {"kind", "status", "protection"}  # words of the model, not of a person


class SourceContract:
    """What every source keeps. A missing fixture is an error: no promise is optional."""

    @pytest.fixture
    def source(self) -> Source:
        """A connector whose system holds a small, known population."""
        raise NotImplementedError("give a fixture `source`: a connector over a known population")

    @pytest.fixture
    def expected(self) -> Expected:
        """What a read of `source` gives: {"persons": 4, "employments": ["anst-10001", …]}."""
        raise NotImplementedError("give a fixture `expected`: how many records of each kind")

    @pytest.fixture
    def outage(self) -> Source:
        """The same connector while its system is down."""
        raise NotImplementedError("give a fixture `outage`: the connector, its system down")

    @pytest.fixture
    def cut(self) -> Source:
        """The same connector when its system's answer ends half-way."""
        raise NotImplementedError("give a fixture `cut`: the connector, its answer cut half-way")

    @pytest.fixture
    def empty(self) -> Source:
        """The same connector when its system answers, without an error, with nobody."""
        raise NotImplementedError("give a fixture `empty`: the connector, answered with nobody")

    def test_everyone_is_read(self, source: Source, expected: Expected) -> None:
        people = expected.get("persons", 0)
        count = people if isinstance(people, int) else len(people)
        assert count >= SMALLEST_POPULATION, (
            f"the population has {count} people, which proves nothing: give it at least "
            f"{SMALLEST_POPULATION}"
        )
        records = _tables(_complete(source))
        assert set(records) <= set(expected), (
            f"records came of {sorted(set(records) - set(expected))}, which nobody expected"
        )
        for kind, wanted in expected.items():
            table = records.get(kind)
            found = [] if table is None else table[NEVER_EMPTY[kind][0]].to_list()
            if isinstance(wanted, int):
                assert len(found) == wanted, f"{wanted} {kind} are there, {len(found)} were read"
            else:
                assert sorted(found) == sorted(wanted), (
                    f"the keys of the {kind} are not the system's"
                )

    def test_the_last_batch_carries_the_proof_and_only_it(self, source: Source) -> None:
        batches = list(source.read(None))
        assert batches, "the read gave no batch at all"
        *others, last = batches
        assert last.proof and last.proof.strip(), (
            "the last batch has no proof: a read without one is never used"
        )
        assert not any(batch.proof or batch.cursor for batch in others), (
            "a batch before the last carries a proof or a cursor: it cannot know that all came"
        )

    def test_records_have_the_declared_columns(self, source: Source) -> None:
        for batch in source.read(None):
            assert batch.kind in RECORDS, f"{batch.kind} is no kind of record"
            declared = RECORDS[batch.kind]
            for name, kind in batch.records.schema.items():
                assert name in declared, f"{batch.kind} have no column {name}"
                assert kind == declared[name], (
                    f"column {name} of {batch.kind} is {kind}, declared is {declared[name]}"
                )
            for name in NEVER_EMPTY[batch.kind]:
                assert name in batch.records, f"{batch.kind} came without their column {name}"
                cells = batch.records[name]
                assert not (cells.is_null() | (cells == "")).any(), (
                    f"column {name} of {batch.kind} is empty in some record"
                )

    def test_an_outage_is_raised_not_hidden(self, outage: Source) -> None:
        batches, error = _attempt(outage)
        assert not _proven(batches), "the system is down, and the read says it is complete"
        assert error is not None, "the system is down, and the read ended without an error"
        assert isinstance(error, Unavailable), (
            f"the system is down, and the read raised {type(error).__name__} instead of Unavailable"
        )

    def test_half_an_answer_is_never_complete(self, cut: Source) -> None:
        batches, _ = _attempt(cut)
        assert not _proven(batches), "the answer ended half-way, and the read says it is complete"

    def test_nobody_at_all_is_never_complete(self, empty: Source) -> None:
        batches, _ = _attempt(empty)
        assert not _proven(batches), "the system gave nobody, and the read says it is complete"

    def test_reading_twice_gives_the_same(self, source: Source) -> None:
        first, second = _tables(_complete(source)), _tables(_complete(source))
        assert _same(first, second), "a second read of the same system gives other records"

    def test_every_person_named_is_also_given(self, source: Source) -> None:
        records = _tables(_complete(source))
        given = set(records["persons"]["key"]) if "persons" in records else set()
        for kind, table in records.items():
            if "person_key" in table:
                unknown = set(table["person_key"]) - given
                assert not unknown, f"{len(unknown)} people named by {kind} came without a person"

    def test_swedish_letters_survive(self, source: Source) -> None:
        letters = {letter for text in _texts(_complete(source)) for letter in text}
        lost = [letter for letter in SWEDISH if letter not in letters]
        assert not lost, (
            f"{' '.join(lost)} is in no record: lost on the way, or missing in the population"
        )

    def test_errors_carry_no_personal_values(
        self, source: Source, outage: Source, cut: Source, empty: Source
    ) -> None:
        canaries = _canaries(_complete(source))
        assert canaries, (
            "no value of the population could be recognised in an error: use keys and names "
            "of five characters or more"
        )
        for name, broken in (("outage", outage), ("cut", cut), ("empty", empty)):
            _, error = _attempt(broken)
            text = "" if error is None else " ".join(_messages(error))
            shown = sum(_occurs(canary, text) for canary in canaries)
            assert not shown, f"the error of `{name}` shows {shown} values that belong to people"

    def test_the_cursor_is_text_that_survives(self, source: Source) -> None:
        batches = _complete(source)
        cursor = batches[-1].cursor
        assert cursor is None or (isinstance(cursor, str) and cursor), (
            "the cursor is neither None nor a text with something in it"
        )
        kept = json.loads(json.dumps(cursor).encode())
        again = _complete(source, kept)
        assert _same(_tables(batches), _tables(again)), (
            "given its own cursor, the source no longer gives everything in scope"
        )


def _complete(source: Source, since: str | None = None) -> list[Batch]:
    """Return the batches of a read that must work."""
    batches = list(source.read(since))
    assert batches, "the read gave no batch at all"
    return batches


def _attempt(source: Source) -> tuple[list[Batch], Exception | None]:
    """Return what came before the error, and the error.

    An error that the promise of a source does not name ends the test: nobody handles it.
    """
    batches: list[Batch] = []
    try:
        for batch in source.read(None):
            batches.append(batch)
    except ConnectorError as error:
        return batches, error
    return batches, None


def _proven(batches: list[Batch]) -> bool:
    return any(batch.proof for batch in batches)


def _tables(batches: list[Batch]) -> dict[Kind, pl.DataFrame]:
    """Return all records of each kind."""
    kinds = dict.fromkeys(batch.kind for batch in batches)
    return {
        kind: pl.concat([b.records for b in batches if b.kind == kind], how="diagonal")
        for kind in kinds
    }


def _same(one: dict[Kind, pl.DataFrame], other: dict[Kind, pl.DataFrame]) -> bool:
    """Say whether both hold the same records, in whatever order."""
    return one.keys() == other.keys() and all(
        _sorted(table).equals(_sorted(other[kind])) for kind, table in one.items()
    )


def _sorted(table: pl.DataFrame) -> pl.DataFrame:
    columns = sorted(table.columns)
    return table.select(columns).sort(columns)


def _texts(batches: list[Batch]) -> Iterator[str]:
    for batch in batches:
        for column in batch.records.iter_columns():
            if column.dtype == pl.String():
                yield from column.drop_nulls()


def _canaries(batches: list[Batch]) -> set[str]:
    """Return what belongs to people in these batches and is long enough to be recognised."""
    texts: set[str] = set()
    for kind, table in _tables(batches).items():
        columns = set(table.columns) - IMPERSONAL if kind == "persons" else {"key", "person_key"}
        for name in columns & set(table.columns):
            texts.update(table[name].cast(pl.String()).drop_nulls())
    return {text for text in texts if len(text) >= 5 or (len(text) >= 4 and not text.isdigit())}


def _messages(error: BaseException | None) -> Iterator[str]:
    """Yield all that a traceback of *error* would print of it and of its causes."""
    while error is not None:
        yield str(error)
        yield from getattr(error, "__notes__", ())
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _occurs(value: str, text: str) -> bool:
    found = re.search(rf"(?<!\w){re.escape(_plain(value))}(?!\w)", _plain(text))
    return found is not None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
