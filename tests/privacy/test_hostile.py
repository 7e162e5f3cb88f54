"""Names, files and systems that mean harm are data, and nothing else: rows X of the matrix."""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from idsync.cli.console import plain, print_json, print_table, say
from idsync.errors import Denied, Unavailable
from idsync.files import read_file
from idsync.http import Api
from idsync.mapping.conditions import glob_pattern
from tests.privacy.people import OPEN
from tests.privacy.site import Site
from tests.servers import slapd
from tests.servers.proxy import Proxy
from tests.servers.slapd import READER, READER_PASSWORD, SUFFIX, Certificates, Slapd, ldif

ROOT = Path(__file__).parents[2]
HOUSE = sorted((ROOT / "idsync").rglob("*.py"))
FORMULAS = ('=HYPERLINK("http://x.example";"Klicka")', "+46;cmd", "-2+3", "@SUM(A1)", "\tx", "\rx")

HOSTILE = (
    "{0.__class__.__init__.__globals__}", "{{7*7}}", "%(password)s %n", "${jndi:ldap://x.example}",
    "<script>alert(1)</script>", "Robert'); DROP TABLE journal;--", "*)(uid=*", "../../etc/passwd",
    "=cmd|' /C calc'!A0", "a\u202eb", "\u200bÅsa", "x' OR '1'='1",
)  # fmt: skip
"""Each is somebody's family name, as far as idsync is concerned."""


# ── names end to end ────────────────────────────────────────────────────────────────────


@pytest.mark.case("X7", "X14")
def test_a_name_that_means_harm_goes_through_as_it_is(tmp_path: Path) -> None:
    site = Site(tmp_path / "stad", ("scim", "sql"))
    from dataclasses import replace

    people = [
        replace(OPEN, number=f"{800000 + n}", shown=name, user=f"u{n}", mail=f"m{n}@x.example")
        for n, name in enumerate(HOSTILE)
    ]
    site.people = tuple(replace(one, shown="Namn") for one in people)
    with site.standing():
        with (site.folder / "directory.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow("guid nr uid mail cn homePostalAddress".split())
            writer.writerows([n.number, n.number, n.user, n.mail, n.shown, ""] for n in people)
        answer = site.run("sync")
        assert "Traceback" not in answer.err
        shown = {user["displayName"] for user in site.fakes["scim"].users.values()}
        assert shown == set(HOSTILE), answer
        rows = site.fakes["sql"].run('SELECT "Visat namn" FROM "Personer"')
        assert {name for (name,) in rows} <= set(HOSTILE)
        assert site.run("sync").code in (0, 1)


@pytest.mark.case("X4")
def test_a_formula_is_quoted_in_the_list_of_orphans_and_stays_in_the_system(tmp_path: Path) -> None:
    folder = tmp_path / "stad"
    site = Site(folder, ("local",))
    with site.standing():
        records = [
            {"key": text, "native_id": f"n{n}", "display_name": text, "status": "active",
             "credentials": [{"number": f"T{n}", "medium": "tag", "state": "active"}], "grants": []}
            for n, text in enumerate(FORMULAS[:4])
        ]  # fmt: skip
        lines = [json.dumps(one, ensure_ascii=False) for one in records]
        site.text("first.ndjson", lines)
        config = folder / "connectors.toml"
        text = config.read_text(encoding="utf-8")
        text = text.replace('"create" = true', '"initial" = "first.ndjson"')
        config.write_text(text, encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(site.run("orphans", "--csv").out)))
        assert {row["key"] for row in rows} == {f"'{text}" for text in FORMULAS[:4]}
        kept = {row["key"] for row in site.json("orphans")["orphans"]}
        assert kept == set(FORMULAS[:4])


