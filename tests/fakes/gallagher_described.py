"""Holds what was asked and answered against the vendor's own description, where it is at hand.

The description (oas3/out/cc_rest.yaml of GallagherSecurity/cc-rest-docs) is not part of the
project: it is looked for in the folder of specs beside it, or in the one that IDSYNC_SPECS
names. The schemas allow members that they do not name; here those are complaints.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.fakes.gallagher_habits import Seen

SPECS = Path(os.environ.get("IDSYNC_SPECS") or Path(__file__).parents[2] / "../shared/specs")
FILE = SPECS / "gallagher/cc_rest.yaml"
MISSING = f"the vendor's description is not here: {FILE.name} in {SPECS.name}/{FILE.parent.name}"

RESERVED = {"pos", "skip"}  # only in links that the server gives
LISTS = {
    "accessGroups": "CardholderAccessGroup",
    "competencies": "CardholderCompetency",
    "cards": "CardholderCard",
}
NEEDED = {"accessGroups": "accessGroup", "competencies": "competency", "cards": "type"}
IN_WORDS = {"answer.results[].href"}  # of a field's definition: named by its text and by `fields`
WHOLE = {"CardholderSummary": "CardholderDetail", "AccessGroupSummary": "AccessGroupDetail"}
"""With `fields`, a search shows whatever the page of one shows."""
READ_ONLY = {"name", "status.type", "disabled", "expiryWarning"}


@functools.cache
def description() -> Description | None:
    """Return the vendor's description, None where it is absent."""
    if not FILE.is_file():
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Description(yaml.load(FILE.read_text(encoding="utf-8"), loader))


