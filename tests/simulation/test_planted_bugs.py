"""The simulation finds what it is there to find: each law has a fault that breaks it."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import BUGS, planted
from tests.simulation.laws import Broken
from tests.simulation.simulation import simulate

LAWS = {*range(1, 15), 18}


QUICK = ("half an answer is enough", "no limit", "one employment each")
"""What every run of the tests plants; the others are for --long."""


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one in QUICK else pytest.mark.long) for one in BUGS]
)
def test_a_planted_bug_is_found_and_its_law_is_named(name: str) -> None:
    bug = BUGS[name]
    with planted(bug), pytest.raises(Broken) as found:
        simulate(1, bug.days, bug.weights)
    assert found.value.law in (bug.law, *bug.also), found.value
    assert "python -m tests.simulation --seed 1 --days" in found.value.__notes__[0]


def test_every_law_has_a_planted_bug() -> None:
    assert {bug.law for bug in BUGS.values()} == LAWS