@pytest.mark.case("X9")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Åsa\x1b[2J\x1b]0;x\x07", "Åsa\\u001b[2J\\u001b]0;x\\u0007"),
        ("Åsa\r\nrevoked: all", "Åsa\\r\\nrevoked: all"),
        ("Åsa \u202egnid\u202c", "Åsa \\u202egnid\\u202c"),
        ("Å\u200bsa\u2066", "Å\\u200bsa\\u2066"),
        ("Åsa\x9b31m", "Åsa\\u009b31m"),
        ("Åsa\u2028Öberg", "Åsa\\u2028Öberg"),
        ("Åsa\u00a0Öberg", "Åsa\u00a0Öberg"),
    ],
)
def test_what_steers_a_terminal_is_spelled_out(
    name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plain(name) == told
    print_table("", ["name"], [[name]])
    assert told in capsys.readouterr().out
    print_json({"name": name})
    said = capsys.readouterr().out
    assert json.loads(said) == {"name": name}
    assert plain(said.replace("\n", "")) == said.replace("\n", "")
    say(name)
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.case("X6")
@pytest.mark.parametrize("glob", ["*a*a*a*a*a*a*a*a*a*a*b", "(a+)+$", "?" * 60 + "b"])
def test_a_pattern_takes_time_in_step_with_its_text(glob: str) -> None:
    texts = pl.Series(["a" * 50_000, "a" * 100_000])
    began = time.process_time()
    assert texts.str.contains(glob_pattern(glob)).to_list() == [False, False]
    assert time.process_time() - began < 1


# ── addresses ───────────────────────────────────────────────────────────────────────────


class Silence:
    """A listener that must hear nothing."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(1)
            with contextlib.suppress(OSError):
                self.heard += client.recv(4096)
            client.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def silence() -> Iterator[Silence]:
    one = Silence()
    yield one
    one.close()


def _names_lead_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name lead to *address*, as whoever runs a domain's name server can."""
    real = socket.getaddrinfo

    def answer(host: str, *more: object, **named: object) -> object:
        return real(address if host.endswith(".example.se") else host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.case("X3")
def test_a_name_that_leads_to_this_machine_is_told_nothing(
    silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    _names_lead_to("127.0.0.1", monkeypatch)
    api = Api(f"https://access.example.se:{silence.port}/scim")
    with pytest.raises(Unavailable, match="leads to this machine"):
        api.call("GET", "Users")
    api.close()
    time.sleep(0.1)
    assert silence.heard == b""


@pytest.mark.case("X3")
def test_a_redirect_to_somewhere_else_is_not_followed(silence: Silence, tmp_path: Path) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{silence.port}/\r\n\r\n"
    server = socket.create_server(("127.0.0.1", 0))

    def once() -> None:
        client, _ = server.accept()
        client.recv(65536)
        client.sendall(answer.encode())
        client.close()

    threading.Thread(target=once, daemon=True).start()
    api = Api(f"http://127.0.0.1:{server.getsockname()[1]}")
    with pytest.raises(Unavailable, match="a redirect, which idsync does not follow"):
        api.call("GET", "Users")
    api.close()
    server.close()
    assert silence.heard == b""


@pytest.mark.case("X3")
@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "gopher://x.example", "http://access.example.se", "ftp://127.0.0.1",
     "https://user:secret@access.example.se", "https://access.example.se/?next=x"],
)  # fmt: skip
def test_an_address_of_another_kind_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"https://|secret|path"):
        Api(url)


# ── files ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("X13")
def test_a_file_that_anybody_may_write_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "hr.csv"
    file.write_text("a,b\n1,2\n")
    assert read_file(file, 1).data
    file.chmod(0o666)
    with pytest.raises(Denied, match="anybody may write to it"):
        read_file(file, 1)
    file.chmod(0o644)
    tmp_path.chmod(0o777)
    with pytest.raises(Denied, match="its folder"):
        read_file(file, 1)
    tmp_path.chmod(0o1777)
    assert read_file(file, 1).data, "in a sticky folder one's own file stays one's own"
    if os.geteuid() == 0:
        os.chown(file, 65534, 65534)
        with pytest.raises(Denied, match="its folder"):
            read_file(file, 1)
    tmp_path.chmod(0o700)


