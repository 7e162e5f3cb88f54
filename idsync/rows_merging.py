"""From a change to the cells and rows that have to be written, on a fresh read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from idsync.errors import Refused
from idsync.model import Change, Credential, Grant
from idsync.rows import Card, Row
from idsync.rows_dates import Unreadable
from idsync.rows_reading import Reading, joined, pieces


@dataclass(kw_only=True)
class Edits:
    """What one change writes: cells of the person's row, rights' rows that go and that come.

    `new` tells that the person's row has to be made. `refused` is why a part was left
    out: what takes away is written all the same, and nothing that gives.
    """

    cells: dict[str, str] = field(default_factory=dict)
    drop: list[int] = field(default_factory=list)
    add: list[dict[str, str]] = field(default_factory=list)
    new: bool = False
    waiting: bool = False
    refused: Refused | None = None

    @property
    def touched(self) -> bool:
        """Whether anything has to be written."""
        return bool(self.cells or self.drop or self.add)


Check = Callable[[str, str], None]
"""Raises Refused if a text does not fit the field that it is written to."""


class Merging:
    """Finds out what to write, so that everything else stays as it stands.

    *check* judges every text that idsync brings along.
    """

    def __init__(self, reading: Reading, check: Check) -> None:
        self._reading = reading
        self._described = reading.described
        self._check = check

    def edits(
        self, row: Row | None, rights: Sequence[Row], change: Change, *, again: bool = False
    ) -> Edits:
        """Return what *change* writes, given the person's *row* and *rights* as they are now.

        *again*: write it even where everything stands as it shall.
        """
        if row is None and change.after.status == "suspended":
            return Edits()
        if row is None and rights:
            return Edits(
                refused=Refused(
                    f"rights: {len(rights)} rows stand under a key that nobody has, and would be "
                    "given to a new person: remove them by hand"
                )
            )
        taking, refusals = self._taking(row, rights, change)
        edits, others = self._giving(taking, row, rights, change)
        if refusals := refusals + others:
            edits = taking if row is not None else Edits()
            edits.refused = refusals[0]
        return self._answered(edits, row, again=again and not refusals)

    # ── taking away ─────────────────────────────────────────────────────────────────────

    def _taking(
        self, row: Row | None, rights: Sequence[Row], change: Change
    ) -> tuple[Edits, list[Refused]]:
        edits = Edits(new=row is None)
        if row is None:
            return edits, []
        if change.after.status == "suspended":
            edits.cells |= self._status(row, "suspended")
        before = change.before.grants if change.before else ()
        for wanted in dict.fromkeys(change.removed):
            edits.drop += self._going(rights, wanted, before.count(wanted))
        edits.drop = sorted(set(edits.drop))
        refusals = list(
            _refusals(
                partial(self._leave, edits, row, wanted) for wanted in dict.fromkeys(change.removed)
            )
        )
        for credential, card in self._cards(row, change):
            if credential.state != "active" and card.state:
                code = self._described.code("state", credential.state)
                edits.cells |= {card.state: code} if code is not None else {}
        return self._really(edits, row), refusals

    def _going(self, rights: Sequence[Row], wanted: Grant, times: int) -> list[int]:
        """Return which of *rights* go when *wanted* is taken away.

        The same right may stand there twice, by us and by a local administrator: then ours
        goes. Another's goes only where idsync adopted it: it is all there is, and not what
        an earlier put of this same change has left.
        """
        found = [(at, grant) for at, grant in self._readable(rights) if grant == wanted]
        if not self._described.rights or "origin" not in self._described.rights.columns:
            return [at for at, _ in found[:1]] if len(found) >= times else []
        ours = [at for at, grant in found if not grant.because]
        adopted = [at for at, _ in found[:1]] if len(found) >= times else []
        return ours or adopted

    def _leave(self, edits: Edits, row: Row, wanted: Grant) -> None:
        """Take the right out of its list; what else stands in the cell stays as it is."""
        column = self._described.lists.get(wanted.kind)
        if column is None or wanted.valid_from or wanted.valid_to:
            return
        parts = self._pieces({**row, **edits.cells}, wanted)
        left = [part for part in parts if part.strip() != wanted.ref]
        if left != parts:
            edits.cells[column.column] = joined(column, left)

    # ── giving ──────────────────────────────────────────────────────────────────────────

    def _giving(
        self, taking: Edits, row: Row | None, rights: Sequence[Row], change: Change
    ) -> tuple[Edits, list[Refused]]:
        edits = Edits(cells=dict(taking.cells), drop=list(taking.drop), new=taking.new)
        kept = [right for at, right in enumerate(rights) if at not in taking.drop]
        steps: list[Callable[[], None]] = []
        if row is None:
            steps.append(partial(self._begin, edits, change))
        elif change.after.status == "active" and _returns(change):
            edits.cells |= self._status(row, "active")
        steps.append(partial(self._attributes, edits, change))
        steps.append(partial(self._states, edits, row or {}, change))
        steps += [
            partial(self._grant, edits, row, kept, wanted, change.key)
            for wanted in dict.fromkeys(change.added)
        ]
        refusals = list(_refusals(steps))
        return (self._really(edits, row) if row is not None else edits), refusals

    def _begin(self, edits: Edits, change: Change) -> None:
        columns = self._described.columns
        self._check("key", change.key)
        edits.cells = {column.column: "" for column in self._described.lists.values()}
        edits.cells |= self._described.new_row
        edits.cells[columns["key"]] = change.key
        edits.cells[columns["status"]] = self._described.code("status", "active") or ""

    def _attributes(self, edits: Edits, change: Change) -> None:
        for name, value in change.attributes.items():
            column = self._described.columns.get(name)
            if column is None:
                raise Refused(f"{name} has no column here: take it out of release, or add it")
            self._check(name, value)
            edits.cells[column] = value

    def _states(self, edits: Edits, row: Row, change: Change) -> None:
        known = change.before.credentials if change.before else ()
        moved_away = {(card.number, card.medium) for card in known}
        found = list(self._cards(row, change))
        for wanted in change.credentials:
            mine = [card for each, card in found if each is wanted]
            # A card that was in these hands and is no more is somebody else's now: leave it.
            if not mine and (wanted.number, wanted.medium) not in moved_away:
                raise Refused("a new card is given in the access system, not by idsync")
            for card in mine:
                code = self._described.code("state", wanted.state) if card.state else None
                if card.state is None or code is None:
                    raise Refused(
                        f"a card cannot be {wanted.state} here: name a code for it in "
                        "values.state, and the card's state column, or do it by hand"
                    )
                edits.cells[card.state] = code

    def _grant(
        self, edits: Edits, row: Row | None, kept: Sequence[Row], wanted: Grant, key: str
    ) -> None:
        self._check("a right", wanted.ref)
        if self._described.rights:
            made = "" if self._described.rights.by == "native_id" else key
            self._row_of(edits, kept, wanted, self._reading.link(row) if row else made)
        else:
            self._join(edits, row or {}, wanted)

    def _row_of(self, edits: Edits, kept: Sequence[Row], wanted: Grant, link: str) -> None:
        """Add a row for the right, unless it stands there already.

        The native id of a new person is only known when its row is made: the caller fills
        it in.
        """
        described, rights = self._described, self._described.rights
        assert rights is not None  # noqa: S101 - asked by the caller
        there = [grant for _, grant in self._readable([*kept, *edits.add])]
        if wanted in there:
            return
        new = dict(rights.new_row) | {rights.columns["key"]: link}
        new[rights.columns["ref"]] = wanted.ref
        if described.dates:
            begin, end = described.dates.write(wanted.valid_from, wanted.valid_to)
            new |= {rights.columns["valid_from"]: begin, rights.columns["valid_to"]: end}
        if "kind" in rights.columns and (code := described.code("kind", wanted.kind)) is not None:
            new[rights.columns["kind"]] = code
        if "origin" in rights.columns:
            new[rights.columns["origin"]] = rights.origin
        self._holds(self._reading.grant(new), wanted)
        if rights.per_right == "one" and any(
            (grant.kind, grant.ref) == (wanted.kind, wanted.ref) for grant in there
        ):
            raise Refused(
                "a right can be held once here (rights.per_right), and is held with other dates: "
                "decide by hand which of them is meant"
            )
        edits.add.append(new)

    def _join(self, edits: Edits, row: Row, wanted: Grant) -> None:
        """Put the right into its list, unless it stands there already."""
        column = self._described.lists.get(wanted.kind)
        shown = Grant(ref=wanted.ref, kind=wanted.kind) if column else None
        self._holds(shown, wanted)
        assert column is not None  # noqa: S101 - refused above
        if column.separator in wanted.ref or wanted.ref != wanted.ref.strip() or not wanted.ref:
            raise Refused(
                f"column {column.column}: a right's name is empty, has blanks around it or holds "
                "the separator: correct the profile"
            )
        parts = self._pieces({**row, **edits.cells}, wanted)
        if wanted.ref in (part.strip() for part in parts):
            return
        ends = 1 if parts and not parts[-1].strip() else 0  # "A," becomes "A,B,"
        parts.insert(len(parts) - ends, wanted.ref)
        text = joined(column, parts)
        if column.most is not None and len(text) > column.most:
            raise Refused(
                f"column {column.column}: the rights of one person have {len(text)} characters, "
                f"and {column.most} fit: give fewer, or rights that hold several"
            )
        edits.cells[column.column] = text

    def _holds(self, shown: Grant | None, wanted: Grant) -> None:
        """Refuse a right that would not stand there exactly as it shall."""
        if shown is not None and shown == wanted:
            return
        if shown is None or shown.kind != wanted.kind:
            raise Refused(f"rights of kind {wanted.kind} have no place here: correct the profile")
        if not self._described.dates and (wanted.valid_from or wanted.valid_to):
            raise Refused("rights have no dates here, and this one has: it would be given for ever")
        raise Refused("a right cannot be written exactly: correct the profile, or dates")

    # ── what both need ──────────────────────────────────────────────────────────────────

    def _status(self, row: Row, word: str) -> dict[str, str]:
        """Return the cell that sets the status, unless it says so in another code already."""
        column = self._described.columns["status"]
        if self._described.values["status"].get(row[column]) == word:
            return {}
        return {column: self._described.code("status", word) or ""}

    def _cards(self, row: Row, change: Change) -> Iterator[tuple[Credential, Card]]:
        for wanted in change.credentials:
            for card in self._described.cards if row else ():
                if (row[card.number], card.medium) == (wanted.number, wanted.medium):
                    yield wanted, card

    def _pieces(self, row: Row, wanted: Grant) -> list[str]:
        column = self._described.lists[wanted.kind]
        try:
            return pieces(column, row.get(column.column, ""))
        except Unreadable as error:
            raise Refused(str(error)) from None

    def _readable(self, rights: Sequence[Row]) -> list[tuple[int, Grant]]:
        """Return the rights that idsync understands; the others stay as they are."""
        found = []
        for at, row in enumerate(rights):
            try:
                grant = self._reading.grant(row)
            except Unreadable:
                continue
            found += [(at, grant)] if grant else []
        return found

    def _really(self, edits: Edits, row: Row) -> Edits:
        """Leave out the cells that say it already."""
        edits.cells = {name: text for name, text in edits.cells.items() if row[name] != text}
        return edits

    def _answered(self, edits: Edits, row: Row | None, *, again: bool) -> Edits:
        """Ask for an answer to what is written, and to what the system refused before."""
        answer = self._described.answer
        stand = self._reading.stand(row) if row is not None else "done"
        again = again or stand in ("refused", "unknown")
        if edits.touched or (again and row is not None and edits.refused is None):
            edits.cells |= self._described.every_write
            if answer:
                waiting = next(code for code, word in answer.codes.items() if word == "waiting")
                edits.cells[answer.column] = waiting
        edits.waiting = bool(answer) and (edits.touched or stand in ("waiting", "taken"))
        return edits


def _returns(change: Change) -> bool:
    """Whether somebody comes back; a plan older than the suspension must not let them in."""
    return change.before is not None and change.before.status == "suspended"


def _refusals(steps: Iterable[Callable[[], None]]) -> Iterator[Refused]:
    """Take every step, and yield the refusals."""
    for step in steps:
        try:
            step()
        except Refused as refused:
            yield refused
