"""An ONVIF controller on this machine: SOAP 1.2 over HTTP, with a login, pages and events.

Everything it reads and writes of the credential, access rules and event services is held
against the schemas in ONVIF's WSDLs (`violations`). Its habits are in `habits` and below.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from lxml import etree

from tests.fakes.onvif_schema import violation
from tests.fakes.onvif_store import TAR, TCR, WRITES, Habits, Held, SoapFault, Store

ENV = "http://www.w3.org/2003/05/soap-envelope"
TDS = "http://www.onvif.org/ver10/device/wsdl"
TEV = "http://www.onvif.org/ver10/events/wsdl"
TT = "http://www.onvif.org/ver10/schema"
TER = "http://www.onvif.org/ver10/error"
WSNT = "http://docs.oasis-open.org/wsn/b-2"
WSA = "http://www.w3.org/2005/08/addressing"
TOPICS = "http://www.onvif.org/ver10/topics"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
FAKE = "urn:example:fake-controller"

USER = "sync"
PASSWORD = "öppna-sésam"
REALM = "controller"
ELSEWHERE = "http://192.0.2.7:8080"  # an address for documentation: nobody answers there

PRE_AUTH = frozenset({"GetServices", "GetServiceCapabilities", "GetSystemDateAndTime"})
SECRET = frozenset({"GetCredentials", "GetCredentialList"})


@dataclass
class Door:
    """How one gets in, and what is offered."""

    login: Literal["digest", "wsse", "none"] = "digest"
    clock_off_s: float = 0.0
    refuses_with: Literal[400, 401] = 400  # a UsernameToken that is not accepted
    may_read_secrets: bool = True
    may_write: bool = True
    services: tuple[str, ...] = ("credential", "accessrules", "events")
    version: str = "ver10"  # of the credential service
    reference_parameters: bool = False  # a pull point is told apart by a header
    events_lost: bool = False  # the pull points are gone, as after a restart
    fault_status: int | None = None
    page: bytes | None = None  # a web page instead of everything


@dataclass
class Subscription:
    """A pull point."""

    until: float
    messages: list[Any] = field(default_factory=list)


class FakeOnvif:
    """A running controller. Switches are attributes, read at every request."""

    def __init__(
        self,
        habits: Habits | None = None,
        door: Door | None = None,
        tls: tuple[str, str] | None = None,
    ) -> None:
        self.habits = habits or Habits()
        self.door = door or Door()
        self.store = Store(self.habits, self._tell)
        self.violations: list[str] = []
        self.seen: list[str] = []
        self.lose_next_write = False
        self.ignore_next_write = False
        self.busy = 0
        self.subscriptions: dict[str, Subscription] = {}
        self._nonces: set[str] = set()
        self._pulls = 0
        self._lock = threading.RLock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with fake._lock:
                    answer = fake._answer(self, data)
                if answer is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # broken TLS
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop; every message must have fitted the schemas."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    # ── a local administrator ───────────────────────────────────────────────────────────

    def profile(self, token: str, name: str) -> None:
        self.store.profiles[token] = name

    def credential(
        self,
        token: str,
        holder: str = "",
        *,
        value: str | None = None,
        format_type: str = "WIEGAND26",
        type_name: str = "pt:Card",
        description: str | None = None,
        links: tuple[str, ...] = (),
        extra: str = "",
    ) -> Held:
        """Make a credential by hand; *extra* is XML for the end of it."""
        named = f"<Description>{description}</Description>" if description else ""
        record = etree.fromstring(
            f'<Credential xmlns="{TCR}" token="{token}">{named}'
            f"<CredentialHolderReference>{holder}</CredentialHolderReference>"
            f"<CredentialIdentifier><Type><Name>{type_name}</Name>"
            f"<FormatType>{format_type}</FormatType></Type>"
            f"<ExemptedFromAuthentication>false</ExemptedFromAuthentication>"
            f"<Value>{value or f'{len(self.store.credentials) + 1:06X}'}</Value>"
            f"</CredentialIdentifier>{extra}</Credential>"
        )
        held = Held(token, record, dict.fromkeys(links, (None, None)))
        self.store.credentials[token] = held
        self.touch(token)
        return held

    def touch(self, token: str, topic: str = "Configuration/Credential/Changed") -> None:
        """Say that somebody edited a credential."""
        self.store.generation += 1
        self._tell(topic, "CredentialToken", token)

    # ── requests ────────────────────────────────────────────────────────────────────────

    def _answer(self, handler: Any, data: bytes) -> tuple[int, dict[str, str], bytes] | None:
        soap = {"Content-Type": "application/soap+xml; charset=utf-8"}
        if self.door.page is not None:
            return 200, {"Content-Type": "text/html"}, self.door.page
        if self.busy:
            self.busy -= 1
            return 503, {"Content-Type": "text/plain"}, b"busy"
        envelope = etree.fromstring(data)
        body = envelope.find(f"{{{ENV}}}Body")[0]
        name = etree.QName(body).localname
        if self.door.login == "digest" and name not in PRE_AUTH and not self._digest_fits(handler):
            nonce = hashlib.md5(str(time.time()).encode()).hexdigest()
            told = f'Digest realm="{REALM}", nonce="{nonce}", qop="auth", algorithm=MD5'
            return 401, {"WWW-Authenticate": told}, b""
        self.seen.append(name)
        lost = name in WRITES and self.lose_next_write
        self.lose_next_write = self.lose_next_write and not lost
        try:
            reply = self._reply(handler.path, name, body, envelope)
        except SoapFault as fault:
            refused = fault.words == ("NotAuthorized",)
            status = self.door.refuses_with if refused else 500 if fault.receiver else 400
            return self.door.fault_status or status, soap, _enveloped(_fault(fault))
        if wrong := violation(reply):
            self.violations.append(f"answered {wrong}")
        return None if lost else (200, soap, _enveloped(reply))

    def _reply(self, path: str, name: str, body: Any, envelope: Any) -> Any:
        if self.door.login == "wsse" and name not in PRE_AUTH:
            self._require_token(envelope)
        if (name in SECRET and not self.door.may_read_secrets) or (
            name in WRITES and not self.door.may_write
        ):
            raise SoapFault("NotAuthorized")
        if wrong := violation(body):
            self.violations.append(f"was sent {wrong}")
            raise SoapFault("WellFormed")
        if path == "/onvif/device_service" and etree.QName(body).namespace == TDS:
            return self._device(name)
        place = {"/onvif/credential": TCR, "/onvif/access_rules?v=1": TAR, "/onvif/events": TEV}
        if path.startswith("/onvif/pull"):
            return self._pullpoint(path, name, body, envelope)
        if place.get(path) != etree.QName(body).namespace:
            raise SoapFault("ActionNotSupported", receiver=True)
        if name == "GetServiceCapabilities":
            return self._capabilities(place[path])
        if name == "CreatePullPointSubscription":
            return self._subscribe(body)
        if name in WRITES and self.ignore_next_write:
            self.ignore_next_write = False
            return etree.Element(f"{{{TCR}}}{name}Response")
        return self.store.answer(body)

    # ── the login ───────────────────────────────────────────────────────────────────────

    def _digest_fits(self, handler: Any) -> bool:
        """RFC 2617, 3.2.2.1, with qop=auth."""
        told = handler.headers.get("Authorization", "")
        if not told.startswith("Digest "):
            return False
        part = {
            name: quoted or plain
            for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', told)
        }
        first = _md5(f"{USER}:{REALM}:{PASSWORD}")
        second = _md5(f"POST:{part.get('uri')}")
        middle = ":".join(part.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        fits = part.get("response") == _md5(f"{first}:{middle}:{second}")
        return fits and part.get("username") == USER and part.get("uri") == handler.path

    def _require_token(self, envelope: Any) -> None:
        """UsernameToken Profile 1.0: base64(sha1(nonce + created + password)), fresh, once."""
        token = envelope.find(f"{{{ENV}}}Header/{{{WSSE}}}Security/{{{WSSE}}}UsernameToken")
        if token is None:
            raise SoapFault("NotAuthorized")
        nonce = token.findtext(f"{{{WSSE}}}Nonce") or ""
        created = token.findtext(f"{{{WSU}}}Created") or ""
        raw = base64.b64decode(nonce) + created.encode() + PASSWORD.encode()
        digest = base64.b64encode(hashlib.sha1(raw).digest()).decode()
        age = abs((self.now() - datetime.fromisoformat(created)).total_seconds())
        known = token.findtext(f"{{{WSSE}}}Username") == USER
        fits = token.findtext(f"{{{WSSE}}}Password") == digest
        if not (known and fits and age <= 5 and nonce not in self._nonces):
            raise SoapFault("NotAuthorized")
        self._nonces.add(nonce)

    def now(self) -> datetime:
        """Return the time on the device's own clock."""
        return datetime.now(UTC) + timedelta(seconds=self.door.clock_off_s)

    # ── the device service ──────────────────────────────────────────────────────────────

    def _device(self, name: str) -> Any:
        reply = etree.Element(f"{{{TDS}}}{name}Response", nsmap={"tds": TDS, "tt": TT})
        if name == "GetServices":
            onvif = f"http://www.onvif.org/{self.door.version}"
            paths = {
                "credential": f"{onvif}/credential/wsdl credential",
                "accessrules": f"{TAR} access_rules?v=1",
                "events": f"{TEV} events",
            }
            for each in self.door.services:
                namespace, _, path = paths[each].partition(" ")
                service = etree.SubElement(reply, f"{{{TDS}}}Service")
                etree.SubElement(service, f"{{{TDS}}}Namespace").text = namespace
                etree.SubElement(service, f"{{{TDS}}}XAddr").text = f"{ELSEWHERE}/onvif/{path}"
                version = etree.SubElement(service, f"{{{TDS}}}Version")
                etree.SubElement(version, f"{{{TT}}}Major").text = "24"
                etree.SubElement(version, f"{{{TT}}}Minor").text = "12"
        elif name == "GetSystemDateAndTime":
            told = etree.SubElement(reply, f"{{{TDS}}}SystemDateAndTime")
            etree.SubElement(told, f"{{{TT}}}DateTimeType").text = "NTP"
            etree.SubElement(told, f"{{{TT}}}DaylightSavings").text = "false"
            utc = etree.SubElement(told, f"{{{TT}}}UTCDateTime")
            now = self.now()
            for part, names in {"Time": "Hour Minute Second", "Date": "Year Month Day"}.items():
                inner = etree.SubElement(utc, f"{{{TT}}}{part}")
                for each in names.split():
                    text = str(getattr(now, each.lower()))
                    etree.SubElement(inner, f"{{{TT}}}{each}").text = text
        elif name == "GetDeviceInformation":
            for each in ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId"):
                etree.SubElement(reply, f"{{{TDS}}}{each}").text = f"Fake{each}"
        else:
            raise SoapFault("ActionNotSupported", receiver=True)
        return reply

    def _capabilities(self, namespace: str) -> Any:
        has = self.habits
        reply = etree.Element(f"{{{namespace}}}GetServiceCapabilitiesResponse")
        told = etree.SubElement(reply, f"{{{namespace}}}Capabilities")
        says: dict[str, object] = {}
        if namespace == TCR:
            says = {
                "MaxLimit": has.page,
                "CredentialValiditySupported": has.dated,
                "CredentialAccessProfileValiditySupported": has.dated,
                "ValiditySupportsTimeValue": has.times,
                "MaxCredentials": has.most_cards,
                "MaxAccessProfilesPerCredential": has.most_links,
                "ResetAntipassbackSupported": False,
                "ClientSuppliedTokenSupported": has.client_tokens,
            }
            for each in has.types:
                etree.SubElement(told, f"{{{TCR}}}SupportedIdentifierType").text = each
        elif namespace == TAR:
            says = {
                "MaxLimit": has.page,
                "MaxAccessProfiles": 100,
                "MaxAccessPoliciesPerAccessProfile": 10,
                "MultipleSchedulesPerAccessPointSupported": False,
            }
        for each, value in says.items():
            told.set(each, str(value).lower())
        return reply

    # ── events ──────────────────────────────────────────────────────────────────────────

    def _tell(self, topic: str, source: str, token: str) -> None:
        prefixed = "/".join(["tns1:" + topic.partition("/")[0], topic.partition("/")[2]])
        message = etree.fromstring(
            f'<n:NotificationMessage xmlns:n="{WSNT}" xmlns:tt="{TT}" xmlns:tns1="{TOPICS}">'
            f'<n:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">'
            f"{prefixed}</n:Topic>"
            f'<n:Message><tt:Message UtcTime="{self.now().isoformat()}"><tt:Source>'
            f"<tt:SimpleItem/></tt:Source></tt:Message></n:Message></n:NotificationMessage>"
        )
        item = next(message.iter(f"{{{TT}}}SimpleItem"))
        item.set("Name", source)
        item.set("Value", token)
        for each in self.subscriptions.values():
            each.messages.append(message)

    def _subscribe(self, body: Any) -> Any:
        topics = body.find(f"{{*}}Filter/{{{WSNT}}}TopicExpression")
        if topics is not None and topics.nsmap.get("tns1") != TOPICS:
            raise SoapFault("InvalidFilterFault")
        self._pulls += 1
        name = str(self._pulls)
        self.subscriptions[name] = Subscription(time.monotonic() + 600)
        shared = self.door.reference_parameters
        reply = etree.Element(f"{{{TEV}}}CreatePullPointSubscriptionResponse")
        reference = etree.SubElement(reply, f"{{{TEV}}}SubscriptionReference")
        address = etree.SubElement(reference, f"{{{WSA}}}Address")
        address.text = f"{ELSEWHERE}/onvif/pull" + ("" if shared else f"?Idx={name}")
        if shared:
            parameters = etree.SubElement(reference, f"{{{WSA}}}ReferenceParameters")
            etree.SubElement(parameters, f"{{{FAKE}}}Id").text = name
        etree.SubElement(reply, f"{{{WSNT}}}CurrentTime").text = self.now().isoformat()
        until = self.now() + timedelta(seconds=600)
        etree.SubElement(reply, f"{{{WSNT}}}TerminationTime").text = until.isoformat()
        return reply

    def _pullpoint(self, path: str, name: str, body: Any, envelope: Any) -> Any:
        header = envelope.find(f"{{{ENV}}}Header")
        told = header.findtext(f"{{{FAKE}}}Id")
        to = f"{ELSEWHERE}{path}"  # WS-Addressing 1.0, 3.3: as the device told it
        action = header.findtext(f"{{{WSA}}}Action") or ""
        if header.findtext(f"{{{WSA}}}To") != to or not action.endswith(f"/{name}Request"):
            raise SoapFault("WellFormed")
        id_ = told or path.partition("Idx=")[2]
        if self.door.events_lost:
            self.subscriptions.clear()
            self.door.events_lost = False
        found = self.subscriptions.get(id_)
        if found is None or found.until < time.monotonic():
            raise SoapFault("ResourceUnknownFault")
        if name == "Unsubscribe":
            del self.subscriptions[id_]
            return etree.Element(f"{{{WSNT}}}UnsubscribeResponse")
        limit = int(body.findtext("{*}MessageLimit"))
        reply = etree.Element(f"{{{TEV}}}PullMessagesResponse")
        etree.SubElement(reply, f"{{{TEV}}}CurrentTime").text = self.now().isoformat()
        etree.SubElement(reply, f"{{{TEV}}}TerminationTime").text = self.now().isoformat()
        part, found.messages = found.messages[:limit], found.messages[limit:]
        reply.extend(etree.fromstring(etree.tostring(each)) for each in part)
        return reply


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def _enveloped(body: Any) -> bytes:
    envelope = etree.Element(f"{{{ENV}}}Envelope", nsmap={"SOAP-ENV": ENV})
    etree.SubElement(envelope, f"{{{ENV}}}Body").append(body)
    told: bytes = etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
    return told


def _fault(fault: SoapFault) -> Any:
    """SOAP 1.2 Part 1, 5.4; ONVIF Core Specification, SOAP faults."""
    element = etree.Element(f"{{{ENV}}}Fault", nsmap={"ter": TER, "SOAP-ENV": ENV})
    code = etree.SubElement(element, f"{{{ENV}}}Code")
    side = "Receiver" if fault.receiver else "Sender"
    etree.SubElement(code, f"{{{ENV}}}Value").text = f"SOAP-ENV:{side}"
    for word in fault.words:
        code = etree.SubElement(code, f"{{{ENV}}}Subcode")
        etree.SubElement(code, f"{{{ENV}}}Value").text = f"ter:{word}"
    reason = etree.SubElement(element, f"{{{ENV}}}Reason")
    text = etree.SubElement(reason, f"{{{ENV}}}Text")
    text.text = fault.text
    with suppress(ValueError):
        text.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
    return element
