"""The side of Entra where programs sign in: client credentials, by a secret or a certificate."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate

TENANT = "0f1e2d3c-1111-4222-8333-444455556666"
CLIENT = "c11e17a0-1111-4222-8333-444455556666"
SECRET = "made-up-secret-of-an-application"


@dataclass
class SigningIn:
    """One application, and the tokens that it was given. `lasts_s`: how long one counts."""

    tenant: str = TENANT
    client: str = CLIENT
    secret: str = SECRET
    certificate: Certificate | None = None
    lasts_s: int = 3599
    url: str = ""
    given: int = 0
    tokens: dict[str, datetime] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)  # assertions: each counts once

    def answer(self, asked: dict[str, str], now: datetime) -> tuple[int, dict[str, Any]]:
        right = asked.get("grant_type") == "client_credentials"
        if not right or asked.get("scope") != f"{self.url}/.default":
            return 400, {"error": "invalid_scope", "error_codes": [70011]}
        if asked.get("client_id") != self.client:
            return 400, {"error": "unauthorized_client", "error_codes": [700016]}
        if not self._is_proven(asked, now):
            return 401, {"error": "invalid_client", "error_codes": [7000215],
                         "error_description": "AADSTS7000215: Invalid client secret"}  # fmt: skip
        self.given += 1
        token = f"made-up.{uuid4()}.token"
        self.tokens[token] = now + timedelta(seconds=self.lasts_s)
        return 200, {"token_type": "Bearer", "expires_in": self.lasts_s, "access_token": token}

    def _is_proven(self, asked: dict[str, str], now: datetime) -> bool:
        assertion = asked.get("client_assertion")
        if assertion is None:
            return asked.get("client_secret") == self.secret
        if self.certificate is None or assertion in self.seen:
            return False
        self.seen.add(assertion)
        wanted = urlsafe_b64encode(self.certificate.fingerprint(SHA256())).rstrip(b"=").decode()
        try:
            said = jwt.decode(
                assertion, self.certificate.public_key(), algorithms=["PS256"],  # type: ignore[arg-type]
                audience=f"{self.url}/{self.tenant}/oauth2/v2.0/token", issuer=self.client,
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False,
                         "require": ["exp", "jti", "sub"]},
            )  # fmt: skip
        except jwt.PyJWTError:
            return False
        named = jwt.get_unverified_header(assertion).get("x5t#S256") == wanted
        return named and said["sub"] == self.client and said["exp"] > now.timestamp() >= said["nbf"]

    def lets_in(self, authorization: str | None, now: datetime) -> bool:
        token = (authorization or "").removeprefix("Bearer ")
        return token in self.tokens and now < self.tokens[token]
