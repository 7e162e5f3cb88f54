"""A file as its records: what idsync does not change is written back byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from idsync.rows import Row


@dataclass(eq=False, kw_only=True)
class Record:
    """One record: the texts of its described columns. `gone` once it is removed."""

    row: dict[str, str] = field(default_factory=dict)
    gone: bool = False


class Document(Protocol):
    """The records of one file, and everything around them."""

    @property
    def records(self) -> Sequence[Record]:
        """The records, in their order; without those that are gone."""

    def add(self, cells: Row) -> Record:
        """Add a record at the end."""

    def change(self, record: Record, cells: Row) -> None:
        """Set *cells* of a record; its other cells stay as they were written."""

    def remove(self, record: Record) -> None:
        """Remove a record."""

    def written(self, only: Callable[[Record], bool] = lambda _: True) -> str:
        """Return the text of the whole file, or of one with *only* these records."""
