"""The plan as a document: what is shown, saved, approved, and nothing else is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import polars as pl

from idsync.errors import IntegrityError
from idsync.mapping.bands import Doubt
from idsync.model import Cardholder, Change, Credential, Grant, Reason
from idsync.plan.because import rule_named
from idsync.plan.brake import ABSENT, HeldPart
from idsync.plan.scopes import Scope

FORMAT = "idsync.plan/1"


@dataclass(frozen=True, kw_only=True)
class SourceState:
    """What a source gave this time. `content` is the digest of what is believed now.

    doubts: parts of it that are not believed. absent: records that did not come and stand
    until more complete reads have missed them. again: the same delivery as the last accepted
    one, which is no other read.
    """

    records: int
    complete: bool
    reason: str
    content: str = ""
    doubts: tuple[Doubt, ...] = ()
    absent: int = 0
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class TargetState:
    """What a target is like, as far as it could be read. `reason` is why it could not."""

    complete: bool
    reason: str = ""
    unchanged: int = 0
    adopt: int = 0
    adoptable: int = 0
    local: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All changes of a run, with a digest that covers what was seen.

    items: see ITEMS · adopt: rows of LEDGER · links: target, key, person_id ·
    refusals: target, person_id, ref, reason.
    """

    made_at: datetime
    instance: str
    config_digest: str
    sources: Mapping[str, SourceState]
    targets: Mapping[str, TargetState]
    items: pl.DataFrame
    adopt: pl.DataFrame
    links: pl.DataFrame
    refusals: pl.DataFrame
    held: tuple[HeldPart, ...] = ()
    used_approvals: tuple[str, ...] = field(default=())
    scopes: tuple[Scope, ...] = ()

    @cached_property
    def lines(self) -> bytes:
        """One JSON object a changed cardholder, one a line, in an order that never varies."""
        return _lines(self.items)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the configuration, what the sources said, and every change."""
        return _digest(self.config_digest, _contents(self.sources), self.adopt, self.lines)

    @property
    def go(self) -> pl.DataFrame:
        """The items that no brake holds."""
        return self.items.filter(pl.col("held").is_null())

    @property
    def complete(self) -> bool:
        """Whether every source and every target was read whole."""
        read = [source.complete for source in self.sources.values()]
        return all(read) and all(target.complete for target in self.targets.values())

    @property
    def outcome(self) -> str:
        """In one word: incomplete, held, planned or no-change."""
        if not self.complete:
            return "incomplete"
        if self.held:
            return "held"
        return "no-change" if self.go.is_empty() and self.adopt.is_empty() else "planned"

    def counts(self) -> dict[str, dict[str, int]]:
        """For each target: people created, updated, revoked, unchanged and held; and the rest."""
        kinds = per_change(self.go).group_by("target", "action").agg(pl.len())
        counted = {(target, kind): count for target, kind, count in kinds.iter_rows()}
        away = pl.col("held") == ABSENT
        held = _people(self.items.filter(pl.col("held").is_not_null() & ~away))
        waiting = _people(self.items.filter(away))
        refused = dict(self.refusals.group_by("target").agg(pl.len()).iter_rows())
        return {
            name: {
                **{kind: counted.get((name, kind), 0) for kind in ("create", "update", "revoke")},
                "unchanged": state.unchanged,
                "held": held.get(name, 0),
                "waiting": waiting.get(name, 0),
                "adopt": state.adopt,
                "adoptable": state.adoptable,
                "local": state.local,
                "refused": refused.get(name, 0),
            }
            for name, state in self.targets.items()
        }

    def header(self) -> dict[str, Any]:
        """Return everything of the document but the changes."""
        counts = self.counts()
        return {
            "format": FORMAT,
            "digest": self.digest,
            "outcome": self.outcome,
            "made_at": self.made_at.isoformat(),
            "instance": self.instance,
            "config": self.config_digest,
            "sources": {name: asdict(state) for name, state in self.sources.items()},
            "targets": {
                name: {
                    "complete": state.complete, "reason": state.reason, **counts[name],
                    "written": 0, "confirmed": 0, "unknown": 0,
                }
                for name, state in self.targets.items()
            },
            "held": [asdict(part) for part in self.held],
            "refusals": self.refusals.to_dicts(),
            "adopt": [json.loads(line) for line in _ledger_lines(self.adopt)],
            "writes": 0,
        }  # fmt: skip

    def json(self) -> str:
        """Return the whole document as one JSON text."""
        return self.encoded().decode()

    def encoded(self) -> bytes:
        """Return the whole document as it is saved: one JSON text in UTF-8."""
        head = json.dumps(self.header(), ensure_ascii=False).encode()
        # in a JSON text a line end is escaped, so each of these ends a change
        changes = self.lines.removesuffix(b"\n").replace(b"\n", b",")
        return b"".join((head[:-1], b', "changes": [', changes, b"]}\n"))

    def changes(self) -> Iterator[tuple[str, str, Change, pl.DataFrame]]:
        """Yield target, person id, change and items of everything that goes, losses first."""
        yield from ordered_changes(self.go)


def _people(items: pl.DataFrame) -> dict[str, int]:
    """By target how many cardholders *items* are of."""
    return dict(items.group_by("target").agg(pl.col("key").n_unique()).iter_rows())


def read_saved(text: str) -> dict[str, Any]:
    """Return the header of a saved plan, after proving that its changes are unaltered.

    Raises:
        IntegrityError: it is no plan, or it was altered after it was made.
    """
    try:
        document = json.loads(text)
        lines = "".join(_compact(change) + "\n" for change in document.pop("changes")).encode()
        contents = {name: source["content"] for name, source in document["sources"].items()}
        told = "\n".join(_compact(grant) for grant in document["adopt"])
        if document["format"] != FORMAT:
            raise IntegrityError("this is not a plan of a format that this version reads")
        sound = _digest_of_texts(document["config"], contents, told, lines) == document["digest"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IntegrityError("this file is not a whole idsync plan: save it again") from None
    if not sound:
        raise IntegrityError("this plan was altered after it was made: make a new one")
    return dict(document)


def _compact(told: object) -> str:
    """JSON as polars writes it, so that a digest over it can be computed again."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _contents(sources: Mapping[str, SourceState]) -> dict[str, str]:
    return {name: state.content for name, state in sources.items()}


