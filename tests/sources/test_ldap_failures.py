"""A directory that refuses, breaks off or sends less than everything is never a whole read."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from idsync.errors import ConfigError, ConnectorError, Denied, IdsyncError, Incomplete, Unavailable
from idsync.sources import Batch
from idsync.sources.ldap import LdapSource
from idsync.sources.ldap_settings import LdapConfig
from tests.servers.proxy import Fault, Proxy
from tests.servers.slapd import (
    LIMIT,
    LIMITED,
    LIMITED_PASSWORD,
    READER_PASSWORD,
    SUFFIX,
    Certificates,
    Slapd,
    ldif,
)
from tests.sources.conftest import PEOPLE

pytestmark = pytest.mark.slapd
Make = Callable[..., LdapConfig]


def read(config: LdapConfig) -> list[Batch]:
    """Read everything and close."""
    source = LdapSource(config)
    try:
        return list(source.read(None))
    finally:
        source.close()


def no_proof(config: LdapConfig) -> IdsyncError:
    """Return the error that *config* gives; no batch before it may have carried a proof."""
    source = LdapSource(config)
    with pytest.raises(IdsyncError) as caught:
        for batch in source.read(None):
            assert batch.proof is None
    source.close()
    shown = "".join(traceback.format_exception(caught.value))
    assert "lösen" not in shown
    assert "Öberg" not in shown
    assert "During handling" not in shown
    return caught.value


# ── the account ─────────────────────────────────────────────────────────────────────────


@pytest.mark.case("S16")
@pytest.mark.parametrize("kind", ["persons", "memberships"])
def test_a_read_that_meets_a_size_limit_is_incomplete(
    directory: Slapd, config: Make, password: Callable[[str], None], kind: str
) -> None:
    password(LIMITED_PASSWORD)
    for size in (1, 7, LIMIT, 1000):
        settings = config(directory.url, bind_dn=LIMITED, page_size=size, kind=kind)
        error = no_proof(settings)
        assert isinstance(error, Incomplete)
        assert "sizeLimitExceeded" in str(error)
    within = config(directory.url, bind_dn=LIMITED, filter="(givenName=Åsa)")
    assert len(read(within)[0].records) == 12


def test_a_wrong_password_is_denied(
    directory: Slapd, config: Make, password: Callable[[str], None]
) -> None:
    password("lösen-som-är-fel")
    error = no_proof(config(directory.url))
    assert isinstance(error, Denied)
    assert "result 49 invalidCredentials" in str(error)


def test_an_empty_password_is_not_sent_as_nobody(
    directory: Slapd, config: Make, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n")
    with Proxy(directory.port) as proxy:
        url = f"ldap://127.0.0.1:{proxy.port}"
        error = no_proof(config(url, password={"file": str(tmp_path / "empty")}))
        assert isinstance(error, ConfigError)
        assert proxy.connections == 0


# ── certificates ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("certificate", "kind", "told"),
    [
        ("wronghost", ConfigError, "for another host"),
        ("expired", Unavailable, "not valid today"),
    ],
)
@pytest.mark.parametrize("start_tls", [False, True])
def test_a_certificate_that_does_not_fit_ends_it_before_the_password_is_sent(
    tmp_path: Path,
    certificates: Certificates,
    config: Make,
    certificate: str,
    kind: type[IdsyncError],
    told: str,
    start_tls: bool,
) -> None:
    with Slapd(tmp_path / "one", certificates, certificate=certificate) as server:
        port = server.port if start_tls else server.ldaps_port
        refused_before_password(config, certificates.ca, port, start_tls, kind, told)


@pytest.mark.parametrize("start_tls", [False, True])
def test_an_authority_that_is_not_ours_is_not_trusted(
    directory: Slapd, certificates: Certificates, config: Make, start_tls: bool
) -> None:
    port = directory.port if start_tls else directory.ldaps_port
    for authority in (certificates.other_ca, None):  # None: those of the machine
        refused_before_password(config, authority, port, start_tls, ConfigError, "not trusted")


def refused_before_password(
    config: Make, ca: Path | None, port: int, start_tls: bool, kind: type[IdsyncError], told: str
) -> None:
    with Proxy(port) as proxy:
        url = f"{'ldap' if start_tls else 'ldaps'}://127.0.0.1:{proxy.port}"
        error = no_proof(config(url, ca_file=ca, start_tls=start_tls))
        assert isinstance(error, kind)
        assert told in str(error)
        assert proxy.connections == 1
        assert READER_PASSWORD.encode() not in proxy.sent


def test_an_authority_file_that_cannot_be_read_is_named(
    directory: Slapd, config: Make, tmp_path: Path
) -> None:
    (tmp_path / "text.pem").write_text("not a certificate")
    for name in ("text.pem", "missing.pem"):
        error = no_proof(config(directory.ldaps_url, ca_file=tmp_path / name))
        assert isinstance(error, ConfigError)
        assert name in str(error)


def test_a_port_that_speaks_no_tls_is_told_apart(
    directory: Slapd, certificates: Certificates, config: Make
) -> None:
    error = no_proof(config(f"ldaps://127.0.0.1:{directory.port}", ca_file=certificates.ca))
    assert isinstance(error, Unavailable)
    error = no_proof(config(f"ldap://127.0.0.1:{directory.ldaps_port}"))
    assert isinstance(error, Unavailable)


# ── the line ────────────────────────────────────────────────────────────────────────────


def heard(directory: Slapd, config: Make, **changes: object) -> int:
    """Return how many bytes the server sends in a whole read."""
    with Proxy(directory.port) as proxy:
        read(config(f"ldap://127.0.0.1:{proxy.port}", **changes))
        return len(proxy.received)


@pytest.mark.case("S15")
@pytest.mark.parametrize("fault", ["cut", "reset"])
@pytest.mark.parametrize("kind", ["persons", "memberships"])
def test_a_lost_connection_is_never_a_whole_read(
    directory: Slapd, config: Make, fault: Fault, kind: str
) -> None:
    whole = heard(directory, config, page_size=10, kind=kind)
    for after in [*range(0, whole, whole // 23), whole - 1]:
        with Proxy(directory.port, after=after, fault=fault) as proxy:
            url = f"ldap://127.0.0.1:{proxy.port}"
            error = no_proof(config(url, page_size=10, kind=kind))
        assert isinstance(error, Unavailable | Incomplete)
        if after > whole // 2 and kind == "persons":
            assert isinstance(error, Incomplete)
            assert "after" in str(error)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_server_that_falls_silent_is_given_up_after_the_timeout(
    directory: Slapd, config: Make, share: float
) -> None:
    after = int(share * heard(directory, config, page_size=10))
    with Proxy(directory.port, after=after, fault="stall") as proxy:
        error = no_proof(config(f"ldap://127.0.0.1:{proxy.port}", page_size=10, timeout_s=1))
    assert isinstance(error, Incomplete if share else Unavailable)
    assert "no answer for 1 s" in str(error)


def test_a_lost_connection_under_tls_is_never_a_whole_read(
    directory: Slapd, certificates: Certificates, config: Make
) -> None:
    with Proxy(directory.ldaps_port) as proxy:
        url = f"ldaps://127.0.0.1:{proxy.port}"
        read(config(url, ca_file=certificates.ca, page_size=10))
        whole = len(proxy.received)
    faults: list[tuple[Fault, float]] = [("cut", 0.1), ("cut", 0.6), ("reset", 0.6), ("cut", 0.95)]
    for fault, share in faults:
        with Proxy(directory.ldaps_port, after=int(whole * share), fault=fault) as proxy:
            url = f"ldaps://127.0.0.1:{proxy.port}"
            error = no_proof(config(url, ca_file=certificates.ca, page_size=10))
        assert isinstance(error, Unavailable | Incomplete)


@pytest.mark.case("S15")
def test_a_server_that_dies_between_two_pages_makes_it_incomplete_until_it_is_back(
    tmp_path: Path, certificates: Certificates, config: Make, everything: str
) -> None:
    with Slapd(tmp_path / "one", certificates, everything) as server:
        whole = heard(server, config, page_size=10)
        with Proxy(server.port, after=whole // 2, action=server.kill) as proxy:
            error = no_proof(config(f"ldap://127.0.0.1:{proxy.port}", page_size=10))
        assert isinstance(error, Incomplete)
        down = no_proof(config(server.url))
        assert isinstance(down, Unavailable)
        assert "refused" in str(down)
        server.start()
        assert read(config(server.url, page_size=10))[-1].proof is not None


def test_a_host_without_an_address_is_unavailable(config: Make) -> None:
    error = no_proof(config("ldaps://katalog.invalid", timeout_s=2))
    assert isinstance(error, ConnectorError)


# ── referrals ───────────────────────────────────────────────────────────────────────────


@contextmanager
def rogue() -> Iterator[tuple[int, list[bytes]]]:
    """A listener that a referral points to: its port, and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.settimeout(1)
                    heard.append(client.recv(65536))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1]), heard
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=3)


