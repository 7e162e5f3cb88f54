"""The mutants that are explained: they change nothing that anybody depends on."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.mutants import Mutant

LIST = Path(__file__).with_name("explained.toml")

Explained = dict[tuple[str, str], str]
"""Why, by function and by what the mutant has instead, as in the list."""


def explained() -> Explained:
    """Read the list. Raises ValueError where an entry gives no reason or stands there twice."""
    found: Explained = {}
    for entry in tomllib.loads(LIST.read_text(encoding="utf-8")).get("mutant", []):
        key = (entry["function"], _plain(entry["becomes"]))
        if key in found or not entry["why"].strip():
            raise ValueError(f"{LIST.name}: {key[0]}: listed twice, or without a reason")
        found[key] = entry["why"]
    return found


def key_of(mutant: Mutant) -> tuple[str, str]:
    """Return how the list names *mutant*: `idsync.store.state.State.close`, and its new lines."""
    module, _, short = mutant.name.rpartition("__mutmut_")[0].rpartition(".")
    function = short.removeprefix("x_") if short.startswith("x_") else short[2:].replace("ǁ", ".")
    added = [line[2:] for line in mutant.change.splitlines() if line.startswith("+ ")]
    return f"{module}.{function}", _plain("\n".join(added))


def stale(mutants: Sequence[Mutant], listed: Explained) -> list[str]:
    """Return the entries about the modules of *mutants* that fit none of them."""
    modules = {one.module for one in mutants}
    keys = {key_of(one) for one in mutants}
    return [
        f"{function}: {becomes}"
        for function, becomes in listed
        if any(function.startswith(f"{module}.") for module in modules)
        and (function, becomes) not in keys
    ]


def _plain(lines: str) -> str:
    return "\n".join(line.strip() for line in lines.strip().splitlines())
