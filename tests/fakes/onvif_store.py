"""What the ONVIF fake holds, and what its commands do with it.

Built from the WSDLs (ver10/credential, ver10/accessrules, ver10/events) and the prose of the
Credential Service Specification 19.12. Everything is text here, as on the wire.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from lxml import etree

TCR = "http://www.onvif.org/ver10/credential/wsdl"
TAR = "http://www.onvif.org/ver10/accessrules/wsdl"

WRITES = frozenset(
    {
        "CreateCredential", "ModifyCredential", "SetCredential", "DeleteCredential",
        "EnableCredential", "DisableCredential", "SetCredentialAccessProfiles",
        "DeleteCredentialAccessProfiles",
    }
)  # fmt: skip


class SoapFault(Exception):
    """A fault to be answered: subcodes from outside in; *receiver*: the device's own failure."""

    def __init__(self, *words: str, receiver: bool = False, text: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.receiver = receiver
        self.text = text or "told in the device's own words"


@dataclass
class Habits:
    """How this device is. The defaults are a rich and well-behaved one."""

    client_tokens: bool = True
    dated: bool = True
    times: bool = True
    days_shown: Literal["as sent", "utc midnight", "local midnight"] = "as sent"
    zone: str = "Europe/Stockholm"
    page: int = 50  # MaxLimit
    stale_starts: bool = False  # InvalidStartReference after any edit
    always_stale: bool = False
    no_next: bool = False  # never says NextStartReference
    hidden: set[str] = field(default_factory=set)  # tokens that GetCredentialList does not show
    unresolved: set[str] = field(default_factory=set)  # tokens that GetCredentials leaves out
    circles: bool = False  # NextStartReference leads back
    most_links: int = 20
    most_cards: int = 1000
    checks_profiles: bool = True
    unique_cards: bool = True
    shows_identifiers: bool = True
    keeps_reasons: bool = True
    types: tuple[str, ...] = ("pt:Card", "pt:PIN")
    formats: tuple[str, ...] = ("WIEGAND26", "SIMPLE_NUMBER56")


@dataclass
class Held:
    """One credential. `record` is its XML without links; `links` by token: from, to, as text."""

    token: str
    record: Any
    links: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    enabled: bool = True
    reason: str | None = None

    @property
    def holder(self) -> str:
        return self.record.findtext(f"{{{TCR}}}CredentialHolderReference") or ""

    @property
    def description(self) -> str | None:
        found: str | None = self.record.findtext(f"{{{TCR}}}Description")
        return found

    def identifiers(self) -> set[tuple[str, str, str]]:
        """Return type, format and value of every identifier."""
        return {
            (
                each.findtext(f"{{{TCR}}}Type/{{{TCR}}}Name") or "",
                each.findtext(f"{{{TCR}}}Type/{{{TCR}}}FormatType") or "",
                (each.findtext(f"{{{TCR}}}Value") or "").upper(),
            )
            for each in self.record.findall(f"{{{TCR}}}CredentialIdentifier")
        }


class Store:
    """Credentials and access profiles of one device."""

    def __init__(self, habits: Habits, tell: Callable[[str, str, str], None]) -> None:
        self.habits = habits
        self.tell = tell  # topic, name of the source, token
        self.credentials: dict[str, Held] = {}
        self.profiles: dict[str, str] = {}
        self.generation = 0
        self.after_page: list[Callable[[], None]] = []
        self._made = 0

    # ── commands of the credential service ──────────────────────────────────────────────

    def answer(self, body: Any) -> Any:
        """Carry out one command, and return the body of its answer."""
        name = etree.QName(body).localname
        command = getattr(self, f"_do_{name}", None)
        if command is None:
            raise SoapFault("ActionNotSupported", receiver=True)
        reply = etree.Element(
            f"{{{etree.QName(body).namespace}}}{name}Response",
            nsmap={"tcr": TCR, "tar": TAR},
        )
        command(body, reply)
        return reply

    def _do_GetSupportedFormatTypes(self, body: Any, reply: Any) -> None:
        if body.findtext("{*}CredentialIdentifierTypeName") not in self.habits.types:
            raise SoapFault("InvalidArgVal", "NotFound")
        for each in self.habits.formats:
            info = etree.SubElement(reply, f"{{{TCR}}}FormatTypeInfo")
            etree.SubElement(info, f"{{{TCR}}}FormatType").text = each
            etree.SubElement(info, f"{{{TCR}}}Description").text = "as BACnet has it"

    def _do_GetCredentialInfoList(self, body: Any, reply: Any) -> None:
        self._list(body, reply, list(self.credentials), self._info)

    def _do_GetCredentialList(self, body: Any, reply: Any) -> None:
        self._list(body, reply, list(self.credentials), self._whole)

    def _do_GetCredentialInfo(self, body: Any, reply: Any) -> None:
        self._some(body, reply, self._info)

    def _do_GetCredentials(self, body: Any, reply: Any) -> None:
        self._some(body, reply, self._whole)

    def _do_GetAccessProfileInfoList(self, body: Any, reply: Any) -> None:
        self._list(body, reply, list(self.profiles), self._profile)

    def _do_GetAccessProfileInfo(self, body: Any, reply: Any) -> None:
        for token in [each.text for each in body.findall("{*}Token")]:
            if token in self.profiles:
                reply.append(self._profile(token))

    def _do_GetCredentialState(self, body: Any, reply: Any) -> None:
        held = self._held(body.findtext("{*}Token"))
        state = etree.SubElement(reply, f"{{{TCR}}}State")
        etree.SubElement(state, f"{{{TCR}}}Enabled").text = str(held.enabled).lower()
        if held.reason and self.habits.keeps_reasons:
            etree.SubElement(state, f"{{{TCR}}}Reason").text = held.reason

    def _do_CreateCredential(self, body: Any, reply: Any) -> None:
        record = body.find("{*}Credential")
        if record.get("token"):
            raise SoapFault("InvalidArgVal")
        self._made += 1
        token = f"{(self._made * 7919) % 100_003:05d}"
        self._put(token, record, body.find("{*}State"))
        etree.SubElement(reply, f"{{{TCR}}}Token").text = token

    def _do_SetCredential(self, body: Any, _: Any) -> None:
        if not self.habits.client_tokens:
            raise SoapFault("CapabilityViolated", "ClientSuppliedTokenSupported", receiver=True)
        data = body.find("{*}CredentialData")
        record = data.find("{*}Credential")
        if not record.get("token"):
            raise SoapFault("InvalidArgs")
        self._put(record.get("token"), record, data.find("{*}CredentialState"))

    def _do_ModifyCredential(self, body: Any, _: Any) -> None:
        record = body.find("{*}Credential")
        held = self._held(record.get("token"))
        self._put(held.token, record, None)

    def _do_DeleteCredential(self, body: Any, _: Any) -> None:
        held = self._held(body.findtext("{*}Token"))
        del self.credentials[held.token]
        self._edited("Configuration/Credential/Removed", held.token)

    def _do_EnableCredential(self, body: Any, _: Any) -> None:
        held = self._held(body.findtext("{*}Token"))
        held.enabled, held.reason = True, None
        self._edited("Credential/State/Enabled", held.token)

    def _do_DisableCredential(self, body: Any, _: Any) -> None:
        held = self._held(body.findtext("{*}Token"))
        held.enabled, held.reason = False, body.findtext("{*}Reason")
        self._edited("Credential/State/Enabled", held.token)

    def _do_SetCredentialAccessProfiles(self, body: Any, _: Any) -> None:
        held = self._held(body.findtext("{*}CredentialToken"))
        held.links = self._checked(
            held.links | self._links(body.findall("{*}CredentialAccessProfile"))
        )
        self._edited("Configuration/Credential/Changed", held.token)

    def _do_DeleteCredentialAccessProfiles(self, body: Any, _: Any) -> None:
        held = self._held(body.findtext("{*}CredentialToken"))
        for each in body.findall("{*}AccessProfileToken"):
            held.links.pop(each.text or "", None)
        self._edited("Configuration/Credential/Changed", held.token)

    # ── behind them ─────────────────────────────────────────────────────────────────────

    def _held(self, token: str | None) -> Held:
        if token not in self.credentials:
            raise SoapFault("InvalidArgVal", "NotFound")
        return self.credentials[token]

    def _edited(self, topic: str, token: str) -> None:
        self.generation += 1
        self.tell(topic, "CredentialToken", token)

    def _put(self, token: str, sent: Any, state: Any) -> None:
        new = token not in self.credentials
        if new and len(self.credentials) >= self.habits.most_cards:
            raise SoapFault("CapabilityViolated", "MaxCredentials")
        record = copy.deepcopy(sent)
        record.set("token", token)
        links = record.findall("{*}CredentialAccessProfile")
        for link in links:
            record.remove(link)
        held = Held(token, record, self._checked(self._links(links)))
        self._require_identifiers(held)
        if state is not None:
            held.enabled = (state.findtext("{*}Enabled") or "").strip() in ("true", "1")
            held.reason = state.findtext("{*}Reason")
        elif not new:
            old = self.credentials[token]
            held.enabled, held.reason = old.enabled, old.reason
        self.credentials[token] = held
        self._edited("Configuration/Credential/Changed", token)

    def _require_identifiers(self, held: Held) -> None:
        found = held.identifiers()
        types = [one[0] for one in found]
        if len(set(types)) != len(types):
            raise SoapFault("InvalidArgVal", "DuplicatedIdentifierType")
        for type_, format_, value in found:
            if type_ not in self.habits.types:
                raise SoapFault("CapabilityViolated", "SupportedIdentifierType")
            if type_ == "pt:Card" and format_ not in self.habits.formats:
                raise SoapFault("InvalidArgVal", "InvalidFormatType")
            octets = {"WIEGAND26": 3, "SIMPLE_NUMBER56": 7}.get(format_)
            if octets is not None and len(value) != 2 * octets:
                raise SoapFault("InvalidArgVal", "InvalidIdentifierValue")
        others = (each for each in self.credentials.values() if each.token != held.token)
        if self.habits.unique_cards and any(found & each.identifiers() for each in others):
            raise SoapFault("InvalidArgVal", "DuplicatedIdentifierValue")

    def _links(self, elements: list[Any]) -> dict[str, tuple[str | None, str | None]]:
        return {
            each.findtext("{*}AccessProfileToken") or "": (
                self._kept(each.findtext("{*}ValidFrom")),
                self._kept(each.findtext("{*}ValidTo")),
            )
            for each in elements
        }

    def _checked(
        self, links: dict[str, tuple[str | None, str | None]]
    ) -> dict[str, tuple[str | None, str | None]]:
        if len(links) > self.habits.most_links:
            raise SoapFault("CapabilityViolated", "MaxAccessProfilesPerCredential")
        if not self.habits.dated and any(any(dates) for dates in links.values()):
            raise SoapFault("CapabilityViolated", "CredentialAccessProfileValiditySupported")
        if self.habits.checks_profiles and not set(links) <= set(self.profiles):
            raise SoapFault("InvalidArgVal", "ReferenceNotFound")
        return links

    def _kept(self, moment: str | None) -> str | None:
        """Return a date as this device shows it: the time of day is lost where it keeps none."""
        if moment is None or self.habits.times or self.habits.days_shown == "as sent":
            return moment
        day = moment[:10]
        if self.habits.days_shown == "utc midnight":
            return f"{day}T00:00:00Z"
        local = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(self.habits.zone))
        return local.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")

    # ── lists ───────────────────────────────────────────────────────────────────────────

    def _list(self, body: Any, reply: Any, tokens: list[str], shown: Callable[[str], Any]) -> None:
        whole = etree.QName(body).localname == "GetCredentialList"
        tokens = sorted(t for t in tokens if not (whole and t in self.habits.hidden))
        limit = int(body.findtext("{*}Limit") or 0)
        limit = limit if 0 < limit <= self.habits.page else self.habits.page
        told = body.findtext("{*}StartReference")
        start = 0
        if told is not None:
            generation, _, offset = told.partition(":")
            stale = self.habits.stale_starts and int(generation) != self.generation
            if stale or self.habits.always_stale:
                raise SoapFault("InvalidArgVal", "InvalidStartReference")
            start = 0 if self.habits.circles else int(offset)
        page = tokens[start : start + limit]
        if start + limit < len(tokens) and not self.habits.no_next:
            reference = etree.SubElement(
                reply, etree.QName(etree.QName(reply).namespace, "NextStartReference")
            )
            reference.text = f"{self.generation}:{start + limit}"
        reply.extend(shown(token) for token in page)
        if told is None and self.after_page:
            self.after_page.pop(0)()

    def _some(self, body: Any, reply: Any, shown: Callable[[str], Any]) -> None:
        wanted = [each.text for each in body.findall("{*}Token")]
        if len(wanted) > self.habits.page:
            raise SoapFault("InvalidArgs", "TooManyItems")
        if etree.QName(body).localname == "GetCredentials":
            wanted = [token for token in wanted if token not in self.habits.unresolved]
        reply.extend(shown(token) for token in wanted if token in self.credentials)

    def _info(self, token: str) -> Any:
        return self._shown(token, f"{{{TCR}}}CredentialInfo", whole=False)

    def _whole(self, token: str) -> Any:
        return self._shown(token, f"{{{TCR}}}Credential", whole=True)

    def _shown(self, token: str, tag: str, *, whole: bool) -> Any:
        held = self.credentials[token]
        shown = etree.Element(tag, token=token)
        info = ("Description", "CredentialHolderReference", "ValidFrom", "ValidTo")
        for each in held.record:
            if etree.QName(each).localname in info or whole:
                shown.append(copy.deepcopy(each))
        if not whole:
            return shown
        if not self.habits.shows_identifiers:
            for value in shown.iter(f"{{{TCR}}}Value"):
                value.text = ""
        last = shown.findall("{*}CredentialIdentifier")[-1]
        for profile, (begin, end) in reversed(held.links.items()):
            link = etree.Element(f"{{{TCR}}}CredentialAccessProfile")
            etree.SubElement(link, f"{{{TCR}}}AccessProfileToken").text = profile
            if begin:
                etree.SubElement(link, f"{{{TCR}}}ValidFrom").text = begin
            if end:
                etree.SubElement(link, f"{{{TCR}}}ValidTo").text = end
            last.addnext(link)
        return shown

    def _profile(self, token: str) -> Any:
        info = etree.Element(f"{{{TAR}}}AccessProfileInfo", token=token)
        etree.SubElement(info, f"{{{TAR}}}Name").text = self.profiles[token]
        return info
