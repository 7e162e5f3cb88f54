"""What Prometheus is told, the dashboard made of it, and the same on a terminal."""

from __future__ import annotations

import json
import re
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from idsync.config import load
from idsync.service.answering import metrics
from idsync.service.applying import sync
from idsync.service.braking import windows_of
from idsync.service.health import health
from idsync.store import open_state
from tests.whole.town import Town

BOARD = Path(__file__).parents[2] / "docs" / "grafana" / "idsync.json"
NOW = datetime(2026, 10, 1, 1, tzinfo=UTC)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path / "en stad", people=12)
    made.write()
    return made


def told(town: Town) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return the samples of /metrics by name after one night."""
    config = load(town.folder / "connectors.toml")
    state = open_state(config.idsync.state, witness=config.idsync.witness)
    try:
        assert sync(config, state, lambda _: None, time=lambda: NOW).outcome == "applied"
        text = metrics(health(config, state, NOW)).decode()
    finally:
        state.close()
    return {
        family.name: [(one.labels, one.value) for one in family.samples]
        for family in text_string_to_metric_families(text)
    }


def test_every_panel_of_the_dashboard_asks_for_what_is_told_by_labels_it_has(town: Town) -> None:
    known = told(town)
    panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    asked = set()
    for panel in panels:
        for one in panel["targets"]:
            names = {
                name.removesuffix("_bucket") for name in re.findall(r"idsync_\w+", one["expr"])
            }
            asked |= names
            assert names <= set(known), panel["title"]
            labels = set(re.findall(r"{{(\w+)}}", one["legendFormat"])) - {"instance"}
            for name in names:
                assert all(labels <= set(found) for found, _ in known[name]), panel["title"]
    assert asked == set(known), "told, and on no panel"


def test_what_is_used_of_each_limit_is_told_with_the_limit(town: Town) -> None:
    known = told(town)
    day = {"scope": "city", "direction": "gaining", "window": "24 hours"}
    [used] = [value for labels, value in known["idsync_brake_used"] if labels == day]
    [limit] = [value for labels, value in known["idsync_brake_limit"] if labels == day]
    assert 0 < used <= 12
    [over_a_day, _] = windows_of(load(town.folder / "connectors.toml"))
    assert limit == over_a_day.limits["gaining"].people


def test_a_watched_status_is_shown_again_and_again_until_it_is_stopped(town: Town) -> None:
    town.json("sync", code=0)
    process = town.start("status", "--watch", "1")
    assert process.stdout is not None
    rounds = 0
    for line in process.stdout:
        rounds += "revocations stand" in line
        if rounds == 2:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_a_document_is_not_watched(town: Town) -> None:
    town.json("sync", code=0)
    answer = town.run("status", "--watch", "5", "--json")
    assert answer.code == 2
    assert "leave out --watch" in answer.err
