"""The made-up town inside this process, with a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from idsync.config import Config, load
from idsync.model import IdentityLink, schema
from idsync.service.applying import Run, sync
from idsync.service.auditing import verify_audit
from idsync.store import State, open_state
from tests.whole.town import Town

DAY = timedelta(days=1)


@dataclass
class Life:
    """A town whose days go by."""

    town: Town
    now: datetime = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)

    def clock(self) -> datetime:
        """Return the time; each look at it takes a second."""
        self.now += timedelta(seconds=1)
        return self.now

    @property
    def config(self) -> Config:
        """The configuration as it stands in the file now."""
        return load(self.town.folder / "connectors.toml")

    @contextmanager
    def state(self) -> Iterator[State]:
        """Open the state for a while."""
        opened = open_state(self.config.idsync.state)
        try:
            yield opened
        finally:
            opened.close()

    def sync(self, days: float = 1) -> Run:
        """Let days pass, then run."""
        self.now += days * DAY
        with self.state() as state:
            return sync(self.config, state, lambda _: None)

    def problems(self) -> list[str]:
        """Return what is wrong with the audit."""
        with self.state() as state:
            return verify_audit(self.config, state).problems

    def person(self, state: State, number: int) -> str:
        """Return the id of the person with this place in the HR file."""
        links = state.frames.load("identity_link", schema(IdentityLink))
        mine = (pl.col("system") == "hr") & (pl.col("value") == f"p{number}")
        return str(links.filter(mine)["person_id"][0])

    def everywhere_gone(self, *numbers: int) -> None:
        """Take people out of every source."""
        self.town.leavers |= set(numbers)
        self.town.write_hr()
        self.town.write_lms()

    def settings(self, text: str) -> None:
        """Add tables to the configuration."""
        file = self.town.folder / "connectors.toml"
        file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
