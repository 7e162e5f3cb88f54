"""Security event tokens: which are taken, and by which code each other one is refused."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idsync.config import load
from idsync.errors import ConfigError
from idsync.secevent import keys_of
from idsync.secevent_kinds import CAEP, MEANING, RISC, SCIM
from idsync.webhook import Malformed
from tests.inbox.office import town_in
from tests.inbox.tokens import (
    AUDIENCE,
    BY_FILE,
    DISABLED,
    ISSUER,
    KEYS,
    LIBRARIES,
    REVOKED,
    SENDER,
    SUBJECT,
    SetOffice,
    as_it_is,
    jwk,
    jwks,
    public_pem,
    put_together,
    signed,
)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[SetOffice]:
    made = SetOffice(town_in(tmp_path))
    yield made
    made.close()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SetOffice]:
    """One office for all that is refused: nothing of it may ever stand in the inbox."""
    made = SetOffice(town_in(tmp_path_factory.mktemp("sets")))
    yield made
    assert stored(made) == []
    made.close()


def stored(office: SetOffice) -> list[tuple[str, str]]:
    return [(one.kind, one.person) for one in office.state.inbox.open(office.clock())]


# ── taken ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("W4")
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kid", KEYS)
def test_a_token_of_either_library_is_taken(office: SetOffice, kid: str, library: str) -> None:
    assert office.push(signed(office.said(), kid, library)).status == 202
    assert stored(office) == [("person.ended", "p1")]


def test_the_newer_name_of_ed25519_is_taken_too(office: SetOffice) -> None:
    token = signed(office.said(), "EdDSA-1", "joserfc", alg="Ed25519")
    assert office.push(token).status == 202


@pytest.mark.parametrize(
    "changed",
    [{"aud": ["https://other.example.se", AUDIENCE]}, {"txn": "t1"}, {"toe": 1764000000},
     {"iat": 1764000000.5}, {"events": {DISABLED.upper(): {"reason": "hijacking"}}},
     {"events": {DISABLED: {"subject": SUBJECT}}},
     {"sub_id": None, "events": {DISABLED: {"subject": {"subject_type": "opaque", "id": "p1"}}}},
     {"events": {f"{SCIM}prov:deactivate": {}, f"{SCIM}feed:remove".upper(): {}}}],
    ids=lambda one: json.dumps(one)[:50],
)  # fmt: skip
def test_what_a_token_may_say_beside_is_no_reason_to_refuse_it(
    office: SetOffice, changed: dict[str, Any]
) -> None:
    if "iat" in changed:
        changed = {"iat": office.now.timestamp() + 0.5}  # a part of a second
    assert office.push(signed(office.said(**changed))).status == 202
    assert stored(office) == [("person.ended", "p1")]


def test_one_key_alone_needs_no_name(office: SetOffice) -> None:
    office.publish(office.town, "ES256-1")
    header = {"alg": "ES256", "typ": "application/SecEvent+JWT"}
    assert office.push(as_it_is(header, office.said())).status == 202


def test_where_a_header_says_that_keys_are_is_not_looked_at(office: SetOffice) -> None:
    header = {"alg": "ES256", "typ": "secevent+jwt", "kid": "ES256-1", "x5t": "AAAA",
              "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/"}  # fmt: skip
    assert office.push(as_it_is(header, office.said())).status == 202
    stranger = header | {"jwk": jwk("ES256-2")}
    assert office.push(as_it_is(stranger, office.said(), "ES256-2")).code == "authentication_failed"


# ── refused ─────────────────────────────────────────────────────────────────────────────

OTHERS: list[Any] = [None, 17, True, "x", "", [], {}, [None], {"a": 1}]


@pytest.mark.case("W4")
@pytest.mark.parametrize("name", ["iss", "aud", "jti", "iat", "sub_id", "events"])
def test_a_claim_that_is_another_is_refused_by_its_code(one: SetOffice, name: str) -> None:
    codes = {"iss": {"invalid_issuer"}, "aud": {"invalid_audience"},
             "events": {"invalid_request", "access_denied"}}  # fmt: skip
    for value in OTHERS:
        if (name == "jti" and value == "x") or (name == "iat" and value == 17):
            continue  # another id is another token; 1970 is told apart below
        answer = one.push(signed(one.said(**{name: value})))
        assert answer.status == 400, value
        assert answer.code in codes.get(name, {"invalid_request"}), (value, answer)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"iss": f"{ISSUER}/"}, "invalid_issuer"),
        ({"iss": [ISSUER]}, "invalid_issuer"),
        ({"aud": f"{AUDIENCE}/"}, "invalid_audience"),
        ({"aud": {AUDIENCE: 1}}, "invalid_audience"),
        ({"sub": "p1"}, "invalid_request"),
        ({"exp": 4102444800}, "invalid_request"),
        ({"jti": "j" * 257}, "invalid_request"),
        ({"jti": "j\n"}, "invalid_request"),
        ({"toe": "today"}, "invalid_request"),
        ({"events": {DISABLED: "now"}}, "invalid_request"),
        ({"events": {DISABLED: {}, REVOKED: {}}}, "invalid_request"),
        ({"events": {DISABLED: {"event_timestamp": -1}}}, "invalid_request"),
        ({"events": {DISABLED: {"subject": {"format": "opaque", "id": "p2"}}}}, "invalid_request"),
        ({"events": {"https://example.se/a-kind-of-its-own": {}}}, "access_denied"),
        ({"sub_id": {"format": "opaque"}}, "invalid_request"),
        ({"sub_id": {"format": "opaque", "id": 1}}, "invalid_request"),
        ({"sub_id": {"format": "email", "email": "p1"}}, "invalid_request"),
        ({"sub_id": {"format": "complex", "device": SUBJECT}}, "invalid_request"),
        ({"sub_id": {"format": "aliases", "identifiers": [SUBJECT, SUBJECT]}}, "invalid_request"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_a_token_that_is_not_as_agreed_is_refused(
    one: SetOffice, changed: dict[str, Any], code: str
) -> None:
    assert one.push(signed(one.said(**changed))).code == code


@pytest.mark.case("W2", "W16")
@pytest.mark.parametrize("off", [timedelta(days=-7, hours=-1), timedelta(minutes=6)])
def test_an_old_token_and_one_of_tomorrow_are_refused_and_told_of(
    one: SetOffice, off: timedelta
) -> None:
    answer = one.push(signed(one.said(iat=int((one.now + off).timestamp()))))
    assert (answer.code, "iat" in answer.error) == ("invalid_request", True)
    assert [told for told in one.state.inbox.alarms(one.now) if "iat" in told.what]


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "no typ": ({"typ": None}, "invalid_request"),
    "an ID token": ({"typ": "JWT"}, "invalid_request"),
    "an access token": ({"typ": "at+jwt"}, "invalid_request"),
    "crit": ({"crit": ["exp"], "exp": 1}, "invalid_request"),
    "a kid that is not there": ({"kid": "ES256-9"}, "invalid_key"),
    "the kid of a key of another kind": ({"kid": "RS256-1"}, "invalid_key"),
    "no kid where there are several keys": ({"kid": None}, "invalid_key"),
}


@pytest.mark.case("W4")
@pytest.mark.parametrize("what", HEADERS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_header_that_is_another_is_refused_by_its_code(
    one: SetOffice, what: str, library: str
) -> None:
    changed, code = HEADERS[what]
    fields = {"alg": "ES256", "typ": "secevent+jwt", "kid": "ES256-1"} | changed
    header = {name: value for name, value in fields.items() if value is not None}
    answer = one.push(as_it_is(header, one.said(), library=library))
    assert (answer.status, answer.code, answer.strange) == (400, code, True)


@pytest.mark.case("W4")
def test_what_nobody_signed_is_refused_alike(one: SetOffice) -> None:
    good = signed(one.said())
    head, body, signature = good.split(b".")
    other = signed(one.said(jti="other"))
    header = {"alg": "ES256", "typ": "secevent+jwt", "kid": "ES256-1"}
    stranger = as_it_is(header, one.said(), "ES256-2")
    answers = {
        one.push(token) for token in (
            b".".join((head, other.split(b".")[1], signature)),
            b".".join((head, body, other.split(b".")[2])),
            b".".join((head, body, signature[:84])),
            as_it_is(header | {"alg": "RS256", "kid": "RS256-1"}, one.said()),
            put_together(header, one.said(), b"\0" * 64),
            stranger,
        )
    }  # fmt: skip
    assert len(answers) == 1
    assert answers.pop().code == "authentication_failed"


@pytest.mark.case("W4", "W7")
@pytest.mark.parametrize(
    "token",
    [b"", b".", b"..", b"a.b", b"a.b.c.d", b"{}", b"\xff\xfe", b"a" * 70_000,
     put_together({"alg": "none", "typ": "secevent+jwt"}, {}, b"x"),
     put_together({"alg": "none", "typ": "secevent+jwt"}, {}),
     put_together({"alg": "HS512", "typ": "secevent+jwt"}, {}, b"x"),
     put_together({"alg": ["ES256"], "typ": "secevent+jwt"}, {}, b"x"),
     put_together({"alg": "ES256", "typ": 1}, {}, b"x"),
     put_together({"alg": "ES256", "typ": "secevent+jwt", "kid": 1}, {}, b"x"),
     put_together(b'{"alg": "none", "alg": "ES256", "typ": "secevent+jwt"}', {}, b"x"),
     put_together([], {}, b"x"), put_together(b"\xff", {}, b"x")],
    ids=range(17),
)  # fmt: skip
def test_what_is_no_token_is_refused(one: SetOffice, token: bytes) -> None:
    answer = one.push(token)
    assert (answer.code, answer.strange) == ("invalid_request", True)


@pytest.mark.case("W4")
def test_a_public_key_is_no_secret_to_sign_with(one: SetOffice) -> None:
    header = {"alg": "HS256", "typ": "secevent+jwt", "kid": "RS256-1"}
    content = put_together(header, one.said()).rpartition(b".")[0]
    for secret in (public_pem("RS256-1"), public_pem("RS256-1").strip()):
        signature = hmac.digest(secret, content, "sha256")
        assert one.push(put_together(header, one.said(), signature)).code == "invalid_request"


@pytest.mark.case("W7")
@pytest.mark.parametrize(
    "body", [b"[]", b'"x"', b'{"iss": 1, "iss": 2}', b'{"iat": NaN}', b"\xff", b"[" * 20_000]
)
def test_a_payload_that_two_readers_might_read_differently_is_refused(
    one: SetOffice, body: bytes
) -> None:
    assert one.push(signed(body)).code == "invalid_request"


@pytest.mark.parametrize("part", range(3))
def test_a_part_has_one_spelling_only(one: SetOffice, part: int) -> None:
    parts = signed(one.said()).split(b".")
    parts[part] += b"="
    assert one.push(b".".join(parts)).code == "invalid_request"


def test_a_signature_that_is_spelled_otherwise_is_no_second_token(one: SetOffice) -> None:
    token = signed(one.said())  # four bits of its last letter say nothing
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(chr(token[-1])) ^ 1]
    assert one.push(token[:-1] + last.encode()).code == "invalid_request"


def test_a_token_of_more_than_64_kb_is_refused_however_well_it_is_signed(one: SetOffice) -> None:
    assert one.push(signed(one.said(txn="x" * 50_000))).code == "invalid_request"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(
    st.binary(max_size=200),
    st.tuples(st.integers(0, 600), st.integers(1, 255)),
))  # fmt: skip
def test_whatever_comes_is_refused_and_never_an_error(
    one: SetOffice, noise: bytes | tuple[int, int]
) -> None:
    if isinstance(noise, bytes):
        token = noise
    else:
        changed = bytearray(signed(one.said()))
        changed[noise[0] % len(changed)] ^= noise[1]
        token = bytes(changed)
    answer = one.push(token)
    assert answer.status == 400
    assert answer.code in ("invalid_request", "invalid_key", "authentication_failed")


# ── keys ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [1, {}, {"kty": []}]}',
     b'{"keys": [{"kty": "oct", "k": "c2VzYW0", "kid": "a"}]}',
     b'{"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}',
     json.dumps(jwks("RS256-short")).encode(),
     json.dumps({"keys": [jwk("ES256-1") | {"use": "enc"}]}).encode(),
     json.dumps({"keys": [jwk("ES256-1") | {"alg": "HS256"}]}).encode(),
     json.dumps({"keys": [jwk("ES256-1") | {"d": "c2VzYW0"}]}).encode(),
     json.dumps({"keys": [jwk("ES256-1")] * 65}).encode()],
    ids=range(13),
)  # fmt: skip
def test_a_set_of_which_no_key_can_check_a_signature_is_none(text: bytes) -> None:
    with pytest.raises(Malformed):
        keys_of(text)


def test_a_key_that_is_for_one_algorithm_is_for_no_other(office: SetOffice) -> None:
    bound = jwk("RS256-1") | {"alg": "RS256"}
    text = json.dumps({"keys": [bound, jwk("ES256-1")]})
    (office.town.folder / "jwks.json").write_text(text, encoding="utf-8")
    other = signed(office.said(), "RS256-1", alg="PS256")
    assert office.push(other).code == "invalid_key"
    assert office.push(signed(office.said(), "RS256-1")).status == 202


def test_a_key_is_rotated_without_a_restart_and_one_taken_out_counts_no_longer(
    office: SetOffice,
) -> None:
    assert office.push(signed(office.said(), "ES256-1")).status == 202
    office.publish(office.town, "ES256-1", "ES256-2")
    assert office.push(signed(office.said(), "ES256-2")).status == 202
    office.publish(office.town, "ES256-2")
    assert office.push(signed(office.said(), "ES256-1")).status == 202  # for ten minutes
    office.now += timedelta(minutes=11)
    assert office.push(signed(office.said(), "ES256-1")).code == "invalid_key"


def test_keys_that_cannot_be_read_count_for_a_day_and_then_a_token_is_to_come_again(
    office: SetOffice,
) -> None:
    assert office.push(signed(office.said())).status == 202
    (office.town.folder / "jwks.json").unlink()
    office.now += timedelta(hours=23)
    assert office.push(signed(office.said())).status == 202
    assert [told for told in office.alarms() if "keys_file" in told]
    office.now += timedelta(hours=2)
    assert office.push(signed(office.said())).status == 503


# ── what it means ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", sorted(MEANING))
def test_every_kind_that_is_known_means_an_end_or_a_look(one: SetOffice, kind: str) -> None:
    ending = {f"{RISC}account-disabled", f"{RISC}account-purged", f"{SCIM}prov:deactivate",
              f"{SCIM}prov:delete", f"{SCIM}feed:remove"}  # fmt: skip
    assert MEANING[kind] == ("person.ended" if kind in ending else "person.changed")


def test_a_session_that_ended_shuts_nobody_out(office: SetOffice) -> None:
    office.sync()
    assert office.push(signed(office.said(events={REVOKED: {}}))).status == 202
    worked = office.work()
    assert (worked.states, worked.reread) == ({"done": 1}, True)
    assert office.orders() == []


def test_a_site_may_say_otherwise_what_a_kind_means(tmp_path: Path) -> None:
    words = f'words = {{ "{CAEP}session-revoked" = "person.ended" }}\n'
    office = SetOffice(town_in(tmp_path), BY_FILE + words)
    try:
        assert office.push(signed(office.said(events={REVOKED: {}}))).status == 202
        assert stored(office) == [("person.ended", "p1")]
    finally:
        office.close()


@pytest.mark.case("W8")
def test_an_account_that_is_disabled_shuts_the_person_out(office: SetOffice) -> None:
    office.sync()
    assert office.opens(1)
    assert office.push(signed(office.said())).status == 202
    assert office.work().states == {"done": 1}
    assert office.orders() == ["p1"]
    assert office.opens(1) == []


@pytest.mark.case("W1")
def test_a_token_that_comes_again_is_taken_and_does_nothing(office: SetOffice) -> None:
    office.sync()
    said = office.said()
    assert office.push(signed(said)).status == 202
    office.work()
    office.now += timedelta(days=3)
    assert office.push(signed(said)).status == 202
    assert office.push(signed(said, "RS256-1")).status == 202  # signed anew: the same token
    assert office.work().states == {}
    assert office.alarms() == []


@pytest.mark.case("W3")
def test_an_end_older_than_a_restoration_counts_only_as_hr_says_the_same(
    office: SetOffice,
) -> None:
    office.sync()
    office.push(signed(office.said()))
    office.work()
    [order] = office.state.orders.revocations()
    before = int(office.now.timestamp())
    office.now += timedelta(hours=1)
    office.state.orders.lift(order.person_id, "a mistake", "Åsa", office.clock())
    office.now += timedelta(hours=1)
    office.push(signed(office.said(jti="again", toe=before)))
    assert office.work().states == {"doubtful": 1}
    assert office.orders() == []


@pytest.mark.parametrize(
    ("form", "subject"),
    [
        ("opaque", SUBJECT),
        (
            "opaque",
            {"format": "complex", "user": SUBJECT, "tenant": {"format": "opaque", "id": "t"}},
        ),
        ("opaque", {"user": SUBJECT}),
        (
            "opaque",
            {"format": "aliases", "identifiers": [{"format": "email", "email": "a"}, SUBJECT]},
        ),
        ("email", {"format": "email", "email": "p1"}),
        ("iss_sub", {"format": "iss_sub", "iss": ISSUER, "sub": "p1"}),
        ("iss_sub", {"subject_type": "iss-sub", "iss": ISSUER, "sub": "p1"}),
        ("scim_external_id", {"format": "scim", "uri": "/Users/77", "externalId": "p1"}),
        ("scim_uri", {"format": "scim", "uri": "/Users/p1", "externalId": "x"}),
        ("scim_uri", {"format": "scim", "uri": "https://idp.example.se/scim/v2/Users/p1"}),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_a_person_is_found_by_the_form_of_subject_that_is_agreed(
    tmp_path: Path, form: str, subject: dict[str, Any]
) -> None:
    office = SetOffice(town_in(tmp_path), BY_FILE.replace('"opaque"', f'"{form}"'))
    try:
        assert office.push(signed(office.said(sub_id=subject))).status == 202
        assert stored(office) == [("person.ended", "p1")]
        for wrong in (
            {"format": "iss_sub", "iss": "https://x.example.se", "sub": "p1"},
            {"format": "scim", "uri": "/Groups/p1"},
            {"format": "phone_number"},
        ):
            assert office.push(signed(office.said(sub_id=wrong))).code == "invalid_request"
    finally:
        office.close()


def test_a_session_or_a_device_of_somebody_is_no_person(office: SetOffice) -> None:
    subject = {"format": "complex", "user": SUBJECT, "device": {"format": "opaque", "id": "d"}}
    assert office.push(signed(office.said(sub_id=subject))).status == 202
    assert stored(office) == [("person.changed", "p1")]


def test_a_mail_address_tells_a_person_whatever_its_case(tmp_path: Path) -> None:
    sender = 'keys_file = "jwks.json"\nsubject = "email"\nknown_by = "mail"\n'
    office = SetOffice(town_in(tmp_path), sender)
    try:
        file = office.town.folder / "connectors.toml"
        written = file.read_text(encoding="utf-8").replace('title = "Titel"', 'mail = "Titel"')
        file.write_text(written, encoding="utf-8")
        office.config = load(file)
        row = office.row(1, "e1").replace("Lärare", "Asa.Oberg@example.se")
        office.jobs[1] = [row]
        office.write_hr()
        office.sync()
        for number, mail in enumerate(("asa.oberg@EXAMPLE.se", "Lärare", "x@example.se")):
            subject = {"format": "email", "email": mail}
            office.push(signed(office.said(jti=f"j{number}", sub_id=subject)))
        assert office.work().states == {"done": 1, "parked": 2}  # all others share one
        assert office.orders() == ["p1"]
    finally:
        office.close()


# ── how it is configured ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ('subject = "opaque"\nkeys_file = "a"\nkeys_url = "https://a.example.se"', "leave one out"),
        ('subject = "opaque"\nkeys_url = "http://a.example.se"', "https://"),
        ('subject = "opaque"\nkeys_file = "a"\nstream = "s"', "give token"),
        ('subject = "opaque"\nkeys_file = "a"\ndelivery = "poll"', "needs token"),
        ('subject = "opaque"\nkeys_file = "a"\npoll_url = "https://a.example.se"', "poll_url is"),
        ('subject = "phone"\nkeys_file = "a"', "one of opaque, email"),
        ('subject = "opaque"\nkeys = ["a"]', "no such key here"),
        ('subject = "opaque"\nkeys_file = "a"\ntoken = "s"', "secret never stands"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told_with_its_line(
    tmp_path: Path, lines: str, sentence: str
) -> None:
    town = town_in(tmp_path)
    town.write()
    with (town.folder / "connectors.toml").open("a", encoding="utf-8") as file:
        file.write(SENDER.replace("ISSUER", ISSUER) + lines)
    with pytest.raises(ConfigError, match=sentence):
        load(town.folder / "connectors.toml")
