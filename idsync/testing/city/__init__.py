"""A made-up city of any size: people, their HR file, directory and courses, and what four
access systems hold about them.

    build(folder)                        sources and connectors.toml
    history(folder, rights_of(folder))   what the access systems hold (rights_of: module rights)

Nobody in it exists. docs/city.md says what is in it.
"""

from idsync.testing.city.history import history
from idsync.testing.city.holders import Right
from idsync.testing.city.make import build, connectors

__all__ = ["Right", "build", "connectors", "history"]
