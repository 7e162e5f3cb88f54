"""One way to call a web API, and one way to say why it failed."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idsync import http_trust
from idsync.errors import ConfigError, Denied, Refused, Unavailable
from idsync.http import Api, check_url, path_of
from idsync.http_answers import parse_json, retry_after_s
from idsync.http_trust import context_of
from idsync.settings import Secret
from tests.fakes.scim import TOKEN, FakeScim
from tests.fakes.scim_habits import Trouble

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def fake() -> Iterator[FakeScim]:
    running = FakeScim()
    yield running
    running.close()


@pytest.fixture
def token(tmp_path: Path) -> Secret:
    (tmp_path / "token").write_text(TOKEN + "\n")
    return Secret("file", str(tmp_path / "token"))


@pytest.fixture
def api(fake: FakeScim, token: Secret) -> Iterator[Callable[..., Api]]:
    made = []

    def make(url: str = fake.url, **settings: Any) -> Api:
        made.append(Api(url, token=token, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def raised(api: Api, kind: type[Exception], path: str = "Users") -> Exception:
    with pytest.raises(kind) as caught:
        api.call("GET", path, query={"filter": "secret-of-a-person"})
    assert "secret-of-a-person" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


# ── answers ─────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_its_status_its_body_and_its_version(
    fake: FakeScim, api: Callable[..., Api]
) -> None:
    fake.next("GET", "Users", Trouble(200, {**JSON, "ETag": 'W/"7"'}, '{"å": [1, null]}'.encode()))
    answer = api().call("GET", "Users")
    assert (answer.status, answer.body, answer.etag) == (200, {"å": [1, None]}, 'W/"7"')


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 412, 422, 428, 501])
def test_what_only_the_caller_can_judge_is_returned(
    fake: FakeScim, api: Callable[..., Api], status: int
) -> None:
    fake.next("GET", "Users", Trouble(status, JSON, b'{"scimType": "uniqueness"}'))
    answer = api().call("GET", "Users")
    assert (answer.status, answer.ok, answer.body) == (status, False, {"scimType": "uniqueness"})


@pytest.mark.parametrize("status", [401, 403])
def test_an_account_that_may_not_is_denied(
    fake: FakeScim, api: Callable[..., Api], status: int
) -> None:
    fake.next("GET", "Users", Trouble(status))
    assert str(status) in str(raised(api(), Denied))


@pytest.mark.parametrize(
    "status", [301, 302, 304, 307, 308, 408, 425, 429, 500, 502, 503, 504, 508]
)
def test_what_may_pass_is_unavailable(fake: FakeScim, api: Callable[..., Api], status: int) -> None:
    fake.next("GET", "Users", Trouble(status, {"Location": f"{fake.url}/Groups"}))
    assert str(status) in str(raised(api(), Unavailable))
    assert [seen.path for seen in fake.seen] == ["Users"]


@pytest.mark.parametrize("status", [402, 406, 413, 414, 415, 451, 507])
def test_any_other_no_is_refused(fake: FakeScim, api: Callable[..., Api], status: int) -> None:
    fake.next("GET", "Users", Trouble(status))
    assert str(status) in str(raised(api(), Refused))


@pytest.mark.parametrize(
    "body",
    [b"{", b"[NaN]", b"[Infinity]", b'{"a": 1, "a": 2}', b"\xff", b'["\\ud800"]', b"[" * 100_000,
     '{"a": "å"}'.encode("latin-1"), b"[1] [2]"],
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_not_read(
    fake: FakeScim, api: Callable[..., Api], body: bytes
) -> None:
    fake.next("GET", "Users", Trouble(200, JSON, body))
    assert "not with JSON" in str(raised(api(), Unavailable))


@pytest.mark.case("T4")
@pytest.mark.parametrize(
    "media", ["text/plain", "", "application/xml", "application/json; charset=latin-1"]
)
def test_json_must_be_called_json(fake: FakeScim, api: Callable[..., Api], media: str) -> None:
    fake.next("GET", "Users", Trouble(200, {"Content-Type": media}, b"{}"))
    raised(api(), Unavailable)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(
    st.characters(exclude_categories=["Cs"])), lambda inner: st.lists(inner) | st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])), inner)))  # fmt: skip
def test_whatever_json_can_say_is_read_back(value: Any) -> None:
    import json

    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


# ── patience ────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("T6")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("7", 7.0), ("0", 0.0), (" 12 ", 12.0), ("315360000", 3600.0), ("soon", None),
     ("-5", None), ("", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
     ("Fri, 31 Dec 2100 23:59:59 GMT", 3600.0), ("1" * 400, 3600.0)],
)  # fmt: skip
def test_retry_after_is_believed_within_bounds(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value) == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_is_asked_for_stands_on_the_error(
    fake: FakeScim, api: Callable[..., Api], status: int
) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    for value, low, high in (("7", 7, 7), (in_a_minute, 50, 60)):
        fake.next("GET", "Users", Trouble(status, {"Retry-After": value}))
        error = raised(api(), Unavailable)
        assert isinstance(error, Unavailable)
        assert low <= (error.retry_after_s or 0) <= high


@pytest.mark.case("T8")
@pytest.mark.parametrize("how", ["slow head", "slow body"])
def test_the_deadline_holds_for_an_answer_that_drips(
    fake: FakeScim, api: Callable[..., Api], how: str
) -> None:
    fake.next("GET", "Users", Trouble(how=how))  # type: ignore[arg-type]  # parametrized text
    patient = api(timeout_s=5, deadline_s=0.3)
    began = time.monotonic()
    assert "in time" in str(raised(patient, Unavailable))
    assert time.monotonic() - began < 1.5
    assert patient.call("GET", "Users").ok


def test_a_service_that_says_nothing_is_waited_for_no_longer_than_the_timeout(
    api: Callable[..., Api],
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        silent = api(f"http://127.0.0.1:{mute.getsockname()[1]}", timeout_s=0.2)
        assert "in time" in str(raised(silent, Unavailable))
        assert time.monotonic() - began < 1.5


def test_nobody_at_the_address_is_unavailable(api: Callable[..., Api]) -> None:
    raised(api("http://127.0.0.1:9"), Unavailable)


@pytest.mark.parametrize("how", ["drop", "half"])
def test_a_connection_that_breaks_is_unavailable_and_the_next_call_works(
    fake: FakeScim, api: Callable[..., Api], how: str
) -> None:
    fake.next("GET", "Users", Trouble(200, how=how))  # type: ignore[arg-type]  # parametrized text
    one = api()
    assert "broke" in str(raised(one, Unavailable))
    assert len(fake.seen) == 1
    assert one.call("GET", "Users").ok


# ── size ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("T8")
def test_an_answer_larger_than_the_cap_is_not_read(fake: FakeScim, api: Callable[..., Api]) -> None:
    fake.next("GET", "Users", Trouble(200, JSON, b'["' + b"x" * 200_000 + b'"]'))
    assert "larger than 100000 bytes" in str(raised(api(max_bytes=100_000), Unavailable))


@pytest.mark.case("T8")
def test_the_cap_counts_what_comes_out_of_the_packing(
    fake: FakeScim, api: Callable[..., Api]
) -> None:
    import tracemalloc

    bomb = gzip.compress(b" " * 50_000_000)
    headers = {**JSON, "Content-Encoding": "gzip"}
    fake.next("GET", "Users", Trouble(200, headers, bomb))
    tracemalloc.start()
    assert "larger than" in str(raised(api(max_bytes=1_000_000), Unavailable))
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_packed_answers_are_read_and_damaged_ones_are_not(
    fake: FakeScim, api: Callable[..., Api]
) -> None:
    packed = gzip.compress(b'["' + bytes(range(97, 123)) * 500 + b'"]')
    headers = {**JSON, "Content-Encoding": "gzip"}
    fake.next("GET", "Users", Trouble(200, headers, packed))
    assert len(api().call("GET", "Users").body[0]) == 13_000
    for damaged in (packed[:-9], b"not gzip at all", packed[:20] + b"xxxx" + packed[24:]):
        fake.next("GET", "Users", Trouble(200, headers, damaged))
        raised(api(), Unavailable)
    fake.next("GET", "Users", Trouble(200, {**JSON, "Content-Encoding": "br"}, packed))
    raised(api(), Unavailable)


# ── what is sent ────────────────────────────────────────────────────────────────────────


def test_the_environment_and_cookies_change_nothing(
    fake: FakeScim, api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    one = api()
    fake.next("GET", "Users", Trouble(200, {**JSON, "Set-Cookie": "session=1"}, b"{}"))
    one.call("GET", "Users")
    one.call("GET", "Users")
    assert [seen.headers["authorization"] for seen in fake.seen] == [f"Bearer {TOKEN}"] * 2
    assert all("cookie" not in seen.headers for seen in fake.seen)


def test_a_token_with_a_line_break_inside_is_a_setting_to_correct(
    fake: FakeScim, tmp_path: Path
) -> None:
    (tmp_path / "bad").write_text("two\nlines")
    with pytest.raises(ConfigError, match="store the token alone"):
        Api(fake.url, token=Secret("file", str(tmp_path / "bad"))).call("GET", "Users")


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_a_part_that_would_climb_out_of_the_address_is_refused(part: str) -> None:
    with pytest.raises(Refused):
        path_of("Users", part)


def test_a_part_of_a_path_stays_one_part() -> None:
    assert path_of("Users", "a/b?c#d å%2F") == "Users/a%2Fb%3Fc%23d%20%C3%A5%252F"


@pytest.mark.parametrize(
    "url",
    ["access.example.se", "ftp://access.example.se", "http://access.example.se/scim",
     "https://idsync:secret@access.example.se", "https://access.example.se/?a=b", "https://"],
)  # fmt: skip
def test_an_address_that_is_not_safe_is_a_setting_to_correct(url: str) -> None:
    with pytest.raises(ValueError, match=r"write|address") as caught:
        check_url(url)
    assert "idsync:secret" not in str(caught.value)


def test_this_machine_may_be_called_without_tls() -> None:
    for url in ("http://127.0.0.1:8080/v2/", "http://localhost/v2", "http://[::1]:1/v2"):
        assert check_url(url) == url.rstrip("/")


# ── trust ───────────────────────────────────────────────────────────────────────────────


def certificate(folder: Path, name: str, address: str) -> tuple[str, str]:
    """Return the files of a new certificate that signs itself, and of its key."""
    files = (str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={address}",
         "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    return files


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    folder = tmp_path_factory.mktemp("tls")
    return {
        "right": certificate(folder, "right", "IP:127.0.0.1"),
        "other-name": certificate(folder, "other-name", "DNS:elsewhere.example.se"),
    }


def test_a_certificate_of_the_ca_file_is_trusted(
    api: Callable[..., Api], tls: dict[str, tuple[str, str]]
) -> None:
    fake = FakeScim(tls=tls["right"])
    try:
        for url in (fake.url, fake.url.replace("https", "HTTPS")):
            assert api(url, ca_file=Path(tls["right"][0])).call("GET", "Users").ok
    finally:
        fake.close()


@pytest.mark.case("T9")
@pytest.mark.parametrize(
    ("served", "trusted"), [("right", None), ("right", "other-name"), ("other-name", "other-name")]
)
def test_any_other_certificate_is_not(
    api: Callable[..., Api], tls: dict[str, tuple[str, str]], served: str, trusted: str | None
) -> None:
    fake = FakeScim(tls=tls[served])
    try:
        ca_file = Path(tls[trusted][0]) if trusted else None
        error = raised(api(fake.url, ca_file=ca_file), Unavailable)
        assert "certificate is not trusted: check ca_file" in str(error)
        assert fake.seen == []
    finally:
        fake.close()


@pytest.mark.case("T9")
def test_a_ca_file_that_is_another_now_counts_from_the_next_connection_on(
    api: Callable[..., Api], tls: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    fake, ca_file = FakeScim(tls=tls["right"]), tmp_path / "ca.pem"
    try:
        shutil.copy(tls["right"][0], ca_file)
        assert api(fake.url, ca_file=ca_file).call("GET", "Users").ok
        assert context_of(ca_file, None) is context_of(ca_file, None), "read once"
        seen = len(fake.seen)
        shutil.copy(tls["other-name"][0], ca_file)
        raised(api(fake.url, ca_file=ca_file), Unavailable)
        assert len(fake.seen) == seen
        ca_file.unlink()
        with pytest.raises(ConfigError, match=r"ca\.pem"):
            api(fake.url, ca_file=ca_file).call("GET", "Users")
    finally:
        fake.close()


def test_what_was_read_of_many_files_takes_bounded_room(
    tls: dict[str, tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_trust, "KEPT", 2)
    files = [shutil.copy(tls["right"][0], tmp_path / f"{number}.pem") for number in range(3)]
    first, second, third = (context_of(Path(file), None) for file in files)
    assert context_of(Path(files[2]), None) is third
    assert context_of(Path(files[1]), None) is second
    assert context_of(Path(files[0]), None) is not first, "longest ago, so let go"


def test_authorities_from_elsewhere_are_not_added_to_the_ca_file(
    api: Callable[..., Api], tls: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeScim(tls=tls["right"])
    try:
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", tls["right"][0])
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, tls["right"][0])
        raised(api(fake.url, ca_file=Path(tls["other-name"][0])), Unavailable)
        assert fake.seen == []
    finally:
        fake.close()


def test_a_service_without_tls_at_an_https_address_is_unavailable(
    fake: FakeScim, api: Callable[..., Api]
) -> None:
    raised(api(fake.url.replace("http:", "https:")), Unavailable)


def test_a_ca_file_that_cannot_be_read_is_a_setting_to_correct(
    api: Callable[..., Api], tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ConfigError, match=name):
            api("https://127.0.0.1:9", ca_file=tmp_path / name).call("GET", "Users")
