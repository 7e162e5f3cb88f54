"""The promise of a target: an access or alarm system."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from idsync.capabilities import Capabilities
from idsync.errors import Refused
from idsync.model import Cardholder, Change, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a change feed tells: `keys` of the cardholders touched since, and where it stands.

    `keys` is None where only reading everything can tell. The next question begins at
    `bookmark`, which is "" where the system has no change feed.
    """

    keys: tuple[str, ...] | None
    bookmark: str = ""


class Target(Protocol):
    """Reads and writes the cardholders of one system.

    An adapter inherits this class. It is used by one thread at a time, does not retry,
    sleep or log, and gives every call a deadline.
    """

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

        Returns `confirmed` when the system has answered that it is done, `submitted` when
        it will answer later: until it has, the cardholder is shown as `pending`.

        Raises:
            Unavailable: no answer; the write may have happened. It will be read back.
            Refused: the system will not take this one change.
            Denied: the system refuses the account.
        """

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        """Put up to `capabilities.batch` changes of different cardholders in one call.

        One refused change does not stop the others: its outcome says so.

        Raises:
            Unavailable, Denied: as of `put`, of all of them.
        """
        outcomes = []
        for change in changes:
            try:
                outcomes.append(self.put(change))
            except Refused as error:
                outcomes.append(Outcome(status="refused", reason=str(error)))
        return outcomes

    def changes(self, bookmark: str) -> Changed:
        """Return whose records were touched since *bookmark*; "" asks where the feed stands now.

        Raises:
            Unavailable, Incomplete, Denied: as of `read`.
        """
        return Changed(keys=None)

    def check(self) -> str:
        """Reach the system, writing nothing; return what answered, in a few words.

        Raises:
            ConnectorError, ConfigError: a sentence that tells wrong credentials, a missing
                licence, a missing privilege, an untrusted certificate, a wrong host and an
                unfitting version apart, as far as the system lets them be told.
        """
        return " ".join(filter(None, (self.capabilities.system, self.capabilities.version)))

    @abstractmethod
    def close(self) -> None:
        """Let go of connections. Called once, after the last call."""
