"""The office whose provider of identities is polled, and a transmitter that signs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from idsync.service.polling import Poller
from tests.fakes.transmitter import BEARER, STREAM, FakeTransmitter
from tests.inbox.office import town_in
from tests.inbox.tokens import SetOffice, claims, jwks, signed

POLLED = """subject = "opaque"
delivery = "poll"
token = { file = "FOLDER/token" }
"""
BY_URL = 'poll_url = "URL/poll"\n'
BY_STREAM = f'stream = "{STREAM}"\n'


class Polled(SetOffice):
    """The office, polling its provider; how long it would rest is written down."""

    def __init__(self, folder: Path, transmitter: FakeTransmitter, how: str = BY_URL) -> None:
        town = town_in(folder)
        super().__init__(
            town, POLLED + how.replace("URL", transmitter.url), f"{transmitter.url}/idp"
        )
        (town.folder / "token").write_text(BEARER, encoding="utf-8")
        self.now = datetime.now(UTC)
        self.transmitter = transmitter
        self.rests: list[float] = []
        self.heard = 0
        self.poller = Poller("idp", self.rings, self.clock, self._hear, self.rests.append)

    def _hear(self) -> None:
        self.heard += 1

    def close(self) -> None:
        self.poller.close()
        super().close()

    def has(self, person: str, id_: str = "", **changed: Any) -> str:
        """Let the transmitter have a token to tell; return its id."""
        id_ = id_ or f"jti-{person}"
        said = self.said(jti=id_, sub_id={"format": "opaque", "id": person}, **changed)
        self.transmitter.pending[id_] = signed(said).decode()
        return id_

    def poll(self, times: int = 1) -> None:
        for _ in range(times):
            self.poller.poll(self.config, self.state)

    def kept(self) -> list[str]:
        return [one.person for one in self.state.inbox.open(self.clock())]


def transmitting() -> FakeTransmitter:
    """Return a transmitter that signs what it is asked to verify with."""

    def sign(said: dict[str, Any]) -> str:
        return signed(claims(datetime.now(UTC), iss=f"{made.url}/idp", **said)).decode()

    made = FakeTransmitter(jwks("ES256-1", "ES256-2"), sign)
    return made
