"""Nothing comes out where it has no business: every command, every byte, every canary (I23).

ALLOWED says which groups of values may stand in what each command says; everything else
that is found is a leak. Logs, errors, temporary files, arguments and core dumps: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.privacy.people import LATE, LEAVER, OPEN, PROTECTED
from tests.privacy.site import Answer, Site
from tests.privacy.watch import NOWHERE, TYPED, Heard, Watch

SYSTEMS = ("local", "scim", "gallagher", "arx", "file", "order")
"""The other kinds take their turn in the story of test_protected."""

SHOWN = {"name", "work", "card"}
KEYS = {"number", "card", "protected number", "protected card"}

ALLOWED: dict[str, set[str]] = {
    "check": set(),
    "check --json": set(),
    "plan": SHOWN | {"protected card"},
    "plan --json --save FILE": SHOWN | KEYS | {"mail"},
    "apply FILE": set(),
    "sync": set(),
    "sync --json": set(),
    "approve": set(),
    "revoke -": set(),
    "revoke - --json": set(),
    "restore -": set(),
    "explain -": {"work"},
    "explain - --json": {"work", "number", "reason"},
    "explain - (protected)": set(),
    "explain - --json (protected)": {"protected number"},
    "orphans": KEYS,
    "orphans --json": KEYS,
    "orphans --csv": KEYS,
    "status": set(),
    "status --json": {"reason"},
    "ack": set(),
}
"""What may stand in what a command says on stdout, by group; on stderr nothing may.

A plan is for the eyes of whoever approves it: it names people, their cards and their work;
the protected it shows by an alias, and by the number that ties the records together. Orphans
name records by number and card. A reason is the operator's own words, shown to operators.
"""


STATE = {
    f"{whose}{group}"
    for whose in ("", "protected ")
    for group in ("name", "mail", "phone", "user name", "birth", "number", "card", "work")
} | {"reason"}
"""What the state holds: what is needed to know people again. No secret, and nothing unread."""


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Heard]]:
    """Every command, run in the order in which a city would run them."""
    folder = tmp_path_factory.mktemp("canary")
    site = Site(folder / "stad", SYSTEMS)
    with site.standing():
        yield dict(_story(site, Watch(site, folder / "watched"), folder))


def _story(site: Site, watch: Watch, folder: Path) -> Iterator[tuple[str, Heard]]:
    yield "check", watch("check")
    yield "check --json", watch("check", "--json")
    yield "plan", watch("plan")
    yield "plan --json --save FILE", watch("plan", "--json", "--save", "tonight.plan")
    yield "apply FILE", watch("apply", "tonight.plan")
    site.work()
    site.people = (OPEN, PROTECTED, LATE.marked(), replace(LEAVER, until="2026-11-01"))
    site.write_people()
    yield "orphans", watch("orphans")
    yield "orphans --json", watch("orphans", "--json")
    yield "orphans --csv", watch("orphans", "--csv")
    config = site.folder / "connectors.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("people = 1000", "people = 0"), encoding="utf-8")
    held = watch("sync", "--json")
    yield "sync --json", held
    import json

    digest = json.loads(held.answer.out)["held"][0]["digest"]
    yield "approve", watch("approve", digest[:12], "--reason", TYPED)
    config.write_text(text, encoding="utf-8")
    yield "sync", watch("sync")
    site.work()
    yield "revoke -", watch("revoke", "-", "--reason", "HR case 17", stdin=f"{OPEN.number}\n")
    yield "restore -", watch("restore", "-", "--reason", "HR case 18", stdin=f"{OPEN.mail}\n")
    words = ("revoke", "-", "--reason", TYPED, "--json")
    yield "revoke - --json", watch(*words, stdin=f"{OPEN.shown}\n")
    for name, human in (("", OPEN), (" (protected)", PROTECTED)):
        asked = f"{human.number}\n"
        yield f"explain -{name}", watch("explain", "-", stdin=asked)
        yield f"explain - --json{name}", watch("explain", "-", "--json", stdin=asked)
    yield "status", watch("status")
    yield "status --json", watch("status", "--json")
    yield "ack", watch("ack", "order", "1", "--refused", TYPED)
    kept = b"\n".join(path.read_bytes() for path in sorted((site.folder / "var").glob("idsync*")))
    yield "the state", Heard(Answer(0, "", ""), {"files": kept})


@pytest.mark.case("A1")
@pytest.mark.parametrize("command", ALLOWED)
def test_a_command_says_only_what_it_may(heard: dict[str, Heard], command: str) -> None:
    one = heard[command]
    typed = {"reason"} if TYPED.encode() in one.places["arguments"] else set()
    assert one.groups("out") <= ALLOWED[command], one.found("out")
    for place in NOWHERE:
        allowed = typed if place == "arguments" else set()
        assert one.groups(place) <= allowed, one.found(place)


def test_every_command_did_its_work(heard: dict[str, Heard]) -> None:
    codes = {name: heard[name].answer.code for name in ALLOWED}
    errors = {name: one.answer.err for name, one in heard.items() if one.answer.code}
    expected = {"sync --json": 3, "ack": 1}
    answered_later = {"revoke -": 1, "restore -": 1, "revoke - --json": 1}
    assert codes == dict.fromkeys(ALLOWED, 0) | expected | answered_later, errors
    assert heard["plan"].groups("out") >= {"name", "work"}, "nothing is looked at here"
    logs = b"".join(heard[name].places["log"] for name in ALLOWED)
    for library in (b"urllib3", b"sqlalchemy"):
        assert library in logs, "nobody listened to the logs"


@pytest.mark.case("X17")
def test_the_state_holds_what_is_needed_and_no_secret(heard: dict[str, Heard]) -> None:
    found = heard["the state"].found("files")
    assert {one.name.partition("/")[0] for one in found} <= STATE, found
    assert {"name", "protected name"} <= {one.name.partition("/")[0] for one in found}
