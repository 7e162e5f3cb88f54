"""Talks to Command Centre's REST API: links in, pages out, and refusals in idsync's words.

Wire facts are from the vendor's own description, repository GallagherSecurity/cc-rest-docs,
oas3/out/cc_rest.yaml: "Forward compatibility" (only /api is known, the rest are links, to
which a query is added), "If your privileges do not seem to be working" (what 403, 404 and
an empty result mean), "Access control" (what 401 means), and the operations by their path.
`training/README.md` of the same repository, "The request process" and "The most basic GET",
has the body of a call without licence: a message "feature not licensed".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from idsync.errors import ConfigError, ConnectorError, Denied, Incomplete, Refused, Unavailable
from idsync.http import Api
from idsync.http_answers import parse_json

Record: TypeAlias = dict[str, Any]
"""An object as Command Centre shows it."""

Query: TypeAlias = Mapping[str, str | int]

OLDEST = (8, 70)
"""Since then a personal data field that is asked for is shown though it is empty, and a
competency cannot be given twice ("API changes in 8.70")."""

EMPTY_PAGES = 100
"""How many pages in a row may hold nothing and still lead on."""

PRIVILEGE_WORDS = ("privilege", "permission")


@dataclass(frozen=True, slots=True)
class Home:
    """What /api shows: the server's version, and links by feature."""

    version: str
    features: Record


