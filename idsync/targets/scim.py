"""Any access system that speaks SCIM 2.0: users are cardholders, groups are rights.

A user's externalId is the correlation key; a group's displayName is the ref of a grant.
SCIM knows no validity dates and no tags: a grant is held or not, and what blocks is
`active = false`. How the service obeys that at the door is the service's own affair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from idsync.capabilities import profile
from idsync.errors import Refused, Unavailable
from idsync.http import Api, UrlField
from idsync.model import Cardholder, Change, Grant, Outcome
from idsync.settings import PathField, SecretField, Settings
from idsync.targets import Target
from idsync.targets.scim_groups import Groups, Removal
from idsync.targets.scim_records import (
    ACTIVE,
    Edits,
    Record,
    cardholder,
    edits_of,
    is_active,
    key_of,
    new_user,
)
from idsync.targets.scim_service import Service, equals, told

CONFIRMED = Outcome(status="confirmed")


class ScimTarget(Target):
    """Users and Groups of one SCIM service.

    A user without an externalId is somebody else's record: shown without a key, never
    changed. Two users with one externalId are shown without a key too, and refused.
    """

    class Config(Settings):
        """Keys of a [targets.NAME] table with type = "scim"."""

        url: UrlField
        token: SecretField
        ca_file: PathField | None = None
        timeout_s: float = Field(default=30.0, gt=0)
        deadline_s: float = Field(default=120.0, gt=0)
        page_size: int = Field(default=200, ge=1)
        lanes: int = Field(default=4, ge=1, le=64)
        user_name: Literal["key", "mail"] = "key"
        create_groups: bool = False
        member_removal: Removal = "filter"

    def __init__(self, config: Config) -> None:
        ca_file: Path | None = config.ca_file
        self._api = Api(
            config.url,
            token=config.token,
            ca_file=ca_file,
            timeout_s=config.timeout_s,
            deadline_s=config.deadline_s,
            media_type="application/scim+json",
            connections=config.lanes,
        )
        self._user_name = config.user_name
        self._service = Service(self._api, config.page_size)
        self._groups = Groups(
            self._service, create=config.create_groups, removal=config.member_removal
        )
        # two lanes would make one group twice: only one may where groups are made
        lanes = 1 if config.create_groups else config.lanes
        self.capabilities = profile("scim-2.0", lanes=lanes)

    def read(self) -> Iterator[Cardholder]:
        """Yield every user with the groups they are in; see `Target.read`."""
        groups = self._groups.everything()
        users = self._service.everything("Users")
        users += self._groups.missed(groups, users)
        refs = self._groups.refs(groups, users)
        times = Counter(map(key_of, users))
        for user in users:
            key = key_of(user)
            yield cardholder(user, refs.get(user["id"], set()), key if times[key] == 1 else None)

    def read_one(self, key: str) -> Cardholder | None:
        """Return the user whose externalId is *key*; see `Target.read_one`.

        Raises:
            Refused: several users have it.
        """
        user = self._find(key)
        return None if user is None else cardholder(user, self._groups.of(user), key)

    def put(self, change: Change) -> Outcome:
        """Make it so; see `Target.put`.

        Each step is one write that may be repeated: block, take out of groups, set
        attributes or unblock, let into groups. A refusal stops nothing that takes away.
        """
        user = self._find(change.key)
        if user is None and change.after.status == "suspended":
            return CONFIRMED
        if user is None:
            user, is_new = self._create(change)
        else:
            is_new = False
        if not is_new:
            self._change(user, change)
        self._all(self._adding(user, grant) for grant in change.added)
        if change.credentials:
            raise Refused("SCIM knows no credentials: change them in the access system")
        return CONFIRMED

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()

    # ── people ──────────────────────────────────────────────────────────────────────────

    def _find(self, key: str) -> Record | None:
        """Return the one user whose externalId is *key*, compared exactly (RFC 7643, 3.1)."""
        found = self._service.named("Users", "externalId", key)
        if len(found) > 1:
            raise Refused(
                f"{len(found)} users have one externalId: decide by hand which is the person's, "
                "and clear it on the others"
            )
        return found[0] if found else None

    def _create(self, change: Change) -> tuple[Record, bool]:
        """Return the user for the change, and whether it was made now or is another's making."""
        name = change.key if self._user_name == "key" else change.attributes.get("mail", "")
        if not name:
            raise Refused(
                'user_name = "mail", and this person has no mail address that may be sent: '
                'add "mail" to release, correct the source, or set user_name = "key"'
            )
        answer = self._service.create("Users", new_user(change.key, name, change.attributes))
        if answer.status == 409:
            return self._already_there(change.key, name), False
        if not answer.ok:
            raise Refused(f"Users: a new user {told(answer)}: correct the record")
        if isinstance(answer.body, dict) and isinstance(answer.body.get("id"), str):
            return answer.body, True
        made = self._find(change.key)
        if made is None:
            raise Unavailable("Users: a new user was made, and is not shown yet: later")
        return made, True

    def _already_there(self, key: str, name: str) -> Record:
        """Return the user another was faster to make, or that a filter did not show."""
        found = self._find(key)
        if found is not None:
            return found
        for user in self._service.matching("Users", equals("userName", name)) or []:
            if key_of(user) == key:
                return user
        raise Refused(
            "Users: the userName is taken by a user with another externalId, or none: that is "
            "somebody else's record. If it is this person's, set its externalId by hand"
        )

    # ── steps ───────────────────────────────────────────────────────────────────────────

    def _all(self, steps: Iterable[Callable[[], None]]) -> None:
        """Take every step, and raise the first refusal afterwards."""
        refusals = []
        for step in steps:
            try:
                step()
            except Refused as refused:
                refusals.append(refused)
        if refusals:
            raise refusals[0]

    def _change(self, user: Record, change: Change) -> None:
        """Take away what shall go, then set what the user shall say."""
        self._all(
            [
                lambda: self._block(user, change),
                *(self._removing(user, ref) for ref in _removed(change)),
            ]
        )
        self._service.edit("Users", user, lambda fresh: _wanted(fresh, change))

    def _block(self, user: Record, change: Change) -> None:
        if change.after.status == "suspended":
            self._service.edit("Users", user, _blocked)

    def _removing(self, user: Record, ref: str) -> Callable[[], None]:
        return lambda: self._groups.remove(user["id"], ref)

    def _adding(self, user: Record, grant: Grant) -> Callable[[], None]:
        def add() -> None:
            if grant.kind != "access" or grant.valid_from or grant.valid_to:
                raise Refused("SCIM holds access without dates only: correct the profile")
            self._groups.add(user["id"], grant.ref)

        return add


def _removed(change: Change) -> list[str]:
    """Return the names of the groups to leave: those that no grant of `after` names."""
    kept = {grant.ref for grant in change.after.grants}
    return sorted({grant.ref for grant in change.removed} - kept)


def _blocked(user: Record) -> Edits:
    return {ACTIVE: False} if is_active(user) else {}


def _wanted(user: Record, change: Change) -> Edits:
    """Return what must change in the user besides memberships and the block.

    Only a change from suspended to active lifts a block. One planned before the block
    was set, by somebody else or by a revocation, must not let the person back in.
    """
    edits = edits_of(user, change.attributes)
    lets_back_in = change.before is not None and change.before.status == "suspended"
    if change.after.status == "active" and lets_back_in and not is_active(user):
        edits[ACTIVE] = True
    return edits