def _digest(config: str, contents: Mapping[str, str], adopt: pl.DataFrame, lines: bytes) -> str:
    return _digest_of_texts(config, contents, "\n".join(_ledger_lines(adopt)), lines)


def _digest_of_texts(config: str, contents: Mapping[str, str], adopt: str, lines: bytes) -> str:
    head = json.dumps([FORMAT, config, sorted(contents.items())])
    digest = hashlib.sha256(f"{head}\n{adopt}\n".encode())
    digest.update(lines)
    return digest.hexdigest()


def _ledger_lines(adopt: pl.DataFrame) -> list[str]:
    told = adopt.select(
        "target", "key", "kind", "ref", valid_from=_iso("valid_from"), valid_to=_iso("valid_to")
    )
    return _split(told.write_ndjson())


def _split(lines: str) -> list[str]:
    """The lines of NDJSON text: a line separator inside a JSON text does not end one."""
    return lines.split("\n")[:-1] if lines else []


# ── changes as they are shown ───────────────────────────────────────────────────────────


def per_change(items: pl.DataFrame) -> pl.DataFrame:
    """target, key, person_id, action (create, update, revoke), held: a row a cardholder."""
    return (
        items.with_columns(_change())
        .group_by("change", maintain_order=True)
        .agg(
            pl.col("target", "key", "person_id").first(),
            action=_action(),
            held=pl.col("held").is_not_null().any(),
        )
        .drop("change")
    )


def _iso(name: str) -> pl.Expr:
    return pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")


def _lines(items: pl.DataFrame) -> bytes:
    if items.is_empty():
        return b""
    told = items.with_columns(
        _iso("from_before"), _iso("to_before"), _iso("from_after"), _iso("to_after"), _change()
    )
    sides = told.group_by("change", maintain_order=True).agg(
        pl.col("target", "person_id", "key").first(),
        action=_action(),
        creates=pl.col("creates").any(),
    )
    for name in ("held", "because"):
        listed = _listed(told, name)
        sides = sides.join(listed, on="change", how="left", maintain_order="left")
    for side, stands in (("before", "was"), ("after", "shall")):
        parts = _side(told.filter(pl.col(stands)), side)
        sides = sides.join(parts, on="change", how="left", maintain_order="left")
    empty = pl.col("creates")
    before = pl.struct("status_before", "credentials_before", "grants_before", "attributes_before")
    after = pl.struct("status_after", "credentials_after", "grants_after", "attributes_after")
    names = ["status", "credentials", "grants", "attributes"]
    written = sides.select(
        "target",
        pl.col("person_id").alias("person"),
        "key",
        "action",
        before=pl.when(~empty).then(before.struct.rename_fields(names)),
        after=after.struct.rename_fields(names),
        because="because",
        held="held",
    ).write_ndjson()
    return written.encode()


