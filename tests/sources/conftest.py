"""A directory of made-up people on a real OpenLDAP, for the tests of the ldap source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from idsync.sources.ldap_settings import LdapConfig
from tests.servers import slapd
from tests.servers.slapd import READER, READER_PASSWORD, SUFFIX, Certificates, Slapd, ldif

PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
GIVEN = ("Åsa", "Örjan", "Märta", "Göran", "Zoë")
PLAIN = 60
GUID = UUID("01020304-0506-0708-090a-0b0c0d0e0f10")
INJECTION = "*)(uid=*))(|(uid=*"

AWKWARD = {
    r"cn=Ek\, Åsa+uid=awkward1": "9001",
    r"cn=\#1 \"Kvasten\" Öst\+Väst\; \<A\\B\>": "9002",
    r"cn=\ Blank\ ": "9003",
}
"""Names that a distinguished name must escape, with the employee number of who has them."""


def plain(number: int) -> str:
    """Return the distinguished name of plain person *number*."""
    return f"uid=p{number:03d},{PEOPLE}"


def _people() -> str:
    common: dict[str, Any] = {"objectClass": "inetOrgPerson", "sn": "Öberg"}
    text = "".join(
        ldif(
            plain(number),
            **common,
            cn=f"{GIVEN[number % 5]} Öberg {number}",
            givenName=GIVEN[number % 5],
            mail=[f"{letter}{number}@staden.test" for letter in "zam"],
            employeeNumber=str(1000 + number),
        )
        for number in range(PLAIN)
    )
    for name, number in AWKWARD.items():
        text += ldif(f"{name},{PEOPLE}", **common, employeeNumber=number)
    special: dict[str, Any] = {**common, "objectClass": ["inetOrgPerson", "testAccount"]}
    text += ldif(
        f"uid=special,{PEOPLE}",
        **special,
        cn=INJECTION,
        cn_lang_sv="På svenska",
        displayName="Särskild",
        employeeNumber=INJECTION,
        employeeType="vikarie",
        jpegPhoto=b"\xff\xd8\xff hemligt",
        objectGUID=GUID.bytes_le,
        userAccountControl="514",
        description="19800229",
    )
    # A service account: in scope, and nobody with an employee number.
    return text + ldif(f"uid=service,{PEOPLE}", **common, cn="service")


def _groups() -> str:
    def group(name: str, *members: str) -> str:
        return ldif(f"cn={name},{GROUPS}", objectClass="groupOfNames", cn=name, member=members)

    return (
        group("lärare", *(plain(number) for number in range(20)))
        + group("rektorer", plain(1).upper(), plain(30), f"cn=Alla,{GROUPS}")
        + group("alla", f"cn=lärare,{GROUPS}", f"cn=REKTORER,{GROUPS}", f"cn=alla,{GROUPS}")
        + group("awkward", *(f"{name},{PEOPLE}" for name in AWKWARD))
        + group("utanför", READER, f"uid=service,{PEOPLE}", f"uid=gone,{PEOPLE}")
    )


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and what it signed, or a skip where slapd is not installed."""
    slapd.required()
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def directory(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Slapd]:
    """A running server with the people and groups above. No test changes it."""
    folder = tmp_path_factory.mktemp("slapd")
    with Slapd(folder / "one", certificates, _people() + _groups()) as server:
        yield server


@pytest.fixture(scope="session")
def everything() -> str:
    """The people and groups above as LDIF, for a test that needs a server to itself."""
    return _people() + _groups()


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the password that `config` points to; at first the reader's."""
    monkeypatch.setenv("IDSYNC_TEST_PASSWORD", READER_PASSWORD)
    return lambda text: monkeypatch.setenv("IDSYNC_TEST_PASSWORD", text)


@pytest.fixture
def config(password: Callable[[str], None]) -> Callable[..., LdapConfig]:
    """Makes settings: *url*, and what shall differ from the usual."""

    def made(url: str, **changes: Any) -> LdapConfig:
        table: dict[str, Any] = {
            "url": url,
            "bind_dn": READER,
            "password": {"env": "IDSYNC_TEST_PASSWORD"},
            "base": PEOPLE,
            "filter": "(objectClass=inetOrgPerson)",
            "map": {"employee_number": "employeeNumber", "display_name": "cn", "mail": "mail"},
            "timeout_s": 5,
        }
        if changes.get("kind") == "memberships":
            table |= {"group_base": GROUPS, "map": {"employee_number": "employeeNumber"}}
        return LdapConfig.model_validate(table | changes, context={"folder": Path()})

    return made
