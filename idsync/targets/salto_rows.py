"""A row of Salto's staging table: what it says of a person, and how it is changed.

The row holds the whole next state of one user, and the product's import job makes it so
some time later: what a row lacks is taken away. So a change is always made to the row as
it stands now, and what neither side of the change names stays in it.

Wire facts, all grade B unless said otherwise (working clients, not the vendor's paper):

* access-systems.md, section 10, and Tools4everBV/HelloID-Conn-Prov-Target-SaltoSpace:
  assets/createStagingDBTable.SQL (columns and lengths), fieldMapping.json (Action 1 create,
  2 update, 3 either, 4 delete, 8 cancel key, 9 ban, 10 unban, 11 mobile key; general purpose
  fields take 32 characters), disable.ps1 (who is shut out gets an end that has passed, and
  the beginning must be before the end), README.md (names are unique, an empty end may come
  back as 2000-01-01, hand-made changes in the product are overwritten).
* That ErrorCode 0 or NULL means success is grade C: it is the default of that table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Any

from idsync.errors import Refused
from idsync.model import Cardholder, Change, Grant
from idsync.targets.salto_lists import (
    KINDS,
    LIST_LENGTH,
    Empty,
    has_braces,
    is_item,
    is_whole,
    items_of,
    place_of,
    ref_of,
    text_of,
)

CREATE, UPDATE, EITHER, DELETE, BAN = 1, 2, 3, 4, 9
PLAIN_ACTIONS = (CREATE, UPDATE, EITHER)

NO_END = datetime(2000, 1, 1)  # noqa: DTZ001 - the product's own times have no zone
"""How an empty end may come back."""

LONG_AGO = datetime(2000, 1, 2)  # noqa: DTZ001
"""Stands for a beginning that is not given."""

OURS = timedelta(minutes=1)
"""So long after its beginning ends who is suspended by idsync, and had no end before."""

REPLACED = timedelta(minutes=2)
"""The same, where an end or a beginning that others had set was written over."""

ATTRIBUTES = ("given_name", "family_name", "mail", "department")
PENDING = "the import job has not answered yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row. `doubt` says, in words, why its last answer proves nothing; "" if it does."""

    ext_id: str
    key: str | None
    waiting: bool = False
    error: int = 0
    action: int = EITHER
    activation: datetime | None = None
    expiration: datetime | None = None
    blocked: bool = False
    lists: Mapping[str, str | None] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    doubt: str = ""

    @property
    def end(self) -> datetime | None:
        """The end of the user, None if there is none."""
        if self.expiration == NO_END and not self._is_closed(OURS, REPLACED):
            return None
        return self.expiration

    @property
    def amiss(self) -> str:
        """Why the product does not hold what the row says, as far as the job has told."""
        if self.waiting or self.action not in PLAIN_ACTIONS:
            return ""  # of another's action, the answer is another's too
        if self.error:
            return f"the import job refused the row (ErrorCode {self.error})"
        return self.doubt

    def is_suspended(self, now: datetime) -> bool:
        """Tell whether the row shuts the person out, whoever made it so."""
        ended = self.end is not None and self.end <= now
        return self.blocked or ended or self.action in (DELETE, BAN)

    def is_closed_by_us(self) -> bool:
        """Tell whether idsync has shut the person out, and nothing of others was lost by it."""
        return self._is_closed(OURS)

    def lost_an_end(self) -> bool:
        """Tell whether idsync, shutting the person out, wrote over dates that others had set."""
        return self._is_closed(REPLACED)

    def items(self, kind: str) -> tuple[str, ...]:
        """Return the items of the list *kind*; a user to be deleted holds none."""
        return () if self.action == DELETE else items_of(self.lists.get(kind))

    def _is_closed(self, *after: timedelta) -> bool:
        begin = self.activation or LONG_AGO
        return any(self.expiration == begin + each for each in after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How rows are written here.

    limits: the most characters of each text that has a place. blocks: suspending sets the
    column `blocked` instead of the end. number: new rows carry the key in a column too.
    check_text: refuses what cannot be written.
    """

    prefix: str
    limits: Mapping[str, int]
    now: datetime
    braces: bool
    empty: Empty
    blocks: bool = False
    number: bool = True
    check_text: Callable[[str], None]


def cardholder(row: Row, key: str | None, now: datetime) -> Cardholder:
    """Return the person as the row has them."""
    texts: dict[str, Any] = dict(row.texts)
    return Cardholder(
        key=key,
        native_id=row.ext_id,
        status="suspended" if row.is_suspended(now) else "active",
        grants=tuple(Grant(ref=ref_of(kind, item)) for kind in KINDS for item in row.items(kind)),
        pending=PENDING if row.waiting else "",
        amiss=row.amiss,
        **texts,
    )


# ── changing ────────────────────────────────────────────────────────────────────────────


def new_row(change: Change, rules: Rules) -> Row:
    """Return the row of a person who has none yet.

    Raises:
        Refused: something of the person has no place in a row.
    """
    room = rules.limits["ext_id"] - len(rules.prefix)
    if not change.key or not change.key.isprintable() or change.key != change.key.strip():
        raise Refused("a key that Salto cannot hold (empty, or with blanks at an end): correct it")
    if len(change.key) > min(room, rules.limits.get("key", room)):
        raise Refused(f"the key is longer than ExtID and prefix leave room for ({room}): choose it")
    if rules.number and len(change.key) > rules.limits["number"]:
        raise Refused(
            f"the key is longer than the column for the number ({rules.limits['number']} "
            "characters): name another in columns.number"
        )
    rules.check_text(change.key)
    begin = datetime.combine(rules.now.date() - timedelta(days=1), time.min)
    empty = Row(ext_id=rules.prefix + change.key, key=change.key, activation=begin)
    return _given(empty, change, rules)


def changed(row: Row, change: Change, rules: Rules) -> tuple[Row, Refused | None]:
    """Return *row* as *change* makes it, and why not all of it could be done.

    What takes away is done even where what gives is refused.
    """
    refusal = None
    after = less = _lessened(row, change, rules)
    try:
        after = _given(less, change, rules)
    except Refused as error:
        refusal = error
    if row.action == BAN and after != row:
        after = _closed(after, rules)  # a ban is an Action, which writing the row replaces
    return after, refusal


def _lessened(row: Row, change: Change, rules: Rules) -> Row:
    for grant in change.removed:
        kind, item = place_of(grant.ref)
        there = row.items(kind)
        if grant.kind == "access" and item in there and ref_of(kind, item) == grant.ref:
            row = _with_items(row, kind, tuple(each for each in there if each != item), rules)
    if change.after.status == "suspended" and not row.is_suspended(rules.now):
        row = _closed(row, rules)
    return row


def _given(row: Row, change: Change, rules: Rules) -> Row:
    if row.action == DELETE and (change.added or change.attributes):
        raise Refused(
            "others have asked Salto to delete this user: take the row away, or set its Action "
            "to 3 and look through it, by hand"
        )
    if change.credentials:
        raise Refused("the staging table does not tell cards apart: change cards in Salto itself")
    row = _with_texts(row, change.attributes, rules)
    returns = change.before is not None and change.before.status == "suspended"
    if change.after.status == "active" and returns and row.is_suspended(rules.now):
        row = _opened(row, rules)
    for grant in change.added:
        if grant.kind != "access" or grant.valid_from or grant.valid_to:
            raise Refused(
                "Salto's staging table holds access without dates only (no alarm rights, no "
                "competencies): correct the profile"
            )
        kind, item = place_of(grant.ref)
        if kind not in rules.limits or not is_item(item) or ref_of(kind, item) != grant.ref:
            raise Refused(
                "the name of a right has no place in a list of ids (blanks, commas, braces or "
                "quotes in it, or its list has no column): correct the catalogue"
            )
        if not is_whole(row.lists.get(kind)):
            raise Refused(
                f"the list of {kind} in the row is cut or damaged (a brace or a quote lacks its "
                "other half): correct it by hand"
            )
        if item not in row.items(kind):
            rules.check_text(item)
            row = _with_items(row, kind, (*row.items(kind), item), rules)
            _check_length(row, kind, rules)
    return row


def _with_items(row: Row, kind: str, items: tuple[str, ...], rules: Rules) -> Row:
    braces = rules.braces or has_braces(row.lists.get(kind))
    text = text_of(items, braces=braces, empty=rules.empty)
    return replace(row, lists={**row.lists, kind: text})


def _check_length(row: Row, kind: str, rules: Rules) -> None:
    length, room = len(row.lists[kind] or ""), min(LIST_LENGTH, rules.limits[kind])
    if length > room:
        raise Refused(
            f"the list of {kind} would have {length} characters and {room} fit: gather rights "
            "into fewer access levels"
        )


def _with_texts(row: Row, attributes: Mapping[str, str], rules: Rules) -> Row:
    for name, value in attributes.items():
        room = rules.limits.get(name)
        if room is None:
            raise Refused(f"{name} has no column: take it from release, or name one in columns")
        if len(value) > room:
            raise Refused(f"{name} has {len(value)} characters and {room} fit: shorten it in HR")
        if value and not value.isprintable():
            raise Refused(f"{name} holds a character that is no letter or sign: correct it in HR")
        rules.check_text(value)
        row = replace(row, texts={**row.texts, name: value})
    return row


def _closed(row: Row, rules: Rules) -> Row:
    if rules.blocks and row.action in PLAIN_ACTIONS:
        return replace(row, blocked=True)
    replaced = row.end is not None or row.action not in PLAIN_ACTIONS
    begin = row.activation or LONG_AGO
    if begin + REPLACED > rules.now:  # begins in the future: it must not open then
        begin = datetime.combine(rules.now.date() - timedelta(days=1), time.min)
        row, replaced = replace(row, activation=begin), True
    return replace(row, action=EITHER, expiration=begin + (REPLACED if replaced else OURS))


def _opened(row: Row, rules: Rules) -> Row:
    row = replace(row, blocked=False)
    if row.is_closed_by_us():
        row = replace(row, expiration=None)
    if not row.is_suspended(rules.now):
        return row
    if row.lost_an_end():
        raise Refused(
            "dates that others had set were written over when the person was suspended: set "
            "activation and expiration of the row by hand"
        )
    raise Refused(
        "others have shut the person out (an end that has passed, a ban or a deletion): idsync "
        "does not let them in; correct the row by hand"
    )
