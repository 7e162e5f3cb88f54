"""Signed webhooks in the form of Standard Webhooks: who says it, when, and what.

Everything here is pure. What is signed is `id.timestamp.body`, the body byte for byte
(https://www.standardwebhooks.com: headers, prefixes and lengths of keys are from there).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from idsync.errors import ConfigError

MOST_BYTES = 64 * 1024
"""Of a body. The specification advises senders to stay under 20 kB."""

SKEW = timedelta(minutes=5)
MOST_SIGNATURES = 16
MOST_DEEP = 16
MOST_DIGITS = 15  # every such number is the same to every reader

ID = re.compile(r"[A-Za-z0-9_.:~-]{1,256}")
SECONDS = re.compile(r"[0-9]{1,11}")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Key: TypeAlias = bytes | Ed25519PublicKey
"""A secret shared with the sender, or the public half of a key that only the sender has."""


class Malformed(ValueError):
    """It is no message that could be read in one way only."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What the three headers say."""

    id: str
    timestamp: str  # seconds since 1970, as it was written: so it is signed
    signatures: tuple[str, ...]

    @property
    def seconds(self) -> int:
        """When the sender says it sent this."""
        return int(self.timestamp)


def envelope_of(headers: Headers) -> Envelope | None:
    """Return what the headers say; None where one is missing, there twice, or not as it must be."""
    found: dict[str, str] = {}
    for raw_name, raw in headers:
        name = raw_name.decode("latin-1").lower()
        if name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            if name in found:
                return None
            found[name] = raw.decode("latin-1")
    if len(found) < 3:
        return None
    signatures = tuple(found["webhook-signature"].split(" "))
    fits = ID.fullmatch(found["webhook-id"]) and SECONDS.fullmatch(found["webhook-timestamp"])
    if not fits or len(signatures) > MOST_SIGNATURES:
        return None
    return Envelope(
        id=found["webhook-id"], timestamp=found["webhook-timestamp"], signatures=signatures
    )


# ── who ─────────────────────────────────────────────────────────────────────────────────


def key_of(text: str) -> Key:
    """Return the key that *text* holds: `whsec_…` (shared) or `whpk_…` (Ed25519, public).

    Raises:
        ConfigError: it is neither, or has another length.
    """
    kind, _, coded = text.partition("_")
    raw = _bytes_of(coded)
    if kind == "whsec" and raw is not None and 24 <= len(raw) <= 64:
        return raw
    if kind == "whpk" and raw is not None and len(raw) == 32:
        return Ed25519PublicKey.from_public_bytes(raw)
    raise ConfigError(
        "a key of a sender of events is not of the form whsec_… (base64 of 24 to 64 bytes) or "
        "whpk_… (base64 of the 32 bytes of an Ed25519 public key): write it so where it is kept"
    )


def is_signed(envelope: Envelope, body: bytes, keys: Sequence[Key]) -> bool:
    """Whether one of *keys* signed exactly this. How long it takes does not tell which."""
    content = f"{envelope.id}.{envelope.timestamp}.".encode() + body
    good = False
    for signature in envelope.signatures:
        version, _, coded = signature.partition(",")
        given = _bytes_of(coded)
        for key in keys:
            if given is None:
                continue
            if version == "v1" and isinstance(key, bytes):
                good |= hmac.compare_digest(hmac.digest(key, content, "sha256"), given)
            elif version == "v1a" and isinstance(key, Ed25519PublicKey):
                good |= _verified(key, given, content)
    return good


def is_fresh(envelope: Envelope, now: datetime) -> bool:
    """Whether it was sent within five minutes of *now*."""
    return abs(envelope.seconds - now.timestamp()) <= SKEW.total_seconds()


def _verified(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _bytes_of(coded: str) -> bytes | None:
    try:
        return base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        return None


# ── what idsync says itself ─────────────────────────────────────────────────────────────


def signing_key_of(text: str) -> bytes | Ed25519PrivateKey:
    """Return the key to sign with that *text* holds: `whsec_…` (shared) or `whsk_…` (Ed25519).

    Raises:
        ConfigError: it is neither, or has another length.
    """
    kind, _, coded = text.partition("_")
    raw = _bytes_of(coded)
    if kind == "whsec" and raw is not None and 24 <= len(raw) <= 64:
        return raw
    if kind == "whsk" and raw is not None and len(raw) in (32, 64):  # 64: its public half too
        return Ed25519PrivateKey.from_private_bytes(raw[:32])
    raise ConfigError(
        "the key of [oncall.webhook] is not of the form whsec_… (base64 of 24 to 64 bytes) or "
        "whsk_… (base64 of an Ed25519 private key): write it so where it is kept"
    )


def signature_of(
    key: bytes | Ed25519PrivateKey, message_id: str, timestamp: str, body: bytes
) -> str:
    """Return what stands in webhook-signature of a message sent at *timestamp* (since 1970)."""
    content = f"{message_id}.{timestamp}.".encode() + body
    if isinstance(key, bytes):
        version, signed = "v1", hmac.digest(key, content, "sha256")
    else:
        version, signed = "v1a", key.sign(content)
    return f"{version},{base64.b64encode(signed).decode()}"


# ── what ────────────────────────────────────────────────────────────────────────────────


def object_of(body: bytes, most_digits: int = MOST_DIGITS) -> dict[str, Any]:
    """Return the one JSON object that *body* is.

    Raises:
        Malformed: it is none, or two readers might read it differently: a key stands twice,
            a number is no number or has more than *most_digits*, it is nested deeper than 16.
    """

    def whole(text: str) -> int:
        if len(text.lstrip("-")) > most_digits:
            raise Malformed("a number has too many digits")
        return int(text)

    try:
        text = body.decode("utf-8")
        _require_shallow(text)
        found = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_number, parse_int=whole,
            parse_float=_finite,
        )  # fmt: skip
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate is no text
    except (ValueError, RecursionError):
        raise Malformed("the body is not one JSON object that reads in one way only") from None
    if not isinstance(found, dict):
        raise Malformed("the body is not a JSON object")
    return found


def _require_shallow(text: str) -> None:
    depth = 0
    for letter in STRING.sub("", text):
        if letter in "[{":
            depth += 1
            if depth > MOST_DEEP:
                raise Malformed("nested too deep")
        elif letter in "]}":
            depth -= 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("a key stands twice")
    return found


def _no_number(_: str) -> Any:  # noqa: ANN401 - it never returns
    raise Malformed("no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Malformed("no number")
    return number
