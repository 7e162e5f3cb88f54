"""What the tests of the ONVIF target share: a controller, and targets that speak to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from idsync.model import Cardholder, Change, Credential, Grant
from idsync.targets.onvif import OnvifTarget
from tests.fakes.onvif import PASSWORD, USER, Door, FakeOnvif
from tests.fakes.onvif_store import Habits

RIGHTS = ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS Å")
CARD = "8000001"
HEX = f"{int(CARD):06X}"
OTHER_CARD = "70002"
OTHER_HEX = f"{int(OTHER_CARD):06X}"

Start: TypeAlias = Callable[..., tuple[FakeOnvif, OnvifTarget]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start controllers, each with a target that speaks to it."""
    monkeypatch.setenv("ONVIF_PASSWORD", PASSWORD)
    fakes: list[FakeOnvif] = []
    targets: list[OnvifTarget] = []

    def begin(
        habits: Habits | None = None,
        door: Door | None = None,
        tls: tuple[str, str] | None = None,
        **settings: Any,
    ) -> tuple[FakeOnvif, OnvifTarget]:
        fake = FakeOnvif(habits, door, tls)
        fakes.append(fake)
        for number, right in enumerate(RIGHTS):
            fake.profile(f"profile-{number}", right)
        targets.append(another(fake, **settings))
        return fake, targets[-1]

    yield begin
    for target in targets:
        target.close()
    for fake in fakes:
        fake.close()
        assert fake.violations == [], "a message does not fit ONVIF's schema"


def another(fake: FakeOnvif, **settings: Any) -> OnvifTarget:
    """Return a target for a controller that runs."""
    config = {
        "url": fake.url,
        "user": USER,
        "password": {"env": "ONVIF_PASSWORD"},
        "login": "wsse" if fake.door.login == "wsse" else "digest",
        "format_type": "WIEGAND26",
        "page_size": 10,
        **settings,
    }
    return OnvifTarget(OnvifTarget.Config.model_validate(config))


def person(*grants: str | Grant, card: str = CARD, **fields: Any) -> Cardholder:
    """Return a made-up cardholder with one card."""
    held = tuple(Grant(ref=each) if isinstance(each, str) else each for each in grants)
    credentials = (Credential(number=card),)
    return replace(Cardholder(key="1001", credentials=credentials, grants=held), **fields)


def put(target: OnvifTarget, before: Cardholder | None, after: Cardholder) -> Cardholder:
    """Put a change, and return the cardholder as it is shown afterwards."""
    assert target.put(Change(before=before, after=after)).status == "confirmed"
    return shown(target, after.key or "")


def shown(target: OnvifTarget, key: str = "1001") -> Cardholder:
    """Return the cardholder with this key, which must be there."""
    found = target.read_one(key)
    assert found is not None
    return found
