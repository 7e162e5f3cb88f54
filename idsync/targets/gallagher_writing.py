"""One change of a cardholder, as what Command Centre is sent.

A PATCH happens whole or not at all (training/README.md, "Only one cardholder at a time"), so
everything goes in one. Where that is refused its parts go one by one, what takes away
first: one group that idsync may not touch keeps no other door open.
"CardholderPATCH" and "CardholderPOST" of the vendor's description.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from idsync.errors import Denied, Refused
from idsync.model import Change, Credential, Grant
from idsync.targets.gallagher_items import Items
from idsync.targets.gallagher_records import (
    Holding,
    Shape,
    base_holdings,
    cards,
    endless_base,
    holdings,
    kind_of_group,
    written,
)
from idsync.targets.gallagher_service import Record

LONGEST_NAME = 50
"""Of firstName and lastName; the server cuts a longer one off ("CardholderPOST")."""


@dataclass
class Steps:
    """What is to be sent, part by part, and what cannot be."""

    parts: list[Record] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)

    def add(self, part: Callable[[], Record | None]) -> None:
        """Take the part in, or remember why it cannot be sent."""
        try:
            made = part()
        except Refused as refused:
            self.refusals.append(refused)
        else:
            if made:
                self.parts.append(made)


class Writer:
    """Makes the parts of changes, by the settings and items of one Command Centre."""

    def __init__(self, shape: Shape, items: Items) -> None:
        self._shape = shape
        self._items = items

    # ── somebody new ────────────────────────────────────────────────────────────────────

    def new(self, change: Change, *, with_grants: bool) -> tuple[Record, list[Refused]]:
        """Return the body that makes the cardholder, and what of the change it leaves out.

        The base group comes with it, since without it the key would not be kept; dates are
        always said, since what is left out takes the group's defaults.
        """
        texts = self._texts({name: told for name, told in change.attributes.items() if told})
        if not texts.get("firstName") and not texts.get("lastName"):
            texts["lastName"] = _no_longer(change.key)  # one name there must be
        body: Record = {
            **texts,
            self._shape.key: change.key,
            "authorised": True,
            "division": {"href": self._items.division()},
            "accessGroups": [self.base_membership()],
        }
        steps = Steps()
        for grant in change.added if with_grants else ():
            steps.add(partial(self._added, grant))
        for name in ("accessGroups", "competencies"):
            given = [one for part in steps.parts for one in part.get(name, {}).get("add", [])]
            if given:
                body[name] = [*body.get(name, []), *given]
        return body, steps.refusals

    def base_membership(self) -> Record:
        """Return a membership of the base group without end."""
        href = str(self._items.base()["href"])
        return {"accessGroup": {"href": href}, "from": "", "until": ""}

    # ── somebody who is there ───────────────────────────────────────────────────────────

    def steps(self, change: Change, record: Record) -> Steps:
        """Return what is to be sent to make *record* as the change says, taking away first."""
        steps = Steps()
        suspends = change.after.status == "suspended"
        if suspends and record.get("authorised") is True:
            steps.parts.append({"authorised": False})
        self._cards(change, record, steps, giving=False)
        self._grants(change, record, steps)
        lets_back_in = change.before is not None and change.before.status == "suspended"
        self._details(change, record, steps)
        if not suspends and lets_back_in and record.get("authorised") is not True:
            steps.parts.append({"authorised": True})
        self._cards(change, record, steps, giving=True)
        return steps

    def _details(self, change: Change, record: Record, steps: Steps) -> None:
        for name, told in change.attributes.items():
            steps.add(partial(self._detail, name, told, record))

    def _detail(self, name: str, told: str, record: Record) -> Record | None:
        wanted = self._texts({name: told})
        return {at: text for at, text in wanted.items() if (record.get(at) or None) != text}

    def _texts(self, attributes: dict[str, str]) -> Record:
        """Return attributes by member; a field is emptied by null, a name by nothing in it."""
        texts: Record = {}
        for name, told in attributes.items():
            at = self._shape.members.get(name)
            if at is None:
                raise Refused(f"Command Centre has no place for {name}: take it out of release")
            texts[at] = _no_longer(told) if not at.startswith("@") else told or None
        return texts

    # ── rights ──────────────────────────────────────────────────────────────────────────

    def _grants(self, change: Change, record: Record, steps: Steps) -> None:
        there = holdings(record, self._shape)
        held = {one.grant for one in there if not one.disabled}
        goes = [one for one in there if one.grant in change.removed and not one.disabled]
        moves: list[Record] = []
        adds: list[Callable[[], Record | None]] = []
        for grant in dict.fromkeys(change.added):
            if grant in held:
                continue
            moved = next((one for one in goes if _same_right(one.grant, grant)), None)
            try:
                self._require_expressible(grant)
                if moved is not None:
                    moves.append(_section(moved.grant, "update", _dated(moved, grant)))
                    goes.remove(moved)
                else:
                    self._require_room(grant, there, goes)
                    adds.append(partial(self._added, grant))
            except Refused as refused:
                steps.refusals.append(refused)
        steps.parts += [_section(one.grant, "remove", {"href": one.href}) for one in goes]
        steps.parts += moves
        steps.parts += self.base_corrected(record)
        for add in adds:
            steps.add(add)

    def _added(self, grant: Grant) -> Record:
        self._require_expressible(grant)
        if grant.kind == "competency":
            competency = {"competency": {"href": self._items.competency(grant.ref)}}
            return _section(grant, "add", {**competency, **_competency_dates(grant)})
        group = {"accessGroup": {"href": self._items.group(grant.ref)}}
        return _section(grant, "add", {**group, **_group_dates(grant)})

    def _require_expressible(self, grant: Grant) -> None:
        for moment in (grant.valid_from, grant.valid_to):
            written(moment)
            if self._shape.whole_minutes and moment is not None and moment.second:
                raise Refused("the settings say whole minutes, and a grant's date is finer")
        if grant.kind == "competency":
            if not self._shape.competencies:
                raise Refused("competencies are not switched on: set competencies = true")
        elif grant.ref == self._shape.base_group:
            raise Refused(
                "the base group is no right: everybody is in it; correct the profile or base_group"
            )
        elif grant.kind != kind_of_group(grant.ref, self._shape):
            raise Refused(
                "a group is named as an alarm right by the profile and not by alarm_groups, or the "
                "other way round: correct one of them"
            )

    def _require_room(self, grant: Grant, there: list[Holding], goes: list[Holding]) -> None:
        """A cardholder has a competency once ("Competencies"): another's is not moved."""
        if grant.kind != "competency":
            return
        same = [one for one in there if _same_right(one.grant, grant) and one not in goes]
        if any(one.disabled for one in same):
            raise Refused("a competency is switched off on the person by hand: switch it on there")
        if same:
            raise Refused(
                "a competency stands on the person with other dates, and can stand there once: "
                "let the dates agree, or take the other one away by hand"
            )

    def corrected(self, wanted: tuple[Grant, ...], known: set[str], record: Record) -> list[Record]:
        """Return what corrects dates that a new holding took from its group's defaults.

        Said dates win, but whether an empty one is a said one is not promised; an update
        with an empty date clears it, and that is ("CardholderPATCH", accessGroups).
        """
        there = holdings(record, self._shape)
        new = [one for one in there if one.href not in known and one.grant not in wanted]
        parts = []
        for grant in wanted:
            if any(one.grant == grant for one in there):
                continue
            taken = [one for one in new if _same_right(one.grant, grant)]
            if len(taken) == 1:  # of two, one is somebody else's: the next plan shows both
                new.remove(taken[0])
                parts.append(_section(grant, "update", _dated(taken[0], grant)))
        return parts

    def base_corrected(self, record: Record) -> list[Record]:
        """Return what makes the base group's membership endless, where it is not."""
        if endless_base(record, self._shape):
            return []
        there = base_holdings(record, self._shape)
        if not there:
            return [{"accessGroups": {"add": [self.base_membership()]}}]
        endless = {"href": there[-1].href, "from": "", "until": ""}
        return [{"accessGroups": {"update": [endless]}}]

    # ── cards ───────────────────────────────────────────────────────────────────────────

    def _cards(self, change: Change, record: Record, steps: Steps, *, giving: bool) -> None:
        for wanted in change.credentials:
            if (wanted.state == "active") is giving:
                steps.add(partial(self._card, change, record, wanted))

    def _card(self, change: Change, record: Record, wanted: Credential) -> Record | None:
        same = [
            one
            for one in cards(record, self._shape)
            if (one.credential.number, one.credential.medium) == (wanted.number, wanted.medium)
        ]
        planned = {
            (card.number, card.medium): card.state
            for card in (change.before.credentials if change.before else ())
        }
        if not same:
            if (wanted.number, wanted.medium) in planned:
                return None  # taken off the person since: nothing is left to open
            raise Refused("a card is not on the person: give it in Command Centre")
        if len(same) > 1:
            raise Refused("two cards of the person have one number: decide by hand")
        now = same[0].credential.state
        if now == wanted.state:
            return None
        if now not in ("active", planned.get((wanted.number, wanted.medium), now)):
            if wanted.state != "active":
                return None  # blocked otherwise since
            raise Refused("a card was blocked by somebody else since the plan: plan again")
        value = self._shape.card_states.get(wanted.state)
        if value is None:
            raise Refused(f"no card state is named for {wanted.state}: add it to card_states")
        return {"cards": {"update": [{"href": same[0].href, "status": {"value": value}}]}}


