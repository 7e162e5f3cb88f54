"""Security event tokens (SET, RFC 8417): who signed one, and whether it is one for us.

Everything here is pure. A token is a signed JWT of its own kind: no ID token or access
token passes for one, since `typ` has to say `secevent+jwt` and `sub` and `exp` may not be
there (SSF 1.0, the JOSE and the claims of a SET). What is refused is named by the codes of
RFC 8935, section 2.4.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from idsync.webhook import SKEW, Malformed, object_of

OLDEST = timedelta(days=7)
"""Of a token. Its id is remembered a day longer, so no older one is acted on twice."""

SHORTEST_RSA, LONGEST_RSA = 2048, 8192
"""In bits; a longer one only takes time."""

MOST_KEYS = 64
MOST_SIGNS = 256
"""Of an id."""

ALGORITHMS = {
    "RS256": ("RSA", "RS256"), "PS256": ("RSA", "PS256"), "ES256": ("EC", "ES256"),
    "EdDSA": ("OKP", "Ed25519"), "Ed25519": ("OKP", "Ed25519"),
}  # fmt: skip
"""What may sign: the kind of its key, and what the library calls it. A secret never may."""

KINDS: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
TYPES = ("secevent+jwt", "application/secevent+jwt")


class Wrong(ValueError):
    """It is not taken. `code` is what the sender is told (RFC 8935, section 2.4).

    `why` names no value; it may be told to a sender that is known to be the one it says.
    """

    def __init__(self, code: str, why: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.why = why


# ── keys ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """One key of an issuer. `algorithm`: the only one it is for; "": any of its kind."""

    id: str | None
    kind: str
    algorithm: str
    key: RSAKey | ECKey | OKPKey


def keys_of(text: bytes) -> tuple[PublicKey, ...]:
    """Return what of a JWK set (RFC 7517) can check signatures here; the rest is passed over.

    Raises:
        Malformed: it is no such set, or none of it can.
    """
    listed = object_of(text).get("keys")
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise Malformed("not a JWK set")
    found = tuple(key for one in listed if (key := _key(one)) is not None)
    if not found:
        raise Malformed("no key that can check a signature")
    return found


def _key(one: Any) -> PublicKey | None:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(one, dict) or one.get("use", "sig") != "sig" or "d" in one:
        return None  # whoever publishes the private half has lost the key
    kind, named, algorithm = one.get("kty"), one.get("kid"), one.get("alg", "")
    if not all(isinstance(text, str) for text in (kind, named or "", algorithm)):
        return None
    if kind not in KINDS or (algorithm and ALGORITHMS.get(algorithm, ("",))[0] != kind):
        return None
    parts = {name: one[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in one}
    try:
        fits = kind != "RSA" or SHORTEST_RSA <= _bits(parts["n"]) <= LONGEST_RSA
        key = KINDS[kind].import_key(parts) if fits else None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return PublicKey(id=named, kind=kind, algorithm=algorithm, key=key) if key else None


def _bits(number: str) -> int:
    raw = base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))
    return int.from_bytes(raw, "big").bit_length()


# ── the signature ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token as it came, of which nothing is believed yet."""

    algorithm: str
    key_id: str | None
    signed: bytes  # header and payload, as they were signed
    payload: bytes
    signature: bytes


def token_of(text: bytes) -> Token:
    """Return the parts of a token in the compact form (RFC 7515, section 7.1).

    Raises:
        Wrong: `invalid_request`. It is none, or its header asks for what is not done here:
            another `typ`, an algorithm that is not allowed, or `crit`.
    """
    text = text.strip(b"\r\n")
    if not COMPACT.fullmatch(text):
        raise Wrong("invalid_request")
    parts = text.split(b".")
    header = _object(_decoded(parts[0]))
    typ, algorithm, named = header.get("typ"), header.get("alg"), header.get("kid")
    if not isinstance(typ, str) or typ.lower() not in TYPES or "crit" in header:
        raise Wrong("invalid_request")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Wrong("invalid_request")
    if not isinstance(named, str | None):
        raise Wrong("invalid_request")
    # where a key is to be found is never taken from a header: jku, jwk, x5u and x5c say nothing
    return Token(
        algorithm=algorithm, key_id=named, signed=parts[0] + b"." + parts[1],
        payload=_decoded(parts[1]), signature=_decoded(parts[2]),
    )  # fmt: skip


