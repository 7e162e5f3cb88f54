"""The list of explained mutants names functions that exist, and a reason for each."""

from __future__ import annotations

import importlib

from tests.mutation.explained import explained, key_of, stale
from tests.mutation.mutants import Mutant


def mutant(name: str, change: str) -> Mutant:
    return Mutant(name=name, module="idsync.store.state", change=change)


def test_what_is_explained_stands_in_the_code() -> None:
    for (function, _), why in explained().items():
        assert why.endswith("."), function
        room, inside = function.split(".")[:3], function.split(".")[3:]
        found: object = importlib.import_module(".".join(room))
        for part in inside:
            found = getattr(found, part)


def test_an_entry_names_a_mutant_by_its_function_and_its_new_lines() -> None:
    method = mutant("idsync.store.state.xǁStateǁclose__mutmut_3", "- a = 1\n+ a = 2\n+ b = 3")
    function = mutant("idsync.store.state.x__opened__mutmut_12", "- a = 1")
    assert key_of(method) == ("idsync.store.state.State.close", "a = 2\nb = 3")
    assert key_of(function) == ("idsync.store.state._opened", "")


def test_an_entry_that_fits_no_mutant_of_its_module_is_told() -> None:
    there = [mutant("idsync.store.state.x_close__mutmut_3", "- a = 1\n+ a = 2")]
    fits = {("idsync.store.state.close", "a = 2"): "why"}
    elsewhere = {("idsync.store.audit.close", "a = 3"): "why"}
    gone = {("idsync.store.state.close", "a = 3"): "why"}
    assert not stale(there, fits | elsewhere)
    assert stale(there, fits | gone) == ["idsync.store.state.close: a = 3"]