class Service:
    """One Command Centre, reached with one API key."""

    def __init__(
        self,
        api: Api,
        *,
        entry: str,
        hosts: frozenset[str],
        page_size: int,
        lock_words: tuple[str, ...],
    ) -> None:
        self._api = api
        self._entry = entry
        self._hosts = hosts
        self._page_size = page_size
        self._lock_words = tuple(word.lower() for word in lock_words)
        self._home: Home | None = None

    # ── links ───────────────────────────────────────────────────────────────────────────

    def home(self) -> Home:
        """Return what /api shows, asked for once.

        Raises:
            Denied: the key is not accepted, or there is no licence for the REST API.
            Unavailable: no Command Centre answers there.
            ConfigError: it is older than idsync knows.
        """
        if self._home is None:
            status, body = self._call("GET", self._entry)
            if status == 404:
                raise Unavailable(
                    "Command Centre: nothing answers at /api (404): the url leads to another "
                    "host or service, check url and port (8904 unless changed)"
                )
            self.require(status, body, "/api")
            told = body if isinstance(body, dict) else {}
            version, features = told.get("version"), told.get("features")
            if not isinstance(version, str) or not isinstance(features, dict):
                raise Unavailable(
                    "Command Centre: /api answered without version and features: the url leads "
                    "to another host or service, check it"
                )
            _require_version(version)
            self._home = Home(version, features)
        return self._home

    def link(self, feature: str, name: str) -> str | None:
        """Return the link of a feature, None where the server has none (or no licence)."""
        found = self.home().features.get(feature)
        found = found.get(name) if isinstance(found, dict) else None
        return self.followed(found) if isinstance(found, dict) else None

    def licensed(self, feature: str, licence: str = "RESTCardholders") -> str:
        """Return the main link of a feature.

        Raises:
            Denied: /api does not show it, so there is no licence for it.
        """
        link = self.link(feature, feature)
        if link is None:
            raise Denied(
                f"Command Centre: /api shows no {feature}: the server has no licence "
                f"{licence}; order it, or check that it is installed"
            )
        return link

    def followed(self, block: Record) -> str:
        """Return where the href in *block* leads, as a path with its query, on our host."""
        return self.path_of_link(block.get("href"))

    def path_of_link(self, href: object) -> str:
        """Return an href as path and query; nothing else of it is ever called.

        Raises:
            Unavailable: it leads to another host than the configured one.
        """
        if not isinstance(href, str) or not href:
            raise Incomplete("Command Centre: a link came without an address: ask its vendor")
        parts = urlsplit(href)
        if parts.netloc and host_of(href) not in self._hosts:
            raise Unavailable(
                "Command Centre: its links lead to another host than url does: write the name "
                "that the server calls itself into url, or add it to link_hosts if it is the same"
            )
        if not parts.path.startswith("/"):
            raise Incomplete("Command Centre: a link came without a path: ask its vendor")
        return parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def get(self, link: str, query: Query | None = None) -> Record | None:
        """Return the object at *link*, None where there is none that may be seen (404)."""
        status, body = self._call("GET", link, query=query)
        if status == 404:
            return None
        self.require(status, body, "a GET")
        if not isinstance(body, dict):
            raise Unavailable("Command Centre: an answer was no object: check the url")
        return body

    def ask(self, link: str, query: Query | None = None) -> tuple[int, Record]:
        """Return status and object of a GET whose refusal the caller judges."""
        status, body = self._call("GET", link, query=query)
        return status, body if isinstance(body, dict) else {}

    def everything(self, link: str, fields: tuple[str, ...], **filters: str) -> list[Record]:
        """Return all that a search finds; see `pages`."""
        return [record for page in self.pages(link, fields, **filters) for record in page]

    def pages(self, link: str, fields: tuple[str, ...], **filters: str) -> Iterator[list[Record]]:
        """Yield the pages of a search in order of id, until there is no next link.

        Sorted by id, edits between two pages do not move anybody ("GET /api/cardholders").
        That the order was kept is checked: the server ignores what it does not know.

        Raises:
            Incomplete: a page is no page, links go in a circle, or an id came twice or out
                of order.
        """
        query: Query = {"sort": "id", "top": self._page_size, "fields": ",".join(fields), **filters}
        where: str | None = link
        followed: set[str] = set()
        order = _Order()
        idle = 0
        while where is not None:
            followed.add(where)
            page = self.get(where, missing(where, query))
            results = page.get("results") if page else None
            if page is None or not isinstance(results, list):
                raise Incomplete("Command Centre: a page came without results: read again")
            order.take(results)
            yield results
            idle = 0 if results else idle + 1
            after = page.get("next")
            where = self.followed(after) if isinstance(after, dict) else None
            if where in followed or idle > EMPTY_PAGES:
                raise Incomplete("Command Centre: the pages lead in a circle: read again")

    # ── writing ─────────────────────────────────────────────────────────────────────────

    def patch(self, link: str, body: Record) -> None:
        """Change one cardholder; all of *body* happens, or nothing does.

        Raises:
            Refused, Denied: it will not, see `require`.
            Unavailable: somebody edits the cardholder now.
        """
        status, answer = self._call("PATCH", link, body=body)
        self.require(status, answer, "a cardholder's change")

    def post(self, link: str, body: Record) -> str:
        """Make a cardholder and return its link, "" where the server does not say."""
        data = json.dumps(body, ensure_ascii=False)
        try:
            sent = data.encode()
        except UnicodeError:
            raise Refused("Command Centre: a value is no Unicode text: correct it") from None
        headers = {"Content-Type": "application/json"}
        with _InOurWords():
            answer = self._api.raw("POST", link, data=sent, headers=headers)
        if not answer.ok:
            try:
                told = parse_json(answer.data)
            except ValueError:
                told = None
            self.require(answer.status, told, "a new cardholder")
        location = answer.headers.get("location", "")
        return self.path_of_link(location) if location else ""

    # ── judging ─────────────────────────────────────────────────────────────────────────

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,  # noqa: ANN401
    ) -> tuple[int, Any]:
        with _InOurWords():
            answer = self._api.call(method, path, query=query, body=body)
        return answer.status, answer.body

    def require(self, status: int, body: object, what: str) -> None:
        """Raise unless *status* is a success: any of 200 to 299 is one."""
        if not 200 <= status < 300:
            raise self._refusal(status, message_of(body), what)

    def _refusal(self, status: int, message: str, what: str) -> ConnectorError:
        """Return what a refusal means. Its text is judged, and never repeated."""
        where = f"Command Centre: {what} answered {status}"
        if status == 403:
            return _forbidden(where, message)
        if status == 409:
            return self._conflict(where, message)
        if status == 404:
            return Refused(f"{where}: it is gone, or not shown to idsync's operator: plan again")
        if "data has not been entered" in message:
            return Refused(
                f"{where}: a group of the person demands a personal data field that idsync does "
                "not fill: give it a default value, or make it optional"
            )
        if "href" in message:
            return Refused(
                f"{where}: a link in it does not hold (any more), or idsync's operator lacks the "
                "privilege Modify Access Control on the group: plan again, then check that"
            )
        return Refused(
            f"{where}: correct the record, or the rules of the field (length, uniqueness, regex)"
        )

    def _conflict(self, where: str, message: str) -> ConnectorError:
        """A 409 is an edit lock, or a privilege that lacks (responses/409ch): the body tells."""
        if any(word in message for word in PRIVILEGE_WORDS):
            return Refused(
                f"{where}: idsync's operator lacks a privilege on this cardholder or on a field: "
                "give it Edit Cardholders on the cardholder's division"
            )
        if not message or any(word in message for word in self._lock_words):
            return Unavailable(f"{where}: an operator has the cardholder open: later")
        return Refused(
            f"{where}, neither for a lock nor for a privilege, as far as its text tells: look at "
            "the cardholder in Command Centre (a lock in other words: set lock_words)"
        )