def test_a_referral_is_never_followed(
    tmp_path: Path, certificates: Certificates, config: Make, everything: str
) -> None:
    away = f"ou=away,{PEOPLE}"
    with rogue() as (port, heard):
        there = ldif(
            away,
            objectClass=["referral", "extensibleObject"],
            ou="away",
            ref=f"ldap://127.0.0.1:{port}/{away}",
        )
        with Slapd(tmp_path / "one", certificates, everything + there) as server:
            inside = no_proof(config(server.url))
            assert isinstance(inside, Incomplete)
            assert 'referrals = "ignore"' in str(inside)
            base = no_proof(config(server.url, base=f"ou=further,{away}"))
            assert isinstance(base, ConfigError)
            assert "result 10 referral" in str(base)
            [batch] = read(config(server.url, referrals="ignore"))
            assert batch.proof is not None
        assert heard == []


def test_the_listener_of_that_test_does_hear_a_client() -> None:
    with rogue() as (port, heard):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"bind")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        assert heard == [b"bind"]


def test_a_whole_suffix_without_a_referral_is_read(directory: Slapd, config: Make) -> None:
    assert read(config(directory.url, base=SUFFIX))[-1].proof is not None
    one = read(config(directory.url, base=SUFFIX, scope="one"))
    assert len(one[0].records) == 0