def merged(parts: list[Record]) -> Record:
    """Return several parts as one body: lists one after the other."""
    body: Record = {}
    for part in parts:
        for name, told in part.items():
            if isinstance(told, dict):
                lists = body.setdefault(name, {})
                for verb, elements in told.items():
                    lists[verb] = [*lists.get(verb, []), *elements]
            else:
                body[name] = told
    return body


def one_by_one(parts: list[Record], send: Callable[[Record], None]) -> list[Refused | Denied]:
    """Send each part alone, and return the refusals."""
    refusals: list[Refused | Denied] = []
    for part in parts:
        try:
            send(part)
        except (Refused, Denied) as refused:
            refusals.append(refused)
    return refusals


def undated(grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """Return the grants of which a date is left open, and could come from a default."""
    return tuple(one for one in grants if one.valid_from is None or one.valid_to is None)


def _section(grant: Grant, verb: str, element: Record) -> Record:
    name = "competencies" if grant.kind == "competency" else "accessGroups"
    return {name: {verb: [element]}}


def _dated(holding: Holding, grant: Grant) -> Record:
    dates = _competency_dates(grant) if grant.kind == "competency" else _group_dates(grant)
    return {"href": holding.href, **dates}


def _group_dates(grant: Grant) -> Record:
    return {"from": written(grant.valid_from), "until": written(grant.valid_to)}


def _competency_dates(grant: Grant) -> Record:
    """A competency begins by being switched on: at once, or by itself at `enablement`."""
    begun = grant.valid_from is None or grant.valid_from <= datetime.now(UTC)
    return {
        "enabled": begun,
        "enablement": written(grant.valid_from),
        "expiry": written(grant.valid_to),
    }


def _same_right(one: Grant, other: Grant) -> bool:
    return (one.kind, one.ref) == (other.kind, other.ref)


def _no_longer(name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise Refused(
            f"Command Centre cuts names off after {LONGEST_NAME} characters, and one is longer: "
            "shorten it in the source"
        )
    return name
