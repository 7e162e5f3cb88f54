"""Every error idsync raises, named after what its reader does next.

IdsyncError
├── ConfigError         edit connectors.toml
├── ChangedError        look at the plan again: it no longer fits what is there
├── IntegrityError      stop: a file or the state is damaged or was altered
│   └── DiskFailed      end at once: what was written may not have been kept
└── ConnectorError      raised by sources and targets, nothing else
    ├── Unavailable     wait: the same call may succeed later
    │   └── NoRoom      make room where the state stands
    ├── Incomplete      wait: an answer came, but not all of it, so it is not used
    ├── Denied          fix the credentials or the rights of idsync's account
    └── Refused         fix this one record; the others go on

A message says where, what (with numbers), and what to do now. It never carries a value
that came from a person's record, and never a secret.
"""


class IdsyncError(Exception):
    """Something idsync can explain."""

    exit_code = 2


class ConfigError(IdsyncError):
    """The configuration or the command line is wrong: edit it."""


class ChangedError(IdsyncError):
    """What was approved no longer fits what is there: plan again."""

    exit_code = 3


class IntegrityError(IdsyncError):
    """A file or the state is damaged, or was altered: stop and look."""

    exit_code = 5


class DiskFailed(IntegrityError):
    """The disk of the state did not keep what was written: the process ends, and tries no more."""


class ConnectorError(IdsyncError):
    """A source or a target could not do what was asked."""

    exit_code = 4


class Unavailable(ConnectorError):
    """The system does not answer now. From a write: it may have happened all the same.

    `retry_after_s` is how long the system asked to be left alone, in seconds, if it did.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NoRoom(Unavailable):
    """There is no room where the state stands: nothing is sent that cannot be written down."""


class Incomplete(ConnectorError):
    """The system answered with less than everything. What came is not used as the whole."""


class Denied(ConnectorError):
    """The system refuses idsync's account: fix the credentials or its rights."""


class Refused(ConnectorError):
    """The system refuses this one record: fix it; the others go on."""

    exit_code = 1
