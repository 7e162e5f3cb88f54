"""A real directory from night to night: who is deleted, what is renamed, which server answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from idsync.config import load
from idsync.service import applying
from idsync.service.reading import absences, accepted
from idsync.store import open_state
from tests.servers import slapd
from tests.servers.slapd import (
    BASE,
    LIMITED,
    LIMITED_PASSWORD,
    READER,
    READER_PASSWORD,
    SUFFIX,
    Certificates,
    Slapd,
    ldif,
    ldif_account,
)

pytestmark = pytest.mark.slapd

CONFIG = """
[idsync]
state = "sqlite:///var/idsync.db"

[sources.directory]
type = "ldap"
url = "{url}"
bind_dn = "{reader}"
password = {{ env = "IDSYNC_TEST_PASSWORD" }}
base = "{base}"
filter = "{filter}"
map = {{ employee_number = "employeeNumber" }}
key = "employeeNumber"
"""
EVERYBODY = "(objectClass=inetOrgPerson)"


def content(people: range, unit: str = "Skola") -> str:
    """Return people, all of them under one organizational unit."""
    inside = f"ou={unit},ou=people,{SUFFIX}"
    return ldif(inside, objectClass="organizationalUnit", ou=unit) + "".join(
        ldif(
            f"uid=p{i},{inside}",
            objectClass="inetOrgPerson", sn="Öberg", cn=f"Åsa {i}", employeeNumber=str(1000 + i),
        )
        for i in people
    )  # fmt: skip


class Nights:
    """A directory that changes, and what is believed of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "certificates").mkdir(parents=True)
        self.certificates = Certificates(folder / "certificates")
        self.server = Slapd(folder / "one", self.certificates, content(range(40)))
        self.server.start()
        self.settings = {
            "url": self.server.url, "reader": READER, "filter": EVERYBODY,
            "base": f"ou=people,{SUFFIX}",
        }  # fmt: skip

    def holds(self, text: str) -> None:
        """Let the directory hold *text* from now on."""
        self.server.stop()
        shutil.rmtree(self.server.folder / "data")
        (self.server.folder / "data").mkdir()
        accounts = ldif_account(READER, READER_PASSWORD) + ldif_account(LIMITED, LIMITED_PASSWORD)
        self.server.load(f"{BASE}\n{accounts}{text}")
        self.server.start()

    def night(self, **changes: str) -> dict[str, Any]:
        """Run, with *changes* of the settings; return what is told of the directory."""
        file = self.folder / "connectors.toml"
        file.write_text(CONFIG.format(**(self.settings | changes)), encoding="utf-8")
        config = load(file)
        state = open_state(config.idsync.state)
        try:
            run = applying.sync(config, state, lambda _: None)
            self.believed = accepted("directory", state)["persons"].height
            self.absent = [rows.height for rows in absences("directory", state).values()]
        finally:
            state.close()
        return dict(run.document()["sources"]["directory"])


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    slapd.required()
    monkeypatch.setenv("IDSYNC_TEST_PASSWORD", READER_PASSWORD)
    made = Nights(tmp_path / "nights")
    yield made
    made.server.stop()


@pytest.mark.case("S18")
def test_whoever_is_deleted_is_gone_when_two_whole_reads_of_one_server_agree(
    nights: Nights,
) -> None:
    assert nights.night()["complete"]
    nights.holds(content(range(38)))
    assert nights.night()["absent"] == 2
    assert nights.believed == 40
    with Slapd(nights.folder / "old", nights.certificates, content(range(30))) as other:
        told = nights.night(url=other.url)  # a copy that lags behind, for a night
        assert not told["complete"]
        assert told["reason"].startswith("scope changed: the settings of this source")
        assert nights.believed == 40, "what one server misses another one does not count"
    nights.night()
    assert nights.night()["absent"] == 0
    assert nights.believed == 38


@pytest.mark.case("S27")
def test_a_renamed_unit_that_the_source_reads_is_no_mass_that_left(nights: Nights) -> None:
    base = f"ou=Skola,ou=people,{SUFFIX}"
    nights.night(base=base)
    nights.holds(content(range(40), unit="Utbildning"))
    told = nights.night(base=base)
    assert not told["complete"]
    assert nights.believed == 40
    told = nights.night(base=f"ou=Utbildning,ou=people,{SUFFIX}")
    assert told["complete"]
    assert told["absent"] == 0, "each is known by the same key"


@pytest.mark.case("S27")
def test_a_filter_that_leaves_people_out_is_another_scope(nights: Nights) -> None:
    nights.night()
    told = nights.night(filter=f"(&{EVERYBODY}(!(employeeNumber=1001)))")
    assert [doubt["part"] for doubt in told["doubts"]] == ["scope"]
    assert told["reason"].startswith("scope changed: ")
    assert (nights.believed, nights.absent) == (40, [1])
