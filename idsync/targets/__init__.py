"""The promise of a target: an access or alarm system."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Protocol

from idsync.model import Capabilities, Cardholder, Change, Outcome


class Target(Protocol):
    """Reads and writes the cardholders of one system."""

    capabilities: Capabilities

    @abstractmethod
    def read(self) -> Iterator[Cardholder]:
        """Yield everything in scope, or raise: also what others made, and tags without a holder.

        Raises:
            Unavailable, Incomplete, Denied: see `idsync.errors`. Never a short answer.
        """

    @abstractmethod
    def read_one(self, key: str) -> Cardholder | None:
        """Return the cardholder with this key as it is now, or None if there is none."""

    @abstractmethod
    def put(self, change: Change) -> Outcome:
        """Make the cardholder look like `change.after`; twice equals once.

        Work on a fresh read: add what `change.added` names and is not there, remove what
        `change.removed` names and is there, set the states of `change.credentials` and
        the attributes of `change.attributes`, and leave everything else alone, above all
        grants that neither side of the change names. A suspended cardholder that the
        system has never seen is not created.

        Returns `confirmed` when the system has answered that it is done.

        Raises:
            Unavailable: no answer; the write may have happened. It will be read back.
            Refused: the system will not take this one change.
            Denied: the system refuses the account.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections. Called once, after the last call."""
