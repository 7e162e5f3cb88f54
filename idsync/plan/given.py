"""What the planner is given about a target, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from idsync.capabilities import Capabilities
from idsync.mapping.ending import ENDED


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the planner must know of a target.

    key: the person attribute that is the correlation key there ("id": idsync's own).
    adopt: "matching" where grants found at first contact that equal the rules' become ours.
    contacted: whether idsync has taken stock of the target before.
    exempt: keys and card numbers of cardholders that nothing is ever written to.
    """

    name: str
    controller: str
    key: str
    release: tuple[str, ...]
    adopt: str
    contacted: bool
    capabilities: Capabilities
    exempt: tuple[str, ...] = ()


DONE = pl.Schema({"because": pl.String(), "target": pl.String()})


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Whose access is decided outside the rules.

    revoked: person_id, because: opens nothing, whatever the rules say.
    frozen: person ids that could not be told apart: neither widened nor removed.
    ended: see ENDED, the employments that give nothing, whatever the sources say of them.
    done: because, target: where it was seen once that nothing of such an employment is left.
    newest: the number of the newest order among these; 0: there is none.
    """

    revoked: pl.DataFrame
    frozen: pl.Series
    ended: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ENDED))
    done: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DONE))
    newest: int = 0


@dataclass(frozen=True, kw_only=True)
class TargetPlan:
    """Everything that must change in one target.

    items: see ITEMS. refusals: person_id, ref, reason. adopt: rows of LEDGER to become
    ours without a write. links: key, person_id of the cardholders that were recognised.
    due: at, person_id, kind, ref, action (begins, ends): what the system cannot do by itself
    on the day. holders: person_id of everybody who holds a right in force there now. Counts:
    adoptable grants equal what the rules give, and local ones are others' and nobody's wish
    (of grants); unchanged people are as they should be.
    """

    target: Target
    items: pl.DataFrame
    refusals: pl.DataFrame
    adopt: pl.DataFrame
    links: pl.DataFrame
    holders: pl.DataFrame
    due: pl.DataFrame
    adoptable: int
    local: int
    unchanged: int
