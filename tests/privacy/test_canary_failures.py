"""What goes wrong is told without a value: files, systems that repeat what they heard, bugs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.privacy.parrot import Parrot
from tests.privacy.people import OPEN
from tests.privacy.site import Site
from tests.privacy.watch import NOWHERE, Heard, Watch
from tests.servers import slapd
from tests.servers.slapd import READER, READER_PASSWORD, SUFFIX, Certificates, Slapd, ldif

WELL = ("local", "scim")
CALLED = ("scim", "gallagher", "arx", "onvif")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("fel") / "stad", WELL).standing() as site:
        yield site


@pytest.fixture
def watch(site: Site, tmp_path: Path) -> Iterator[Watch]:
    yield Watch(site, tmp_path)
    site.write_people()


def nothing_leaks(heard: Heard, *allowed: str) -> None:
    for place in ("out", *NOWHERE):
        found = [one for one in heard.found(place) if one.name.partition("/")[0] not in allowed]
        assert found == [], heard.answer


# ── files ───────────────────────────────────────────────────────────────────────────────


def _in_a_date(site: Site) -> None:
    site.people = (replace(OPEN, until=OPEN.given), *site.people[1:])
    site.write_people()


def _in_a_mark(site: Site) -> None:
    site.people = (replace(OPEN, mark=OPEN.family), *site.people[1:])
    site.write_people()


def _in_the_header(site: Site) -> None:
    rows = (site.folder / "hr.csv").read_text(encoding="utf-8").splitlines()[1:]
    # a first row that looks like the header that is missing
    site.text("hr.csv", [f"PersonIdd;Nrr;{OPEN.given};{OPEN.family}", *rows])


def _without_a_header(site: Site) -> None:
    rows = (site.folder / "directory.csv").read_text(encoding="utf-8").splitlines()[1:]
    site.text("directory.csv", rows)


def _cut_off(site: Site) -> None:
    file = site.folder / "hr.csv"
    file.write_bytes(file.read_bytes()[:-60])


def _other_letters(site: Site) -> None:
    file = site.folder / "hr.csv"
    file.write_bytes(file.read_text(encoding="utf-8").encode("latin-1"))


def _torn_quotes(site: Site) -> None:
    file = site.folder / "directory.csv"
    file.write_text(file.read_text().replace(OPEN.shown, f'"{OPEN.shown}'), encoding="utf-8")


HARMS = (
    _in_a_date, _in_a_mark, _in_the_header, _without_a_header, _cut_off, _other_letters,
    _torn_quotes,
)  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_a_file_that_is_wrong_is_refused_without_its_words(
    site: Site, watch: Watch, harm: Callable[[Site], None]
) -> None:
    people = site.people
    harm(site)
    try:
        heard = watch("check", "--json")
    finally:
        site.people = people
    assert heard.answer.code == 4, heard.answer
    nothing_leaks(heard)


# ── systems ─────────────────────────────────────────────────────────────────────────────


def _turned_to(site: Site, kinds: tuple[str, ...], parrot: Parrot) -> str:
    """Let the systems *kinds* be the parrot, and return the configuration as it was."""
    file = site.folder / "connectors.toml"
    text = before = file.read_text(encoding="utf-8")
    for kind in kinds:
        port = site.proxies[kind].port
        text = text.replace(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{parrot.port}")
    file.write_text(text, encoding="utf-8")
    return before


@pytest.mark.parametrize("status", [200, 302, 400, 401, 500])
def test_an_answer_that_repeats_everything_is_told_in_idsyncs_own_words(
    tmp_path: Path, status: int
) -> None:
    site = Site(tmp_path / "stad", CALLED)
    with site.standing(), Parrot(status) as parrot:
        _turned_to(site, CALLED, parrot)
        watch = Watch(site, tmp_path / "watched")
        for words, stdin in (
            (("sync",), ""),
            (("revoke", "-", "--reason", "HR case 17"), OPEN.number),
        ):
            heard = watch(*words, stdin=stdin)
            assert heard.answer.code in (1, 4), heard.answer
            nothing_leaks(heard)
        assert parrot.heard >= len(CALLED)


@pytest.mark.parametrize("status", [400, 409])
def test_a_write_that_is_refused_with_the_persons_name_is_told_without_it(
    tmp_path: Path, status: int
) -> None:
    site = Site(tmp_path / "stad", ("scim",))
    with site.standing(), Parrot(status, upstream=site.fakes["scim"].url) as parrot:
        _turned_to(site, ("scim",), parrot)
        heard = Watch(site, tmp_path / "watched")("sync", "--json")
        assert heard.answer.code in (1, 4), heard.answer
        nothing_leaks(heard, "number", "protected number")
        assert parrot.heard >= 4
        kept = (site.folder / "var" / "idsync.db").read_bytes()
        told = Heard(heard.answer, {"the state": kept})
        assert not told.groups("the state") & {"parrot", "secret"}


def test_wrong_passwords_are_not_repeated(site: Site, watch: Watch) -> None:
    wrong = "kanariefel-lösenord-17"
    heard = watch("check", SCIM_TOKEN=wrong)
    assert heard.answer.code != 0
    nothing_leaks(heard)
    for place, data in heard.places.items():
        assert wrong.encode() not in data, place


@pytest.mark.slapd
def test_a_real_directory_that_refuses_or_answers_shows_nobody(
    tmp_path: Path,
) -> None:
    slapd.required()
    certificates = Certificates(_made(tmp_path / "certificates"))
    entry = ldif(
        f"uid={OPEN.user},ou=people,{SUFFIX}", objectClass="inetOrgPerson", uid=OPEN.user,
        cn=OPEN.shown, sn=OPEN.family, givenName=OPEN.given, mail=OPEN.mail,
        employeeNumber=OPEN.number, homePostalAddress=OPEN.address,
        telephoneNumber=OPEN.phone,
    )  # fmt: skip
    site = Site(tmp_path / "stad", ("local",))
    with Slapd(_made(tmp_path / "slapd"), certificates, entry) as server, site.standing():
        password = site.secret("ldap", READER_PASSWORD)["file"]
        table = f"""[sources.directory]
