"""The simulation finds what it is there to find: each law has a fault that breaks it."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import BUGS, planted
from tests.simulation.laws import Broken
from tests.simulation.simulation import simulate

LAWS = {*range(1, 15), 18}


SLOW = (
    "orders forgotten by the plan", "half an answer is enough", "dates do not matter to the ledger",
    "a number is a person", "outcomes are not audited", "a saved plan is made anew",
)  # fmt: skip
"""What is found only after many days, and breaks a law that another bug breaks sooner: --long."""


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.long if one in SLOW else ()) for one in BUGS]
)
def test_a_planted_bug_is_found_and_its_law_is_named(name: str) -> None:
    bug = BUGS[name]
    with planted(bug), pytest.raises(Broken) as found:
        simulate(bug.seed, bug.days, bug.weights)
    assert found.value.law in (bug.law, *bug.also), found.value
    assert f"python -m tests.simulation --seed {bug.seed} --days" in found.value.__notes__[0]


def test_every_law_has_a_planted_bug() -> None:
    assert {bug.law for bug in BUGS.values()} == LAWS
    quick = {bug.law for name, bug in BUGS.items() if name not in SLOW}
    assert quick == LAWS, "a law that no run of every day sees broken"
