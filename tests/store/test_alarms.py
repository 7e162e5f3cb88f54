"""An alarm stands until what it tells of is over, and says what is wrong now."""

from __future__ import annotations

from datetime import timedelta

from idsync.store import State
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)

LATER = NOW + timedelta(hours=1)


def test_an_alarm_whose_words_change_is_the_one_that_stood(state: State) -> None:
    wrong = {"hall": "3 doors do not answer", "hr": "no read since yesterday"}
    assert state.alarms.stand(wrong, NOW) == (["hall", "hr"], [])
    assert state.alarms.acknowledge("hall", "maja", NOW)
    before = {one.name: one for one in state.alarms.all()}

    assert state.alarms.stand(wrong | {"hall": "5 doors do not answer"}, LATER) == ([], [])
    after = {one.name: one for one in state.alarms.all()}
    assert after["hr"] == before["hr"]
    assert after["hall"].detail == "5 doors do not answer"
    assert (after["hall"].since, after["hall"].told_at) == (NOW.isoformat(), NOW.isoformat())
    assert after["hall"].acknowledged_by == "maja"

    assert state.alarms.stand({"hr": wrong["hr"]}, LATER) == ([], ["hall"])
    assert [one.name for one in state.alarms.all()] == ["hr"]
