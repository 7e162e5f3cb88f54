"""Chance that falls the same way on every machine."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T")


class Weighted(Generic[T]):
    """Things to choose among, some more likely than others."""

    def __init__(self, choices: Sequence[tuple[T, float]]) -> None:
        self.items = [item for item, _ in choices]
        self.edges = list(accumulate(weight for _, weight in choices))

    def at(self, share: float) -> T:
        """Return the choice at *share*, 0 <= share < 1, of the whole weight."""
        place = bisect_right(self.edges, share * self.edges[-1])
        return self.items[min(place, len(self.items) - 1)]


class Dice:
    """Draws from one seed.

    Only `random()` is drawn from: its sequence is promised to stay the same between
    versions of Python, that of the other methods is not ("random — Generate
    pseudo-random numbers", Notes on Reproducibility).
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.random() < probability

    def below(self, limit: int) -> int:
        """Return a whole number, 0 <= n < limit."""
        return int(self.random() * limit)

    def between(self, low: int, high: int) -> int:
        """Return a whole number, low <= n <= high."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        """Return one of *items*, all equally likely."""
        return items[int(self.random() * len(items))]

    def weighed(self, choices: Weighted[T]) -> T:
        """Return one of *choices* by their weight."""
        return choices.at(self.random())
