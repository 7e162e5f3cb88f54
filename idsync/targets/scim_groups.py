"""Who is in which SCIM group: read so that nobody is missed, written so that nobody is lost.

A group's `members` (RFC 7643, 4.2) are the authority. Groups inside groups are not
followed: such a right is not the person's own, and not idsync's to take.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal, TypeAlias

from idsync.errors import ConfigError, Incomplete, Refused, Unavailable
from idsync.http import Answer
from idsync.targets.scim_records import GROUP, Record, edited, is_active, items, text_at
from idsync.targets.scim_service import ATTEMPTS, Service, equals, told

Removal: TypeAlias = Literal["filter", "value", "whole"]
"""How one member is taken out.

filter: PATCH remove with `members[value eq "id"]` (RFC 7644, 3.5.2.2) · value: PATCH remove
of `members` with the member as value, which the RFC does not know but some services
want · whole: the group is read, changed and PUT.
"""

LOOKED_AT = 50
"""How many ids that are in groups, and in no list of users, are asked for one by one."""


def name_of(group: Record) -> str:
    """Return what a grant calls the group: displayName, which others' groups may lack."""
    return text_at(group, ("displayName",)) or str(group["id"])


def members_of(group: Record) -> set[str]:
    """Return the ids of the users in the group.

    Raises:
        Incomplete: a member has no id.
    """
    users = set()
    for member in items(group, "members"):
        if not _is_group(member):
            if not text_at(member, ("value",)):
                raise Incomplete(
                    "Groups: a member came without an id (RFC 7643, 4.2): ask its vendor"
                )
            users.add(member["value"])
    return users


def _is_group(member: Record) -> bool:
    """Whether the member is a group inside the group. Its id may be a user's id too."""
    return text_at(member, ("type",)).lower() == "group"


_turns: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
"""One a group of a service, for all connections of this process: each lane has its own."""


