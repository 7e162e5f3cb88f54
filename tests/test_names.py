"""A name that nobody has, that leads to this machine, or elsewhere from one call to the next."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from idsync.errors import Unavailable
from idsync.http import Api
from idsync.settings import Secret
from tests.fakes.scim import TOKEN, FakeScim

NAME = "access.example.se"


class Names:
    """What the name server says of NAME; nobody else is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.leads_to: str | None = None
        self.name = NAME
        self.asked = 0
        real = socket.getaddrinfo

        def answer(host: str, *more: object, **named: object) -> object:
            if host != self.name:
                return real(host, *more, **named)  # type: ignore[arg-type]
            self.asked += 1
            if self.leads_to is None:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return real(self.leads_to, *more, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.fixture
def fake() -> Iterator[FakeScim]:
    running = FakeScim()
    yield running
    running.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.mark.case("T11")
def test_a_name_that_nobody_has_is_a_system_that_is_away(names: Names) -> None:
    api = Api(f"https://{NAME}/scim")
    with pytest.raises(Unavailable, match="could not be made"):
        api.call("GET", "Users")
    assert names.asked >= 1
    api.close()


@pytest.mark.case("T11")
@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_name_that_leads_to_this_machine_gets_no_login(
    names: Names, fake: FakeScim, tmp_path: Path, address: str
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    names.leads_to = address
    port = fake.url.rpartition(":")[2]
    api = Api(f"https://{NAME}:{port}", token=Secret("file", str(tmp_path / "token")))
    with pytest.raises(Unavailable, match="leads to this machine"):
        api.call("GET", "Users")
    assert fake.seen == []
    api.close()


@pytest.mark.case("T11")
def test_a_connection_stays_with_the_address_that_was_checked(
    names: Names, fake: FakeScim, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    names.name, names.leads_to = "localhost", "127.0.0.1"
    url = fake.url.replace("127.0.0.1", "localhost")
    api = Api(url, token=Secret("file", str(tmp_path / "token")))
    assert api.call("GET", "Users").ok
    asked = names.asked
    names.leads_to = None  # from now on nobody has it
    assert api.call("GET", "Users").ok
    assert names.asked == asked, "the name is not asked for again while the connection lives"
    api.close()
    with pytest.raises(Unavailable):
        api.call("GET", "Users")
    assert names.asked > asked
