"""What the ldap source reads from a real OpenLDAP, and how it refuses to be misread."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import ldap3
import polars as pl
import pytest
from ldap3.protocol.rfc4511 import LDAPMessage
from ldap3.utils.asn1 import decoder

from idsync.errors import ConfigError, Incomplete
from idsync.sources import RECORDS, Batch
from idsync.sources.ldap import LdapSource
from idsync.sources.ldap_settings import LdapConfig
from tests.servers.proxy import Proxy
from tests.servers.slapd import READER, READER_PASSWORD, Certificates, Slapd
from tests.sources.conftest import AWKWARD, GIVEN, GROUPS, GUID, INJECTION, PEOPLE, PLAIN

pytestmark = pytest.mark.slapd
Make = Callable[..., LdapConfig]
TOTAL = PLAIN + len(AWKWARD) + 2


def batches(config: LdapConfig) -> list[Batch]:
    """Read everything; whatever came must fit the promise."""
    source = LdapSource(config)
    found = list(source.read(None))
    source.close()
    for batch in found:
        assert set(batch.records.schema.items()) <= set(RECORDS[batch.kind].items())
    assert [batch.proof is not None for batch in found] == [False] * (len(found) - 1) + [True]
    return found


def people(config: LdapConfig) -> pl.DataFrame:
    """Read persons, ordered by key."""
    [batch] = batches(config)
    return batch.records.sort("key")


def memberships(config: LdapConfig) -> dict[str, set[str]]:
    """Read memberships: role = the keys of the people in it."""
    found: dict[str, set[str]] = {}
    for batch in batches(config):
        if batch.kind == "memberships":
            for key, role in batch.records.select("person_key", "role").iter_rows():
                found.setdefault(role, set()).add(key)
    return found


# ── people ──────────────────────────────────────────────────────────────────────────────


def test_everybody_comes_over_tls_with_swedish_letters_and_proof(
    directory: Slapd, certificates: Certificates, config: Make
) -> None:
    [batch] = batches(config(directory.ldaps_url, ca_file=certificates.ca))
    assert batch.proof == f"final page seen, {TOTAL} entries"
    names = set(batch.records["display_name"])
    assert {f"{GIVEN[number % 5]} Öberg {number}" for number in range(PLAIN)} <= names
    assert batch.records["key"].n_unique() == TOTAL


def test_start_tls_reads_the_same_as_ldaps(
    directory: Slapd, certificates: Certificates, config: Make
) -> None:
    over_tls = config(directory.ldaps_url, ca_file=certificates.ca)
    started = config(directory.url, ca_file=certificates.ca, start_tls=True)
    assert people(started).equals(people(over_tls))


def test_a_host_name_is_checked_as_well_as_an_address(
    directory: Slapd, certificates: Certificates, config: Make
) -> None:
    url = f"ldap://localhost:{directory.port}"
    assert people(config(url, ca_file=certificates.ca, start_tls=True)).height == TOTAL


@pytest.mark.case("S22")
@pytest.mark.parametrize("size", [1, 2, 7, TOTAL, TOTAL + 1])
def test_the_size_of_a_page_changes_nothing(directory: Slapd, config: Make, size: int) -> None:
    assert people(config(directory.url, page_size=size)).equals(people(config(directory.url)))


def test_what_comes_is_what_ldap3_decodes(directory: Slapd, config: Make) -> None:
    columns = {"given_name": "givenName", "family_name": "sn", "display_name": "cn"}
    connection = ldap3.Connection(
        ldap3.Server(directory.url, get_info=ldap3.NONE),
        READER, READER_PASSWORD, auto_bind=True, auto_referrals=False,
    )  # fmt: skip
    asked = ["entryUUID", *columns.values()]
    connection.search(PEOPLE, "(objectClass=inetOrgPerson)", attributes=asked)
    theirs = [
        {
            field: min(entry["raw_attributes"][attribute]).decode()
            for field, attribute in (("key", "entryUUID"), *columns.items())
            if entry["raw_attributes"][attribute]
        }
        for entry in connection.response
    ]
    connection.unbind()
    ours = people(config(directory.url, map=columns)).to_dicts()
    known = [{field: text for field, text in row.items() if text is not None} for row in ours]
    assert known == sorted(theirs, key=lambda row: row["key"])


def test_only_what_is_mapped_is_asked_for_and_paging_is_critical(
    directory: Slapd, config: Make
) -> None:
    with Proxy(directory.port) as proxy:
        people(config(f"ldap://127.0.0.1:{proxy.port}", page_size=50))
    searches = [request for request in requests(bytes(proxy.sent)) if search(request) is not None]
    assert len(searches) == 2
    for request in searches:
        asked = search(request)
        assert {str(name) for name in asked["attributes"]} == {
            "entryUUID", "employeeNumber", "cn", "mail",
        }  # fmt: skip
        assert asked["derefAliases"] == 0
        [control] = request["controls"]
        assert bytes(control["controlType"]) == b"1.2.840.113556.1.4.319"
        assert bool(control["criticality"])


def requests(sent: bytes) -> Iterator[Any]:
    while sent:
        request, sent = decoder.decode(sent, asn1Spec=LDAPMessage())
        yield request


def search(request: Any) -> Any:
    operation = request["protocolOp"]
    return operation.getComponent() if operation.getName() == "searchRequest" else None


def test_of_several_values_the_least_is_taken(directory: Slapd, config: Make) -> None:
    mails = people(config(directory.url))["mail"].drop_nulls()
    assert set(mails) == {f"a{number}@staden.test" for number in range(PLAIN)}


def test_what_an_entry_does_not_hold_is_unknown(directory: Slapd, config: Make) -> None:
    [batch] = batches(config(directory.url, map={"mail": "mail", "phone": "homePhone"}))
    assert batch.records["mail"].null_count() == TOTAL - PLAIN
    assert batch.records["phone"].null_count() == TOTAL
    assert batch.proof == f"final page seen, {TOTAL} entries; none holds homePhone"


def test_text_that_looks_like_a_filter_stays_text(directory: Slapd, config: Make) -> None:
    found = people(config(directory.url)).filter(pl.col("employee_number") == INJECTION)
    # The Swedish variant of the name was not asked for and is not taken.
    assert found["display_name"].to_list() == [INJECTION]


def test_a_guid_is_a_key_and_an_account_flag_is_a_status(directory: Slapd, config: Make) -> None:
    special = config(
        directory.url,
        filter="(uid=special)",
        key="objectGUID",
        map={"status": "USERaccountCONTROL", "kind": "employeeType", "birth_date": "description"},
        values={"kind": {"vikarie": "employee"}},
    )
    assert people(special).to_dicts() == [
        {"key": str(GUID), "status": "suspended", "kind": "employee", "birth_date": "1980-02-29"}
    ]


def test_a_value_without_translation_is_an_error_that_does_not_show_it(
    directory: Slapd, config: Make
) -> None:
    table = {"map": {"kind": "employeeType"}, "values": {"kind": {"fast": "employee"}}}
    with pytest.raises(ConfigError, match=r"employeeType of entry \d+ .* values\.kind") as caught:
        people(config(directory.url, **table))
    assert "vikarie" not in str(caught.value)


def test_a_status_that_idsync_does_not_know_is_an_error(directory: Slapd, config: Make) -> None:
    with pytest.raises(ConfigError, match=r"none of active, suspended, archived"):
        people(config(directory.url, map={"status": "employeeType"}))


def test_bytes_that_are_not_text_make_the_read_incomplete(directory: Slapd, config: Make) -> None:
    with pytest.raises(Incomplete, match=r"jpegPhoto of entry 1 is not text in UTF-8") as caught:
        people(config(directory.url, filter="(uid=special)", map={"phone": "jpegPhoto"}))
    assert "hemligt" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base": f"ou=borta,{PEOPLE}"}, "base is not on"),
        ({"base": "ou=annat,dc=utanför"}, "base is not on"),
        ({"base": "inte ett namn"}, "base is not on"),
        ({"kind": "memberships", "group_base": f"ou=borta,{GROUPS}"}, "group_base is not on"),
        ({"filter": "(uid=p001"}, "filter is not an LDAP filter"),
        ({"filter": ""}, "filter is not an LDAP filter"),
        ({"kind": "memberships", "group_filter": "(cn=*"}, "group_filter is not an LDAP filter"),
        ({"key": "objectGUID"}, r"entry 1 has no objectGUID"),
        ({"kind": "memberships", "role": "description"}, "group 1 has no description"),
        ({"kind": "memberships", "role": "objectClass"}, "groups 1 and 2 have the same"),
        (
            {"kind": "memberships", "map": {"employee_number": "roomNumber"}},
            f"none of {TOTAL} entries has roomNumber",
        ),
    ],
)
def test_a_setting_that_does_not_fit_the_directory_is_named(
    directory: Slapd, config: Make, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        batches(config(directory.url, **changes))


def test_a_key_that_two_entries_share_is_no_key(directory: Slapd, config: Make) -> None:
    with pytest.raises(Incomplete, match=r"entries came twice"):
        people(config(directory.url, key="sn"))


def test_a_filter_may_hold_swedish_letters_and_escapes(directory: Slapd, config: Make) -> None:
    asked = r"(&(givenName=Örjan)(!(cn=*\29*)))"
    assert people(config(directory.url, filter=asked)).height == PLAIN // 5


def test_a_read_can_be_made_again_and_left_in_the_middle(directory: Slapd, config: Make) -> None:
    source = LdapSource(config(directory.url))
    next(source.read(None))
    assert sum(len(batch.records) for batch in source.read("anything")) == TOTAL
    source.close()
    source.close()


def test_more_people_than_a_batch_holds_come_in_several(
    directory: Slapd, config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ldap", "ldap_values"):
        monkeypatch.setattr(f"idsync.sources.{module}.ROWS", 20)
    found = batches(config(directory.url, page_size=7))
    assert [len(batch.records) for batch in found] == [20, 20, 20, TOTAL - 60]
    assert pl.concat([batch.records for batch in found])["key"].n_unique() == TOTAL
    roles = batches(config(directory.url, kind="memberships"))
    assert max(len(batch.records) for batch in roles[1:]) <= 21
    assert len(roles) > 2


# ── memberships ─────────────────────────────────────────────────────────────────────────


@pytest.mark.case("S30")
def test_nested_groups_are_resolved_and_a_circle_ends(directory: Slapd, config: Make) -> None:
    found = memberships(config(directory.url, kind="memberships"))
    teachers = {str(1000 + number) for number in range(20)}
    assert found["lärare"] == teachers
    # rektorer holds alla, which holds rektorer and itself.
    assert found["alla"] == found["rektorer"] == teachers | {"1030"}


@pytest.mark.case("S30")
def test_names_with_commas_quotes_and_blanks_find_their_people(
    directory: Slapd, config: Make
) -> None:
    found = memberships(config(directory.url, kind="memberships"))
    assert found["awkward"] == set(AWKWARD.values())


def test_a_member_that_is_no_person_in_scope_is_nobody(directory: Slapd, config: Make) -> None:
    assert "utanför" not in memberships(config(directory.url, kind="memberships"))


def test_whoever_is_in_a_group_comes_as_a_person_and_nobody_else(
    directory: Slapd, config: Make
) -> None:
    found = batches(config(directory.url, kind="memberships", page_size=3))
    persons = pl.concat([batch.records for batch in found if batch.kind == "persons"])
    named = pl.concat([batch.records for batch in found if batch.kind == "memberships"])
    assert persons["key"].n_unique() == len(persons)
    assert set(persons["key"]) == set(named["person_key"])
    assert persons["employee_number"].to_list() == persons["key"].to_list()
    assert found[-1].proof == (
        f"final pages seen: {TOTAL} entries, 5 groups, {len(named)} memberships"
    )


def test_groups_that_hold_nobody_are_a_complete_read_too(directory: Slapd, config: Make) -> None:
    nobody = config(directory.url, kind="memberships", group_filter="(cn=utanför)")
    found = batches(nobody)
    assert [len(batch.records) for batch in found] == [0, 0]


# ── settings ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "changes", "told"),
    [
        ("ldap://dc1.staden.test", {}, "in clear"),
        ("ldap://10.0.0.1:389", {}, "in clear"),
        ("ldaps://dc1.staden.test", {"start_tls": True}, "has TLS already"),
        ("http://dc1.staden.test", {}, "ldaps://host"),
        ("ldaps://dc1.staden.test/dc=test", {}, "the rest in base"),
        ("ldaps://dc1.staden.test:70000", {}, "ldaps://host"),
        ("ldaps://", {}, "ldaps://host"),
        ("ldaps://a", {"map": {"emploee_number": "x"}}, "did you mean employee_number"),
        ("ldaps://a", {"map": {"mail": "*"}}, "name of one attribute"),
        ("ldaps://a", {"key": "cn)(x"}, "name of one attribute"),
        ("ldaps://a", {"values": {"kind": {"a": "b"}}}, "add kind to map"),
        ("ldaps://a", {"map": {"status": "x"}, "values": {"status": {"a": "on"}}}, "are known"),
        ("ldaps://a", {"group_base": "ou=x"}, 'kind = "memberships"'),
        ("ldaps://a", {"kind": "memberships", "group_base": None}, "needs group_base"),
        ("ldaps://a", {"kind": "memberships", "person": "mail"}, "add it to map"),
        ("ldaps://a", {"timeout_s": 0.5}, "timeout_s"),
        ("ldaps://a", {"page_size": 0}, "page_size"),
        ("ldaps://a", {"password": "hemligt"}, "never stands in this file"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_sent(
    config: Make, url: str, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        config(url, **changes)
    assert "hemligt" not in str(caught.value)


def test_everything_combined_reads_the_same(
    directory: Slapd, certificates: Certificates, config: Make
) -> None:
    whole = memberships(config(directory.url, kind="memberships"))
    for size, start_tls in itertools.product((1, 4), (False, True)):
        other = config(
            directory.url, kind="memberships", page_size=size,
            start_tls=start_tls, ca_file=certificates.ca,
        )  # fmt: skip
        assert memberships(other) == whole
