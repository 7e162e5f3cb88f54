"""[events] of connectors.toml: who may tell that somebody's access ends, and in which form."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from idsync.settings import PathField, SecretField, Settings, Text

EventKind: TypeAlias = Literal[
    "person.ended", "employment.ended", "employment.ending", "employment.restored",
    "person.changed",
]  # fmt: skip
"""What an event can say. The last two give nothing: they ask for a fresh look at HR."""

Form: TypeAlias = Literal["webhook", "set", "graph"]
"""How a sender tells: by signed webhooks, security event tokens, or notifications of Graph."""

WHOLE_CITY = "*"
"""As the controller of a sender: it may tell of everybody."""


class SenderTable(Settings):
    """[events.NAME]: who may tell what of whose people; how it is known to be they, `form` says.

    source: whose keys it tells people by, and what is read again where its word is not enough.
    """

    form: Form = "webhook"
    controller: Text
    source: Text
    kinds: Annotated[tuple[EventKind, ...], Field(min_length=1)]
    known_by: Literal["key", "employee_number", "user_name", "mail"] = "key"
    words: dict[Text, EventKind] = Field({})


# ── signed webhooks ─────────────────────────────────────────────────────────────────────


class EventMap(Settings):
    """Where in the body of an event each fact stands: names with a dot between the levels."""

    kind: Text = "type"
    person: Text = "data.person"
    employment: Text = "data.employment"
    occurred_at: Text = "timestamp"
    sequence: Text = "data.sequence"
    ends: Text = "data.ends"


class WebhookTable(SenderTable):
    """A sender of signed webhooks: `keys` are what it signs with."""

    keys: Annotated[tuple[SecretField, ...], Field(min_length=1, max_length=8)]
    map: EventMap = Field(default={}, validate_default=True)


# ── security event tokens ───────────────────────────────────────────────────────────────


def _url(url: str) -> str:
    from idsync.http import check_url

    return check_url(url)


Url: TypeAlias = Annotated[str, AfterValidator(_url)]

Subject: TypeAlias = Literal["opaque", "email", "iss_sub", "scim_external_id", "scim_uri"]
"""In which form a subject names a person (RFC 9493; RFC 9967 for SCIM)."""


class SetTable(SenderTable):
    """A sender of security event tokens (RFC 8417), pushed (RFC 8935) or polled (RFC 8936).

    Its public keys stand in `keys_file` or at `keys_url`; where neither is given, its
    metadata tells where they are. `stream` is the id of the stream at the transmitter: by it
    the address to poll is found, and the stream is verified every hour.
    """

    issuer: Text
    audience: Text
    subject: Subject
    delivery: Literal["push", "poll"] = "push"
    keys_file: PathField | None = None
    keys_url: Url | None = None
    authorization: SecretField | None = None
    token: SecretField | None = None
    poll_url: Url | None = None
    stream: Text | None = None
    ca_file: PathField | None = None

    @property
    def discovers(self) -> bool:
        """Whether something has to be read from the metadata of the issuer."""
        return self.stream is not None or (self.keys_file is None and self.keys_url is None)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.keys_file and self.keys_url:
            raise ValueError("keys_file and keys_url say where the keys are: leave one out")
        if self.discovers:
            try:
                at_the_top = urlsplit(_url(self.issuer)).hostname is not None
            except ValueError:
                at_the_top = False
            if not at_the_top:
                raise ValueError(
                    "what is not written is read from the issuer's metadata, and this issuer is no "
                    "https address: give keys_file or keys_url, and leave stream out"
                )
        if self.stream and not self.token:
            raise ValueError("a stream is asked for with a token: give token")
        if self.delivery == "push" and self.poll_url:
            raise ValueError('poll_url is for a sender that is polled: write delivery = "poll"')
        if self.delivery == "poll" and not (self.token and (self.poll_url or self.stream)):
            raise ValueError("to poll, idsync needs token, and poll_url or stream")
        if self.delivery == "poll" and self.authorization:
            raise ValueError("authorization is what pushes carry: to poll, leave it out")
        return self


# ── notifications of Microsoft Graph ────────────────────────────────────────────────────

GraphResource: TypeAlias = Literal["users", "groups"]
"""What of a directory Graph may be asked to watch."""


def _tenant(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", text):
        raise ValueError("write the id of the directory, as Entra shows it")
    if text.lower() in ("common", "organizations", "consumers"):
        raise ValueError("this names no directory of yours: write its id, as Entra shows it")
    return text


class GraphTable(Settings):
    """Microsoft Graph, which tells that something in a directory has changed.

    It says of whom, and nothing that could be believed: what it leads to is that the sources
    are read again. So it has no kinds, and no controller.
    """

    form: Form
    source: Text
    tenant: Annotated[Text, AfterValidator(_tenant)]
    client_id: Text
    client_secret: SecretField | None = None
    certificate: PathField | None = None
    client_state: SecretField
    notification_url: Url
    resources: Annotated[tuple[GraphResource, ...], Field(min_length=1, max_length=2)] = (
        "users", "groups",
    )  # fmt: skip
    graph_url: Url = "https://graph.microsoft.com/v1.0"
    login_url: Url = "https://login.microsoftonline.com"
    ca_file: PathField | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.client_secret is None) == (self.certificate is None):
            raise ValueError("idsync signs in by client_secret or by certificate: give one of them")
        if len(set(self.resources)) < len(self.resources):
            raise ValueError("resources names one twice")
        return self


# ── the table ───────────────────────────────────────────────────────────────────────────


def _form(value: Any) -> str:  # noqa: ANN401 - whatever TOML holds, or a table already read
    form = value.get("form") if isinstance(value, dict) else getattr(value, "form", None)
    return {"set": "SetTable", "graph": "GraphTable"}.get(str(form), "WebhookTable")


Sender: TypeAlias = Annotated[
    Annotated[WebhookTable, Tag("WebhookTable")]
    | Annotated[SetTable, Tag("SetTable")]
    | Annotated[GraphTable, Tag("GraphTable")],
    Discriminator(_form),
]


def _proxy(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("write the IP address of the proxy itself, such as 127.0.0.1") from None


class Events(Settings):
    """[events]: every other key of it is a table of one sender."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Sender] = Field(init=False)

    trusted_proxy: tuple[Annotated[Text, AfterValidator(_proxy)], ...] = ()

    @property
    def senders(self) -> dict[str, WebhookTable | SetTable]:
        """Those who tell of people, by the name that stands in their address."""
        return {name: one for name, one in self._all.items() if not isinstance(one, GraphTable)}

    @property
    def subscribed(self) -> dict[str, GraphTable]:
        """Where idsync subscribes to what changes: it is told that something did, and no more."""
        return {name: one for name, one in self._all.items() if isinstance(one, GraphTable)}

    @property
    def visited(self) -> set[tuple[str, str]]:
        """To which senders idsync itself goes, and for what."""
        sets = [(name, one) for name, one in self.senders.items() if isinstance(one, SetTable)]
        return (
            {(name, "to verify") for name, one in sets if one.stream is not None}
            | {(name, "to poll") for name in self.polled}
            | {(name, "to subscribe") for name in self.subscribed}
        )

    @property
    def pushed(self) -> set[str]:
        """The senders that have an address here."""
        return set(self._all) - set(self.polled)

    @property
    def polled(self) -> dict[str, SetTable]:
        """The senders that idsync asks for what they have to tell."""
        return {
            name: one
            for name, one in self.senders.items()
            if isinstance(one, SetTable) and one.delivery == "poll"
        }

    @property
    def _all(self) -> dict[str, WebhookTable | SetTable | GraphTable]:
        return self.__pydantic_extra__ or {}
