"""What events of RISC, CAEP, SCIM and SSF mean, and whom they are about.

Pure. Only what says that somebody's account is over may end access; everything else is a
reason to look at HR again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from idsync.secevent import MOST_SIGNS, Wrong

RISC = "https://schemas.openid.net/secevent/risc/event-type/"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
SCIM = "urn:ietf:params:scim:event:"

VERIFICATION, UPDATED = f"{SSF}verification", f"{SSF}stream-updated"
"""About the stream itself (SSF 1.0, stream verification and stream updated event)."""

ENDED, CHANGED = "person.ended", "person.changed"

MEANING: dict[str, str] = {
    **dict.fromkeys((f"{RISC}account-disabled", f"{RISC}account-purged"), ENDED),
    **dict.fromkeys(
        (f"{SCIM}prov:deactivate", f"{SCIM}prov:delete", f"{SCIM}feed:remove"), ENDED
    ),
    **dict.fromkeys(
        (f"{RISC}{name}" for name in (
            "account-enabled", "account-credential-change-required", "credential-compromise",
            "identifier-changed", "identifier-recycled", "sessions-revoked",
        )), CHANGED,
    ),
    **dict.fromkeys(
        (f"{CAEP}{name}" for name in (
            "session-revoked", "session-established", "session-presented", "token-claims-change",
            "credential-change", "assurance-level-change", "device-compliance-change",
            "risk-level-change",
        )), CHANGED,
    ),
    **dict.fromkeys(
        (f"{SCIM}{name}" for name in (
            "prov:activate", "prov:create:notice", "prov:create:full", "prov:patch:notice",
            "prov:patch:full", "prov:put:notice", "prov:put:full", "feed:add",
        )), CHANGED,
    ),
}  # fmt: skip
"""The kind of each type, where a sender's `words` do not say otherwise (RISC 1.0, CAEP 1.0,
RFC 9967). A session that ended is no employment that did."""


def kind_of(events: Mapping[str, Any], words: Mapping[str, str]) -> str | None:
    """Return what the types of one token mean together; None: one of them is not agreed.

    Raises:
        Wrong: `invalid_request`. They mean different things.
    """
    own = {name.lower(): kind for name, kind in words.items()}
    kinds = {own.get(name.lower()) or MEANING.get(name.lower()) for name in events}
    if None in kinds:
        return None
    if len(kinds) > 1:
        raise Wrong("invalid_request")
    return kinds.pop()


# ── whom ────────────────────────────────────────────────────────────────────────────────

BESIDE = {"format", "user", "tenant"}
"""Members of a complex subject that leave it a whole person."""


def person_in(subject: Mapping[str, Any], form: str, issuer: str) -> tuple[str, bool]:
    """Return how *subject* names a person in *form*, and whether it is about all of them.

    Not all: a session, a device or one application of theirs (SSF 1.0, complex subjects).

    Raises:
        Wrong: `invalid_request`. It does not name anybody in this form.
    """
    whole = True
    if subject.get("format", "complex") == "complex":  # drafts of SSF wrote no format
        whole = set(subject) <= BESIDE
        subject = _table(subject.get("user"))
    if subject.get("format") == "aliases":
        subject = _alias(subject.get("identifiers"), form)
    return _named(subject, form, issuer), whole


def _named(subject: Mapping[str, Any], form: str, issuer: str) -> str:
    name = "scim" if form.startswith("scim_") else form
    if subject.get("format") != name:
        raise Wrong("invalid_request")
    if form == "iss_sub" and subject.get("iss") != issuer:
        raise Wrong("invalid_request")
    member = {"opaque": "id", "email": "email", "iss_sub": "sub", "scim_external_id": "externalId",
              "scim_uri": "uri"}[form]  # fmt: skip
    found = subject.get(member)
    if form == "scim_uri" and isinstance(found, str):
        found = _user(found)
    if not isinstance(found, str) or not 0 < len(found) <= MOST_SIGNS or not found.isprintable():
        raise Wrong("invalid_request")
    return found


def _user(uri: str) -> str:
    """Return the id in the address of a user: of `/Users/ID`, whole or without its beginning."""
    try:
        path = urlsplit(uri).path.split("/")
    except ValueError:
        raise Wrong("invalid_request") from None
    if len(path) < 2 or path[-2] != "Users":
        raise Wrong("invalid_request")
    return path[-1]


def _alias(listed: Any, form: str) -> Mapping[str, Any]:  # noqa: ANN401 - whatever JSON holds
    name = "scim" if form.startswith("scim") else form
    found = [
        one for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and one.get("format") == name
    ]  # fmt: skip
    if len(found) != 1:
        raise Wrong("invalid_request")
    return _table(found[0])


def _table(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(value, dict):
        raise Wrong("invalid_request")
    return value