def keys_for(token: Token, keys: Sequence[PublicKey]) -> list[PublicKey]:
    """Return the keys that it may be signed with: by its `kid`, or the only one there is."""
    kind = ALGORITHMS[token.algorithm][0]
    if token.key_id is None and len(keys) > 1:
        return []
    return [
        one for one in keys
        if one.kind == kind
        and token.key_id in (None, one.id)
        and one.algorithm in ("", token.algorithm)
    ]  # fmt: skip


def require_signed(token: Token, keys: Iterable[PublicKey]) -> None:
    """Require that one of *keys* signed it.

    Raises:
        Wrong: `authentication_failed`.
    """
    library = JWSRegistry.algorithms[ALGORITHMS[token.algorithm][1]]
    for one in keys:
        try:
            library.check_key(one.key)
            if library.verify(token.signed, token.signature, one.key):
                return
        except (JoseError, ValueError):
            continue
    raise Wrong("authentication_failed")


def _decoded(part: bytes) -> bytes:
    """Return the bytes of base64url without padding; each has one spelling only."""
    try:
        found = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error:
        raise Wrong("invalid_request") from None
    if base64.urlsafe_b64encode(found).rstrip(b"=") != part:
        raise Wrong("invalid_request")
    return found


def _object(text: bytes) -> dict[str, Any]:
    try:
        return object_of(text)
    except Malformed:
        raise Wrong("invalid_request") from None


# ── the claims ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a signed token for us says. `events`: what happened, by the name of its type."""

    id: str
    issued_at: datetime
    occurred_at: datetime
    subject: Mapping[str, Any]
    events: Mapping[str, Mapping[str, Any]]


def claims_of(token: Token, issuer: str, audience: str, now: datetime) -> Claims:
    """Return what *token*, whose signature is known to be good, says.

    Raises:
        Wrong: `invalid_issuer`, `invalid_audience`, or `invalid_request`: a claim is missing
            or of another form, it is too old or not of now, or it is a token for something else.
    """
    said = _object(token.payload)
    if said.get("iss") != issuer:
        raise Wrong("invalid_issuer")
    audiences = said.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise Wrong("invalid_audience")
    named = said.get("jti")
    if not isinstance(named, str) or not 0 < len(named) <= MOST_SIGNS or not named.isprintable():
        raise Wrong("invalid_request")
    if "sub" in said or "exp" in said:
        raise Wrong("invalid_request")
    issued = _instant(said.get("iat"))
    if issued is None:
        raise Wrong("invalid_request")
    if issued > now + SKEW or issued < now - OLDEST:
        raise Wrong("invalid_request", "iat is more than 7 days ago, or to come")
    events = said.get("events")
    if not isinstance(events, dict) or not events:
        raise Wrong("invalid_request")
    if not all(isinstance(payload, dict) for payload in events.values()):
        raise Wrong("invalid_request")
    return Claims(
        id=named, issued_at=issued, occurred_at=_occurred(said, events, issued),
        subject=_subject(said, events), events=events,
    )  # fmt: skip


def _subject(said: Mapping[str, Any], events: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `sub_id`; of older senders the `subject` in the event. Two have to be the same."""
    inside = [payload["subject"] for payload in events.values() if "subject" in payload]
    found = [said["sub_id"], *inside] if "sub_id" in said else inside
    if not found or not all(isinstance(one, dict) for one in found):
        raise Wrong("invalid_request")
    if len({json.dumps(one, sort_keys=True) for one in map(_named_alike, found)}) > 1:
        raise Wrong("invalid_request")
    return _named_alike(found[0])


def _named_alike(subject: Mapping[str, Any]) -> dict[str, Any]:
    """Return a subject with its format under its name of today (drafts: `subject_type`)."""
    older = subject.get("subject_type")
    if "format" in subject or not isinstance(older, str):
        return dict(subject)
    rest = {name: value for name, value in subject.items() if name != "subject_type"}
    return {"format": older.replace("-", "_"), **rest}


def _occurred(
    said: Mapping[str, Any], events: Mapping[str, Mapping[str, Any]], issued: datetime
) -> datetime:
    """Return when it happened (RFC 8417 `toe`; CAEP `event_timestamp`); never after it was told."""
    told = [said["toe"]] if "toe" in said else [
        payload["event_timestamp"] for payload in events.values() if "event_timestamp" in payload
    ]  # fmt: skip
    instants = [_instant(one) for one in told]
    if None in instants:
        raise Wrong("invalid_request")
    return min([issued, *(one for one in instants if one is not None)])


def _instant(seconds: Any) -> datetime | None:  # noqa: ANN401 - whatever JSON holds
    if type(seconds) not in (int, float) or not 0 <= seconds < 253_402_300_800:
        return None
    return datetime.fromtimestamp(seconds, UTC)