def _listed(told: pl.DataFrame, name: str) -> pl.DataFrame:
    """change, and the distinct values of column *name* in order, as a list that may be empty."""
    values = told.select("change", name).drop_nulls().unique().sort("change", name)
    lists = values.group_by("change", maintain_order=True).agg(name)
    changes = told.select(pl.col("change").unique(maintain_order=True))
    whole = changes.join(lists, on="change", how="left", maintain_order="left")
    nothing = pl.lit([], pl.List(pl.String))
    return whole.with_columns(pl.col(name).fill_null(nothing))


def _change() -> pl.Expr:
    """The number of the change that a row belongs to; the rows of one stand side by side."""
    new = [pl.col(name) != pl.col(name).shift(1) for name in ("target", "person_id", "key")]
    return pl.any_horizontal(new).fill_null(False).cum_sum().alias("change")


def _action() -> pl.Expr:
    losing = (pl.col("effect") == "losing").any()
    gaining = (pl.col("effect") == "gaining").any()
    return (
        pl.when(pl.col("creates").any())
        .then(pl.lit("create"))
        .when(losing & ~gaining)
        .then(pl.lit("revoke"))
        .otherwise(pl.lit("update"))
    )


def _side(present: pl.DataFrame, side: str) -> pl.DataFrame:
    """What stands of each change on one side; each part aggregated by itself."""
    changes = present.select(pl.col("change").unique(maintain_order=True))
    value = pl.col(f"value_{side}")
    parts = {
        "grants": pl.struct(
            "kind", "ref", valid_from=pl.col(f"from_{side}"), valid_to=pl.col(f"to_{side}")
        ),
        "credentials": pl.struct(number="ref", state=value),
        "attributes": pl.struct(name="ref", value=value),
    }
    for name, struct in parts.items():
        rows = present.filter(pl.col("part") == name.removesuffix("s"))
        told = rows.group_by("change", maintain_order=True).agg(struct.alias(f"{name}_{side}"))
        changes = changes.join(told, on="change", how="left", maintain_order="left")
    status = present.filter(pl.col("part") == "status").select(
        "change", value.alias(f"status_{side}")
    )
    return changes.join(status, on="change", how="left", maintain_order="left")


# ── changes as they are done ────────────────────────────────────────────────────────────


def ordered_changes(items: pl.DataFrame) -> Iterator[tuple[str, str, Change, pl.DataFrame]]:
    """Yield target, person id, change and items of each cardholder, losses first.

    Among them the confirmed come first, and what was approved or announced in numbers comes
    last: one leaver never waits behind three thousand whose summer is over.
    """
    if items.is_empty():
        return
    losing = pl.col("effect") == "losing"
    many = losing & pl.col("exempt").fill_null(False)
    turn = (
        pl.when(pl.col("confirmed").any()).then(0).when(~losing.any()).then(3)
        .when(many.any()).then(2).otherwise(1)
    )  # fmt: skip
    ordered = items.with_columns(turn=turn.over("target", "key")).sort("turn", maintain_order=True)
    for (target, _), rows in ordered.group_by("target", "key", maintain_order=True):
        part = rows.drop("turn")
        yield str(target), part["person_id"][0], change_of(part), part


def change_of(items: pl.DataFrame) -> Change:
    """Return the change that the items of one cardholder make."""
    rows = items.to_dicts()
    key = rows[0]["key"]
    creates = any(row["creates"] for row in rows)
    before = None if creates else _cardholder(key, rows, "before", "was")
    return Change(before=before, after=_cardholder(key, rows, "after", "shall"))


def _cardholder(key: str, rows: list[dict[str, Any]], side: str, stands: str) -> Cardholder:
    there = [row for row in rows if row[stands]]
    attributes = {row["ref"]: row[f"value_{side}"] for row in there if row["part"] == "attribute"}
    status = [row[f"value_{side}"] for row in there if row["part"] == "status"]
    return Cardholder(
        key=key,
        status=status[0] if status else "active",
        credentials=tuple(
            Credential(
                number=row["ref"], medium=row["kind"],
                state=row[f"value_{side}"], state_reason=row["because"],
            )
            for row in there
            if row["part"] == "credential"
        ),
        grants=tuple(
            Grant(
                ref=row["ref"], kind=row["kind"],
                valid_from=row[f"from_{side}"], valid_to=row[f"to_{side}"],
                because=(
                    (Reason(type="rule", ref=rule_named(row["because"])),)
                    if side == "after"
                    else ()
                ),
            )
            for row in there
            if row["part"] == "grant"
        ),
        **attributes,
    )  # fmt: skip


EMPTY_LINKS = pl.Schema({"target": pl.String(), "key": pl.String(), "person_id": pl.String()})
EMPTY_REFUSALS = pl.Schema(
    {"target": pl.String(), "person_id": pl.String(), "ref": pl.String(), "reason": pl.String()}
)
