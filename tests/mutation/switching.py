"""What a mutated module imports: it runs each function as it was, or the one mutant under test.

The environment says which (`MUTANT_UNDER_TEST`), so that processes that a test starts have the
same fault. With `MUTANT_HITS` each process notes in that file which functions it runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

MutantDict = dict[str, Callable[..., Any]]

UNDER_TEST = os.environ.get("MUTANT_UNDER_TEST", "")
HITS = os.environ.get("MUTANT_HITS", "")

seen: set[str] = set()
"""What this process has noted already."""


def switched(
    mutants: MutantDict, is_classmethod: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function that *mutants* holds under `_mutmut_orig`, beside its mutants by name."""

    def decorate(original: Callable[..., Any]) -> Callable[..., Any]:
        module, _, name = UNDER_TEST.rpartition(".")

        @wraps(original)
        def run(*args: Any, **given: Any) -> Any:
            # the mutants come into their dict after the function is decorated
            here = module == original.__module__ and name in mutants
            chosen = mutants[name if here else "_mutmut_orig"]
            if HITS:
                _note(f"{original.__module__}.{mutants['_mutmut_orig'].__name__}")
            if is_classmethod:
                return getattr(args[0], chosen.__name__)(*args[1:], **given)
            return chosen(*args, **given)

        return run

    return decorate


def _note(name: str) -> None:
    if name in seen:
        return
    seen.add(name)
    try:
        file = os.open(HITS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, f"{name.removesuffix('__mutmut_orig')}\n".encode())
        os.close(file)
    except OSError:  # a test that lets every write fail: what it runs, others run too
        return