class Groups:
    """The memberships of one service."""

    def __init__(self, service: Service, *, create: bool, removal: Removal) -> None:
        self._service = service
        self._create = create
        self._removal = removal
        self._removal_seen = False
        self._filter_seen: bool | None = None
        self._trying = threading.Lock()

    # ── read ────────────────────────────────────────────────────────────────────────────

    def everything(self) -> list[Record]:
        """Return every group with its members, which lists may leave out.

        Raises:
            Incomplete: the list is not whole, or a group vanished while it was read.
        """
        return [self._with_members(group) for group in self._service.everything("Groups")]

    def _with_members(self, group: Record) -> Record:
        if "members" in group:
            return group
        whole = self._service.get("Groups", group["id"], attributes="displayName,members")
        if whole is None:
            raise Incomplete("Groups: a group was removed while the groups were read: later")
        return whole

    def missed(self, groups: Iterable[Record], users: Iterable[Record]) -> list[Record]:
        """Return users who are in a group and were not in the list of users.

        A service may keep blocked users out of its list. A user who is not blocked is
        never left out, so then the list was not whole; an id that nobody has any more
        is what a careless service leaves behind.

        Raises:
            Incomplete: a user who is not blocked was left out.
        """
        known = {user["id"] for user in users} | {group["id"] for group in groups}
        strangers = sorted({id for group in groups for id in members_of(group)} - known)
        found = [self._service.get("Users", id) for id in strangers[:LOOKED_AT]]
        left_out = [user for user in found if user is not None]
        if any(is_active(user) for user in left_out):
            raise Incomplete(
                f"Users: {len(left_out)} users are in groups and not in the list of users: "
                "read it again"
            )
        return left_out

    def refs(self, groups: list[Record], users: Iterable[Record]) -> dict[str, set[str]]:
        """Return the names of the groups each user's id is in.

        Raises:
            Incomplete: a user's own list of groups names one that does not show the user.
        """
        holders: dict[str, set[str]] = {}
        inside = {group["id"]: members_of(group) for group in groups}
        nested = any(
            _is_group(member) or member.get("value") in inside
            for group in groups
            for member in items(group, "members")
        )
        for group in groups:
            for user_id in inside[group["id"]]:
                holders.setdefault(user_id, set()).add(name_of(group))
        for user in users:
            for group_id in _direct(user, plain_too=not nested):
                if user["id"] not in inside.get(group_id, {user["id"]}):
                    holders.setdefault(user["id"], set()).add(self._confirmed(group_id, user["id"]))
        return holders

    def _confirmed(self, group_id: str, user_id: str) -> str:
        """Return the name of a group that shows the user after all, read alone."""
        group = self._service.get("Groups", group_id)
        if group is None or user_id not in members_of(group):
            raise Incomplete(
                "Groups: a user's own list names a group that does not show the user: "
                "the service cuts its lists of members short, or is behind: read it again"
            )
        return name_of(group)

    def of(self, user: Record) -> set[str]:
        """Return the names of the groups the user is in now.

        The service is asked with a filter once that filter has been seen to tell the
        truth here, and for all its groups otherwise.

        Raises:
            Incomplete: the answer is not whole.
        """
        found = self._by_member(user["id"]) if self._filter_is_honest() else None
        if found is None:
            groups = self.everything()
            return self.refs(groups, [user]).get(user["id"], set())
        names = {group["id"]: name_of(group) for group in found}
        own = _direct(user, plain_too=False) - set(names)
        return set(names.values()) | {self._confirmed(id, user["id"]) for id in own}

    def _by_member(self, user_id: str) -> list[Record] | None:
        return self._service.matching(
            "Groups", equals("members.value", user_id), excludedAttributes="members"
        )

    def _filter_is_honest(self) -> bool:
        """Whether filtering by member finds a known member, and nothing for nobody."""
        with self._trying:
            if self._filter_seen is None:
                self._filter_seen = self._try_filter()
            return bool(self._filter_seen)

    def _try_filter(self) -> bool | None:
        if self._by_member(uuid.uuid4().hex) != []:
            return False
        for group in self._service.some("Groups"):
            for user_id in members_of(self._with_members(group)):
                found = self._by_member(user_id) or []
                return any(one["id"] == group["id"] for one in found)
        return None

    # ── write ───────────────────────────────────────────────────────────────────────────

    def add(self, user_id: str, ref: str) -> None:
        """Let the user be in the one group called *ref*.

        Raises:
            Refused: there is no such group, or several, or the service says no.
        """
        groups = self._called(ref)
        if not groups and self._create:
            blank = {"schemas": [GROUP], "displayName": ref, "members": [{"value": user_id}]}
            answer = self._service.create("Groups", blank)
            if answer.ok:
                return
            if answer.status != 409:
                raise Refused(f"Groups: making a group {told(answer)}: make it by hand")
            groups = self._called(ref)
        if len(groups) != 1:
            raise Refused(
                f"{len(groups)} groups are called {json.dumps(ref, ensure_ascii=False)}: "
                "make one, correct the profile, or set create_groups"
                if not groups
                else f"{len(groups)} groups are called {json.dumps(ref, ensure_ascii=False)}: "
                "give each its own name"
            )
        self._change(groups[0], user_id, wanted=True)

    def remove(self, user_id: str, ref: str) -> None:
        """Let the user be in no group called *ref*.

        Raises:
            Refused: the service says no.
            ConfigError: the service took out more than the one member; they are put back.
        """
        for group in self._called(ref):
            self._change(group, user_id, wanted=False)

    def _called(self, ref: str) -> list[Record]:
        """Return the groups called *ref*. That there is none is not left to a filter."""
        brief = {"excludedAttributes": "members"}
        found = self._service.named("Groups", "displayName", ref, **brief)
        if found:
            return found
        return [
            group for group in self._service.everything("Groups", **brief) if name_of(group) == ref
        ]

    def _change(self, group: Record, user_id: str, *, wanted: bool) -> None:
        """Make it so, whatever the service can: adding and removing by id loses no race."""
        match = False
        for _ in range(ATTEMPTS):
            answer = self._attempt(group, user_id, wanted=wanted, match=match)
            if answer.ok:
                return
            if answer.status in (405, 501) and self._service.features.patch:
                self._service.forget_patch()
                continue
            fresh = self._service.get("Groups", group["id"])
            if fresh is None and not wanted:
                return
            if fresh is None:
                raise Refused("Groups: the group was removed while it was written: plan again")
            if (user_id in members_of(fresh)) is wanted:
                return
            if answer.status in (412, 428):
                group, match = fresh, True
            elif answer.status == 400 and not wanted and self._removal == "filter":
                self._removal = "whole"
            else:
                raise Refused(f"Groups: the change of a member {told(answer)}: correct the rule")
        raise Unavailable("Groups: others write the same group all the time: later")

    def _attempt(self, group: Record, user_id: str, *, wanted: bool, match: bool) -> Answer:
        if not self._service.features.patch or (not wanted and self._removal == "whole"):
            return self._rewrite(group["id"], user_id, wanted=wanted)
        if wanted:
            adding = {"op": "add", "path": "members", "value": [{"value": user_id}]}
            return self._service.patch("Groups", group, [adding], match=match)
        # one after the other: what others take out at once would look like one removal
        with self._turn(group["id"]):
            if not self._removal_seen:
                return self._watched(group, user_id, match=match)
            return self._service.patch("Groups", group, [self._taking(user_id)], match=match)

    def _turn(self, group_id: str) -> threading.Lock:
        return _turns[self._service.api.url, group_id]

    def _taking(self, user_id: str) -> Record:
        if self._removal == "value":
            return {"op": "remove", "path": "members", "value": [{"value": user_id}]}
        return {"op": "remove", "path": f"members[{equals('value', user_id)}]"}

    def _watched(self, group: Record, user_id: str, *, match: bool) -> Answer:
        """Take out one member, and look whether the service took them all.

        Services are known that read either form as "no members". Until one removal
        from a group of three or more has been seen to take one, each is looked at.
        """
        before = self._service.get("Groups", group["id"])
        others = members_of(before) - {user_id} if before else set()
        answer = self._service.patch(
            "Groups", before or group, [self._taking(user_id)], match=match
        )
        if not answer.ok or len(others) < 2:
            return answer
        after = self._service.get("Groups", group["id"])
        if after is None or members_of(after) & others:
            self._removal_seen = True
            return answer
        back = {"op": "add", "path": "members", "value": [{"value": id} for id in sorted(others)]}
        put_back = self._service.patch("Groups", after, [back], match=match).ok
        raise ConfigError(
            f"Groups: taking one member out of a group took out all {len(others) + 1}; the others "
            f"{'were put back' if put_back else 'could not be put back: do it by hand now'}. "
            f'member_removal = "{self._removal}" does not fit this service: set another'
        )

    def _rewrite(self, group_id: str, user_id: str, *, wanted: bool) -> Answer:
        """Read the group, change its members and PUT it, one thread at a time for each group."""
        with self._turn(group_id):
            group = self._service.get("Groups", group_id)
            if group is not None and "members" not in group:
                # A whole list is about to be written: be sure that it was not just left out.
                asked = self._service.get("Groups", group_id, attributes="members")
                group |= {"members": asked.get("members") or []} if asked else {}
            if group is None:
                return Answer(404)
            if (user_id in members_of(group)) is wanted:
                return Answer(204)
            members = [
                member
                for member in items(group, "members")
                if _is_group(member) or member.get("value") != user_id
            ]
            if wanted:
                members.append({"value": user_id})
            return self._service.replace("Groups", group, edited(group, {("members",): members}))


def _direct(user: Record, *, plain_too: bool) -> set[str]:
    """Return the ids of the groups that the user's own list calls direct (RFC 7643, 4.1.2).

    An entry that does not say whether it is direct counts if *plain_too*.
    """
    return {
        group["value"]
        for group in items(user, "groups")
        if text_at(group, ("value",))
        and (group.get("type") == "direct" or (plain_too and not group.get("type")))
    }
