"""What the tests of work orders share: a folder, a landlord, and a clock that is set by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from idsync.model import Cardholder, Change, Grant, Outcome
from idsync.targets.work_order import WorkOrderTarget
from tests.fakes.work_order import Landlord, fingerprint

NOON = datetime(2031, 3, 5, 11, 0, tzinfo=UTC)  # noon in Stockholm
DOORS = ("PORT A", "PORT B", "CYKELRUM Å")


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)


class House:
    """A landlord with a folder, and idsync's targets on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "shared"
        self.folder.mkdir()
        self.clock = Clock()
        self.landlord = Landlord(self.folder, NOON.date())
        self.secret = root / "signing.key"
        self.take_key(made_up_key())

    def take_key(self, key: Ed25519PrivateKey) -> None:
        """Let idsync sign with *key*, and the landlord know its fingerprint by telephone."""
        self.secret.write_bytes(pem(key))
        self.landlord.fingerprints.add(fingerprint(key.public_key()))

    def target(self, **settings: Any) -> WorkOrderTarget:
        """Return a target on this house, with its list unless *settings* say otherwise."""
        config = {
            "landlord": "Björkens Fastigheter AB",
            "folder": str(self.folder),
            "ledger": str(self.root / "ledger.sqlite"),
            "signing_key": {"file": str(self.secret)},
            "create": True,
            "inventory": str(self.landlord.list_file),
            **settings,
        }
        return WorkOrderTarget(WorkOrderTarget.Config.model_validate(config), self.clock)

    def tomorrow(self, days: int = 1) -> None:
        """Let days go by, for both."""
        self.clock.later(days=days)
        self.landlord.today += timedelta(days=days)

    def files(self, pattern: str) -> list[str]:
        """Return the names of the files in the shared folder."""
        return sorted(path.name for path in self.folder.glob(pattern))


def made_up_key(word: str = "bjorken") -> Ed25519PrivateKey:
    """Return a key that is the same in every run, and nobody's."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(word.encode()).digest())


def pem(key: Ed25519PrivateKey) -> bytes:
    """Return a private key as `openssl genpkey` writes it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


Put = Callable[..., Outcome]


def anna(*doors: str, **changed: Any) -> Cardholder:
    """Return Anna, made up, with these doors."""
    fields: dict[str, Any] = {"display_name": "Anna Ek", **changed}
    return Cardholder(key="1001", grants=tuple(Grant(ref=door) for door in doors), **fields)


def give(target: WorkOrderTarget, after: Cardholder, before: Cardholder | None = None) -> Outcome:
    """Put a change."""
    return target.put(Change(before=before, after=after))


def see(target: WorkOrderTarget, key: str = "1001") -> Cardholder:
    """Return somebody who must be there."""
    found = target.read_one(key)
    assert found is not None
    return found


def refs(cardholder: Cardholder) -> set[str]:
    """Return the names of the doors that somebody has."""
    return {grant.ref for grant in cardholder.grants}
