"""From rows to the cardholder that they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias, cast

from idsync.errors import Incomplete
from idsync.model import (
    ATTRIBUTES,
    Cardholder,
    Credential,
    CredentialState,
    Grant,
    GrantKind,
    HolderStatus,
    Reason,
)
from idsync.rows import Described, JoinedList, Row
from idsync.rows_dates import Unreadable

PENDING = "the system has not answered the last write yet"
REFUSED = "the system refused the last write"

Stand: TypeAlias = Literal["done", "waiting", "taken", "refused", "unknown"]


class Reading:
    """Reads rows as the description says; a row it cannot read is never half a cardholder."""

    def __init__(self, described: Described) -> None:
        self.described = described
        self._amiss = {"refused": REFUSED}
        if described.answer:
            self._amiss["unknown"] = (
                f"column {described.answer.column} holds an answer that answer.codes does not "
                "name: add it there"
            )

    def key(self, row: Row) -> str | None:
        """Return the key that a person's row carries, or None."""
        return row[self.described.columns["key"]] or None

    def link(self, row: Row) -> str:
        """Return what the rows of a person's rights carry of the person's row: key or native id."""
        by = self.described.rights.by if self.described.rights else "key"
        return row[self.described.columns[by]]

    def everybody(self, rows: Sequence[Row], all_rights: Sequence[Row]) -> Iterator[Cardholder]:
        """Yield what all rows show together; who shares a key with another is nobody's.

        Raises:
            Incomplete: as `cardholder`.
        """
        keys = Counter(map(self.key, rows))
        rights: dict[str, list[Row]] = {}
        for each in all_rights:
            rights.setdefault(self._link_of_right(each), []).append(each)
        strangers = dict(rights)
        for number, row in enumerate(rows, 1):
            key, link = self.key(row), self.link(row)
            mine = rights.get(link, []) if link else []
            if link:
                strangers.pop(link, None)
            try:
                yield self.cardholder(row, mine, key if keys[key] == 1 else None)
            except Incomplete as error:
                raise Incomplete(f"record {number} of {len(rows)}: {error}") from None
        for several in strangers.values():
            yield Cardholder(key=None, grants=tuple(self.grants({}, several)))

    def _link_of_right(self, row: Row) -> str:
        assert self.described.rights is not None  # noqa: S101 - only asked where there are rows
        return row[self.described.rights.columns["key"]]

    def cardholder(self, row: Row, rights: Sequence[Row], key: str | None) -> Cardholder:
        """Return what *row* and the *rights* that belong to it show.

        Raises:
            Incomplete: something in them is not as described, so it would be half the truth.
        """
        columns = self.described.columns
        stand = self.stand(row)
        return Cardholder(
            key=key,
            native_id=row[columns["native_id"]] if "native_id" in columns else "",
            **{name: row[columns[name]] for name in ATTRIBUTES if name in columns},
            status=self._status(row),
            credentials=tuple(self._cards(row)),
            grants=tuple(self.grants(row, rights)),
            pending=PENDING if stand in ("waiting", "taken") else "",
            amiss=self._amiss.get(stand, ""),
        )

    def stand(self, row: Row) -> Stand:
        """Return what the system says of the last write; done where it says nothing at all."""
        answer = self.described.answer
        return cast(Stand, answer.codes.get(row[answer.column], "unknown")) if answer else "done"

    # ── grants ──────────────────────────────────────────────────────────────────────────

    def grants(self, row: Row, rights: Sequence[Row]) -> list[Grant]:
        """Return the grants of one person's rows; raises Incomplete as `cardholder` does."""
        found = []
        for each in rights:
            try:
                grant = self.grant(each)
            except Unreadable as error:
                raise Incomplete(str(error)) from None
            found += [grant] if grant else []
        for kind, column in self.described.lists.items() if row else ():
            try:
                names = [piece.strip() for piece in pieces(column, row[column.column])]
            except Unreadable as error:
                raise Incomplete(str(error)) from None
            found += [Grant(ref=name, kind=kind) for name in dict.fromkeys(filter(None, names))]
        return found

    def grant(self, row: Row) -> Grant | None:
        """Return the grant that a right's row is, or None where it is none of idsync's business.

        Raises:
            Unreadable: it is not as described.
        """
        rights, dates = self.described.rights, self.described.dates
        assert rights is not None  # noqa: S101 - a right's row is only there where it is described
        told = {name: row[column] for name, column in rights.columns.items()}
        kind: str = rights.kind
        if "kind" in told:
            codes = self.described.values["kind"]
            if told["kind"] not in codes:
                raise Unreadable(
                    f"rights: column {rights.columns['kind']} holds a code that values.kind does "
                    'not name: add it there, with "" if it is none of idsync\'s'
                )
            kind = codes[told["kind"]]
        if not kind:
            return None
        begin = end = None
        if dates:
            try:
                begin, end = dates.read(told["valid_from"], told["valid_to"])
            except Unreadable:
                raise Unreadable(
                    f"rights: a begin or an end is not written as dates.format {dates.format} "
                    "says: correct the row, dates.no_start or dates.no_end"
                ) from None
        by_others = told.get("origin", rights.origin) != rights.origin
        return Grant(
            ref=told["ref"],
            kind=cast(GrantKind, kind),
            valid_from=begin,
            valid_to=end,
            because=(Reason(type="manual", ref=told["origin"]),) if by_others else (),
        )

    # ── status and cards ────────────────────────────────────────────────────────────────

    def _status(self, row: Row) -> HolderStatus:
        column = self.described.columns["status"]
        word = self.described.values["status"].get(row[column])
        if word is None:
            raise Incomplete(
                f"column {column} holds a code that values.status does not name: add it there"
            )
        return cast(HolderStatus, word)

    def _cards(self, row: Row) -> list[Credential]:
        found = []
        for card in self.described.cards:
            if not row[card.number].strip():
                continue
            state: str | None = "active"
            if card.state:
                state = self.described.values["state"].get(row[card.state])
            if state is None:
                raise Incomplete(
                    f"column {card.state} holds a code that values.state does not name: add it"
                )
            found.append(
                Credential(
                    number=row[card.number], medium=card.medium, state=cast(CredentialState, state)
                )
            )
        return found


def pieces(column: JoinedList, text: str) -> list[str]:
    """Return what stands between the separators of a joined list, exactly as it stands.

    Raises:
        Unreadable: the text is not enclosed as described.
    """
    if column.opening and text.strip():
        if not (text.startswith(column.opening) and text.endswith(column.closing)):
            raise Unreadable(
                f"column {column.column}: a list is not enclosed in opening and closing: "
                "correct lists, or the row"
            )
        text = text[len(column.opening) : len(text) - len(column.closing)]
    return text.split(column.separator) if text.strip() else []


def joined(column: JoinedList, parts: list[str]) -> str:
    """Return the parts of a list as its column holds them."""
    text = column.separator.join(parts)
    return f"{column.opening}{text}{column.closing}" if parts else ""
