"""The same job with a real OpenLDAP over TLS and a real SCIM service gives the same doors."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from idsync.config import connect_target, load
from idsync.service.making_cities import make_city
from tests.servers import slapd
from tests.servers.proxy import Proxy
from tests.servers.scim import TOKEN, ScimServer
from tests.servers.slapd import READER, READER_PASSWORD, SUFFIX, Certificates, Slapd
from tests.whole.town import Answer, Town

PEOPLE = 150
CITY_SUFFIX = "dc=stad,dc=example"

pytestmark = [pytest.mark.slapd, pytest.mark.scim]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small city, its access systems empty and its brake wide for their first filling."""
    folder = tmp_path_factory.mktemp("city")
    make_city(folder, PEOPLE, 7, date(2026, 11, 23))
    file = folder / "connectors.toml"
    text = file.read_text(encoding="utf-8")
    text = re.sub(r'^initial = ".*"$', "create = true", text, flags=re.MULTILINE)
    text = text.replace("gaining = { people = 5,", "gaining = { people = 500,")
    file.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def directory(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """The city's directory in a real slapd."""
    slapd.required()
    folder = tmp_path_factory.mktemp("slapd")
    (folder / "certificates").mkdir()
    certificates = Certificates(folder / "certificates")
    entries = (city / "directory" / "city.ldif").read_text(encoding="utf-8").split("\n\n", 3)[3]
    server = Slapd(folder / "server", certificates, moved(entries))
    server.certificates = certificates  # type: ignore[attr-defined]  # for the clients
    with server:
        yield server


def moved(entries: str) -> str:
    """Return LDIF entries of the city under the test server's suffix, encoded ones too."""

    def recoded(line: re.Match[str]) -> str:
        text = base64.b64decode(line[2]).decode().replace(CITY_SUFFIX, SUFFIX)
        return f"{line[1]}:: {base64.b64encode(text.encode()).decode()}"

    plain = entries.replace(CITY_SUFFIX, SUFFIX)
    return re.sub(r"^(dn|member):: (.+)$", recoded, plain, flags=re.MULTILINE)


def with_sections(text: str, sections: dict[str, str]) -> str:
    """Return a configuration with whole tables replaced, their sub-tables left out."""
    parts = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    kept = []
    for part in parts:
        name = part.split("]", 1)[0].strip("[")
        if name in sections:
            kept.append(f"[{name}]\n{sections[name]}\n")
        elif not any(name.startswith(f"{replaced}.") for replaced in sections):
            kept.append(part)
    return "".join(kept)


def ldap_sections(port: int, ca: Path, password: Path) -> dict[str, str]:
    common = f"""
type = "ldap"
url = "ldaps://127.0.0.1:{port}"
ca_file = "{ca}"
bind_dn = "{READER}"
password = {{ file = "{password}" }}
base = "ou=people,{SUFFIX}"
filter = "(objectClass=inetOrgPerson)"
key = "entryUUID"
page_size = 25
timeout_s = 10
"""
    fields = (
        'map = { employee_number = "employeeNumber", user_name = "uid", given_name = "givenName", '
        'family_name = "sn", display_name = "cn", mail = "mail", kind = "employeeType" }'
    )
    groups = (
        f'kind = "memberships"\ngroup_base = "ou=groups,{SUFFIX}"\n'
        'map = { employee_number = "employeeNumber" }'
    )
    return {
        "sources.directory": f'{common}kind = "persons"\n{fields}\n',
        "sources.groups": f"{common}{groups}\n",
    }


def town_of(city: Path, folder: Path, sections: dict[str, str]) -> Town:
    """Return a town that reads the city's files and keeps its own state and systems."""
    folder.mkdir()
    text = (city / "connectors.toml").read_text(encoding="utf-8")
    for name in ("hr", "directory", "lms"):
        (folder / name).symlink_to(city / name)
    (folder / "connectors.toml").write_text(with_sections(text, sections), encoding="utf-8")
    return Town(folder)


def opened_now(town: Town) -> set[tuple[str, str, str]]:
    """Return target, key and right of every grant that is in force."""
    config = load(town.folder / "connectors.toml")
    now = datetime.now(UTC)
    rights = set()
    for name, table in config.targets.items():
        target = connect_target(table)
        for holder in target.read():
            for grant in holder.grants:
                begun = grant.valid_from is None or grant.valid_from <= now
                if begun and (grant.valid_to is None or grant.valid_to > now):
                    rights.add((name, holder.key or "", grant.ref))
        target.close()
    return rights


def secret(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_directory_and_scim_give_the_same_doors_as_files(
    city: Path, directory: Slapd, tmp_path: Path
) -> None:
    plain = town_of(city, tmp_path / "files", {})
    assert plain.json("sync", code=0)["outcome"] == "applied"

    password = secret(tmp_path, "password", READER_PASSWORD)
    certificates: Certificates = directory.certificates  # type: ignore[attr-defined]
    sections = ldap_sections(directory.ldaps_port, certificates.ca, password)
    service = ScimServer(page_limit=40)
    try:
        token = secret(tmp_path, "token", TOKEN)
        sections["targets.skola"] = (
            f'type = "scim"\nurl = "{service.url}"\ntoken = {{ file = "{token}" }}\n'
            'controller = "grundskoleforvaltningen"\nkey = "employee_number"\n'
            'release = ["display_name"]\ncreate_groups = true\n'
        )
        real = town_of(city, tmp_path / "real", sections)
        first = real.json("sync", code=0)
        assert first["outcome"] == "applied"
        assert first["sources"]["directory"]["complete"]
        assert "final page" in first["sources"]["directory"]["reason"]
        assert first["targets"]["skola"]["create"] > 10
        second = real.json("sync", code=0)
        assert (second["outcome"], second["writes"]) == ("no-change", 0)
        doors = opened_now(real)
        assert {right for right in doors if right[0] == "skola"}
        alarms = {one for one in opened_now(plain) if one[0] == "skola" and "LARM" in one[2]}
        assert doors == opened_now(plain) - alarms  # SCIM has no place for alarm rights
        refused = [one for one in second["refusals"] if one["target"] == "skola"]
        assert len(refused) == len(alarms) > 0
        _revoked_everywhere(real, service)
    finally:
        service.close()


def _revoked_everywhere(town: Town, service: ScimServer) -> None:
    """One person's access ends in the SCIM service too, and stays ended."""
    key = sorted(key for target, key, _ in opened_now(town) if target == "skola")[0]
    order = town.json("revoke", key, "--reason", "slut", code=0)
    assert {one["target"]: one["outcome"] for one in order["targets"]}["skola"] == "confirmed"
    assert not {right for right in opened_now(town) if right[1] == key}
    query = f'Users?filter=externalId%20eq%20"{key}"'
    assert service.ask("GET", query)["Resources"][0]["active"] is False
    assert town.json("sync", code=0)["writes"] == 0


def test_a_directory_that_goes_down_between_two_pages_removes_nobody(
    city: Path, directory: Slapd, tmp_path: Path
) -> None:
    password = secret(tmp_path, "password", READER_PASSWORD)
    certificates: Certificates = directory.certificates  # type: ignore[attr-defined]
    town = town_of(
        city, tmp_path / "town", ldap_sections(directory.ldaps_port, certificates.ca, password)
    )
    town.json("sync", code=0)
    before = opened_now(town)
    with Proxy(directory.ldaps_port, after=12_000, fault="cut") as proxy:
        cut = with_sections(
            (city / "connectors.toml").read_text(encoding="utf-8"),
            ldap_sections(proxy.port, certificates.ca, password),
        )
        (town.folder / "connectors.toml").write_text(cut, encoding="utf-8")
        plan = town.json("plan", code=4)
        assert not plan["sources"]["directory"]["complete"]
        assert plan["sources"]["hr"]["complete"]
        assert [c for c in plan["changes"] if c["action"] == "revoke"] == []
        shown: Answer = town.run("sync")
    assert shown.code == 4
    assert "directory" in shown.out
    assert READER_PASSWORD not in shown.out + shown.err + json.dumps(plan)
    assert opened_now(town) == before
