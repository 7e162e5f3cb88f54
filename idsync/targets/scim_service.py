"""A SCIM 2.0 service: what it can, its lists, whole, and its records, one by one.

RFC 7644 leaves much to the service, and services leave out more than it allows. So
nothing is believed that can be checked: a filter's result is compared again here, and a
list is whole only when its totals agree and the page after the last holds nothing new.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from idsync.errors import Incomplete, Refused, Unavailable
from idsync.http import Answer, Api, path_of
from idsync.targets.scim_records import (
    PATCH,
    Edits,
    Record,
    edited,
    operations,
    version_of,
)

Area: TypeAlias = Literal["Users", "Groups"]

ATTEMPTS = 5
"""How often a write is tried anew when somebody else's came between our read and it."""

SCIM_TYPES = frozenset(
    {
        "invalidFilter", "tooMany", "uniqueness", "mutability", "invalidSyntax", "invalidPath",
        "noTarget", "invalidValue", "invalidVers", "sensitive",
    }
)  # fmt: skip
"""The words of RFC 7644, 3.12 for what was wrong. Nothing else of an error is ever shown."""


@dataclass(frozen=True, slots=True)
class Features:
    """What ServiceProviderConfig says (RFC 7643, 5); what it leaves out is given the benefit."""

    patch: bool = True
    etag: bool = False


def scim_type(answer: Answer) -> str:
    """Return the word for what was wrong, "" if the service gives none that is known."""
    word = answer.body.get("scimType") if isinstance(answer.body, dict) else None
    return word if isinstance(word, str) and word in SCIM_TYPES else ""


def told(answer: Answer) -> str:
    """Return an answer in words: the status, and the SCIM word for it."""
    word = scim_type(answer)
    return f"answered {answer.status}" + (f" {word}" if word else "")


def equals(attribute: str, value: str) -> str:
    """Return the filter `attribute eq "value"`, quoted as JSON (RFC 7644, 3.4.2.2)."""
    return f"{attribute} eq {json.dumps(value, ensure_ascii=False)}"


