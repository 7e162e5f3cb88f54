"""Whatever happens in whatever order, the brake holds; and a brake with a fault is found out."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from idsync.plan import brake
from idsync.store import journal, orders
from tests.plan.brake_machine import BrakeMachine, broken, machine_with

SOUND = settings(
    max_examples=40, stateful_step_count=25, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
SEARCH = settings(
    SOUND, max_examples=600, derandomize=True, phases=[Phase.generate], database=None,
    report_multiple_bugs=False,
)  # fmt: skip

FAULTS: dict[str, tuple[str, ModuleType, tuple[str, str]]] = {
    "it forgets the seven days": (
        "brake", brake, ("in self.known.windows:", "in self.known.windows[:1]:"),
    ),
    "it forgets the day": (
        "brake", brake, ("in self.known.windows:", "in self.known.windows[1:]:"),
    ),
    "it counts rows": (
        "brake", brake,
        ('people = self.items.filter(mine)["person_id"].unique()',
         'people = self.items.filter(mine)["person_id"]'),
    ),
    "it forgets the city": (
        "brake", brake, ("    for scope in scopes:\n", "    for scope in scopes[:-1]:\n"),
    ),
    "it counts the confirmed": (
        "brake", brake, (' & ~pl.col("confirmed") & free', " & free"),
    ),
    "it sees removals alone": (
        "brake", brake,
        ('(pl.col("effect") == direction) &',
         '(pl.col("effect") == direction) & ~(pl.col("was") & pl.col("shall")) &'),
    ),
    "it counts one direction for both": (
        "brake", brake,
        ('mine = past.filter(pl.col("direction") == direction)',
         'mine = past.filter(pl.col("direction") == "losing")'),
    ),
    "an approval serves again": (
        "orders", orders, ('approval.c.state == "approved", approval.c', "approval.c"),
    ),
    "an approval lives for ever": (
        "orders", orders, ("approval.c.approved_at >= oldest", "approval.c.approved_at > ''"),
    ),
    "the refused are counted": (
        "journal", journal, ('journal.c.state != "refused"', 'journal.c.state != ""'),
    ),
}  # fmt: skip


@pytest.mark.case("P5")
def test_the_brake_holds_whatever_happens() -> None:
    run_state_machine_as_test(BrakeMachine, settings=SOUND)


RARE = ("an approval serves again",)
"""What is found only after a minute: with --long."""


@pytest.mark.parametrize(
    "fault", [pytest.param(one, marks=pytest.mark.long if one in RARE else ()) for one in FAULTS]
)
def test_the_machine_finds_a_brake_that_fails(fault: str) -> None:
    room, module, change = FAULTS[fault]
    machine = machine_with(**{room: broken(module, change)})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=SEARCH)
