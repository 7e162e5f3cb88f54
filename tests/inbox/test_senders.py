"""`idsync check` says of each sender of events whether it could be recognised, and asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.transmitter import FakeTransmitter
from tests.inbox.polled import BY_STREAM, BY_URL, Polled, transmitting
from tests.whole.town import Town

SOUND = {"ok": True, "reason": ""}


def told(town: Town, *, code: int = 0) -> dict[str, dict[str, object]]:
    senders: dict[str, dict[str, object]] = town.json("check", code=code)["senders"]
    return senders


@pytest.mark.parametrize("how", [BY_URL, BY_STREAM])
def test_every_sender_that_is_as_agreed_is_sound_and_is_told_nothing(
    tmp_path: Path, how: str
) -> None:
    with transmitting() as fake:
        office = Polled(tmp_path, fake, how)
        office.sync()
        office.has("p1")
        office.close()
        assert told(office.town) == {"hr": SOUND, "skolan": SOUND, "idp": SOUND}
        assert (fake.polls, fake.acked) == ([], []), "no event is fetched"
        assert "Senders of events" in office.town.run("check").out


def break_the_key(office: Polled, _: FakeTransmitter) -> None:
    (office.town.folder / "new").write_text("whsec_c2hvcnQ=", encoding="utf-8")


def hide_the_keys(_: Polled, fake: FakeTransmitter) -> None:
    fake.changed = {"jwks_uri": None}


def take_the_token(office: Polled, _: FakeTransmitter) -> None:
    (office.town.folder / "token").unlink()


def push_instead(_: Polled, fake: FakeTransmitter) -> None:
    fake.method = "urn:ietf:rfc:8935"


@pytest.mark.parametrize(
    ("fault", "sender", "reason"),
    [
        (break_the_key, "skolan", "whsec_"),
        (hide_the_keys, "idp", "jwks_uri"),
        (take_the_token, "idp", "token"),
        (push_instead, "idp", "not set up to be polled"),
    ],
)
def test_what_is_wrong_with_a_sender_is_said_in_a_sentence(
    tmp_path: Path, fault: Callable[[Polled, FakeTransmitter], None], sender: str, reason: str
) -> None:
    with transmitting() as fake:
        office = Polled(tmp_path, fake, BY_STREAM)
        office.sync()
        office.close()
        fault(office, fake)
        found = told(office.town, code=4)[sender]
        assert found["ok"] is False
        assert reason in str(found["reason"])
        assert "made-up" not in str(found["reason"])
