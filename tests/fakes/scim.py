"""A SCIM service with switchable bad habits.

It keeps users and groups, pages, filters, patches and counts versions as RFC 7644 says,
unless a habit says otherwise. Troubles are single events: the next request of a kind
gets an answer that no service should give, before or after it is carried out.
"""

from __future__ import annotations

import copy
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.scim_habits import Habits, ScimError, Seen, Trouble

TOKEN = "token-of-the-fake"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MESSAGES = "urn:ietf:params:scim:api:messages:2.0"


class FakeScim:
    """The service, running. `users` and `groups` are what it holds, by id."""

    def __init__(self, habits: Habits | None = None, tls: tuple[str, str] | None = None) -> None:
        self.habits = habits or Habits()
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.seen: list[Seen] = []
        self.token = TOKEN
        self.lock = threading.RLock()
        # called as a request arrives, and when it has been carried out and not answered yet
        self.arrived: Callable[[Seen], None] = lambda _: None
        self.carried_out: Callable[[Seen], None] = lambda _: None
        self._troubles: dict[tuple[str, str], deque[Trouble]] = {}
        self._count = 0
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}/scim/v2"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()

    # ── what a test says and asks ───────────────────────────────────────────────────────

    def next(self, method: str, area: str, *troubles: Trouble) -> None:
        """Give the next requests of this kind these troubles, one each."""
        self._troubles.setdefault((method, area), deque()).extend(troubles)

    def user(self, user_name: str, **more: Any) -> str:
        """Make a user by hand and return its id."""
        return self._store(self.users, {"userName": user_name, "active": True, **more})

    def group(self, name: str, *members: str, nested: tuple[str, ...] = ()) -> str:
        """Make a group by hand and return its id."""
        inside = [{"value": id} for id in members]
        inside += [{"value": id, "type": "Group"} for id in nested]
        return self._store(self.groups, {"displayName": name, "members": inside})

    def members(self, name: str) -> list[str]:
        """Return the ids of the members of the groups of this name, as often as they are there."""
        return [
            member["value"]
            for group in self.groups.values()
            if group["displayName"] == name
            for member in group["members"]
        ]

    @property
    def writes(self) -> list[Seen]:
        """The requests that ask for a change."""
        return [seen for seen in self.seen if seen.method != "GET"]

    def touch(self, record: dict[str, Any]) -> None:
        """Give a record a new version."""
        self._count += 1
        record["meta"] = {"version": f'W/"{self._count}"'}

    def _store(self, table: dict[str, dict[str, Any]], record: dict[str, Any]) -> str:
        with self.lock:
            self._count += 1
            record["id"] = f"{'u' if table is self.users else 'g'}-{self._count:05}"
            self.touch(record)
            table[record["id"]] = record
            return str(record["id"])

    # ── the protocol ────────────────────────────────────────────────────────────────────

    def trouble(self, method: str, area: str) -> Trouble | None:
        """Return the trouble that waits for such a request, and forget it."""
        kinds = [(method, area), ("any", "any")]
        if method != "GET":
            kinds.append(("write", "any"))
        for kind in kinds:
            if waiting := self._troubles.get(kind):
                return waiting.popleft()
        return None

    def answer(self, seen: Seen) -> tuple[int, dict[str, Any] | None]:
        """Carry a request out; return status and body."""
        area, _, id = seen.path.partition("/")
        if area == "ServiceProviderConfig" and self.habits.config:
            says = self.habits.patch if self.habits.says_patch is None else self.habits.says_patch
            etag = {"supported": self.habits.etag != "none"}
            return 200, {"patch": {"supported": says}, "etag": etag}
        table = {"Users": self.users, "Groups": self.groups}.get(area)
        if table is None:
            raise ScimError(404)
        if not id:
            return (
                self._list(area, table, seen) if seen.method == "GET" else self._create(table, seen)
            )
        if id not in table:
            raise ScimError(404)
        if seen.method == "GET":
            shown = self._shown(area, table[id], listed=False, query=seen.query)
            if self.habits.after_read:
                self.habits.after_read.pop(0)()
            return 200, shown
        return self._write(area, table, id, seen)

    def _create(self, table: dict[str, dict[str, Any]], seen: Seen) -> tuple[int, dict[str, Any]]:
        name = seen.body.get("userName", "").lower()
        if table is self.users and any(one["userName"].lower() == name for one in table.values()):
            raise ScimError(409, "uniqueness")
        record = {n: v for n, v in copy.deepcopy(seen.body).items() if n not in self.habits.forgets}
        if table is self.groups:
            record.setdefault("members", [])
        self._store(table, record)
        return 201, self._shown("Users", record, listed=False, query={})

    def _list(
        self, area: str, table: dict[str, dict[str, Any]], seen: Seen
    ) -> tuple[int, dict[str, Any]]:
        habits = self.habits
        found = [record for id, record in sorted(table.items()) if id not in habits.left_out]
        if habits.hides_blocked and area == "Users":
            found = [user for user in found if user["active"]]
        if "filter" in seen.query:
            found = self._filtered(found, seen.query["filter"])
        start = int(seen.query.get("startIndex", 1)) if habits.honours_start else 1
        count = min(int(seen.query.get("count", 1000)), habits.page_limit)
        if start > len(found) and found and habits.after_end == "refused":
            raise ScimError(400, "invalidValue")
        page = found[start - 1 : start - 1 + count] if habits.honours_start else found
        if habits.lose_last_page and found and start - 1 + count >= len(found) > count:
            page = []
        total = len(page) if habits.total_of_page else len(found)
        total += habits.total_off + (start if habits.total_grows else 0)
        body: dict[str, Any] = {
            "schemas": [f"{MESSAGES}:ListResponse"],
            "totalResults": total,
            "startIndex": start,
            "itemsPerPage": len(page),
        }
        if habits.after_page and area == "Users":
            habits.after_page.pop(0)()
        if page:
            body["Resources"] = [
                self._shown(area, one, listed=True, query=seen.query) for one in page
            ]
        return 200, body

    def _filtered(self, records: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
        if self.habits.filters == "refused":
            raise ScimError(400, "invalidFilter")
        if self.habits.filters == "ignored":
            return records
        if self.habits.filters == "blind":
            return []
        attribute, _, quoted = text.partition(" eq ")
        try:
            value = json.loads(quoted)
        except ValueError:
            raise ScimError(400, "invalidFilter") from None
        if attribute == "members.value":
            return [
                one for one in records if any(m["value"] == value for m in one.get("members", []))
            ]
        if self.habits.filters == "folded":
            return [one for one in records if str(one.get(attribute)).lower() == value.lower()]
        return [one for one in records if one.get(attribute) == value]

    def _shown(
        self, area: str, record: dict[str, Any], *, listed: bool, query: dict[str, str]
    ) -> dict[str, Any]:
        shown = copy.deepcopy(record)
        if self.habits.etag == "none":
            shown.pop("meta", None)
        if area == "Groups":
            cut = shown["members"][: self.habits.members_cut]
            shown["members"] = cut
            if (
                not cut
                or (self.habits.members_on_request and "members" not in query.get("attributes", ""))
                or (listed and not self.habits.members_in_lists)
                or query.get("excludedAttributes") == "members"
            ):
                del shown["members"]
        elif self.habits.user_groups:
            shown["groups"] = [
                {"value": id, "display": group["displayName"], "type": "direct"}
                for id, group in self.groups.items()
                if any(member["value"] == record["id"] for member in group["members"])
            ]
        return shown

    def _write(
        self, area: str, table: dict[str, dict[str, Any]], id: str, seen: Seen
    ) -> tuple[int, dict[str, Any] | None]:
        habits, record = self.habits, table[id]
        if (seen.method == "PATCH" and not habits.patch) or (
            seen.method == "PUT" and not habits.put
        ):
            raise ScimError(501)
        match = seen.headers.get("if-match")
        if habits.etag == "required" and match is None:
            raise ScimError(428)
        if match is not None and habits.etag != "none" and match != record["meta"]["version"]:
            raise ScimError(412)
        if seen.method == "PUT":
            table[id] = {"members": [], **seen.body, "id": id} if area == "Groups" else seen.body
            table[id]["id"] = id
            self.touch(table[id])
            return 200, self._shown(area, table[id], listed=False, query={})
        before = copy.deepcopy(record)
        for operation in seen.body["Operations"]:
            self._patch(record, operation)
        if record != before:
            self.touch(record)
        return 204, None

    def _patch(self, record: dict[str, Any], operation: dict[str, Any]) -> None:
        op, path, value = operation["op"], operation["path"], operation.get("value")
        if path in self.habits.refuses_paths:
            raise ScimError(400, "invalidPath")
        if path.startswith("members"):
            self._patch_members(record, op, path, value)
            return
        place = [ENTERPRISE, path[len(ENTERPRISE) + 1 :]]
        if not path.startswith(ENTERPRISE):
            place = path.split(".")
        inner = record
        for name in place[:-1]:
            inner = inner.setdefault(name, {})
        if op == "remove":
            inner.pop(place[-1], None)
        else:
            inner[place[-1]] = value

    def _patch_members(self, group: dict[str, Any], op: str, path: str, value: Any) -> None:
        habits, members = self.habits, group["members"]
        there = {member["value"] for member in members}
        if op == "add":
            if habits.repeats == "refused" and any(one["value"] in there for one in value):
                raise ScimError(409)
            members += [one for one in value if one["value"] not in there]
            return
        if habits.removal == "wipes":
            members.clear()
            return
        filtered = re.fullmatch(r'members\[value eq ("(?:[^"\\]|\\.)*")\]', path)
        if (filtered is None) is (habits.removal == "filter"):
            raise ScimError(400, "invalidPath")
        gone = {json.loads(filtered[1])} if filtered else {one["value"] for one in value}
        if habits.repeats == "refused" and not gone & there:
            raise ScimError(400, "noTarget")
        members[:] = [member for member in members if member["value"] not in gone]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break here on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    fake: FakeScim

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        seen = Seen(
            self.command,
            unquote(parts.path).removeprefix("/scim/v2/"),
            {name: values[0] for name, values in parse_qs(parts.query).items()},
            {name.lower(): value for name, value in self.headers.items()},
            json.loads(data) if data else None,
        )
        fake = self.fake
        fake.arrived(seen)
        with fake.lock:
            fake.seen.append(seen)
            trouble = fake.trouble(seen.method, seen.path.partition("/")[0])
            if trouble is None or trouble.committed:
                status, body = self._carry_out(seen)
        fake.carried_out(seen)
        if trouble is not None:
            self._make(trouble)
            return
        text = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/scim+json"} if text else {}
        self._send(status, headers, text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _carry_out(self, seen: Seen) -> tuple[int, dict[str, Any] | None]:
        if seen.headers.get("authorization") != f"Bearer {self.fake.token}":
            return 401, {"schemas": [f"{MESSAGES}:Error"], "status": "401"}
        try:
            return self.fake.answer(seen)
        except ScimError as error:
            body = {"schemas": [f"{MESSAGES}:Error"], "status": str(error.status)}
            # A careless service repeats what it was sent: idsync must not repeat it again.
            body["detail"] = f"secret detail of {json.dumps(seen.body)} {seen.query}"
            return error.status, body | ({"scimType": error.scim_type} if error.scim_type else {})

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _make(self, trouble: Trouble) -> None:
        if trouble.how == "answer":
            self._send(trouble.status, trouble.headers, trouble.body)
            return
        self.close_connection = True
        if trouble.how == "half":
            self.send_response(trouble.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"totalResults": 1, "Resources": [')
        elif trouble.how == "slow head":
            self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000)
        elif trouble.how == "slow body":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self._drip(b" " * 1000)
        else:
            reset = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)

    def _drip(self, data: bytes) -> None:
        for at in range(len(data)):
            try:
                self.wfile.write(data[at : at + 1])
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.02)
