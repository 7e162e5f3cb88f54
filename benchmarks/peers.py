"""DiffSync on the same two tables, as its own documentation says to use it.

One model a grant, one adapter a side with a `load` of its own, and `diff_from` between
them (DiffSync documentation, "Getting Started"). The rows are read in batches by
pyarrow, which costs DiffSync the least memory; its logging is left at warnings.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet
from diffsync import Adapter, DiffSyncModel
from diffsync.logging import enable_console_logging

from benchmarks.measure import Counts
from benchmarks.plan import Paths

BATCH = 10_000


class Grant(DiffSyncModel):
    """One grant: the right of one key in one target, and its interval."""

    _modelname = "grant"
    _identifiers = ("target", "key", "ref", "kind")
    _attributes = ("valid_from", "valid_to")

    target: str
    key: str
    ref: str
    kind: str
    valid_from: datetime | None
    valid_to: datetime | None


class Side(Adapter):
    """One side of the difference: the table in *path*."""

    grant = Grant
    top_level: ClassVar[list[str]] = ["grant"]

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name=name)
        self.path = path

    def load(self) -> None:
        """Add every row of the table."""
        for batch in pyarrow.parquet.ParquetFile(self.path).iter_batches(BATCH):
            for row in batch.to_pylist():
                self.add(Grant(**row))


def diffsync(folder: Path) -> Counts:
    """Load both tables of *folder* and count what DiffSync finds between them."""
    enable_console_logging(verbosity=0)
    paths = Paths(folder)
    desired, actual = Side("desired", paths.desired), Side("actual", paths.actual)
    desired.load()
    actual.load()
    found = actual.diff_from(desired).summary()
    return {action: found[action] for action in ("create", "update", "delete")}
