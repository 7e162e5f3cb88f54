"""What the Gallagher target's check tells apart, each in a sentence of its own."""

from __future__ import annotations

import re
import ssl
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import ConfigError, Denied, IdsyncError, Unavailable
from idsync.targets.gallagher import GallagherTarget
from tests.fakes.gallagher import FakeGallagher
from tests.fakes.gallagher_habits import EDIT, VIEW, Habits
from tests.targets.gallagher_site import RIGHTS, Site, field_of, furnished, group_of, someone

ALL = VIEW | EDIT


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """Make a certificate that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")

    def make(name: str) -> tuple[str, str]:
        files = (str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip
        return files

    return make


def test_a_sound_system_says_what_it_is(site: Site) -> None:
    fake, target = site(competencies=True)
    someone(fake.system, "1001", RIGHTS[0])
    assert target.check() == "Gallagher Command Centre 9.50.1234.0, 1 people in the base group"
    assert not fake.writes


def test_a_system_that_shows_nobody_says_so(site: Site) -> None:
    _, target = site()
    assert "it shows no cardholder at all: if it has any" in target.check()


FAULTS: dict[str, tuple[Habits, type[IdsyncError], str]] = {
    "no licence for the API": (
        Habits(licences=set()), Denied, "not licensed: the server needs RESTCardholders",
    ),
    "no licence for people": (
        Habits(licences={"RESTEvents"}), Denied, "no licence RESTCardholders; order it",
    ),
    "no privilege on people": (
        Habits(privileges=ALL - {"view cardholders"}), Denied, "give it View Cardholders",
    ),
    "no privilege on groups": (
        Habits(privileges=ALL - {"view groups"}), Denied, "privilege View Access Groups",
    ),
    "no privilege on fields": (
        Habits(privileges=ALL - {"view fields"}), Denied, "View Personal Data Definitions",
    ),
    "too old": (Habits(version="8.60.1684"), ConfigError, "it is version 8.60, and idsync needs"),
}  # fmt: skip


@pytest.mark.parametrize(("habits", "kind", "told"), FAULTS.values(), ids=FAULTS)
def test_each_lack_has_its_sentence(
    site: Site, habits: Habits, kind: type[IdsyncError], told: str
) -> None:
    fake, target = site(habits)
    someone(fake.system, "1001", RIGHTS[0])
    with pytest.raises(kind, match=told):
        target.check()


def test_a_wrong_key_is_told_from_everything_else(site: Site) -> None:
    fake, _ = site()
    target = site.targets(fake, key="0000-0000")
    with pytest.raises(Denied, match="answered 401: the API key is not known, the client cert"):
        target.check()


def test_a_host_that_does_not_answer_is_told(site: Site) -> None:
    with pytest.raises(Unavailable, match="the connection could not be made"):
        site.targets(None, url="http://127.0.0.1:9").check()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b"", "nothing answers at /api"),
        (200, b'{"hello": 1}', "without version and features"),
        (200, b"<html>", "not with JSON"),
    ],
)
def test_another_service_at_that_address_is_told(
    site: Site, status: int, body: bytes, told: str
) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        with pytest.raises(Unavailable, match=told):
            site.targets(None, url=f"http://127.0.0.1:{server.server_port}").check()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def test_a_certificate_that_is_not_trusted_is_told(
    site: Site, pair: Callable[[str], tuple[str, str]]
) -> None:
    right, other = pair("right"), pair("other")
    fake = furnished(FakeGallagher(tls=right))
    try:
        assert "Command Centre" in site.targets(fake, ca_file=right[0]).check()
        for ca_file in (other[0], None):
            with pytest.raises(Unavailable, match="certificate is not trusted: check ca_file"):
                site.targets(fake, ca_file=ca_file).check()
    finally:
        fake.close()


def test_a_client_certificate_is_shown_where_the_server_wants_one(
    site: Site, pair: Callable[[str], tuple[str, str]], tmp_path: Path
) -> None:
    right, client = pair("server"), pair("client")
    together = tmp_path / "client.pem"
    together.write_text("".join(Path(file).read_text() for file in client))
    fake = furnished(FakeGallagher(tls=right))
    fake.context.load_verify_locations(client[0])
    fake.context.verify_mode = ssl.CERT_REQUIRED
    try:
        pinned = site.targets(fake, ca_file=right[0], client_certificate=str(together))
        assert "Command Centre" in pinned.check()
        with pytest.raises(Unavailable):
            site.targets(fake, ca_file=right[0]).check()
    finally:
        fake.close()


def test_settings_that_name_what_is_not_there_are_told(site: Site) -> None:
    fake, _ = site()
    someone(fake.system, "1001")
    wrong: dict[str, tuple[Any, str]] = {
        "key_field": ("finns ej", "a personal data field that the settings name is not shown"),
        "mail_field": ("finns ej", "a personal data field that the settings name is not shown"),
        "base_group": ("finns ej", "base_group: no access group of this name is shown"),
        "division": ("finns ej", "division: none of this name is shown"),
        "alarm_groups": (["finns ej"], "alarm_groups: one of them is not shown"),
    }
    for setting, (value, told) in wrong.items():
        with pytest.raises((Denied, ConfigError), match=told):
            site.targets(fake, **{setting: value}).check()


def test_a_base_group_that_does_not_give_the_fields_is_told(site: Site) -> None:
    fake, target = site()
    group_of(fake.system).fields.discard(field_of(fake.system, "E-post").id)
    with pytest.raises(ConfigError, match="mail_field: base_group does not give its members"):
        target.check()


def test_nobody_shown_but_members_is_a_privilege(site: Site) -> None:
    fake, target = site()
    person = someone(fake.system, "1001")
    fake.habits.left_out.add(person.id)
    with pytest.raises(Denied, match="shows nobody, though there are people"):
        target.check()


def test_the_page_shows_settings_that_hold_and_names_all_of_them() -> None:
    page = (Path(__file__).parents[2] / "docs/targets/gallagher.md").read_text(encoding="utf-8")
    shown = tomllib.loads("".join(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)))
    ours = {"type", "controller", "key", "release"}  # keys of every target
    told = {n: value for n, value in shown["targets"]["city"].items() if n not in ours}
    assert GallagherTarget.Config.model_validate(told).card_states["lost"] == "Borttappat"
    table = page.partition("`card_states` has")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert named == set(GallagherTarget.Config.model_fields)
