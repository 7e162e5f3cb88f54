"""Which cardholders were touched, by the events of an ONVIF device.

A pull point (ONVIF Core Specification, event handling) collects tns1:Configuration/Credential/
Changed and Removed, tns1:Credential/State/Enabled (Credential Service Specification 19.12,
chapter 6) and the same of access profiles. It dies when nobody pulls for long, or when the
device restarts, and what it has no room for is lost in silence: then everything has to be
read. An event names a credential, not its holder, so the holders are kept in mind here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

from lxml import etree

from idsync.errors import ConnectorError, Denied, Unavailable
from idsync.targets import Changed
from idsync.targets.onvif_device import Device
from idsync.targets.onvif_faults import Faulted

WSNT = "http://docs.oasis-open.org/wsn/b-2"
TT = "http://www.onvif.org/ver10/schema"
TOPICS = "http://www.onvif.org/ver10/topics"
CONCRETE_SET = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"

OF_CREDENTIALS = frozenset(
    {
        "Configuration/Credential/Changed",
        "Configuration/Credential/Removed",
        "Credential/State/Enabled",
    }
)
OF_PROFILES = frozenset(
    {"Configuration/AccessProfile/Changed", "Configuration/AccessProfile/Removed"}
)
MOST_PULLS = 100


class _Lost(Exception):
    """Something may have been missed."""


class Feed:
    """One pull point at a time, and whose credentials were whose when it began."""

    def __init__(self, device: Device, *, limit: int, keep: timedelta) -> None:
        self._device = device
        self._limit = limit
        self._keep = keep
        self._address = ""
        self._headers: list[Any] = []
        self._bookmark = ""
        self._holders: dict[str, str] = {}

    def changes(self, bookmark: str) -> Changed:
        """Return whose records were touched since *bookmark*; see `Target.changes`.

        A bookmark holds for this feed and once: events that were pulled are gone.
        """
        if bookmark and bookmark == self._bookmark:
            self._bookmark = ""  # unless all goes well
            with suppress(_Lost):
                keys = self._keys(self._pull())
                self._bookmark = uuid4().hex
                return Changed(keys=keys, bookmark=self._bookmark)
        started = self._subscribe()
        return Changed(keys=() if started and not bookmark else None, bookmark=self._bookmark)

    def close(self) -> None:
        """Give the pull point back: a device has few."""
        if self._address:
            with suppress(ConnectorError):
                self._device.soap.call(
                    "pullpoint", "Unsubscribe", address=self._address, headers=self._headers
                )
        self._address = self._bookmark = ""

    # ── pulling ─────────────────────────────────────────────────────────────────────────

    def _subscribe(self) -> bool:
        """Begin a pull point, and learn whose every credential is; False if there can be none."""
        self.close()
        try:
            told = self._device.soap.call(
                "events", "CreatePullPointSubscription",
                Filter={"_value_1": [_topics()]},
                InitialTerminationTime=f"PT{int(self._keep.total_seconds())}S",
            )  # fmt: skip
        except Faulted:
            return False
        reference = told.SubscriptionReference
        self._address = str(getattr(reference.Address, "_value_1", reference.Address)).strip()
        parameters = reference.ReferenceParameters
        self._headers = list((parameters and parameters._value_1) or ())
        self._holders = self._device.holders()
        self._bookmark = uuid4().hex
        return True

    def _pull(self) -> list[Any]:
        messages: list[Any] = []
        for _ in range(MOST_PULLS):
            try:
                told = self._device.soap.call_xml(
                    "pullpoint", "PullMessages", address=self._address, headers=self._headers,
                    Timeout=timedelta(seconds=1), MessageLimit=self._limit,
                )  # fmt: skip
            except (Faulted, Unavailable, Denied) as error:
                if isinstance(error, Faulted) or self._is_gone():
                    raise _Lost from None
                raise
            new = list(told.iter(f"{{{WSNT}}}NotificationMessage"))
            messages += new
            if len(messages) >= self._limit:
                raise _Lost
            if not new:
                return messages
        raise _Lost

    def _is_gone(self) -> bool:
        """Tell whether the device answers otherwise: then it is the pull point that does not."""
        with suppress(ConnectorError):
            self._device.soap.call("device", "GetSystemDateAndTime", anonymous=True)
            return True
        return False

    # ── reading events ──────────────────────────────────────────────────────────────────

    def _keys(self, messages: Sequence[Any]) -> tuple[str, ...]:
        tokens = set()
        for message in messages:
            topic = _topic(message.findtext(f"{{{WSNT}}}Topic") or "")
            if topic in OF_PROFILES:
                raise _Lost  # a right has another name, or nobody has it: everybody is touched
            if topic in OF_CREDENTIALS:
                tokens.add(_token(message))
        if "" in tokens:
            raise _Lost
        now = self._device.holders_of(tokens)
        touched = {holders[t] for t in tokens for holders in (self._holders, now) if t in holders}
        if "" in touched:
            raise _Lost  # a record without a key has no other name than everything
        for token in tokens:
            self._holders.pop(token, None)
        self._holders.update(now)
        return tuple(sorted(touched))


def _topics() -> Any:  # noqa: ANN401 - lxml's
    element = etree.Element(
        f"{{{WSNT}}}TopicExpression",
        nsmap={"wsnt": WSNT, "tns1": TOPICS},
        Dialect=CONCRETE_SET,
    )
    element.text = (
        "tns1:Configuration/Credential//.|tns1:Credential/State//."
        "|tns1:Configuration/AccessProfile//."
    )
    return element


def _topic(text: str) -> str:
    """Return a topic without prefixes: devices choose their own."""
    return "/".join(part.rpartition(":")[2] for part in text.strip().split("/"))


def _token(message: Any) -> str:  # noqa: ANN401 - lxml's
    """Return the token of the credential that an event is about, "" if it names none."""
    for item in message.iter(f"{{{TT}}}SimpleItem"):
        if item.get("Name") == "CredentialToken":
            return str(item.get("Value") or "")
    return ""
