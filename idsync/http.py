"""One way to call a web API, and one way to say why it failed.

An adapter makes an `Api` and calls it. What comes back is an `Answer`: a success, or a
status that only the adapter can judge (there is no such record, another was faster …).
Everything else is raised, named by reaction, and never carries a body, a query, a token
or anything else that came from a person's record.

Every call has verified TLS, a timeout for each wait, a deadline for the whole and a cap
on the answer, counted after decompression. Redirects are not followed, cookies are not
kept, and the environment (proxies, netrc) is not looked at. Nothing is retried here.
"""

from __future__ import annotations

import json
import threading
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import requests
import urllib3
from pydantic import AfterValidator
from requests.auth import HTTPDigestAuth

from idsync.errors import ConfigError, ConnectorError, Denied, Refused, Unavailable
from idsync.http_answers import Answer, RawAnswer, parse_json, retry_after_s
from idsync.http_transport import Transport, within
from idsync.http_trust import context_of
from idsync.settings import Secret

__all__ = ["Answer", "Api", "RawAnswer", "UrlField", "check_url", "path_of"]

RETURNED = frozenset({400, 404, 405, 409, 410, 412, 422, 428, 501})
"""Statuses that are handed to the caller, who knows what they mean for the record."""

WAIT = frozenset({408, 425, 429})
"""Statuses below 500 that ask for patience."""

CHUNK_BYTES = 16 * 1024


# ── addresses ───────────────────────────────────────────────────────────────────────────