@pytest.mark.case("X13")
def test_a_file_that_is_swapped_for_a_link_is_never_followed(tmp_path: Path) -> None:
    secret, file = tmp_path / "secret", tmp_path / "hr.csv"
    secret.write_text("hemligt\n")
    stop = threading.Event()

    def swap() -> None:
        other = tmp_path / "other"
        while not stop.is_set():
            other.symlink_to(secret)
            other.replace(file)
            other.write_text("a,b\n1,2\n")
            other.replace(file)

    file.write_text("a,b\n1,2\n")
    racing = threading.Thread(target=swap)
    racing.start()
    outcomes = {"read": 0, "refused": 0}
    try:
        while min(outcomes.values()) < 20:
            try:
                assert read_file(file, 1).data in (b"a,b\n1,2\n", b"")
                outcomes["read"] += 1
            except Unavailable as error:
                assert "symbolic link" in str(error)
                outcomes["refused"] += 1
            except Exception as error:
                assert "changed while it was read" in str(error)
    finally:
        stop.set()
        racing.join()


# ── directories ─────────────────────────────────────────────────────────────────────────


@pytest.mark.slapd
@pytest.mark.case("X1")
def test_what_a_directory_or_an_operator_says_never_becomes_a_filter(tmp_path: Path) -> None:
    slapd.required()
    for name in ("certificates", "slapd"):
        (tmp_path / name).mkdir()
    certificates = Certificates(tmp_path / "certificates")
    evil = ("*)(uid=*", "\\2a", "a,ou=people", "*", "(&(objectClass=*)")
    entries = "".join(
        ldif(
            f"uid=u{n},ou=people,{SUFFIX}", objectClass="inetOrgPerson", uid=f"u{n}", cn=name,
            sn=name, employeeNumber=f"80{n}", mail=name,
        )
        for n, name in enumerate(evil)
    )  # fmt: skip
    site = Site(tmp_path / "stad", ("local",))
    with Slapd(tmp_path / "slapd", certificates, entries) as server, Proxy(server.port) as proxy:
        with site.standing():
            password = site.secret("ldap", READER_PASSWORD)["file"]
            config = site.folder / "connectors.toml"
            text = config.read_text(encoding="utf-8")
            start, end = text.index("[sources.directory]"), text.index("[sources.lms]")
            table = f"""[sources.directory]
type = "ldap"
url = "ldap://127.0.0.1:{server.port}"
start_tls = true
ca_file = "{certificates.ca}"
bind_dn = "{READER}"
password = {{ file = "{password}" }}
base = "ou=people,{SUFFIX}"
filter = "(objectClass=inetOrgPerson)"
key = "entryUUID"
map = {{ employee_number = "employeeNumber", mail = "mail", display_name = "cn" }}

"""
            config.write_text(text[:start] + table + text[end:], encoding="utf-8")
            checked = site.json("check")
            assert checked["sources"]["directory"]["records"] == len(evil)
            site.run("sync")
            for asked in (*evil[:1], "*", "*)(employeeNumber=*"):
                answer = site.run("explain", asked)
                assert answer.code in (0, 2)
                assert "people are known by this" not in answer.err, "one name found several"
        assert proxy.connections == 0


# ── the code ────────────────────────────────────────────────────────────────────────────

FORBIDDEN = {"pickle", "marshal", "shelve", "dill", "jinja2", "yaml", "runpy", "code", "imp"}
CALLS = {"eval", "exec", "compile", "__import__"}