def message_of(body: object) -> str:
    """Return the message of an ErrorMessage, in small letters: to judge by, not to show."""
    told = body.get("message") if isinstance(body, dict) else None
    return told.lower() if isinstance(told, str) else ""


def host_of(url: str) -> str:
    """Return host and port of an address, the port also where it is left out."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    try:
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        port = -1
    return f"{(parts.hostname or '').lower()}:{port}"


def _forbidden(where: str, message: str) -> ConnectorError:
    if "licen" in message and any(word in message for word in ("limit", "maximum", "exceed")):
        return Refused(f"{where}: the number of cardholders that the licence allows is reached")
    if "licen" in message:
        return Denied(
            f"{where}, not licensed: the server needs RESTCardholders, and for competencies "
            "RESTConfiguration too"
        )
    return Denied(
        f"{where}: idsync's operator lacks the privilege: give it Create and Edit Cardholders on "
        "the division and full access to the fields, then push Refresh operator privileges"
    )


def _require_version(version: str) -> None:
    told = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if len(told) == 2 and told < OLDEST:
        raise ConfigError(
            f"Command Centre: it is version {told[0]}.{told[1]}, and idsync needs "
            f"{OLDEST[0]}.{OLDEST[1]} or later: upgrade it, or leave this target out"
        )


def missing(link: str, query: Query) -> Query:
    """Return what of *query* the link does not carry already: it may have a query of its own."""
    carried = parse_qs(urlsplit(link).query, keep_blank_values=True)
    return {name: value for name, value in query.items() if name not in carried}


class _InOurWords:
    """Says what a 401 can mean here: the server tells neither apart ("Access control")."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Denied):
            raise Denied(
                "Command Centre: answered 401: the API key is not known, the client certificate "
                "is not the one pinned to it, or this machine's address is not in its filter: "
                "Command Centre's alarms say which"
            ) from None


class _Order:
    """Sees that nobody comes twice, and that ids go up, as long as they are numbers."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._last = -1

    def take(self, records: list[Any]) -> None:
        for record in records:
            href = record.get("href") if isinstance(record, dict) else None
            if not isinstance(href, str):
                raise Incomplete("Command Centre: a record came without href: read again")
            if href in self._seen:
                raise Incomplete("Command Centre: a record came twice: read again")
            self._seen.add(href)
            id = str(record.get("id", ""))
            if id.isdecimal():
                if int(id) <= self._last:
                    raise Incomplete(
                        "Command Centre: records did not come in order of id, so some can be "
                        "missing: read again"
                    )
                self._last = int(id)
