"""Workers that work one after the other, in an order that the seed decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from random import Random
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class InOrder(Executor):
    """Does each piece of work when it is given; of many, a few ahead of what is asked for.

    How many ahead is chance: so the answers of a system come before the next call, or after
    several more, as they do with threads.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def submit(self, work: Callable[..., Answer], /, *args: Any, **named: Any) -> Future[Answer]:
        done: Future[Answer] = Future()
        try:
            done.set_result(work(*args, **named))
        except Exception as error:
            done.set_exception(error)
        return done

    def map(
        self, fn: Callable[..., Answer], *iterables: Iterable[Any], **_: Any
    ) -> Iterator[Answer]:
        ahead = self._chance.choice((1, 1, 2, 5))
        calls = zip(*iterables, strict=False)

        def answers() -> Iterator[Answer]:
            while some := [self.submit(fn, *args) for args in islice(calls, ahead)]:
                for one in some:
                    yield one.result()

        return answers()