def harms(text: str) -> list[str]:
    """Return what in a file would run, or unpack, what somebody else wrote."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.partition(".")[0] in FORBIDDEN]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN:
            found.append(node.module or "")
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in CALLS:
                found.append(called.id)
            if isinstance(called, ast.Attribute) and called.attr == "format":
                owner = ast.unparse(called.value)
                # a constant's, a table of words that stands in the code, or polars' own
                fixed = isinstance(called.value, ast.Constant) or owner.isupper() or owner == "pl"
                fixed = fixed or owner.startswith("paper.say(")
                found += [] if fixed else [f"{owner}.format"]
            if isinstance(called, ast.Attribute) and called.attr == "import_module":
                named = ast.unparse(node.args[0])
                found += [] if named == "f'idsync.cli.{cmd_name}'" else [f"import of {named}"]
    return found


@pytest.mark.case("X7", "X11", "X12")
@pytest.mark.parametrize("file", HOUSE, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_that_somebody_wrote_is_run_or_unpacked(file: Path) -> None:
    assert harms(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from yaml import load", "eval(x)", "name.format(x)", "import jinja2.sandbox",
     "import importlib; importlib.import_module(config.plugin)", "exec(rule)"],
)  # fmt: skip
def test_a_planted_harm_is_seen(line: str) -> None:
    assert harms(line)


@pytest.mark.case("X8")
def test_no_statement_is_built_of_texts() -> None:
    """Ruff's S608 finds SQL made by pasting; what it was told to overlook is listed here."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "S608",
         "--ignore-noqa", "--output-format", "json", str(ROOT / "idsync")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = {Path(one["filename"]).relative_to(ROOT).as_posix() for one in json.loads(done.stdout)}
    # a demonstration's own database, whose statements are made of names that stand in its code
    assert found == {f"idsync/targets/local_system/{name}.py" for name in ("session", "store")}


# ── the locks ───────────────────────────────────────────────────────────────────────────


@pytest.mark.case("X19")
def test_a_package_of_another_hash_is_not_installed(tmp_path: Path) -> None:
    wheel = tmp_path / "harmless-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("harmless.py", "")
        info = "harmless-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: harmless\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    lock = tmp_path / "requirements.lock"

    def install(digest: str) -> subprocess.CompletedProcess[str]:
        lock.write_text(f"harmless==1.0 \\\n    --hash=sha256:{digest}\n")
        return subprocess.run(
            [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", str(tmp_path),
             "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(lock),
             "--target", str(tmp_path / "there"), "--disable-pip-version-check"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    bad = install("0" * 64)
    assert bad.returncode != 0
    assert "DO NOT MATCH THE HASHES" in bad.stderr
    assert not (tmp_path / "there" / "harmless.py").exists()
    assert install(sha256(wheel.read_bytes()).hexdigest()).returncode == 0
    asked = "--no-deps --require-hashes --only-binary :all:"
    assert asked in (ROOT / "dev").read_text(), "./dev installs without looking at hashes"


# ── logs ────────────────────────────────────────────────────────────────────────────────

SPEAKS = """
import logging, sys, threading
if {kept}:
    from idsync.cli.secrecy import keep_secrets
    keep_secrets()
logging.basicConfig(level=0, stream=sys.stdout)
logging.getLogger("urllib3.connectionpool").debug("GET /Users?name=%s", "Kvittra")
logging.getLogger("sqlalchemy.engine.Engine").info("[generated] ('Kvittra',)")
try:
    raise ValueError("Kvittra")
except ValueError:
    logging.getLogger("zeep").exception("in it: Kvittra")
logging.getLogger("idsync.test").info("idsync's own words stay")
def fails(name): raise RuntimeError(name)
thread = threading.Thread(target=fails, args=("Kvittra",)); thread.start(); thread.join()
class Falls:
    def __del__(self): raise RuntimeError("Kvittra")
Falls()
raise KeyError("Kvittra")
"""


@pytest.mark.case("A11")
def test_with_every_logger_at_debug_a_library_says_only_where_it_spoke() -> None:
    def said(kept: bool) -> str:
        done = subprocess.run(
            [sys.executable, "-c", SPEAKS.format(kept=kept)],
            capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
        )  # fmt: skip
        return done.stdout + done.stderr

    assert said(kept=False).count("Kvittra") >= 6, "this test plants nothing"
    kept = said(kept=True)
    assert "Kvittra" not in kept
    assert "idsync's own words stay" in kept
    assert "urllib3.connectionpool" in kept
    assert kept.count("a fault in idsync itself") == 3


def test_there_is_no_debug_mode() -> None:
    from idsync.cli.app import app

    told = CliRunner().invoke(app, ["sync", "--help"]).output
    assert "debug" not in told.lower()
    assert "verbose" not in told.lower()
    assert logging.getLogger("idsync").handlers == []
