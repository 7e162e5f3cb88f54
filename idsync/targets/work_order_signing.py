"""How orders are signed, and how the codes of their lines are made."""

from __future__ import annotations

import hashlib
import hmac

from idsync.errors import ConfigError
from idsync.settings import Secret
from idsync.targets.work_order_tasks import Task

SHORTEST_KEY = 32
CODE_LETTERS = "BCDFGHJKMNPQRSTVWXZ"  # no digits: a spreadsheet would make a number of 1E5000
CODE_LENGTH = 6


class Signer:
    """Signs documents and makes codes with one secret, which the landlord has too.

    The signature is HMAC-SHA256 (RFC 2104, FIPS 180-4) over the exact bytes of a file.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def _key(self) -> bytes:
        key = self._secret.reveal().encode()
        if len(key) < SHORTEST_KEY:
            raise ConfigError(
                f"signing_key has fewer than {SHORTEST_KEY} characters and can be guessed: "
                "make one with `openssl rand -hex 32`"
            )
        return key

    def check(self) -> None:
        """Raise ConfigError if the secret is missing or can be guessed."""
        self._key()

    def sign(self, data: bytes) -> bytes:
        """Return the signature of *data* as the text of its file."""
        return hmac.new(self._key(), data, hashlib.sha256).hexdigest().encode() + b"\n"

    def code(self, order: int, line: int, task: Task | None) -> str:
        """Return the letters by which a line is acknowledged: they fit no other line."""
        key = hmac.new(self._key(), b"idsync acknowledgement codes", hashlib.sha256).digest()
        said = repr((order, line, task)).encode()
        number = int.from_bytes(hmac.new(key, said, hashlib.sha256).digest(), "big")
        letters = ""
        for _ in range(CODE_LENGTH):
            number, place = divmod(number, len(CODE_LETTERS))
            letters += CODE_LETTERS[place]
        return letters
