"""Security event tokens made by two libraries that know nothing of each other or of idsync."""

from __future__ import annotations

import base64
import json
import warnings
from datetime import datetime
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idsync.secevent_kinds import CAEP, RISC
from idsync.service.keyrings import Keyrings
from idsync.service.receiving import Answer
from idsync.service.receiving_sets import receive_pushed
from tests.inbox.office import Office
from tests.whole.town import Town

ISSUER = "https://idp.example.se"
AUDIENCE = "https://idsync.example.se/events/idp"
DISABLED = f"{RISC}account-disabled"
REVOKED = f"{CAEP}session-revoked"
SUBJECT = {"format": "opaque", "id": "p1"}
LIBRARIES = ("joserfc", "pyjwt")

SENDER = """
[events.idp]
form = "set"
controller = "*"
source = "hr"
kinds = ["person.ended", "person.changed"]
issuer = "ISSUER"
audience = "https://idsync.example.se/events/idp"
"""
BY_FILE = 'keys_file = "jwks.json"\nsubject = "opaque"\n'

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def private(kid: str) -> Private:
    """Return the key of this name; the first part of it is its algorithm."""
    if kid.startswith(("RS256", "PS256")):
        return rsa.generate_private_key(65537, 1024 if kid.endswith("short") else 2048)
    if kid.startswith("ES256"):
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def pem(kid: str) -> bytes:
    return private(kid).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(kid: str) -> bytes:
    key = private(kid).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def imported(kid: str) -> RSAKey | ECKey | OKPKey:
    if kid.startswith("ES256"):
        return ECKey.import_key(pem(kid))
    return OKPKey.import_key(pem(kid)) if kid.startswith("Ed") else RSAKey.import_key(pem(kid))


def jwk(kid: str) -> dict[str, Any]:
    """Return the public half of a key, as it is published."""
    to_jwk = jwt.get_algorithm_by_name(kid.partition("-")[0]).to_jwk
    return {**to_jwk(private(kid).public_key(), as_dict=True), "kid": kid, "use": "sig"}


def jwks(*kids: str) -> dict[str, Any]:
    return {"keys": [jwk(kid) for kid in kids]}


KEYS = ("RS256-1", "ES256-1", "EdDSA-1", "PS256-1")


def claims(now: datetime, **changed: Any) -> dict[str, Any]:
    """Return the claims of a good token; what *changed* gives as None is left out."""
    whole = {
        "iss": ISSUER, "aud": AUDIENCE, "jti": "jti-1", "iat": int(now.timestamp()),
        "sub_id": SUBJECT, "events": {DISABLED: {}},
    } | changed  # fmt: skip
    return {name: value for name, value in whole.items() if value is not None}


def signed(said: Any, kid: str = "ES256-1", library: str = "pyjwt", alg: str = "") -> bytes:
    """Return a token as a library writes it."""
    algorithm = alg or kid.partition("-")[0]
    header = {"typ": "secevent+jwt", "kid": kid}
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    if library == "pyjwt":
        return jwt.PyJWS().encode(body, pem(kid), algorithm=algorithm, headers=header).encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that EdDSA has a newer name
        text = jws.serialize_compact(
            {"alg": algorithm, **header}, body, imported(kid), algorithms=[algorithm]
        )
    return text.encode()


def as_it_is(header: Any, said: Any, kid: str = "ES256-1", library: str = "pyjwt") -> bytes:
    """Return a well signed token with exactly this header, which no library might write."""
    content = put_together(header, said).rpartition(b".")[0]
    if library == "pyjwt":
        signature = jwt.get_algorithm_by_name("ES256").sign(content, private(kid))
    else:
        signature = jws.JWSRegistry.algorithms["ES256"].sign(content, imported(kid))
    return put_together(header, said, signature)


def put_together(header: Any, body: Any, signature: bytes = b"") -> bytes:
    """Return a token of these parts."""
    parts = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in (header, body)]
    return b".".join(base64.urlsafe_b64encode(one).rstrip(b"=") for one in (*parts, signature))


class SetOffice(Office):
    """The office, with a provider of identities that tells of its people by tokens."""

    def __init__(self, town: Town, sender: str = BY_FILE, issuer: str = ISSUER) -> None:
        self.rings = Keyrings()
        self.issuer = issuer
        (town.folder).mkdir(parents=True, exist_ok=True)
        self.publish(town, *KEYS)
        super().__init__(town, more=SENDER.replace("ISSUER", issuer) + sender)

    def publish(self, town: Town, *kids: str) -> None:
        text = json.dumps(jwks(*kids))
        (town.folder / "jwks.json").write_text(text, encoding="utf-8")

    def push(self, token: bytes, media: str = "application/secevent+jwt", **more: str) -> Answer:
        headers = [(b"Content-Type", media.encode())]
        headers += [(name.encode(), value.encode()) for name, value in more.items()]
        return receive_pushed(
            self.config, self.state, self.rings, "idp", headers, token, self.clock()
        )

    def said(self, **changed: Any) -> dict[str, Any]:
        return claims(self.now, **{"iss": self.issuer, **changed})
