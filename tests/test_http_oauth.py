"""idsync signs in as a program: with a secret, or by a certificate whose key stays here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_curve_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from idsync.errors import ConfigError, Denied, Unavailable
from idsync.http_oauth import ClientCredentials
from idsync.settings import Secret
from tests.fakes.graph import FakeGraph
from tests.fakes.graph_signing_in import CLIENT, SECRET, TENANT

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    with FakeGraph(now=lambda: NOW) as made:
        yield made


def credentials(graph: FakeGraph, client: str = CLIENT, **how: Any) -> ClientCredentials:
    url = f"{graph.url}/{TENANT}/oauth2/v2.0/token"
    return ClientCredentials(url, client, f"{graph.url}/.default", **how)


def by_secret(graph: FakeGraph, folder: Path, secret: str = SECRET) -> ClientCredentials:
    (folder / "secret").write_text(secret, encoding="utf-8")
    return credentials(graph, secret=Secret("file", str(folder / "secret")))


def certificate(folder: Path, name: str) -> tuple[x509.Certificate, Path]:
    """Return a certificate and the file that holds it with its key."""
    key = generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(NOW).not_valid_after(NOW + timedelta(days=365)).sign(key, SHA256())
    )  # fmt: skip
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / f"{name}.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return made, file


def test_a_token_is_used_until_it_has_lived_three_quarters(
    graph: FakeGraph, tmp_path: Path
) -> None:
    made = by_secret(graph, tmp_path)
    first = made.token(NOW)
    assert made.token(NOW + timedelta(minutes=44)) == first
    second = made.token(NOW + timedelta(minutes=46))
    assert second != first
    assert made.token(NOW) != second, "a clock that was put back makes no token last longer"
    made.forget()
    made.token(NOW)
    assert graph.signing_in.given == 4


def test_a_certificate_signs_and_each_signature_counts_once(
    graph: FakeGraph, tmp_path: Path
) -> None:
    graph.signing_in.certificate, file = certificate(tmp_path, "mine")
    made = credentials(graph, certificate=file)
    made.token(NOW)
    made.forget()
    made.token(NOW)
    assert len(graph.signing_in.seen) == 2
    _, other = certificate(tmp_path, "other")
    with pytest.raises(Denied, match="not let in"):
        credentials(graph, certificate=other).token(NOW)


def test_who_is_not_let_in_is_told_so_without_the_secret(graph: FakeGraph, tmp_path: Path) -> None:
    for made in (
        by_secret(graph, tmp_path, "wrong"),
        credentials(graph, "another", secret=Secret("file", str(tmp_path / "secret"))),
    ):
        with pytest.raises(Denied) as told:
            made.token(NOW)
        assert "wrong" not in str(told.value)
        assert "AADSTS" not in str(told.value)


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"access_token": "t"}, {"access_token": "", "expires_in": 9},
     {"access_token": "a b", "expires_in": 9}, {"access_token": "å", "expires_in": 9},
     {"access_token": "a\nb", "expires_in": 9}, {"access_token": "t", "expires_in": 0},
     {"access_token": "t", "expires_in": True}, {"access_token": 5, "expires_in": 9}],
    ids=str,
)  # fmt: skip
def test_what_is_no_token_is_not_taken_for_one(
    graph: FakeGraph, tmp_path: Path, answer: Any
) -> None:
    graph.signing_in.answer = lambda *_: (200, answer)  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="no token"):
        by_secret(graph, tmp_path).token(NOW)


def test_a_number_of_seconds_may_be_written_as_a_text(graph: FakeGraph, tmp_path: Path) -> None:
    told = {"access_token": "t", "expires_in": "3599"}
    graph.signing_in.answer = lambda *_: (200, told)  # type: ignore[method-assign]
    assert by_secret(graph, tmp_path).token(NOW) == "t"


def test_while_nobody_answers_it_is_said_to_wait(graph: FakeGraph, tmp_path: Path) -> None:
    graph.signing_in.answer = lambda *_: (503, {})  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="503"):
        by_secret(graph, tmp_path).token(NOW)


def test_a_certificate_that_is_none_is_a_fault_of_the_file(
    graph: FakeGraph, tmp_path: Path
) -> None:
    _, whole = certificate(tmp_path, "whole")
    text = whole.read_text(encoding="utf-8")
    alone = text[: text.index("-----BEGIN PRIVATE")]
    curve = generate_curve_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    kept = text.replace(alone, "")
    for content in ("", "nonsense", alone, kept, alone + curve.decode()):
        file = tmp_path / "broken.pem"
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match="PEM file with the certificate and its private RSA"):
            credentials(graph, certificate=file).token(NOW)
    with pytest.raises(ConfigError, match="PEM file"):
        credentials(graph, certificate=tmp_path / "missing.pem").token(NOW)
    assert graph.signing_in.given == 0