def check_url(url: str) -> str:
    """Return *url* without a slash at its end; ValueError if idsync will not call it."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("write an address such as https://access.example.se/scim/v2")
    if parts.username or parts.password:
        raise ValueError("a secret never stands in an address: use the settings for credentials")
    if parts.query or parts.fragment:
        raise ValueError("the address ends with its path: leave out ? and #")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("plain http is only for this machine: write https://")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


UrlField = Annotated[str, AfterValidator(check_url)]
"""The type of a settings field that holds the address of a web API."""


def path_of(*parts: str) -> str:
    """Return the path that names *parts*, whatever characters they hold.

    Raises:
        Refused: a part is empty or would climb out of the address.
    """
    if any(part in ("", ".", "..") for part in parts):
        raise Refused("a record has an id that no address can name: look at it by hand")
    return "/".join(quote(part, safe="") for part in parts)


# ── calls ───────────────────────────────────────────────────────────────────────────────


class Api:
    """A web API that speaks JSON (or, by `raw`, anything), reached at one address with one login.

    The login is *token* in an Authorization header: `Bearer`, another *scheme*, or, with
    *user*, the password of HTTP Basic or Digest (*digest*). `client_certificate` is a PEM
    file with certificate and key. *returned* are the statuses that only the caller can judge.

    May be called from several threads at once. Work begins at the first call: the
    authorities of *ca_file* (or else the system's) are read then. The token is read at every
    call, so that one that was changed is used by the next.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Secret | None = None,
        scheme: str = "Bearer",
        user: str | None = None,
        digest: bool = False,
        ca_file: Path | None = None,
        client_certificate: Path | None = None,
        timeout_s: float = 30.0,
        deadline_s: float = 120.0,
        max_bytes: int = 64 * 1024 * 1024,
        media_type: str = "application/json",
        connections: int = 8,
        returned: frozenset[int] = RETURNED,
    ) -> None:
        self.url = check_url(url)
        self._token = token
        self._scheme = scheme
        self._user = user
        self._digest = digest
        self._ca_file = ca_file
        self._client_certificate = client_certificate
        self._returned = returned
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._media_type = media_type
        self._connections = connections
        self._digest_auth: HTTPDigestAuth | None = None
        self._session: requests.Session | None = None
        self._opening = threading.Lock()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,  # noqa: ANN401 - whatever JSON can say
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to one request; *path* is what `path_of` makes, below the address.

        Raises:
            Unavailable: no answer, not this API's answer, or one that asks for patience
                (then with `retry_after_s`). A write may have happened all the same.
            Denied: the token or the account's rights are not enough.
            Refused: another status that says no.
            ConfigError: the token or the authorities cannot be read.
        """
        where = self._where(method, path)
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = self._media_type
        data = None if body is None else json.dumps(body, ensure_ascii=False)
        with self._sent(where, method, path, query, data, sent) as response:
            return self._judge(where, response)

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RawAnswer:
        """Return the answer to one request as bytes; raises as `call` does."""
        where = self._where(method, path)
        with self._sent(where, method, path, query, data, dict(headers or {})) as response:
            self._require_judgeable(where, response)
            named = {name.lower(): value for name, value in response.headers.items()}
            return RawAnswer(response.status_code, self._read(where, response), named)

    def _where(self, method: str, path: str) -> str:
        first = path.partition("/")[0].partition("?")[0]
        return f"{urlsplit(self.url).netloc}: {method} {first}".rstrip()

    @contextmanager
    def _sent(
        self,
        where: str,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        data: str | bytes | None,
        headers: Mapping[str, str],
    ) -> Iterator[requests.Response]:
        session = self._open()
        try:
            sent = {"Authorization": self._authorization(), **headers}
            with (
                within(self._deadline_s),
                session.request(
                    method,
                    f"{self.url}/{path}" if path else self.url,
                    params=query,
                    data=data.encode() if isinstance(data, str) else data,
                    headers={name: value for name, value in sent.items() if value},
                    auth=self._digest_login(),
                    timeout=(self._timeout_s, self._timeout_s),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                yield response
        except ConnectorError:
            raise
        except UnicodeError:
            raise Refused(f"{where}: a value is no Unicode text: correct the record") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"{where}: {self._why(error)}") from None

    def close(self) -> None:
        """Close every connection. A later call opens new ones."""
        with self._opening:
            if self._session is not None:
                self._session.close()
            self._session = None

    def _open(self) -> requests.Session:
        with self._opening:
            if self._session is None:
                session = requests.Session()
                session.trust_env = False
                session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
                accept = dict.fromkeys((self._media_type, "application/json"))
                session.headers.update(
                    {"Accept": ", ".join(accept), "Accept-Encoding": "gzip", "User-Agent": "idsync"}
                )
                # Reading the system's authorities takes longer than many a call: only for TLS.
                scheme = urlsplit(self.url).scheme
                trusted = (self._ca_file, self._client_certificate)
                context = context_of(*trusted) if scheme == "https" else None
                session.adapters.clear()
                session.mount(f"{scheme}://", Transport(context, self._connections))
                self._session = session
            return self._session

    def _authorization(self) -> str:
        if self._token is None or self._digest:
            return ""
        token = self._secret(self._token)
        if self._user is None:
            return f"{self._scheme} {token}"
        return f"Basic {b64encode(f'{self._user}:{token}'.encode()).decode()}"

    def _digest_login(self) -> HTTPDigestAuth | None:
        """One for each thread's session would forget the nonce; requests keeps it by thread."""
        if self._token is None or not self._digest:
            return None
        password = self._secret(self._token)
        if self._digest_auth is None or self._digest_auth.password != password:
            self._digest_auth = HTTPDigestAuth(self._user or "", password)
        return self._digest_auth

    def _secret(self, token: Secret) -> str:
        secret = token.reveal()
        plain = self._user is None  # a password may hold anything but line breaks
        if not secret.isprintable() or (plain and (not secret.isascii() or " " in secret)):
            raise ConfigError(
                "the token holds line breaks or other signs that no header can carry: "
                "store the token alone"
            )
        return secret

    def _judge(self, where: str, response: requests.Response) -> Answer:
        self._require_judgeable(where, response)
        said = f"{where}: answered {response.status_code}"
        body = self._parse(said, response, self._read(where, response))
        return Answer(response.status_code, body, response.headers.get("ETag", ""))

    def _require_judgeable(self, where: str, response: requests.Response) -> None:
        """Raise for every status that means the same for every caller."""
        status = response.status_code
        if status == 401:
            what = "the token is" if self._user is None else "the user name and password are"
            raise Denied(f"{where}: answered 401, {what} not accepted: renew it")
        if status in self._returned:
            return
        if status == 403:
            raise Denied(f"{where}: answered 403: give idsync's account the right to do this")
        if 300 <= status < 400:
            raise Unavailable(
                f"{where}: answered {status}, a redirect, which idsync does not follow: "
                "check the url, and for a login page in front of the service"
            )
        if status == 507:
            raise Refused(f"{where}: answered 507, the service is full: check its licence and disk")
        if status in WAIT or status >= 500:
            raise Unavailable(
                f"{where}: answered {status}: idsync tries again later",
                retry_after_s(response.headers.get("Retry-After")),
            )
        if status >= 400:
            raise Refused(f"{where}: answered {status}: compare the url with the service's manual")

    def _read(self, where: str, response: requests.Response) -> bytes:
        """Return the decompressed body, reading no further than the cap."""
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip"):
            raise Unavailable(f"{where}: the answer is packed in a way idsync did not ask for")
        unpacker = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        whole = bytearray()
        while packed := response.raw.read(CHUNK_BYTES, decode_content=False):
            try:
                room = self._max_bytes - len(whole) + 1
                whole += unpacker.decompress(packed, room) if unpacker else packed
            except zlib.error:
                raise Unavailable(f"{where}: the answer is packed, and damaged") from None
            if len(whole) > self._max_bytes:
                raise Unavailable(
                    f"{where}: the answer is larger than {self._max_bytes} bytes: "
                    "ask for smaller pages"
                )
        if unpacker and whole and not unpacker.eof:
            raise Unavailable(f"{where}: the answer was cut off")
        return bytes(whole)

    def _parse(self, said: str, response: requests.Response, data: bytes) -> Any:  # noqa: ANN401
        media, _, rest = response.headers.get("Content-Type", "").lower().partition(";")
        media = media.strip()
        if media in ("text/html", "application/xhtml+xml"):
            raise Unavailable(
                f"{said} with a web page, not with data: check the url, "
                "and for a login page in front of the service"
            )
        if not data:
            return None
        is_json = media == "application/json" or (
            media.startswith("application/") and media.endswith("+json")
        )
        try:
            if not is_json or ("charset" in rest and "utf-8" not in rest):
                raise ValueError("not JSON in UTF-8")
            return parse_json(data)
        except ValueError:
            if response.status_code >= 400:
                return None
            raise Unavailable(f"{said}, but not with JSON: check the url") from None

    def _why(self, error: Exception) -> str:
        """Return why no answer came, in our own words: the library's hold the whole address."""
        if "ForbiddenAddress" in repr(error):
            return (
                "the name in url leads to this machine, or to an address that no access system "
                "has: correct the name's entry"
            )
        if isinstance(error, requests.exceptions.SSLError):
            if "CERTIFICATE_VERIFY_FAILED" in str(error) or "doesn't match" in str(error):
                return "the certificate is not trusted: check ca_file, its dates and its name"
            return "TLS could not be agreed on: check the port and the service's TLS version"
        if isinstance(
            error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
        ) or "timed out" in str(error):
            return (
                f"no whole answer in time (each wait {self._timeout_s:g} s, "
                f"in all {self._deadline_s:g} s): idsync tries again later"
            )
        if isinstance(error, requests.exceptions.InvalidHeader):
            return "the service gave an id or a version that no header can carry"
        return "the connection could not be made, or broke: idsync tries again later"