type = "ldap"
url = "{server.ldaps_url}"
ca_file = "{certificates.ca}"
bind_dn = "{READER}"
password = {{ file = "{password}" }}
base = "ou=people,{SUFFIX}"
filter = "(objectClass=inetOrgPerson)"
key = "entryUUID"
map = {{ employee_number = "employeeNumber", mail = "mail", display_name = "cn" }}

"""
        file = site.folder / "connectors.toml"
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"\[sources\.directory\].*?(?=\[sources\.lms\])", table, text, flags=re.S)
        file.write_text(text, encoding="utf-8")
        watch = Watch(site, tmp_path / "watched")
        heard = watch("sync", CANARY_LDAP="1")
        assert heard.answer.code == 0, heard.answer
        nothing_leaks(heard)
        assert b"ldap3" in heard.places["log"], "nobody listened to ldap3"
        Path(password).write_text("kanariefel-lösenord-18")
        heard = watch("sync", CANARY_LDAP="1")
        assert heard.answer.code == 4, heard.answer
        nothing_leaks(heard)
        assert b"kanariefel" not in b"".join(heard.places.values())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


# ── bugs ────────────────────────────────────────────────────────────────────────────────

STAGES = {
    "reading a source": ("sync", "idsync.sources.csv:CsvSource.read"),
    "who is who": ("sync", "idsync.mapping.correlate:correlate"),
    "the rules": ("plan", "idsync.mapping.rules:desire"),
    "reading a system": ("sync", "idsync.targets.scim:ScimTarget.read"),
    "the difference": ("plan", "idsync.plan.target:plan_target"),
    "the reasons": ("plan", "idsync.plan.because:with_reasons"),
    "the brake": ("sync", "idsync.plan.brake:brake"),
    "the document": ("plan", "idsync.plan.document:per_change"),
    "the state": ("sync", "idsync.store.frames:Frames.save"),
    "the journal": ("sync", "idsync.store.journal:Journal.intend"),
    "a change": ("sync", "idsync.apply.one:carry_out_one"),
    "a write": ("sync", "idsync.targets.local:LocalTarget.put"),
    "looking afterwards": ("sync", "idsync.apply.readback:achieved"),
    "showing": ("plan", "idsync.cli.showing:show_changes"),
    "orphans": ("orphans", "idsync.plan.orphans:find_orphans"),
}


@pytest.mark.case("A9", "A12")
@pytest.mark.parametrize("stage", STAGES)
def test_a_bug_at_a_whole_record_shows_its_place_and_no_value(
    site: Site, watch: Watch, stage: str
) -> None:
    command, place = STAGES[stage]
    if stage in ("a change", "a write", "looking afterwards", "the journal"):
        site.people = tuple(replace(one, mail=f"x{one.mail}") for one in site.people)
        site.write_people()
    if stage == "looking afterwards":
        site.people = (*site.people[:-1], replace(site.people[-1], until="2026-11-01"))
        site.write_people()
    heard = watch(command, CANARY_RAISE=place)
    assert heard.answer.code != 0, f"{stage} was never reached"
    assert "Traceback" not in heard.answer.err
    nothing_leaks(heard, *(("name", "work") if command == "plan" else ()))
    assert heard.found("err") == []
