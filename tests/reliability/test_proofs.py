"""The page of proofs says what the tests prove, and nothing that they do not."""

from __future__ import annotations

from pathlib import Path

from tests.reliability.proofs import PAGE, Row, Section, page, proofs, sections

REQUIRED = 140
"""Rows that must be proven, of 171."""


def test_the_page_is_what_the_tests_say() -> None:
    made = page(sections(), proofs())
    assert PAGE.read_text(encoding="utf-8") == made, "run python -m tests.reliability.proofs"


def test_every_row_is_proven_or_says_why_it_is_not() -> None:
    rows = [row for section in sections() for row in section.rows]
    found = proofs()
    assert [row.name for row in rows if row.name not in found and not row.reason] == []
    assert [row.name for row in rows if row.name in found and row.reason] == []


def test_enough_rows_are_proven() -> None:
    rows = [row for section in sections() for row in section.rows]
    assert len(rows) == 171
    assert len({row.name for row in rows} & proofs().keys()) >= REQUIRED


def test_no_test_names_a_row_that_does_not_exist() -> None:
    known = {row.name for section in sections() for row in section.rows}
    assert proofs().keys() - known == set()


def test_marks_on_tests_and_on_their_classes_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_one.py").write_text(
        "import pytest\n"
        "@pytest.mark.case('S1', 'S2')\n"
        "def test_alone(): ...\n"
        "@pytest.mark.case('S1')\n"
        "class Kit:\n"
        "    @pytest.mark.case('S3')\n"
        "    def test_inside(self): ...\n"
        "    def helper(self): ...\n"
        "def test_unmarked(): ...\n"
    )
    found = proofs(folder)
    told = {row: [proof.test for proof in tests] for row, tests in found.items()}
    assert told == {
        "S1": ["test_alone", "test_inside"],
        "S2": ["test_alone"],
        "S3": ["test_inside"],
    }


def test_a_row_without_proof_shows_its_reason() -> None:
    rows = (Row(name="S1", words="nobody", reason="later"),)
    made = page([Section(title="Sources", rows=rows)], {})
    assert "| S1 | nobody | *not proven: later* |" in made
    assert "0 of 1 rows" in made
