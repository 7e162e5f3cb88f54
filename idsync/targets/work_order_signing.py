"""How orders are signed: by a private key that idsync alone has, and a public one for everybody."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from idsync.errors import ConfigError
from idsync.settings import Secret
from idsync.targets.work_order_files import Folder
from idsync.targets.work_order_tasks import Task

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_KEY = "idsync-signing.pub"
CODES = b"idsync work order: acknowledgement codes"
"""What the key of the codes is for (the `info` of RFC 5869): for nothing else is it derived so."""

CODE_LETTERS = "BCDFGHJKMNPQRSTVWXZ"  # no digits: a spreadsheet would make a number of 1E5000
CODE_LENGTH = 6
MAKE_ONE = "make one with `openssl genpkey -algorithm ed25519`"


class Signer:
    """Signs documents and makes codes with one private key, which is read whenever it is used.

    A signature is Ed25519 (RFC 8032, section 5.1) over the exact bytes of a file, detached and
    raw. The same bytes have the same signature, so what a crash lost is made again as it was.
    The private key is PKCS#8 and the public one SubjectPublicKeyInfo (RFC 8410, sections 7 and
    4), both PEM: what `openssl` makes and reads.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def check(self) -> None:
        """Raise ConfigError if the key is missing, encrypted or of another kind."""
        self._key()

    def sign(self, data: bytes) -> bytes:
        """Return the signature of *data*: 64 bytes."""
        return self._key().sign(data)

    def public(self) -> bytes:
        """Return the public key as the text of its file."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        key = self._key().public_key()
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def known_in(self, folder: Folder) -> bool:
        """Whether the landlord's folder holds the public key.

        Raises:
            ConfigError: it holds another one.
        """
        there = folder.read(PUBLIC_KEY)
        if there is None:
            return False
        if _unified(there) != _unified(self.public()):
            raise ConfigError(
                f"{PUBLIC_KEY} in folder {folder.path} is not the public key of signing_key, so "
                "no order is signed. If signing_key was changed by mistake, give the old one back; "
                "if on purpose, tell the landlord the new fingerprint and give the file another "
                "name, and idsync writes the new one. If neither, somebody put it there: warn "
                "the landlord, then remove it"
            )
        return True

    def introduce(self, folder: Folder) -> None:
        """Write the public key into the landlord's folder, where it is not there yet.

        Raises:
            ConfigError: there is another one, which is never overwritten.
        """
        if not self.known_in(folder):
            folder.write([(PUBLIC_KEY, self.public())])

    def code(self, order: int, line: int, task: Task | None) -> str:
        """Return the letters by which a line is acknowledged: they fit no other line."""
        said = repr((order, line, task)).encode()
        number = int.from_bytes(hmac.new(self._code_key(), said, hashlib.sha256).digest(), "big")
        letters = ""
        for _ in range(CODE_LENGTH):
            number, place = divmod(number, len(CODE_LETTERS))
            letters += CODE_LETTERS[place]
        return letters

    def _code_key(self) -> bytes:
        """Return the secret of the codes, derived by HKDF-SHA256 (RFC 5869) without salt."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=CODES)
        return derived.derive(self._key().private_bytes_raw())

    def _key(self) -> Ed25519PrivateKey:
        try:
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError:
            raise ConfigError(
                "the package cryptography is not installed: install idsync with its extra "
                "work-order"
            ) from None
        text = self._secret.reveal()
        try:
            key = load_pem_private_key(text.encode(), password=None)
        except TypeError:  # the only sign it gives that a password would be needed
            raise ConfigError(
                "signing_key is encrypted, and idsync has no password for it: write it without "
                "one by `openssl pkey -in OLD -out NEW`, readable by idsync alone"
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigError(
                f"signing_key is no private key in PEM (PKCS#8): {MAKE_ONE}"
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(f"signing_key is of another kind than Ed25519: {MAKE_ONE}")
        return key


def _unified(text: bytes) -> bytes:
    """Return the text of a key as it is whatever an editor made of its line ends."""
    return text.replace(b"\r\n", b"\n").strip()
