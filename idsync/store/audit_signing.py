"""The key that signs checkpoints (Ed25519), in a file of its own outside the database."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING

from idsync.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


@dataclass(frozen=True)
class PublicKey:
    """What a signature is checked with."""

    key: Ed25519PublicKey

    @cached_property
    def name(self) -> str:
        """A short name that follows from the key."""
        return hashlib.sha256(self.key.public_bytes_raw()).hexdigest()[:16]

    def verifies(self, signature: str, text: bytes) -> bool:
        """Return whether *signature* (hexadecimal) is this key's, of *text*."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(bytes.fromhex(signature), text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """What checkpoints are signed with."""

    key: Ed25519PrivateKey

    @cached_property
    def public(self) -> PublicKey:
        """Its other half."""
        return PublicKey(self.key.public_key())

    @property
    def name(self) -> str:
        """The name of the key, as it stands in what it signs."""
        return self.public.name

    def sign(self, text: bytes) -> str:
        """Return the signature of *text*, hexadecimal."""
        return self.key.sign(text).hex()


def read_signing_key(text: str, where: str) -> SigningKey:
    """Return the key that *text* holds as PEM (PKCS 8, without a password).

    Raises:
        ConfigError: it is no such key.
    """
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{where} holds no Ed25519 key in PEM: check [idsync] audit_key")
    return SigningKey(key)


def signing_key_in(file: Path) -> SigningKey:
    """Return the key in *file*, made where there is none, with its public half beside it.

    Raises:
        ConfigError: it cannot be made or read, or others than its owner may read it.
    """
    with suppress(FileExistsError):
        _make(file)
    try:
        if file.stat().st_mode & 0o077:
            raise ConfigError(f"others may read the audit's key {file}: chmod 600 it")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"the audit's key {file} cannot be read: check [idsync] audit_key and its rights"
        ) from None
    return read_signing_key(text, str(file))


def public_half(file: Path) -> Path:
    """Return where the public key stands that belongs to the private one in *file*."""
    return file.with_name(f"{file.stem}.pub")


def read_public_keys(files: Sequence[Path]) -> list[PublicKey]:
    """Return every Ed25519 public key (PEM) in *files*.

    Raises:
        ConfigError: a file cannot be read, or has none.
    """
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = []
    for file in files:
        try:
            blocks = PEM.findall(file.read_bytes())
            keys = [load_pem_public_key(block) for block in blocks]
        except (OSError, ValueError, UnsupportedAlgorithm, InternalError):
            keys = []
        ours = [PublicKey(key) for key in keys if isinstance(key, Ed25519PublicKey)]
        if not ours:
            raise ConfigError(f"{file} holds no Ed25519 public key in PEM: check --public-key")
        found += ours
    return found


def _make(file: Path) -> None:
    """Make the key, whole before it has its name.

    Raises:
        FileExistsError: there is one, perhaps made meanwhile.
        ConfigError: it cannot be made there.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    new = file.with_name(f"{file.name}.{os.getpid()}.{get_ident()}.new")
    try:
        if file.exists():
            raise FileExistsError
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
            with os.fdopen(os.open(new, flags, 0o600), "wb") as handle:
                handle.write(private)
                handle.flush()
                os.fsync(handle.fileno())
            os.link(new, file)  # only one of several that begin at once gives it its name
            public_half(file).write_bytes(public)
        finally:
            new.unlink(missing_ok=True)  # below a file, say, that fails as well
    except FileExistsError:
        raise
    except OSError:
        raise ConfigError(
            f"the audit's key cannot be made at {file}: check [idsync] audit_key"
        ) from None
