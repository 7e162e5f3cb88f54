"""Whose records were touched: Command Centre's own list of changes.

"Cardholder changes" of the vendor's description: the first GET holds nothing but a link to
where the list stands now; each answer has a fresh link, the only one to go on with.
"""

from __future__ import annotations

from idsync.errors import Incomplete
from idsync.targets import Changed
from idsync.targets.gallagher_records import Shape, key_of
from idsync.targets.gallagher_service import Query, Record, Service, missing

FILTER = (
    "firstName", "lastName", "authorised", "division", "personalDataFields", "cards",
    "accessGroups", "competencies",
)  # fmt: skip
"""What counts as a change."""

FORGOTTEN = frozenset({400, 404, 410})
"""How a server could answer a bookmark that it does not know (any more)."""

MOST_PAGES = 100
"""After so many pages of changes, reading everything is quicker."""


class Feed:
    """The list of changes of one Command Centre."""

    def __init__(self, service: Service, shape: Shape, key_id: str, page_size: int) -> None:
        self._service = service
        self._shape = shape
        self._query: Query = {
            "top": page_size,
            "filter": ",".join(FILTER),
            "fields": f"type,item,oldValues,cardholder.pdf_{key_id}",
        }

    def changes(self, bookmark: str) -> Changed:
        """Return whose records changed since *bookmark*; see `Target.changes`.

        `keys` is None where somebody was touched whose key no longer shows: deleted, or out
        of the base group.
        """
        if not bookmark:
            return Changed(keys=None, bookmark=self._head())
        keys: set[str] = set()
        unknown = False
        for _ in range(MOST_PAGES):
            status, page = self._service.ask(bookmark, missing(bookmark, self._query))
            if status in FORGOTTEN:
                return Changed(keys=None, bookmark=self._head())
            self._service.require(status, page, "its list of changes")
            results = page.get("results")
            if not isinstance(results, list):
                raise Incomplete("Command Centre: its list of changes came without results: later")
            bookmark = self._next(page)
            if not results:
                return Changed(keys=None if unknown else tuple(sorted(keys)), bookmark=bookmark)
            for change in results:
                found = self._keys(change) if isinstance(change, dict) else None
                unknown = unknown or found is None
                keys |= found or set()
        return Changed(keys=None, bookmark=self._head())

    def _head(self) -> str:
        """Return where the list stands now, "" where the server has none."""
        link = self._service.link("cardholders", "changes")
        if link is None:
            return ""
        page = self._service.get(link, missing(link, self._query))
        if page is None:
            return ""
        return self._next(page)

    def _next(self, page: Record) -> str:
        after = page.get("next")
        if not isinstance(after, dict):
            raise Incomplete("Command Centre: its list of changes came without a next link: later")
        return self._service.followed(after)

    def _keys(self, change: Record) -> set[str] | None:
        """Return the keys of whom a change concerns: none of a stranger, None if it may be ours."""
        now, before = change.get("cardholder"), change.get("oldValues")
        now = now if isinstance(now, dict) else {}
        before = before if isinstance(before, dict) else {}
        keys = {key for shown in (now, before) if (key := key_of(shown, self._shape))}
        if keys:
            return keys
        if change.get("type") == "remove" or self._leaves_base(before):
            return None
        return set()

    def _leaves_base(self, before: Record) -> bool:
        """Whether a membership of the base group was touched: with it the key can go."""
        touched = before.get("accessGroups")
        groups = [
            membership.get("accessGroup")
            for membership in (touched if isinstance(touched, list) else [])
            if isinstance(membership, dict)
        ]
        return any(
            not isinstance(group, dict) or group.get("name", "") in ("", self._shape.base_group)
            for group in groups
        )