class Description:
    """The operations and schemas of the REST API."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._schemas = document["components"]["schemas"]
        self._validators: dict[str, jsonschema.Draft202012Validator] = {}

    def complaints(self, seen: Seen, carried: frozenset[str] = frozenset()) -> list[str]:
        """Return all in which a request and its answer are not as described.

        *carried* are query parameters that the server's links carry by themselves.
        """
        if seen.path == "/api":
            return [] if seen.method == "GET" and not seen.query else ["/api is only got"]
        found = self._operation(seen)
        if found is None:
            return [f"{seen.method} {seen.path}: no such operation"]
        path, operation = found
        told = [*self._query(path, operation, seen, carried)]
        if seen.body is not None:
            told += self._body(seen)
        if seen.status and seen.status != 401 and seen.status < 500:
            told += self._answer(operation, seen)
        return [f"{seen.method} {path}: {one}" for one in told]

    def _operation(self, seen: Seen) -> tuple[str, dict[str, Any]] | None:
        fitting = [
            path
            for path in self._document["paths"]
            if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)), seen.path)
            and seen.method.lower() in self._document["paths"][path]
        ]
        if not fitting and re.fullmatch(r"/api/divisions", seen.path):
            fitting = ["/api/divisions/_operation_"]  # stands for every list of divisions
        if not fitting:
            return None
        path = min(fitting, key=lambda one: one.count("{"))
        return path, self._document["paths"][path][seen.method.lower()]

    # ── what was asked ──────────────────────────────────────────────────────────────────

    def _query(
        self, path: str, operation: dict[str, Any], seen: Seen, carried: frozenset[str]
    ) -> Iterator[str]:
        known = {}
        for one in operation.get("parameters", []):
            parameter = {**self._resolved(one), **{n: t for n, t in one.items() if n != "$ref"}}
            known[parameter["name"]] = parameter
        for name, told in seen.query:
            if name in RESERVED | carried:
                continue
            pattern = "pdf_{id}" if name.startswith("pdf_") else name
            if pattern not in known:
                yield f"query parameter {name} is not described"
                continue
            schema = known[pattern].get("schema", {})
            allowed = schema.get("enum") or schema.get("items", {}).get("enum")
            if name == "fields" and path.startswith("/api/cardholders") and not allowed:
                allowed = [*self._members("CardholderDetail"), "defaults", "pdf_"]
            for part in told.split(",") if name in ("fields", "filter", "sort") else ():
                first = re.sub(r"^pdf_\d+$", "pdf_", part)
                first = re.sub(r"^cardholder\..+$", "cardholder.*", first)
                if allowed and first not in allowed and first.partition(".")[0] not in allowed:
                    yield f"{name}={part} is not described"

    def _body(self, seen: Seen) -> Iterator[str]:
        schema = "CardholderPOST" if seen.method == "POST" else "CardholderPATCH"
        yield from self._schema_errors({"$ref": f"#/components/schemas/{schema}"}, seen.body)
        known = {*self._members(schema), *self._members("CardholderDetail")}
        for name, told in seen.body.items():
            if name not in known and not name.startswith("@"):
                yield f"member {name} is not described"
            if name not in LISTS:
                continue
            verbs = {"add": told} if seen.method == "POST" else told
            if not isinstance(verbs, dict) or not set(verbs) <= {"add", "update", "remove"}:
                yield f"{name} holds other lists than add, update and remove"
                continue
            for verb, elements in verbs.items():
                for element in elements:
                    yield from self._element(name, verb, element)

    def _element(self, name: str, verb: str, element: dict[str, Any]) -> Iterator[str]:
        schema = LISTS[name]
        yield from self._schema_errors({"$ref": f"#/components/schemas/{schema}"}, element)
        where = f"{name}.{verb}"
        if ("href" in element) is (verb == "add"):
            yield f"{where}: an href belongs to what is there, and only to that"
        if (NEEDED[name] in element) is not (verb == "add"):
            yield f"{where}: {NEEDED[name]} is said of what is new, and only of that"
        if verb == "remove" and set(element) - {"href", "status"}:
            yield f"{where}: only the href makes sense"
        if name == "cards" and verb == "update" and "number" in element:
            yield f"{where}: a card's number cannot change"
        for member, told in element.items():
            if member not in self._members(schema):
                yield f"{where}: {member} is not described"
            inner = [f"{member}.{one}" for one in told] if isinstance(told, dict) else []
            for one in (member, *inner):
                if one in READ_ONLY or one.partition(".")[2] == "name":
                    yield f"{where}: {one} is read-only"

    # ── what was answered ───────────────────────────────────────────────────────────────

    def _answer(self, operation: dict[str, Any], seen: Seen) -> Iterator[str]:
        responses = operation["responses"]
        if str(seen.status) not in responses:
            if seen.status not in (400, 404):
                yield f"answer {seen.status} is not described"
            return
        content = self._resolved(responses[str(seen.status)]).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is None or seen.status >= 300:
            return
        yield from self._schema_errors(schema, seen.answer)
        yield from self._unknown(schema, seen.answer, "answer")

    def _schema_errors(self, schema: dict[str, Any], value: Any) -> Iterator[str]:
        name = schema.get("$ref", "") or repr(schema)
        if name not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            self._validators[name] = jsonschema.Draft202012Validator(whole)
        for error in self._validators[name].iter_errors(value):
            at = "/".join(map(str, error.path))
            yield f"{at or 'body'} is not as described ({error.validator})"

    def _unknown(self, schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
        if isinstance(value, list):
            items = self._flat(schema).get("items", {})
            name = items.get("$ref", "").rpartition("/")[2]
            if name in WHOLE:
                items = self._schemas[WHOLE[name]]
            for one in value:
                yield from self._unknown(items, one, f"{where}[]")
        elif isinstance(value, dict):
            members = self._flat(schema).get("properties", {})
            for name, told in value.items() if members else ():
                if name in members:
                    yield from self._unknown(members[name], told, f"{where}.{name}")
                elif not name.startswith("@") and f"{where}.{name}" not in IN_WORDS:
                    yield f"{where}.{name} is not described"

    # ── schemas ─────────────────────────────────────────────────────────────────────────

    def _members(self, name: str) -> set[str]:
        return set(self._flat(self._schemas[name]).get("properties", {}))

    def _flat(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema with what it refers to, and all of what it is made of, in one."""
        schema = self._resolved(schema)
        flat: dict[str, Any] = {"properties": dict(schema.get("properties", {}))}
        for part in schema.get("allOf", []):
            inner = self._flat(part)
            flat["properties"] |= inner["properties"]
        if "items" in schema:
            flat["items"] = schema["items"]
        return flat

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            found: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema
