"""The adapter of the local access system: read this one first, copy it for a new vendor.

It does what every adapter does: translates the vendor's records, changes and errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from idsync.capabilities import profile
from idsync.errors import ConfigError, IdsyncError, Incomplete, Refused, Unavailable
from idsync.model import (
    Cardholder,
    Change,
    Credential,
    Grant,
    Outcome,
    Reason,
)
from idsync.settings import PathField, Settings
from idsync.targets import Target
from idsync.targets.local_system import (
    BadContent,
    CardRecord,
    GrantRecord,
    HolderRecord,
    LocalSystem,
    NotAllowed,
    Session,
    ShortAnswer,
    SystemDown,
    whole_seconds,
)

US = "idsync"
MIGRATED = "migrated"  # how the system marks what came from the system before it

MEANING: dict[type[Exception], type[IdsyncError]] = {
    SystemDown: Unavailable,
    ShortAnswer: Incomplete,
    NotAllowed: Refused,
    BadContent: ConfigError,
}


class LocalTarget(Target):
    """Keeps the cardholders of one local access system; all that its file holds is in scope."""

    class Config(Settings):
        """Keys of a [targets.NAME] table with type = "local"."""

        path: PathField
        initial: PathField | None = None  # what the system holds while its file does not exist
        create: bool | None = None  # may the file be made; by default only where initial is given
        rights: Literal["open", "closed"] = "open"  # open: takes in a new right when it is used

    capabilities = profile("local-1")

    def __init__(self, config: Config) -> None:
        may_create = config.initial is not None if config.create is None else config.create
        self._system = LocalSystem(
            config.path, initial=config.initial, create=may_create, rights=config.rights
        )

    def read(self) -> Iterator[Cardholder]:
        """Yield every cardholder and every card of nobody, as of one moment, or raise."""
        with _in_our_words():
            yield from map(_cardholder, self._system.records())

    def read_one(self, key: str) -> Cardholder | None:
        """Return the cardholder with exactly this key as it is now, or None."""
        with _in_our_words():
            record = self._system.record(key)
        return _cardholder(record) if record else None

    def put(self, change: Change) -> Outcome:
        """Make the cardholder look like `change.after`, in one transaction."""
        with _in_our_words(), self._system.session(US) as session:
            holder = session.find(change.key)
            if holder is None and change.after.status == "suspended":
                return Outcome(status="confirmed")
            if holder is None:
                session.add_holder(change.key)
                holder = session.someone(change.key)
            _put_details(session, holder, change)
            _put_grants(session, holder, change)
            _put_cards(session, holder, change)
        return Outcome(status="confirmed")

    def close(self) -> None:
        """Do nothing: the file is opened anew for every call."""


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except tuple(MEANING) as error:
        raise MEANING[type(error)](str(error)) from error


def _put_details(session: Session, holder: HolderRecord, change: Change) -> None:
    wanted = {
        name: value for name, value in change.attributes.items() if getattr(holder, name) != value
    }
    session.set_details(holder.native_id, wanted)
    # A change that was planned before somebody was suspended must not let them back in.
    lets_back_in = change.before is not None and change.before.status == "suspended"
    if holder.status != change.after.status and (
        change.after.status == "suspended" or lets_back_in
    ):
        session.set_status(holder.native_id, change.after.status)


def _put_grants(session: Session, holder: HolderRecord, change: Change) -> None:
    before = change.before.grants if change.before else ()
    for wanted in dict.fromkeys(change.removed):
        found = [grant for grant in holder.grants if _grant(grant) == _kept(wanted)]
        # The same right may be held twice, by us and by a local administrator: then ours
        # goes. Another's goes only where idsync adopted it: it is all there is, and not
        # what an earlier put of this same change has left.
        ours = [grant for grant in found if grant.granted_by == US]
        adopted = found[:1] if len(found) >= before.count(wanted) else []
        for grant in ours or adopted:
            session.withdraw(holder.native_id, grant)
    there = {_grant(grant) for grant in holder.grants}
    for wanted in change.added:
        if _kept(wanted) not in there:
            session.grant(
                holder.native_id, wanted.kind, wanted.ref, wanted.valid_from, wanted.valid_to,
                note=", ".join(f"{reason.type} {reason.ref}" for reason in wanted.because),
            )  # fmt: skip


def _put_cards(session: Session, holder: HolderRecord, change: Change) -> None:
    known = change.before.credentials if change.before else ()
    moved_away = {(card.number, card.medium) for card in known}
    for wanted in change.credentials:
        found = [card for card in holder.credentials if _same_card(card, wanted)]
        for card in found:
            if card.state != wanted.state:
                session.set_card(holder.native_id, card, wanted.state, wanted.state_reason)
        # A card that was in these hands and is no more is somebody else's now: leave it.
        if not found and (wanted.number, wanted.medium) not in moved_away:
            session.issue_card(
                holder.native_id, wanted.number, wanted.medium, wanted.state, wanted.state_reason
            )


def _same_card(card: CardRecord, wanted: Credential) -> bool:
    return (card.number, card.medium) == (wanted.number, wanted.medium)


def _cardholder(record: HolderRecord) -> Cardholder:
    return Cardholder(
        key=record.key,
        native_id=record.native_id,
        display_name=record.display_name,
        given_name=record.given_name,
        family_name=record.family_name,
        mail=record.mail,
        department=record.department,
        status=record.status,
        credentials=tuple(
            Credential(
                number=card.number,
                medium=card.medium,
                state=card.state,
                state_reason=card.state_reason,
            )
            for card in record.credentials
        ),
        grants=tuple(map(_grant, record.grants)),
    )


def _grant(record: GrantRecord) -> Grant:
    kind = "imported" if record.granted_by == MIGRATED else "manual"
    by_others = Reason(type=kind, ref=record.granted_by, text=record.note)
    return Grant(
        ref=record.ref,
        kind=record.kind,
        valid_from=whole_seconds(record.valid_from),
        valid_to=whole_seconds(record.valid_to),
        because=() if record.granted_by == US else (by_others,),
    )


def _kept(grant: Grant) -> Grant:
    """Return *grant* as this system keeps it: to the second, as its capabilities say."""
    return replace(
        grant,
        valid_from=whole_seconds(grant.valid_from),
        valid_to=whole_seconds(grant.valid_to),
    )
