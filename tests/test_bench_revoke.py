"""The part `revoke` of the benchmarks sees what is lost, late, or in another order."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measure import BenchmarkError
from benchmarks.revoke import Samples, goals_of, p99, require_in_order, run

CHANGED, ENDED = "person.changed", "person.ended"


def test_of_a_hundred_samples_one_may_be_longer_than_the_99th_percentile() -> None:
    assert p99([float(n) for n in range(1, 101)]) == 99
    assert p99([3.0, 1.0, 2.0]) == 3


def test_ratios_are_taken_over_what_was_measured_beside() -> None:
    samples = Samples(
        accepted=[0.004], called=[0.06], closing=[0.3], fsync=[0.001], round_trip=[0.019]
    )
    goals = goals_of(samples)
    assert (goals["accepted"]["p99_ratio"], goals["accepted"]["goal"]) == (4.0, 10.0)
    assert (goals["called"]["p50_ratio"], goals["closing"]["p99_ratio"]) == (3.0, 15.0)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ([("p1", CHANGED), ("p1", ENDED), ("p2", CHANGED)], "1 of 4 accepted events are lost"),
        ([("p1", ENDED), ("p1", CHANGED), ("p2", CHANGED), ("p2", ENDED)], "another order"),
    ],
)
def test_a_burst_that_lost_something_is_no_result(kept: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        require_in_order(kept, 4)
    require_in_order([("p1", CHANGED), ("p2", CHANGED), ("p1", ENDED), ("p2", ENDED)], 4)


@pytest.mark.long
def test_a_small_run_of_it_measures_everything(tmp_path: Path) -> None:
    document = run(60, 3, 6, tmp_path, lambda _: None)
    assert document["goals"].keys() == {"accepted", "called", "closing"}
    assert document["burst"]["kept_after_kill"] == 6
    assert document["measures"]["closing"]["p50_ms"] > document["measures"]["called"]["p50_ms"]
    assert list(tmp_path.iterdir()) == []
