"""The public keys of those who send security event tokens: read, kept a while, read again.

A stranger may name a key that nobody has; that must not make idsync ask the transmitter
for each such message, nor let anybody wait for its answer.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path

from idsync.config import SetTable
from idsync.errors import ConfigError, ConnectorError, Unavailable
from idsync.http import Api
from idsync.secevent import PublicKey, Token, keys_for, keys_of
from idsync.service.transmitters import keys_url_of
from idsync.webhook import MOST_BYTES, Malformed

FRESH = timedelta(minutes=10)
"""So long a key counts that its issuer no longer publishes."""

LONGEST = timedelta(hours=24)
"""So long the keys count while nobody can read them anew."""

ASKED_EVERY = timedelta(seconds=30)
WAIT_S = 10.0


class Keyring:
    """The keys of one sender. May be asked from several threads: one of them reads.

    `fault` is when they could not be read the last time, and why; None: they could.
    """

    def __init__(self, name: str, sender: SetTable) -> None:
        self.sender = sender
        self._name = name
        self._keys: tuple[PublicKey, ...] = ()
        self._read_at: datetime | None = None
        self._tried_at: datetime | None = None
        self.fault: tuple[datetime, str] | None = None
        self._reading = threading.Lock()

    def keys(self, token: Token, now: datetime) -> list[PublicKey]:
        """Return the keys that *token* may be signed with; none where none is published.

        Raises:
            Unavailable: that cannot be known now: they could not be read, or were read just
                before and the key of *token* was not among them.
        """
        if _age(self._read_at, now) > FRESH:
            self._renew(now)
        if _age(self._read_at, now) > LONGEST:
            raise Unavailable(f"[events.{self._name}]: the keys of the issuer cannot be read")
        found = keys_for(token, self._keys)
        if found or self._read_at == now:
            return found
        if not self._renew(now):
            raise Unavailable(f"[events.{self._name}]: a key that was not there a moment ago")
        return keys_for(token, self._keys)

    def read(self, now: datetime) -> None:
        """Read the keys.

        Raises:
            ConnectorError: they cannot be read now, or none of them is of use.
            ConfigError: the file of the keys cannot be read, or the issuer tells of none.
        """
        self._keys, self._read_at, self.fault = self._read(), now, None

    def _renew(self, now: datetime) -> bool:
        """Read the keys, unless somebody does or just tried; tell whether they are of now."""
        just_tried = _age(self._tried_at, now) < ASKED_EVERY
        if just_tried and (self.sender.keys_file is None or self.fault is not None):
            return False
        if not self._reading.acquire(blocking=False):
            return False
        try:
            self._tried_at = now
            self.read(now)
        except (ConnectorError, ConfigError) as error:
            self.fault = (now, str(error))
            return False
        finally:
            self._reading.release()
        return True

    def _read(self) -> tuple[PublicKey, ...]:
        sender = self.sender
        text = _in_file(sender.keys_file) if sender.keys_file else self._at_url()
        try:
            return keys_of(text)
        except Malformed:
            raise Unavailable(
                f"[events.{self._name}]: what is there is no JWK set with a key of 2048 bits RSA, "
                "P-256 or Ed25519"
            ) from None

    def _at_url(self) -> bytes:
        url = self.sender.keys_url or keys_url_of(self.sender)
        api = Api(
            url, ca_file=self.sender.ca_file, timeout_s=WAIT_S / 2, deadline_s=WAIT_S,
            max_bytes=MOST_BYTES, connections=1, returned=frozenset(),
        )  # fmt: skip
        try:
            return api.raw("GET", "").data
        finally:
            api.close()


def _age(since: datetime | None, now: datetime) -> timedelta:
    return abs(now - since) if since else timedelta.max  # abs: a clock may be put back


def _in_file(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES)
    except OSError as error:
        raise ConfigError(
            f"keys_file {file} cannot be read ({error.strerror}): check the path and its rights"
        ) from None


class Keyrings:
    """The keyrings by sender; one that is configured otherwise is another."""

    def __init__(self) -> None:
        self._rings: dict[str, Keyring] = {}
        self._making = threading.Lock()

    def of(self, name: str, sender: SetTable) -> Keyring:
        """Return the keyring of the sender *name*."""
        with self._making:
            ring = self._rings.get(name)
            if ring is None or ring.sender != sender:
                ring = self._rings[name] = Keyring(name, sender)
            return ring
