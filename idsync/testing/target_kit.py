"""What the contract of a target works with: what its user gives, and how it writes and reads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import pytest

from idsync.capabilities import Capabilities
from idsync.errors import Refused
from idsync.model import Cardholder, Change
from idsync.targets import Target
from idsync.testing.cardholders import only

Stranger: TypeAlias = Callable[[Cardholder], None]
"""Writes into the system as a local administrator would, behind idsync's back.

Given a cardholder with a key that the system holds, it adds the grants and credentials
to that one. Otherwise it makes the record as it stands, also one without a key.
"""

ABILITIES: dict[str, Callable[[Capabilities], bool]] = {
    "dated grants": lambda can: can.dated_grants,
    "one right for two periods": lambda can: can.dated_grants and can.grants_per_right == "many",
    "alarm rights": lambda can: can.alarm_rights,
    "credentials to be read": lambda can: can.credentials != "none",
    "credentials to be written": lambda can: can.credentials == "write",
}
"""What not every system has: its declared capabilities decide, and nothing else does."""


class TargetKit:
    """The fixtures and the hands of the contract; it promises nothing itself."""

    many = 230
    """How many people there must be for the system to need several pages."""

    zone = ZoneInfo("Europe/Stockholm")
    """Where a day begins, for a system that knows only days."""

    # ── what you give ───────────────────────────────────────────────────────────────────

    @pytest.fixture
    def target(self) -> Any:  # noqa: ANN401 - yours may yield
        """The adapter, connected to a working system that holds nobody."""
        raise NotImplementedError("give the fixture `target`: your adapter, its system empty")

    @pytest.fixture
    def outage(self) -> Any:  # noqa: ANN401
        """The adapter, its system down."""
        raise NotImplementedError("give the fixture `outage`: your adapter, its system down")

    @pytest.fixture
    def stranger(self) -> Any:  # noqa: ANN401
        """A local administrator's hand: see Stranger."""
        raise NotImplementedError("give the fixture `stranger`: it writes behind idsync's back")

    @pytest.fixture
    def rights(self) -> Any:  # noqa: ANN401
        """The names of three access rights that the system has."""
        raise NotImplementedError("give the fixture `rights`: three rights the system has")

    @pytest.fixture
    def alarm_rights(self) -> Any:  # noqa: ANN401
        """The names of alarm rights that the system has; give it where it has any."""
        return ()

    def settle(self, target: Target) -> None:
        """Wait until a change is done that the system answered with `submitted`."""
        raise AssertionError("put answered `submitted`: let `settle` wait until it is done")

    # ── hands ───────────────────────────────────────────────────────────────────────────

    def _put(self, target: Target, before: Cardholder | None, after: Cardholder) -> None:
        outcome = target.put(Change(before=before, after=after))
        if outcome.status == "submitted":
            self.settle(target)
        else:
            assert outcome.status == "confirmed", f"put answered {outcome.status}"

    def _able(self, target: Target, ability: str, wanted: Cardholder) -> bool:
        """Tell whether the system has an ability; if not, what needs it must be refused."""
        if ABILITIES[ability](target.capabilities):
            return True
        with suppress(Refused):
            target.put(Change(before=None, after=wanted))
            raise AssertionError(f"capabilities: no {ability}, so put must raise Refused")
        found = target.read_one(wanted.key or "")
        grants = set(found.grants) if found else set()
        assert grants <= set(wanted.grants), f"{ability}: refused, and yet something else was put"
        return False

    def _given(self, target: Target, wanted: Cardholder) -> Cardholder:
        self._put(target, None, wanted)
        return only(target, wanted.key)

    def _day(self, target: Target, day: int) -> datetime:
        """Return an instant that the system can hold exactly, whatever its granularity."""
        exact = {"second": (12, 34, 56), "minute": (12, 34, 0), "day": (0, 0, 0)}
        hour, minute, second = exact[target.capabilities.granularity]
        local = datetime(2031, 3, day, hour, minute, second, tzinfo=self.zone)
        return local.astimezone(UTC)
