"""A new machine from the copies: by commands alone to a first plan that is safe, and timed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.whole.town import Town


@pytest.mark.case("O6")
def test_a_new_machine_makes_its_first_plan_from_the_copies_and_changes_nothing_by_it(
    tmp_path: Path,
) -> None:
    old = Town(tmp_path / "old", people=20)
    old.write()
    old.json("sync", code=0)
    kept = tmp_path / "copies"
    shutil.copytree(old.folder, kept)  # configuration, state and what stands beside it
    old.people = 21  # after the copy: somebody begins, and somebody is ended by order
    old.write_hr()
    old.write_lms()
    old.json("sync", code=0)
    old.json("revoke", old.number(4), "--reason", "uppsagd", code=0)

    begun = time.monotonic()
    new = Town(tmp_path / "new", people=21)
    shutil.copytree(kept, new.folder)
    for name in ("stadshuset.db", "skola.db"):  # the access systems are not ours: they went on
        shutil.copy(old.folder / "var" / name, new.folder / "var" / name)
    for name in ("hr.csv", "lms.csv"):
        shutil.copy(old.folder / name, new.folder / name)
    before = new.doors()
    report = new.json("rebuild", "--reason", "ny maskin", code=0)
    assert not report["done"]
    new.json("rebuild", "--reason", "ny maskin", "--yes", code=0)
    new.json("revoke", new.number(4), "--reason", "uppsagd", code=0)  # HR's list since the copy
    plan = new.json("plan", code=0)
    took = time.monotonic() - begun
    assert new.doors() == before, "nothing but what was ordered again, and that stood already"
    assert plan["outcome"] in ("no-change", "planned")
    assert plan["targets"]["stadshuset"]["revoke"] == plan["targets"]["skola"]["revoke"] == 0
    assert new.number(4) not in str(plan["changes"]), "who was ended stays so"
    assert took < 60 * 60, "an hour is the goal for a whole city"
    assert new.json("sync", code=0)["writes"] == 0
