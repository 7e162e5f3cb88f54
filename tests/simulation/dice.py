"""Chance that depends on nothing but the seed and what is asked for."""

from __future__ import annotations

from random import Random

Weights = dict[str, float]

WEIGHTS: Weights = {
    # what happens to people, by the day
    "hire": 0.25, "hire_ahead": 0.08, "end": 0.12, "end_by_absence": 0.05, "leave": 0.08,
    "second_job": 0.08, "move": 0.06, "open_kind": 0.04, "training": 0.3, "group": 0.15,
    "renumber": 0.02, "reuse": 0.03, "marked": 0.02, "rehire": 0.06, "mass_end": 0.015,
    "correct": 0.04,
    # orders, and the operator
    "revoke": 0.12, "restore": 0.15, "revoke_within": 0.06, "approve": 0.7, "apply_saved": 0.04,
    "order_end": 0.1, "lift_end": 0.06,
    # sources
    "source_fault": 0.12, "flap": 0.05, "salami": 0.02, "reorder": 0.1, "outage": 0.02,
    # targets
    "target_fault": 0.12, "target_outage": 0.02, "local": 0.25, "local_within": 0.08,
    # machine
    "crash": 0.06, "clock_step": 0.03, "due_only": 0.12, "twice": 0.05, "dark": 0.02,
}  # fmt: skip
"""How likely a thing is on a day. Quiet days come by themselves, in rows of up to a week."""


class Dice:
    """Streams of chance by name, so that one more question does not change other answers."""

    def __init__(self, seed: int, weights: Weights | None = None) -> None:
        self.seed = seed
        self.weights = WEIGHTS | (weights or {})

    def stream(self, *name: object) -> Random:
        """Return the stream of this name, from its beginning."""
        return Random("/".join(str(part) for part in (self.seed, *name)))

    def happens(self, what: str, day: int, *more: object) -> bool:
        """Tell whether *what* happens on this day."""
        return self.stream(what, day, *more).random() < self.weights[what]
