"""Certificates that end, or are none: told in time, and never looked away from."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import subprocess
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from idsync.config import load
from idsync.errors import Unavailable
from idsync.http import Api
from idsync.service.warning import endings, zone_data, zone_data_is_old
from idsync.settings import Secret
from tests.fakes.scim import TOKEN, FakeScim

NOW = datetime.now(UTC)
CONFIG = """
[targets.skola]
type = "gallagher"
url = "{url}"
token = {{ env = "GALLAGHER_KEY" }}
key_field = "nyckel"
base_group = "bas"
division = "Kommunen"
ca_file = "{ca}"
client_certificate = "{own}"
"""


def certificate(folder: Path, name: str, begins: timedelta, ends: timedelta) -> Path:
    """Return a PEM file with a certificate for this machine, which signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + begins)
        .not_valid_after(NOW + ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def serving() -> Iterator[Callable[[Path], FakeScim]]:
    started: list[FakeScim] = []

    def start(file: Path) -> FakeScim:
        started.append(FakeScim(tls=(str(file), str(file))))
        return started[-1]

    yield start
    for fake in started:
        fake.close()


def called(fake: FakeScim, ca_file: Path, folder: Path) -> object:
    (folder / "token").write_text(TOKEN)
    api = Api(fake.url, token=Secret("file", str(folder / "token")), ca_file=ca_file, timeout_s=5)
    try:
        return api.call("GET", "Users")
    finally:
        api.close()


@pytest.mark.case("T9")
@pytest.mark.parametrize(
    ("begins", "ends"), [(-30, -1), (1, 30)], ids=["has ended", "has not begun"]
)
def test_a_certificate_out_of_its_time_is_not_trusted(
    serving: Callable[[Path], FakeScim], tmp_path: Path, begins: int, ends: int
) -> None:
    file = certificate(tmp_path, "x", timedelta(days=begins), timedelta(days=ends))
    fake = serving(file)
    with pytest.raises(Unavailable, match="certificate is not trusted"):
        called(fake, file, tmp_path)
    assert fake.seen == []


def spoken(port: int) -> str | None:
    """Return what a client that takes anything speaks with the service."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        lenient.minimum_version = ssl.TLSVersion.TLSv1
    lenient.set_ciphers("DEFAULT:@SECLEVEL=0")
    lenient.check_hostname = False
    lenient.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        lenient.wrap_socket(plain) as secured,
    ):
        return secured.version()


@pytest.mark.case("T9")
def test_a_service_that_speaks_only_an_old_tls_is_not_spoken_to(
    serving: Callable[[Path], FakeScim], tmp_path: Path
) -> None:
    file = certificate(tmp_path, "x", timedelta(days=-1), timedelta(days=90))
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", file, "-key", file, "-tls1",
         "-cipher", "DEFAULT:@SECLEVEL=0", "-www"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = ""
        while not port:
            line = process.stdout.readline()
            assert line, "openssl did not start"
            if line.startswith("ACCEPT"):
                port = line.strip().rpartition(":")[2]
        url = f"https://127.0.0.1:{port}"
        assert spoken(int(port)) == "TLSv1", "the old service does not speak at all"
        api = Api(url, ca_file=file, timeout_s=5)
        with pytest.raises(Unavailable):
            api.call("GET", "Users")
        api.close()
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.case("T9", "T10")
@pytest.mark.parametrize(
    ("days", "renew"), [(3, "now"), (12, "this week"), (25, "this month"), (60, "")]
)
@pytest.mark.parametrize("whose", ["the service's", "idsync's own"])
def test_a_certificate_is_told_of_30_14_and_7_days_before_it_ends(
    serving: Callable[[Path], FakeScim], tmp_path: Path, days: int, renew: str, whose: str
) -> None:
    ends = {"the service's": 300, "idsync's own": 300, whose: days}
    service = certificate(
        tmp_path, "service", timedelta(days=-1), timedelta(days=ends["the service's"], hours=1)
    )
    own = certificate(
        tmp_path, "own", timedelta(days=-1), timedelta(days=ends["idsync's own"], hours=1)
    )
    fake = serving(service)
    text = CONFIG.format(url=fake.url.removesuffix("/scim/v2"), ca=service, own=own)
    (tmp_path / "connectors.toml").write_text(text, encoding="utf-8")
    config = load(tmp_path / "connectors.toml")
    found = [(one.target, one.whose, one.days, one.renew) for one in endings(config, NOW)]
    assert found == ([("skola", whose, days, renew)] if renew else [])


@pytest.mark.case("K7")
def test_the_version_of_the_time_zones_is_told_and_grows_old() -> None:
    version = zone_data()
    assert version == "" or version[:2] == "20"
    assert zone_data_is_old("2023d", datetime(2026, 1, 1, tzinfo=UTC))
    assert not zone_data_is_old("2025b", datetime(2026, 11, 1, tzinfo=UTC))
    assert not zone_data_is_old("", datetime(2026, 11, 1, tzinfo=UTC))
