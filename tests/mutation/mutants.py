"""A copy of the project in which every function carries its mutants, switched by name."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

THEIRS = "from mutmut.mutation.trampoline import wrap_in_trampoline as _mutmut_mutated, MutantDict"
OURS = "from tests.mutation.switching import switched as _mutmut_mutated, MutantDict"
"""mutmut's own switch needs its settings in every process that a test starts."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One planted fault. `change` shows the lines that differ."""

    name: str
    module: str
    change: str


def made(copy: Path, rooms: list[str]) -> list[Mutant]:
    """Make the folder *copy* a project whose *rooms* carry mutants; return them all.

    What only words a message is left out: a message is read by people, not by tests.
    """
    from mutmut.mutation.file_mutation import mutate_file_contents

    _copied(copy)
    found: list[Mutant] = []
    for room in rooms:
        for path in sorted((copy / "idsync").glob(f"{room}/*.py")) or [copy / f"idsync/{room}.py"]:
            module = ".".join(path.relative_to(copy).with_suffix("").parts)
            mutated = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
            path.write_text(mutated.code.replace(THEIRS, OURS), encoding="utf-8")
            found += _worth_planting(module, mutated.code, mutated.mutant_names)
    return found


def _copied(copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for name in listed:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)


def _worth_planting(module: str, code: str, names: Sequence[str]) -> Iterator[Mutant]:
    functions = {
        node.name: node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)
    }
    for short in (name.rpartition(".")[2] for name in names):
        original = functions[short.rpartition("__mutmut_")[0] + "__mutmut_orig"]
        planted = functions[short]
        if _without_words(original) == _without_words(planted):
            continue
        before, after = _lines(original), _lines(planted)
        removed = [f"- {line}" for line in before if line not in after]
        added = [f"+ {line}" for line in after if line not in before]
        yield Mutant(name=f"{module}.{short}", module=module, change="\n".join(removed + added))


def _lines(function: ast.FunctionDef) -> list[str]:
    return [line.strip() for part in function.body for line in ast.unparse(part).splitlines()]


def _without_words(function: ast.FunctionDef) -> str:
    """What a function does, whatever its messages say."""
    copy = ast.parse("\n".join(ast.unparse(part) for part in function.body))
    for node in ast.walk(copy):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            node.value = "words"
    return ast.dump(copy)
