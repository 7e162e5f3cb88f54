"""What the tests of the ARX target share: one fake, targets on it, and people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from idsync.errors import Refused
from idsync.model import Cardholder, Change, Grant, Outcome
from idsync.settings import Secret
from idsync.targets.arx import ArxTarget
from tests.fakes.arx import USER, FakeArx

DOOR, HALL, TOWER = RIGHTS = ("FSK-ENTRE", "SKOLA & HALL", "STADSHUS Å")
Make = Callable[..., ArxTarget]


def target_on(url: str, **settings: Any) -> ArxTarget:
    """Return a target whose password stands in the environment."""
    config = {"url": url, "user": USER, "password": Secret("env", "ARX_PASSWORD"), **settings}
    return ArxTarget(ArxTarget.Config.model_validate(config))


def person(key: str, *rights: str, **more: Any) -> Cardholder:
    """Return somebody made up with these rights, without dates."""
    names = {"given_name": "Åsa", "family_name": "Öberg"} | more
    return Cardholder(key=key, grants=tuple(Grant(ref=right) for right in rights), **names)


def made(target: ArxTarget, key: str, *rights: str, **more: Any) -> Cardholder:
    """Put somebody, and return what is read back."""
    target.put(Change(before=None, after=person(key, *rights, **more)))
    return there(target, key)


def there(target: ArxTarget, key: str) -> Cardholder:
    """Return the one with this key, who must be there."""
    found = target.read_one(key)
    assert found is not None
    return found


def suspended(target: ArxTarget, key: str) -> Outcome:
    """Suspend somebody, and take away nothing by name."""
    before = there(target, key)
    return target.put(Change(before=before, after=replace(before, status="suspended")))


def back(target: ArxTarget, key: str) -> Outcome:
    """Let somebody back in."""
    before = there(target, key)
    return target.put(Change(before=before, after=replace(before, status="active")))


def refusal(target: ArxTarget, before: Cardholder | None, after: Cardholder) -> str:
    """Put a change that must be refused, and return why; no word of it is from a record."""
    with pytest.raises(Refused) as caught:
        target.put(Change(before=before, after=after))
    told = str(caught.value)
    for value in (after.key, after.given_name, after.family_name, "secret", *RIGHTS):
        assert not (value or "").strip() or str(value) not in told
    return told


def whole_exports(fake: FakeArx) -> int:
    """Count the exports that asked for everybody."""
    return sum(seen.path == "export" and "external_id" not in seen.query for seen in fake.seen)
