"""The bad habits that tables and files can have: no call is lost, so most switches do nothing."""

from __future__ import annotations

from collections.abc import Callable

from idsync.targets import Target


class DocumentHabits:
    """A stand-in that is read as a whole; another adapter on it is all that a page can be."""

    def __init__(self, another: Callable[[], Target]) -> None:
        self._another = another

    def lose_answer(self) -> None: ...

    def ignore_write(self) -> None: ...

    def be_busy(self, times: int) -> None: ...

    def between_pages(self, edit: Callable[[], None]) -> None: ...

    def paged(self, size: int) -> Target:
        return self._another()