class Service:
    """Speaks SCIM over *api*, in pages of *page_size*. May be used by several threads."""

    def __init__(self, api: Api, page_size: int) -> None:
        self.api = api
        self._page_size = page_size
        self._features: Features | None = None
        self._asking = threading.Lock()

    # ── what it can ─────────────────────────────────────────────────────────────────────

    @property
    def features(self) -> Features:
        """What the service says it can, asked once. A service that says nothing may PATCH."""
        with self._asking:
            if self._features is None:
                answer = self.api.call("GET", "ServiceProviderConfig")
                said = answer.body if answer.ok and isinstance(answer.body, dict) else {}
                self._features = Features(
                    patch=_supported(said, "patch", True), etag=_supported(said, "etag", False)
                )
            return self._features

    def forget_patch(self) -> None:
        """Write whole resources from now on: the service has answered that it cannot PATCH."""
        with self._asking:
            self._features = Features(
                patch=False, etag=bool(self._features and self._features.etag)
            )

    # ── lists ───────────────────────────────────────────────────────────────────────────

    def everything(self, area: Area, **query: str) -> list[Record]:
        """Return every record, with proof: totals agree, no record twice, nothing after the last.

        Raises:
            Incomplete: one of these does not hold.
        """
        found, total = self._pages(area, query)
        if total:
            self._nothing_after(area, query, found, total)
        return found

    def some(self, area: Area) -> list[Record]:
        """Return a few records, in no order, to try the service's habits on."""
        answer = self.api.call("GET", area, query={"startIndex": 1, "count": 5})
        return _list(area, answer)[0] if answer.ok else []

    def matching(self, area: Area, condition: str, **query: str) -> list[Record] | None:
        """Return what the service finds for a filter, unchecked; None if it cannot filter."""
        try:
            return self._pages(area, {"filter": condition, **query})[0]
        except _NoSuchQuery:
            return None

    def named(self, area: Area, attribute: str, value: str, **query: str) -> list[Record]:
        """Return every record whose *attribute* is exactly *value*.

        A service that cannot filter is asked for everything.
        """
        found = self.matching(area, equals(attribute, value), **query)
        if found is None:
            found = self.everything(area, **query)
        return [record for record in found if record.get(attribute) == value]

    def _pages(self, area: Area, query: dict[str, str]) -> tuple[list[Record], int]:
        """Return the records of all pages, and how many the service says there are.

        Paging is RFC 7644, 3.4.2.4: startIndex counts from 1, and a page may be shorter
        than asked for.
        """
        found: list[Record] = []
        seen: set[str] = set()
        total: int | None = None
        while total is None or len(found) < total:
            page, said = self._page(area, query, len(found) + 1)
            if total not in (None, said):
                raise Incomplete(
                    f"{area}: the service said {total} records, then {said}: "
                    "it was changed while it was read, read it again"
                )
            total = said
            if not page:
                break
            found += page
            seen.update(record["id"] for record in page)
            if len(seen) != len(found):
                raise Incomplete(f"{area}: a record came twice among {len(found)}: read it again")
        if len(found) != total:
            raise Incomplete(
                f"{area}: the service says {total} records and showed {len(found)}: read it again"
            )
        return found, total

    def _page(self, area: Area, query: dict[str, str], start: int) -> tuple[list[Record], int]:
        answer = self.api.call(
            "GET", area, query={**query, "startIndex": start, "count": self._page_size}
        )
        if "filter" in query and answer.status in (400, 501):
            raise _NoSuchQuery
        if not answer.ok:
            raise Incomplete(
                f"{area}: the list {told(answer)} from record {start} on: check the url"
            )
        return _list(area, answer)

    def _nothing_after(
        self, area: Area, query: dict[str, str], found: list[Record], total: int
    ) -> None:
        """Look behind the end: a service that counts only the page it shows is found out here."""
        try:
            page, said = self._page(area, query, total + 1)
        except Incomplete:
            return
        known = {record["id"] for record in found}
        if said > total or any(record["id"] not in known for record in page):
            raise Incomplete(
                f"{area}: the service says {total} records, and shows more after them: "
                "its totals cannot be trusted, or it was changed while it was read"
            )

    # ── records ─────────────────────────────────────────────────────────────────────────

    def get(self, area: Area, native_id: str, **query: str) -> Record | None:
        """Return one record as it is now, or None if there is none."""
        answer = self.api.call("GET", path_of(area, native_id), query=query)
        if answer.status in (404, 410):
            return None
        if not answer.ok:
            raise Incomplete(f"{area}: one record {told(answer)}: check the url")
        record = _record(area, answer.body)
        if answer.etag and not version_of(record):
            record["meta"] = {**_table(record.get("meta")), "version": answer.etag}
        return record

    def create(self, area: Area, record: Record) -> Answer:
        """Ask for a new record (RFC 7644, 3.3)."""
        return self.api.call("POST", area, body=record)

    def patch(self, area: Area, record: Record, changes: list[Record], *, match: bool) -> Answer:
        """Ask for *changes* to a record (RFC 7644, 3.5.2), if *match* only as it was read."""
        return self.api.call(
            "PATCH",
            path_of(area, record["id"]),
            body={"schemas": [PATCH], "Operations": changes},
            headers=self._if_match(record) if match else None,
        )

    def replace(self, area: Area, record: Record, whole: Record) -> Answer:
        """Ask for *whole* in the place of *record*, only as it was read (RFC 7644, 3.5.1)."""
        return self.api.call(
            "PUT", path_of(area, record["id"]), body=whole, headers=self._if_match(record)
        )

    def _if_match(self, record: Record) -> dict[str, str]:
        return {"If-Match": version_of(record)} if self.features.etag else {}

    def edit(self, area: Area, record: Record, edits_of: Callable[[Record], Edits]) -> None:
        """Make what *edits_of* asks for true of the record.

        Where somebody else writes at the same time, the record is read anew and
        *edits_of* asked again. A record that needs nothing is not written.

        Raises:
            Unavailable: others were faster each time, or removed the record.
            Refused: the service will not take it.
        """
        for attempt in range(ATTEMPTS):
            if attempt or not self.features.patch:
                fresh = self.get(area, record["id"])
                if fresh is None:
                    raise Unavailable(f"{area}: the record was removed while it was written: later")
                record = fresh
            edits = edits_of(record)
            if not edits:
                return
            answer = self._send(area, record, edits)
            if answer.ok:
                return
            if answer.status in (405, 501) and self.features.patch:
                self.forget_patch()
            elif answer.status not in LOST_RACE:
                raise Refused(f"{area}: the change {told(answer)}: correct the record or the rule")
        raise Unavailable(f"{area}: others write the same record all the time: later")

    def _send(self, area: Area, record: Record, edits: Edits) -> Answer:
        if self.features.patch:
            return self.patch(area, record, operations(edits), match=True)
        return self.replace(area, record, edited(record, edits))


LOST_RACE = frozenset({404, 410, 412, 428})
"""Answers to a write that a fresh read may change (RFC 7644, 3.12 and 3.14)."""


class _NoSuchQuery(Exception):
    """The service cannot answer this filter."""


def _supported(said: Record, feature: str, otherwise: bool) -> bool:
    supported = _table(said.get(feature)).get("supported")
    return supported if isinstance(supported, bool) else otherwise


def _table(value: Any) -> Record:  # noqa: ANN401 - whatever the service sends
    return value if isinstance(value, dict) else {}


def _record(area: Area, value: Any) -> Record:  # noqa: ANN401 - whatever the service sends
    if isinstance(value, dict) and isinstance(value.get("id"), str) and value["id"]:
        return value
    raise Incomplete(f"{area}: a record came without an id (RFC 7643, 3.1): ask the vendor")


def _list(area: Area, answer: Answer) -> tuple[list[Record], int]:
    """Return a ListResponse (RFC 7644, 3.4.2) as its records and totalResults."""
    body = _table(answer.body)
    total, records = body.get("totalResults"), body.get("Resources") or []
    if isinstance(total, bool) or not isinstance(total, int) or not isinstance(records, list):
        raise Incomplete(
            f"{area}: the list came without totalResults or Resources (RFC 7644, 3.4.2): "
            "check the url"
        )
    return [_record(area, record) for record in records], total
