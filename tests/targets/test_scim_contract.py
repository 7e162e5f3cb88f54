"""The SCIM target keeps the contract: with the real server, and with services of other habits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from idsync.model import Cardholder
from idsync.targets.scim import ScimTarget
from idsync.testing.habit_contract import HabitContract
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.fakes.scim import TOKEN as FAKE_TOKEN
from tests.fakes.scim import FakeScim
from tests.fakes.scim_habits import Habits, Trouble
from tests.servers.scim import TOKEN as REAL_TOKEN
from tests.servers.scim import ScimServer

RIGHTS = ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS Å")
Make = Callable[..., ScimTarget]


class ScimHabits:
    """The switches of the second contract, on the fake service."""

    def __init__(self, system: FakeScim, make: Make) -> None:
        self.system = system
        self.make = make

    def lose_answer(self) -> None:
        self.system.next("write", "any", Trouble(how="drop", committed=True))

    def ignore_write(self) -> None:
        self.system.next("write", "any", Trouble(status=200))

    def be_busy(self, times: int) -> None:
        storm = [Trouble(status=429, headers={"Retry-After": "1"})] * times
        self.system.next("any", "any", *storm)

    def between_pages(self, edit: Callable[[], None]) -> None:
        self.system.habits.after_page.append(edit)

    def paged(self, size: int) -> ScimTarget:
        return self.make(self.system.url, FAKE_TOKEN, page_size=size)


class ScimContract(TargetContract):
    """What the contract needs, for any service that `system` starts with the three rights."""

    @pytest.fixture
    def target(self, system: Any, scim_target: Make) -> ScimTarget:
        token = REAL_TOKEN if isinstance(system, ScimServer) else FAKE_TOKEN
        return scim_target(system.url, token)

    @pytest.fixture
    def outage(self, scim_target: Make) -> ScimTarget:
        return scim_target("http://127.0.0.1:9/scim/v2", FAKE_TOKEN)

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return RIGHTS


@pytest.mark.scim
class TestRealServer(ScimContract):
    many = 45

    @pytest.fixture(params=["patch", "put"])
    def system(self, request: pytest.FixtureRequest) -> Iterator[ScimServer]:
        running = ScimServer(page_limit=20, patch=request.param == "patch")
        for right in RIGHTS:
            running.group(right)
        yield running
        running.close()

    @pytest.fixture
    def stranger(self, system: ScimServer) -> Stranger:
        def write(wanted: Cardholder) -> None:
            id = next(
                (
                    user["id"]
                    for user in system.ask("GET", "Users").get("Resources", [])
                    if wanted.key and user.get("externalId") == wanted.key
                ),
                None,
            ) or system.user("by hand", displayName=wanted.display_name)
            for group in system.ask("GET", "Groups")["Resources"]:
                if group["displayName"] in {grant.ref for grant in wanted.grants}:
                    members = [*group.get("members", []), {"value": id}]
                    system.ask("PUT", f"Groups/{group['id']}", {**group, "members": members})

        return write


HABITS = {
    "patch-only-and-strict": Habits(
        put=False, etag="required", repeats="refused", members_in_lists=False
    ),
    "put-only-and-poor": Habits(patch=False, config=False, filters="refused", page_limit=7),
    "odd-members": Habits(
        removal="value", filters="folded", after_end="refused", user_groups=True, page_limit=20
    ),
}


class TestHabits(ScimContract, HabitContract):
    many = 45

    @pytest.fixture(params=HABITS)
    def system(self, request: pytest.FixtureRequest) -> Iterator[FakeScim]:
        running = FakeScim(replace(HABITS[request.param]))
        for right in RIGHTS:
            running.group(right)
        yield running
        running.close()

    @pytest.fixture
    def habits(self, system: FakeScim, scim_target: Make) -> ScimHabits:
        return ScimHabits(system, scim_target)

    @pytest.fixture
    def stranger(self, system: FakeScim) -> Stranger:
        def write(wanted: Cardholder) -> None:
            ids = [
                id
                for id, user in system.users.items()
                if wanted.key and user.get("externalId") == wanted.key
            ]
            id = ids[0] if ids else system.user("by hand", displayName=wanted.display_name)
            for group in system.groups.values():
                if group["displayName"] in {grant.ref for grant in wanted.grants}:
                    group["members"].append({"value": id})
                    system.touch(group)

        return write
