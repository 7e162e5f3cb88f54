"""Which tests prove which rows of the matrix; `python -m tests.reliability.proofs` writes the page.

A test names its rows by the mark `case`. The rows, in words, stand in matrix.toml, with the
reason where no test names one. docs/reliability.md is made of both and is never edited.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
PAGE = ROOT / "docs" / "reliability.md"
MATRIX = Path(__file__).with_name("matrix.toml")
SHOWN = 4  # tests named in a cell; a row that a whole kit proves would be unreadable

HEAD = """# What can go wrong, and the test that proves what happens then

Every row is a failure, an accident or an attack that idsync has to survive. Beside it stand the
tests that provoke it, on real servers or on stand-ins that hold state and speak the real protocol.
A test's name is the sentence it proves. {covered} of {rows} rows are proven; beside each of the
others stands why not.

The laws that must hold through all of this are in [How idsync decides](how-it-decides.md). How they
are simulated, and how to replay a failure: [How the laws are tested](reliability-testing.md).
This page is made from the tests by `python -m tests.reliability.proofs`.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the matrix: its name, what happens, and why nothing proves it, if so."""

    name: str
    words: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """Rows that belong together."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, order=True, kw_only=True)
class Proof:
    """A test that names a row."""

    path: str  # from the top folder
    test: str

    @property
    def sentence(self) -> str:
        """The name of the test in words."""
        return self.test.removeprefix("test_").replace("_", " ")


def sections(matrix: Path = MATRIX) -> list[Section]:
    """Return the matrix, section by section."""
    told = tomllib.loads(matrix.read_text(encoding="utf-8"))
    reasons = told.pop("later", {})
    return [
        Section(
            title=section.pop("title"),
            rows=tuple(
                Row(name=name, words=words, reason=reasons.get(name, ""))
                for name, words in section.items()
            ),
        )
        for section in told.values()
    ]


def proofs(tests: Path = TESTS) -> dict[str, list[Proof]]:
    """Return the tests that name each row, read from the files in the folder *tests*."""
    found: dict[str, list[Proof]] = {}
    for path in sorted(tests.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        shown = path.relative_to(tests.parent).as_posix()
        for row, test in _named(tree, ()):
            found.setdefault(row, []).append(Proof(path=shown, test=test))
    return {row: sorted(tests) for row, tests in found.items()}


def _named(node: ast.AST, inherited: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield row and test of every test under *node*; a class lends its rows to its tests."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _named(child, (*inherited, *_rows(child)))
        elif isinstance(child, ast.FunctionDef) and child.name.startswith("test_"):
            for row in dict.fromkeys((*inherited, *_rows(child))):
                yield row, child.name


def _rows(node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.case":
            yield from (ast.literal_eval(argument) for argument in decorator.args)


def page(matrix: list[Section], found: dict[str, list[Proof]]) -> str:
    """Return the text of docs/reliability.md."""
    rows = [row for section in matrix for row in section.rows]
    text = HEAD.format(rows=len(rows), covered=sum(row.name in found for row in rows))
    for section in matrix:
        text += f"\n## {section.title}\n\n| row | what happens | proven by |\n| --- | --- | --- |\n"
        for row in section.rows:
            text += f"| {row.name} | {row.words} | {_cell(row, found.get(row.name, []))} |\n"
    return text


def _cell(row: Row, tests: list[Proof]) -> str:
    if not tests:
        return f"*not proven: {row.reason}*"
    # of every file one first: different files prove by different means
    firsts = list({proof.path: proof for proof in reversed(tests)}.values())[::-1]
    rest = [proof for proof in tests if proof not in firsts]
    shown = [f"[{one.sentence}](../{one.path})" for one in (firsts + rest)[:SHOWN]]
    more = len(tests) - len(shown)
    return " · ".join(shown) + (f" · and {more} more" if more > 0 else "")


if __name__ == "__main__":
    PAGE.write_text(page(sections(), proofs()), encoding="utf-8")
