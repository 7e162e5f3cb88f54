"""A Command Centre on this machine, as its REST API shows it: links, pages, searches, a feed.

Built from the vendor's description (oas3/out/cc_rest.yaml) and training/README.md. Only /api
has a fixed address. Everything that the description calls a default is one here: searches
come by name, and are substrings without quotation marks.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tests.fakes.gallagher_habits import Habits, Refusal, Seen, Trouble
from tests.fakes.gallagher_system import Person, System

KEY = "C774-B01F-D695-AA4B-215F-A158-AC22-ADEB"
DEFAULTS = ("href", "id", "firstName", "lastName", "authorised")
Query = dict[str, str]


class FakeGallagher:
    """The server, running. `system` is what it holds; `seen` what it was asked."""

    def __init__(self, habits: Habits | None = None, tls: tuple[str, str] | None = None) -> None:
        self.habits = habits or Habits()
        self.system = System(self.habits)
        self.key = KEY
        self.seen: list[Seen] = []
        self.troubles: dict[str, deque[Trouble]] = {"any": deque(), "write": deque()}
        self.lock = threading.RLock()
        self._count = 0
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if tls:
            self.context.load_cert_chain(*tls)
            self._server.socket = self.context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self.system.base = self.habits.calls_itself or self.url
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()

    @property
    def writes(self) -> list[Seen]:
        """The requests that ask for a change."""
        return [seen for seen in self.seen if seen.method != "GET"]

    # ── the protocol ────────────────────────────────────────────────────────────────────

    def answer(self, seen: Seen) -> tuple[int, Any, dict[str, str]]:
        """Carry a request out; return status, body and headers."""
        query = dict(seen.query)
        if not self.habits.licences:
            raise Refusal(403, "feature not licensed")
        where = seen.path.strip("/").split("/")
        self._require_own_link(where, seen.query)
        match seen.method, where:
            case "GET", ["api"]:
                return 200, self._home(), {}
            case "GET", ["api", "cardholders", "changes"] if self.habits.feed:
                return 200, self._feed(query), {}
            case "GET", ["api", "cardholders"]:
                return 200, self._search(query), {}
            case "POST", ["api", "cardholders"]:
                self._require_json(seen)
                made = self.system.create(seen.body)
                return 201, None, {"Location": self.system.href("cardholders", made.id)}
            case "GET", ["api", "cardholders", id]:
                return 200, self._shown(self._person(id), query.get("fields")), {}
            case "PATCH", ["api", "cardholders", id]:
                self._require_json(seen)
                self.system.update(self._person(id), seen.body)
                return self.habits.patched, None, {}
            case "GET", ["api", "access_groups", id, "cardholders"]:
                return 200, {"cardholders": self._members(int(id))}, {}
            case "GET", ["api", "divisions", id] if int(id) in self.system.divisions:
                return 200, self._division(int(id)), {}
            case "GET", ["api", kind] if kind in ITEMS:
                return 200, self._items(kind, query), {}
        raise Refusal(404, "That is not here.")

    def _require_own_link(self, where: list[str], query: list[tuple[str, str]]) -> None:
        own = parse_qsl(self.habits.link_query)
        if where != ["api"] and len(where) == 2 and not set(own) <= set(query):
            raise Refusal(404, "The link was not used as it was given.")

    def _require_json(self, seen: Seen) -> None:
        if seen.headers.get("content-type") != "application/json" or not isinstance(
            seen.body, dict
        ):
            raise Refusal(400, "Invalid cardholder")

    def _person(self, id: str) -> Person:
        found = self.system.people.get(int(id)) if id.isdecimal() else None
        if found is None or not self.system.visible(found):
            raise Refusal(404, "That is not the href of a cardholder, or you may not view it.")
        return found

    def _home(self) -> dict[str, Any]:
        def at(*parts: str) -> dict[str, str]:
            query = f"?{self.habits.link_query}" if self.habits.link_query else ""
            return {"href": self.system.href(*parts) + query}

        features: dict[str, Any] = {"items": {"items": at("items")}}
        if "RESTEvents" in self.habits.licences:
            features["events"] = {"events": at("events"), "divisions": at("divisions")}
        if "RESTCardholders" in self.habits.licences:
            features |= {
                "cardholders": {"cardholders": at("cardholders")},
                "accessGroups": {"accessGroups": at("access_groups")},
                "competencies": {"competencies": at("competencies")},
                "personalDataFields": {"personalDataFields": at("personal_data_fields")},
                "cardTypes": {"cardTypes": at("card_types"), "assign": at("card_types", "assign")},
            }
            if self.habits.feed:
                features["cardholders"]["changes"] = at("cardholders", "changes")
        return {"version": self.habits.version, "features": features}

    # ── cardholders ─────────────────────────────────────────────────────────────────────

    def _search(self, query: Query) -> dict[str, Any]:
        system, habits = self.system, self.habits
        found = [
            person
            for person in system.people.values()
            if system.visible(person)
            and person.id not in habits.left_out
            and all(self._matches(person, name, told) for name, told in query.items())
        ]
        found += [person for person in found if person.id in habits.twice]
        page = self._page("cardholders", found, query, lambda one: (one.last, one.first))
        fields = query.get("fields")
        page["results"] = [self._shown(person, fields) for person in page["results"]]
        if habits.hidden == "results":
            del page["results"]
        hooks = (
            habits.after_search if any(n.startswith("pdf_") for n in query) else (habits.after_page)
        )
        if hooks:
            hooks.pop(0)()
        return page

    def _matches(self, person: Person, name: str, told: str) -> bool:
        if not name.startswith("pdf_"):
            return True
        id = name.removeprefix("pdf_")
        field = self.system.fields.get(int(id)) if id.isdecimal() else None
        if field is None or field.access == "noAccess":
            return False
        value = self.system.value(person, field.id)
        if value is None or told in ("", '""'):
            return False
        if len(told) > 1 and told.startswith('"') and told.endswith('"'):
            return str(value).lower() == told[1:-1].lower()
        wild = any(sign in told for sign in "%_")
        parts = re.split("([%_])", told.lower())
        pattern = "".join({"%": ".*", "_": "."}.get(part, re.escape(part)) for part in parts)
        match = re.fullmatch if wild else re.search
        return match(pattern, str(value).lower()) is not None

    def _shown(self, person: Person, fields: str | None) -> dict[str, Any]:
        asked = fields.split(",") if fields else ["defaults"]
        whole = self.system.shown_whole(person)
        names = {*asked, *(DEFAULTS if "defaults" in asked else ())}
        shown = {name: told for name, told in whole.items() if name in names}
        for id, field in self.system.fields.items():
            if f"pdf_{id}" in asked and field.access != "noAccess":
                value = self.system.value(person, id)
                if value is not None or self.habits.empty_field == "null":
                    shown[f"@{field.name}"] = value
        return shown

    def _members(self, id: int) -> list[dict[str, Any]]:
        system = self.system
        if id not in system.groups or "view groups" not in self.habits.privileges:
            raise Refusal(404, "The ID is invalid, or you do not have privileges for it.")
        members = []
        for person in system.people.values():
            for part in person.memberships:
                if part.item != id:
                    continue
                name = ", ".join(filter(None, (person.last, person.first)))
                shown: dict[str, Any] = {"name": name}
                if system.visible(person):
                    shown["href"] = system.href("cardholders", person.id)
                href = system.href("cardholders", person.id, "access_groups", part.token)
                members.append({"href": href, "cardholder": shown})
        return members

    # ── items ───────────────────────────────────────────────────────────────────────────

    def _items(self, kind: str, query: Query) -> dict[str, Any]:
        privilege, table = ITEMS[kind]
        found = [*getattr(self.system, table).items()] if table != "divisions" else []
        shown = [getattr(self, f"_shown_{table}")(one) for _, one in found]
        if table == "divisions":
            shown = [self._division(id) for id in self.system.divisions]
        if privilege not in self.habits.privileges:
            shown = []
        page = self._page(kind, shown, query, lambda one: one["name"])
        asked = query.get("fields", "").split(",")
        page["results"] = [
            {name: told for name, told in one.items() if name in asked} for one in page["results"]
        ]
        return page

    def _shown_groups(self, group: Any) -> dict[str, Any]:
        shown = {
            "id": str(group.id),
            "href": self.system.href("access_groups", group.id),
            "name": group.name,
            "division": {"href": self.system.href("divisions", group.division)},
            "cardholders": {"href": self.system.href("access_groups", group.id, "cardholders")},
        }
        if group.parent is not None:
            parent = self.system.groups[group.parent]
            href = self.system.href("access_groups", parent.id)
            shown["parent"] = {"name": parent.name, "href": href}
        return shown

    def _shown_fields(self, field: Any) -> dict[str, Any]:
        groups = [one for one in self.system.groups.values() if field.id in one.fields]
        return {
            "id": str(field.id),
            "href": self.system.href("personal_data_fields", field.id),
            "name": field.name,
            "type": field.type,
            "unique": field.unique,
            "operatorAccess": field.access,
            "accessGroups": [
                {"name": one.name, "href": self.system.href("access_groups", one.id)}
                for one in groups
            ],
        }

    def _shown_competencies(self, one: Any) -> dict[str, Any]:
        href = self.system.href("competencies", one.id)
        return {"id": str(one.id), "href": href, "name": one.name}

    def _division(self, id: int) -> dict[str, Any]:
        name, parent = self.system.divisions[id]
        shown: dict[str, Any] = {
            "id": str(id),
            "href": self.system.href("divisions", id),
            "name": name,
        }
        if parent is not None:
            shown["parent"] = {"href": self.system.href("divisions", parent)}
        return shown

    # ── pages ───────────────────────────────────────────────────────────────────────────

    def _page(
        self, kind: str, found: list[Any], query: Query, name: Callable[[Any], Any]
    ) -> dict[str, Any]:
        """Return one page; a next link goes on after the last id, or after so many."""
        habits = self.habits
        by_id = query.get("sort") == "id" and not habits.ignores_sort
        found = sorted(found, key=_id if by_id else name)
        size = min(int(query.get("top", habits.page_limit)), habits.page_limit)
        last = int(query.get("pos", -1))
        idle = "skip" not in query and last < 0 and -last <= habits.empty_pages
        if kind == "cardholders" and idle:
            return {"results": [], "next": self._next(kind, query, pos=last - 1)}
        if by_id and not habits.pages_by_offset:
            rest = [one for one in found if _id(one) > last]
            page = rest[:size]
            turn = {"pos": _id(page[-1])} if page else {}
        else:
            skip = int(query.get("skip", 0))
            rest = found[skip:]
            page = rest[:size]
            turn = {"skip": skip + len(page)}
        body: dict[str, Any] = {"results": page}
        if len(rest) > size:
            body["next"] = self._next(kind, query, **turn)
            if habits.circles and kind == "cardholders":
                body["next"] = self._next(kind, query, pos=-1, skip=0)
        return body

    def _next(self, kind: str, query: Query, **turn: int) -> dict[str, str]:
        kept = dict(parse_qsl(self.habits.link_query)) if self.habits.next_forgets else query
        kept = {n: t for n, t in kept.items() if n not in ("pos", "skip")}
        return {"href": f"{self.system.href(kind)}?{urlencode({**kept, **turn})}"}

    # ── the feed ────────────────────────────────────────────────────────────────────────

    def _feed(self, query: Query) -> dict[str, Any]:
        system, self._count = self.system, self._count + 1
        if "pos" in query and self.habits.forgets_bookmarks:
            raise Refusal(400, "Invalid bookmark.")
        size = min(int(query.get("top", 1000)), self.habits.page_limit)
        at = int(query["pos"].partition("-")[0]) if "pos" in query else len(system.changes)
        page = system.changes[at : at + size]
        wanted = set(query.get("filter", "defaults").split(","))
        results = [
            self._shown_change(number, change, query.get("fields", "defaults").split(","))
            for number, change in enumerate(page, at)
            if change.type == "remove" or "defaults" in wanted or _touched(change.touched) & wanted
        ]
        kept = {} if self.habits.next_forgets else {n: t for n, t in query.items() if n != "pos"}
        turn = {"pos": f"{at + len(page)}-{self._count}"}
        if not results and at + len(page) < len(system.changes):
            return self._feed({**query, **turn})
        return {
            "results": results,
            "next": {
                "href": f"{system.href('cardholders', 'changes')}?{urlencode({**kept, **turn})}"
            },
        }

    def _shown_change(self, number: int, change: Any, fields: list[str]) -> dict[str, Any]:
        person = self.system.people.get(change.person)
        whole = {
            "href": self.system.href("cardholders", "changes", f"{number:x}"),
            "type": change.type,
            "item": {"href": self.system.href("cardholders", change.person)},
            "oldValues": change.old,
        }
        names = {"href", "type", "item", "oldValues"} if "defaults" in fields else set(fields)
        shown = {name: told for name, told in whole.items() if name in names}
        inner = [n.removeprefix("cardholder.") for n in fields if n.startswith("cardholder.")]
        if inner and person is not None:
            shown["cardholder"] = self._shown(person, ",".join(inner))
        return shown


ITEMS = {
    "access_groups": ("view groups", "groups"),
    "personal_data_fields": ("view fields", "fields"),
    "competencies": ("view site", "competencies"),
    "divisions": ("view site", "divisions"),
}


def _id(one: Any) -> int:
    return int(one["id"]) if isinstance(one, dict) else int(one.id)


def _touched(names: set[str]) -> set[str]:
    return {"personalDataFields" if name.startswith("@") else name for name in names}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break here on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    fake: FakeGallagher

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(
            self.command,
            unquote(parts.path),
            parse_qsl(parts.query, keep_blank_values=True),
            {name.lower(): value for name, value in self.headers.items()},
            json.loads(data) if data else None,
        )
        fake = self.fake
        with fake.lock:
            fake.seen.append(seen)
            trouble = self._trouble(seen)
            status, body = 0, None
            headers: dict[str, str] = {}
            if trouble is None or trouble.committed:
                status, body, headers = self._carry_out(seen)
            if trouble is not None and trouble.how == "answer":
                status, headers = trouble.status, trouble.headers
                body = None if trouble.message is None else {"message": trouble.message}
            seen.status, seen.answer = status, body
        if trouble is not None and trouble.how == "drop":
            self.close_connection = True
            reset = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            return
        self._send(status, body, headers)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _trouble(self, seen: Seen) -> Trouble | None:
        kinds = ["any"] if seen.method == "GET" else ["any", "write"]
        waiting = next((q for kind in kinds if (q := self.fake.troubles[kind])), None)
        return waiting.popleft() if waiting else None

    def _carry_out(self, seen: Seen) -> tuple[int, Any, dict[str, str]]:
        if seen.headers.get("authorization") != f"GGL-API-KEY {self.fake.key}":
            return 401, {"message": "A REST connection was attempted with an invalid API key"}, {}
        try:
            return self.fake.answer(seen)
        except Refusal as refusal:
            return refusal.status, {"message": refusal.message}, {}

    def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
        data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        if data:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
