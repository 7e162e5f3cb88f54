"""Tokens for a program that signs in as itself: OAuth 2.0 client credentials (RFC 6749, 4.4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from idsync.errors import ConfigError, Denied, Refused, Unavailable
from idsync.http import Api
from idsync.http_answers import parse_json
from idsync.settings import Secret

MOST_BYTES = 64 * 1024
WAIT_S = 20.0

USED = 0.75
"""So much of a token's life it is used: the rest is for clocks that differ."""

ASSERTED_FOR = timedelta(minutes=10)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class ClientCredentials:
    """One program's right to ask for *scope*, proven by *secret* or by *certificate*.

    The certificate is a PEM file with its private RSA key: what is sent is a signature with it
    (RFC 7523), so nothing that could be used again. Tokens stay in memory.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        scope: str,
        *,
        secret: Secret | None = None,
        certificate: Path | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._url, self._id, self._scope = token_url, client_id, scope
        self._secret, self._certificate, self._ca_file = secret, certificate, ca_file
        self._token = ""
        self._got: datetime | None = None
        self._until: datetime | None = None

    def token(self, now: datetime) -> str:
        """Return a token that counts now, asked for only where the last one does not.

        Raises:
            Denied: the program is not let in.
            Unavailable: no answer now.
            ConfigError: the secret or the certificate cannot be read.
        """
        if self._got is None or self._until is None or not self._got <= now < self._until:
            self._token, lasts_s = self._asked(now)
            self._got, self._until = now, now + timedelta(seconds=lasts_s * USED)
        return self._token

    def forget(self) -> None:
        """Ask anew the next time: the token was not accepted."""
        self._got = None

    def _asked(self, now: datetime) -> tuple[str, int]:
        host = urlsplit(self._url).netloc
        asked = {"grant_type": "client_credentials", "client_id": self._id, "scope": self._scope}
        data = urlencode(asked | self._proof(now)).encode()
        api = Api(
            self._url, ca_file=self._ca_file, timeout_s=WAIT_S / 2, deadline_s=WAIT_S,
            max_bytes=MOST_BYTES, connections=1, returned=frozenset({400}),
        )  # fmt: skip
        try:
            answer = api.raw("POST", "", data=data, headers=FORM)
        except (Denied, Refused):
            answer = None
        finally:
            api.close()
        if answer is None or not answer.ok:  # RFC 6749, 5.2: 400, or 401 for the proof itself
            raise Denied(
                f"{host}: idsync's application is not let in: look in the directory whether its "
                "secret or certificate has ended, and at tenant and client_id"
            )
        return _granted(answer.data, host)

    def _proof(self, now: datetime) -> dict[str, str]:
        if self._secret is not None:
            return {"client_secret": self._secret.reveal()}
        return {"client_assertion_type": ASSERTION, "client_assertion": self._assertion(now)}

    def _assertion(self, now: datetime) -> str:
        """Return a signed statement of who asks: PS256, the certificate named by its SHA-256."""
        from base64 import urlsafe_b64encode

        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from cryptography.x509 import load_pem_x509_certificate
        from joserfc import jwt
        from joserfc.jwk import RSAKey

        try:
            pem = self._certificate.read_bytes() if self._certificate else b""
            shown = load_pem_x509_certificate(pem).fingerprint(SHA256())
            if not isinstance(load_pem_private_key(pem, None), RSAPrivateKey):
                raise TypeError
            key = RSAKey.import_key(pem)
        except (OSError, ValueError, TypeError):  # TypeError also: it wants a password
            raise ConfigError(
                f"certificate {self._certificate} cannot be used: it has to be a PEM file with the "
                "certificate and its private RSA key, without a password"
            ) from None
        at = int(now.timestamp())
        said = {
            "aud": self._url, "iss": self._id, "sub": self._id, "jti": str(uuid4()), "iat": at,
            "nbf": at, "exp": at + int(ASSERTED_FOR.total_seconds()),
        }  # fmt: skip
        header = {"alg": "PS256", "x5t#S256": urlsafe_b64encode(shown).rstrip(b"=").decode()}
        return jwt.encode(header, said, key, algorithms=["PS256"])


def _granted(data: bytes, host: str) -> tuple[str, int]:
    """Return the token of an answer, and for how many seconds it counts (RFC 6749, 5.1)."""
    try:
        told: Any = parse_json(data)
    except ValueError:
        told = None
    token = told.get("access_token") if isinstance(told, dict) else None
    lasts_s = told.get("expires_in") if isinstance(told, dict) else None
    if isinstance(lasts_s, str) and lasts_s.isdecimal():
        lasts_s = int(lasts_s[:9])
    whole = isinstance(token, str) and token.isascii() and token.isprintable() and token.strip()
    if not whole or " " in str(token) or type(lasts_s) is not int or lasts_s <= 0:
        raise Unavailable(f"{host}: the answer to a sign-in holds no token: check login_url")
    return str(token), min(lasts_s, 86_400)
