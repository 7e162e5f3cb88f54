"""Systems that lose answers, lie, lag, drown, or speak another language: through the whole line."""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from idsync.apply import retry
from idsync.apply.retry import EXTRA_SHARE, FREE_RETRIES
from tests.apply.city_on_scim import GIVEN, ScimCity
from tests.fakes.scim import TOKEN
from tests.fakes.scim_habits import Seen, Trouble

HTML = Trouble(200, {"Content-Type": "text/html"}, b"<html><form>Logga in</form></html>")
LOST = [Trouble(200, how="drop", committed=True), Trouble(200, how="half", committed=True)]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems ask for waits of hours; here they are asked again sooner."""
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0.05)


def double_records(city: ScimCity) -> list[str]:
    """Return keys and memberships that stand twice."""
    keys = [one.get("externalId") for one in city.fake.users.values()]
    found = [str(key) for key in set(keys) if keys.count(key) > 1]
    for group in city.fake.groups.values():
        ids = [member["value"] for member in group["members"]]
        found += [id for id in set(ids) if ids.count(id) > 1]
    return found


# ── answers that do not tell what happened ──────────────────────────────────────────────


@pytest.mark.case("T1", "T2", "T4")
@pytest.mark.parametrize(
    "trouble",
    [Trouble(500, committed=True), *LOST, Trouble(500), Trouble(200, how="drop"), HTML,
     Trouble(302, {"Location": "https://login.example.se/"})],
    ids=["500 done", "dropped done", "half done", "500", "dropped", "login page", "redirect"],
)  # fmt: skip
def test_whatever_a_write_is_answered_everybody_stands_there_once_and_right(
    city: ScimCity, trouble: Trouble
) -> None:
    city.sync()
    for number in city.units:
        city.units[number] = "Kök"
    for method in ("POST", "PATCH"):
        for area in ("Users", "Groups"):
            city.fake.next(method, area, copy.copy(trouble))
    city.units["104"] = "Skola"
    del city.units["100"]
    city.sync()
    city.sync()  # what was unknown has been looked at, and what had not happened is sent
    assert {number: city.rights(number) for number in city.units} == {
        number: GIVEN if unit == "Kök" else {"SKOLA"} for number, unit in city.units.items()
    }
    assert city.is_shut("100")
    assert double_records(city) == []
    assert city.state.journal.unsettled() == []
    assert city.sync().writes == 0


@pytest.mark.case("T3")
def test_a_system_that_says_yes_and_closes_nobody_is_told_and_asked_again(city: ScimCity) -> None:
    city.sync()
    del city.units["101"]
    yes = Trouble(200, {"Content-Type": "application/scim+json"}, b"{}")
    city.fake.next("PATCH", "Users", yes)
    city.fake.next("PATCH", "Groups", copy.copy(yes))
    run = city.sync()
    assert run.outcome == "partial", "a lie was believed"
    assert "do" in run.document()["problems"][0]["reason"]
    assert not city.is_shut("101")
    city.sync()
    assert city.is_shut("101")
    assert city.sync().writes == 0


# ── systems that show late ──────────────────────────────────────────────────────────────


class Lag:
    """Shows everything as it was *seconds* ago."""

    def __init__(self, city: ScimCity, seconds: float) -> None:
        self.city = city
        self.seconds = seconds
        self.past: list[tuple[float, Any]] = [(-math.inf, self._now())]
        self.answer = city.fake.answer
        city.fake.answer = self  # type: ignore[method-assign]

    def _now(self) -> Any:
        return copy.deepcopy((self.city.fake.users, self.city.fake.groups))

    def __call__(self, seen: Seen) -> tuple[int, dict[str, Any] | None]:
        fake = self.city.fake
        if seen.method != "GET":
            answered = self.answer(seen)
            self.past.append((time.monotonic(), self._now()))
            return answered
        due = time.monotonic() - self.seconds
        [*_, (_, shown)] = [one for one in self.past if one[0] <= due]
        truth = fake.users, fake.groups
        fake.users, fake.groups = shown
        try:
            return self.answer(seen)
        finally:
            fake.users, fake.groups = truth


@pytest.mark.case("T5")
def test_what_shows_late_is_neither_made_nor_taken_twice(
    city_with: Callable[[str], ScimCity],
) -> None:
    city = city_with("settles_s = 60")
    city.sync()
    city.units = {"100": "Kök", "101": "Skola", "102": "Skola", "105": "Skola"}
    lag = Lag(city, seconds=1000.0)
    first = city.sync()
    assert first.outcome == "partial", "what does not show was called done"
    [problem] = first.document()["problems"]
    assert "does not show it yet" in problem["reason"]
    written = len(city.fake.writes)
    second = city.sync()
    assert len(city.fake.writes) == written, "sent again, though it had only not shown yet"
    assert second.writes == 0
    assert [one.state for one in city.state.journal.unsettled()] == ["unknown"]
    lag.seconds = 0.0
    third = city.sync()
    assert (third.outcome, third.writes) == ("no-change", 0)
    assert city.state.journal.unsettled() == []
    assert city.rights("100") == GIVEN
    assert city.is_shut("103")
    assert double_records(city) == []


@pytest.mark.case("T5")
def test_what_shows_within_seconds_is_waited_for(city_with: Callable[[str], ScimCity]) -> None:
    city = city_with("settles_s = 10")
    city.sync()
    del city.units["103"]
    Lag(city, seconds=0.6)
    assert city.sync().outcome == "applied"
    time.sleep(0.7)
    assert city.is_shut("103")


@pytest.mark.case("T5", "T3")
def test_what_never_shows_is_called_a_lie_after_its_time_and_sent_again(
    city_with: Callable[[str], ScimCity],
) -> None:
    city = city_with("settles_s = 1")
    city.sync()
    del city.units["101"]
    yes = Trouble(200, {"Content-Type": "application/scim+json"}, b"{}")
    city.fake.next("PATCH", "Users", yes)
    city.fake.next("PATCH", "Groups", copy.copy(yes))
    assert city.sync().outcome == "partial"
    time.sleep(1.0)
    city.sync()
    assert city.is_shut("101")


# ── systems that drown ──────────────────────────────────────────────────────────────────


@pytest.mark.case("T6")
@pytest.mark.parametrize(
    "asked", ["", "0", "1", "-5", "soon", "315360000", "Wed, 21 Oct 2015 07:28:00 GMT"]
)
def test_a_storm_of_refused_calls_is_waited_out_whatever_it_asks_for(
    city: ScimCity, asked: str
) -> None:
    headers = {"Retry-After": asked} if asked else {}
    city.fake.next("POST", "Users", Trouble(429, headers))
    city.fake.next("PATCH", "Groups", Trouble(429, headers))
    run = city.sync()
    assert run.outcome == "applied", run.document()["problems"]
    assert {city.rights(number) == {"SKOLA"} for number in city.units} == {True}


@pytest.mark.case("T22")
def test_a_system_that_fails_again_and_again_gets_a_tenth_more_calls_and_no_more(
    city: ScimCity,
) -> None:
    city.units = {str(1000 + i): "Skola" for i in range(40)}
    city.sync()
    city.units = dict.fromkeys(city.units, "Kök")
    tried: Counter[str] = Counter()

    def twice_no(seen: Seen) -> None:
        if seen.method == "PATCH":
            tried[str(seen.body)] += 1
            if tried[str(seen.body)] <= 2:
                city.fake.next("PATCH", "Groups", Trouble(503))

    city.fake.arrived = twice_no
    run = city.sync()
    city.fake.arrived = lambda _: None
    repeated = tried.total() - len(tried)
    assert repeated > 0, "nothing was tried again"
    assert repeated <= len(city.fake.seen) * EXTRA_SHARE + FREE_RETRIES, (repeated, len(tried))
    assert run.outcome in ("partial", "incomplete"), "trouble was not told"
    city.fake._troubles.clear()
    city.state.circuits.close("skola")  # as a probe does, a minute later
    city.sync()
    assert {city.rights(number) == GIVEN for number in city.units} == {True}


@pytest.mark.case("T18")
@pytest.mark.parametrize("status", [507, 409])
def test_a_full_system_refuses_newcomers_and_still_closes(city: ScimCity, status: int) -> None:
    city.sync()
    del city.units["100"]
    city.units["104"] = "Skola"
    city.fake.next("POST", "Users", *(Trouble(status) for _ in range(8)))
    run = city.sync()
    assert run.outcome == "partial"
    assert [one["person"] for one in run.document()["problems"]] == [city.person("104")]
    assert city.is_shut("100"), "a full licence kept somebody in"
    city.fake._troubles.clear()
    city.sync()
    assert city.rights("104") == {"SKOLA"}


@pytest.mark.case("T20")
def test_a_system_that_speaks_a_new_word_is_written_nothing(city: ScimCity) -> None:
    city.sync()
    city.fake.user("new", active="perhaps")
    city.units["101"] = "Kök"
    written = len(city.fake.writes)
    run = city.sync()
    assert run.outcome == "incomplete"
    assert "active" in run.document()["targets"]["skola"]["reason"]
    assert len(city.fake.writes) == written


@pytest.fixture
def rotating(city: ScimCity) -> Iterator[ScimCity]:
    """The token is renewed, here and there, after the third write."""
    count = [0]

    def renew(seen: Seen) -> None:
        count[0] += seen.method != "GET"
        if count[0] == 3:
            city.fake.token = "the-next-token"
            (city.folder / "token").write_text("the-next-token")

    city.fake.arrived = renew
    yield city
    city.fake.arrived = lambda _: None


@pytest.mark.case("T12")
def test_a_token_renewed_in_the_middle_of_a_run_costs_at_most_those_under_way(
    rotating: ScimCity,
) -> None:
    rotating.units = {str(100 + i): "Skola" for i in range(16)}
    run = rotating.sync()
    told = str(run.document())
    assert TOKEN not in told
    assert "the-next-token" not in told
    done = run.done["skola"]
    assert done.confirmed >= 16 - 2 * 4, "one refused token ended the run"
    assert rotating.sync().outcome in ("applied", "no-change")
    assert {rotating.rights(number) == {"SKOLA"} for number in rotating.units} == {True}
    assert double_records(rotating) == []
