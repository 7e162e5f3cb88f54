"""A clock that jumps opens and closes nothing; a confirmed termination asks no clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from idsync.service import applying
from tests.apply.city_on_scim import ScimCity

NOW = datetime(2026, 11, 25, 2, tzinfo=UTC)
JUMPS = {
    "an hour back": NOW - timedelta(hours=1),
    "a year ahead": NOW + timedelta(days=365),
    "to 1970": datetime(1970, 1, 1, tzinfo=UTC),
}


class Dated(ScimCity):
    """Somebody is here until new year; somebody begins tomorrow, and somebody today."""

    now = NOW

    def write(self) -> None:
        super().write()
        file = self.folder / "hr.csv"
        rows = file.read_text(encoding="utf-8").splitlines()[1:]
        dates = {"101": "2020-01-01,2026-12-31", "102": "2026-11-26,", "103": "2026-11-25,"}
        told = [f"{row},{dates.get(row.split(',')[1], '2020-01-01,')}" for row in rows]
        file.write_text("\n".join(["anst,nr,namn,enhet,from,tom", *told]) + "\n", encoding="utf-8")
        config = self.folder / "connectors.toml"
        text = config.read_text(encoding="utf-8")
        dated = 'unit = "enhet", valid_from = "from", valid_to = "tom" }'
        config.write_text(text.replace('unit = "enhet" }', dated), encoding="utf-8")


@pytest.fixture
def dated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dated]:
    made = Dated(tmp_path)
    monkeypatch.setattr(applying, "clock", lambda: made.now)
    yield made
    made.close()


def members(city: Dated) -> dict[str, set[str]]:
    return {number: city.rights(number) for number in city.units}


@pytest.mark.case("K3")
@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_holds_what_dates_decide_and_no_revocation(
    dated: Dated, jump: str
) -> None:
    assert dated.sync().outcome == "applied"
    before = members(dated)
    assert before["101"] == {"SKOLA"} == before["103"]
    dated.now = JUMPS[jump]
    dated.state.orders.revoke(dated.person("100"), "HR 17", "test", NOW)
    for _ in range(2):  # a second run at the wrong time believes it no more than the first
        run = dated.sync()
        assert run.outcome == "held"
        [part] = run.look.plan.held
        assert part.scope == "clock"
        assert members(dated) == before | {"100": set()}
    assert dated.is_shut("100"), "a confirmed termination waited for a clock"
    dated.now = NOW + timedelta(minutes=10)
    assert dated.sync().outcome in ("no-change", "applied")
    assert members(dated) == before | {"100": set()}


@pytest.mark.case("K3")
def test_a_city_that_was_away_for_long_goes_on_when_somebody_says_the_clock_is_right(
    dated: Dated,
) -> None:
    dated.sync()
    dated.now = NOW + timedelta(days=60)
    [part] = dated.sync().look.plan.held
    dated.state.orders.approve(part.digest, "Åsa Ö", "vi flyttade servern", dated.now)
    assert dated.sync().outcome == "applied"
    assert (members(dated)["101"], members(dated)["102"]) == (set(), {"SKOLA"})
    assert dated.sync().writes == 0


@pytest.mark.case("K3")
@pytest.mark.parametrize("later", [-timedelta(minutes=4), timedelta(days=44)])
def test_a_clock_that_is_corrected_and_a_long_holiday_hold_nothing(
    dated: Dated, later: timedelta
) -> None:
    dated.sync()
    dated.now = NOW + later
    assert dated.sync().look.plan.held == ()
