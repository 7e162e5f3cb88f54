"""Gallagher Command Centre, by its REST API: cardholders, access groups, cards, competencies.

Facts are from the vendor's description (repository GallagherSecurity/cc-rest-docs,
oas3/out/cc_rest.yaml, of 9.50 and later) and from its training/README.md. A personal data
field marked unique holds the key; the base group makes it visible, so everybody whom
idsync manages is in it. A right to arm is an access group like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from idsync.capabilities import Capabilities, profile
from idsync.errors import ConfigError, Denied, Incomplete, Refused, Unavailable
from idsync.http import RETURNED, Api, UrlField
from idsync.model import Cardholder, Change, CredentialState, Grant, Outcome
from idsync.settings import PathField, SecretField, Settings
from idsync.targets import Changed, Target
from idsync.targets.gallagher_feed import Feed
from idsync.targets.gallagher_items import Items
from idsync.targets.gallagher_records import (
    Shape,
    cardholder,
    holdings,
    key_of,
    require_memberships,
)
from idsync.targets.gallagher_service import Record, Service, host_of
from idsync.targets.gallagher_writing import Steps, Writer, merged, one_by_one, undated

CONFIRMED = Outcome(status="confirmed")

SHOWS_NOBODY = (
    "Command Centre: it shows nobody, though there are people in base_group: give idsync's "
    "operator View Cardholders, then push Refresh operator privileges"
)

CARD_STATES: dict[CredentialState, str] = {
    "active": "Active",
    "suspended": "Disabled (manually)",
    "lost": "Lost",
    "stolen": "Stolen",
    "damaged": "Damaged",
}
"""The card states that Command Centre ships with, in English ("Cardholder card", status)."""


class GallagherTarget(Target):
    """The cardholders of one Command Centre that its operator may see.

    Whoever has no key is shown without one, and never changed; so are two with one key.
    """

    class Config(Settings):
        """Keys of a [targets.NAME] table with type = "gallagher"."""

        url: UrlField
        token: SecretField
        client_certificate: PathField | None = None
        ca_file: PathField | None = None
        timeout_s: float = Field(default=30.0, gt=0)
        deadline_s: float = Field(default=120.0, gt=0)
        page_size: int = Field(default=1000, ge=1, le=10_000)
        lanes: int = Field(default=2, ge=1, le=16)
        link_hosts: tuple[str, ...] = ()
        key_field: str = Field(min_length=1)
        base_group: str = Field(min_length=1)
        division: str = Field(min_length=1)
        mail_field: str | None = None
        department_field: str | None = None
        alarm_groups: tuple[str, ...] = ()
        competencies: bool = False
        granularity: Literal["second", "minute"] = "second"
        card_states: dict[CredentialState, str] = CARD_STATES
        lock_words: tuple[str, ...] = ("lock", "workstation", "being edited")

    def __init__(self, config: Config) -> None:
        self._config = config
        parts = urlsplit(config.url)
        self._api = Api(
            f"{parts.scheme}://{parts.netloc}",
            token=config.token,
            scheme="GGL-API-KEY",
            ca_file=config.ca_file,
            client_certificate=config.client_certificate,
            timeout_s=config.timeout_s,
            deadline_s=config.deadline_s,
            connections=1,
            returned=RETURNED | {403},  # its body tells licence and privilege apart
        )
        self._service = Service(
            self._api,
            entry=parts.path.strip("/") or "api",
            hosts=frozenset(map(host_of, (config.url, *config.link_hosts))),
            page_size=config.page_size,
            lock_words=config.lock_words,
        )
        optional = {"mail": config.mail_field, "department": config.department_field}
        self._uses = {"key": config.key_field, **{n: at for n, at in optional.items() if at}}
        self._items = Items(
            self._service,
            fields=self._uses,
            base_group=config.base_group,
            division=config.division,
        )
        self._shape: Shape | None = None
        self._keeps_open_dates: set[tuple[str, str]] = set()
        self._unanswered: dict[str, set[str]] = {}  # by key: what was held before that write
        self.capabilities = self._capabilities()

    def _capabilities(self) -> Capabilities:
        config = self._config
        kinds = ["access", *(["alarm"] if config.alarm_groups else [])]
        kinds += ["competency"] if config.competencies else []
        attributes = ("given_name", "family_name", *(name for name in self._uses if name != "key"))
        return profile(
            "gallagher-9.50",
            kinds=tuple(kinds),
            attributes=attributes,
            lanes=config.lanes,
            granularity=config.granularity,
        )

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def read(self) -> Iterator[Cardholder]:
        """Yield every cardholder that the operator may see; see `Target.read`.

        The pages have to come in order and to their end, and hold everybody of whom the
        base group's own list of members knows: that one is asked for before.
        """
        shape = self._known()
        members = self._items.base_members()
        link = self._service.licensed("cardholders")
        people = self._service.everything(link, shape.fields)
        left_out = members - {self._service.followed(person) for person in people}
        if left_out:
            left_out &= self._items.base_members()
        if left_out and not people:
            raise Denied(SHOWS_NOBODY)
        if left_out:
            raise Incomplete(
                f"Command Centre: {len(left_out)} members of base_group were not among all "
                "cardholders: read again; if it stays so, check the operator's privileges"
            )
        if members and not any(shape.key in person for person in people):
            raise Denied(
                "Command Centre: nobody shows the personal data field of key_field: give "
                "idsync's operator full access to it"
            )
        times = Counter(key_of(person, shape) for person in people)
        for person in people:
            key = key_of(person, shape)
            yield cardholder(person, shape, self._service, key if times[key] == 1 else None)

    def read_one(self, key: str) -> Cardholder | None:
        """Return the cardholder whose key field is *key*; see `Target.read_one`.

        Raises:
            Refused: several have it, or it is a key that cannot be searched for.
            Denied: nobody is found, and the operator does not see everybody.
        """
        record = self._find(key)
        if record is None:
            self._require_sight()
            return None
        return cardholder(record, self._known(), self._service, key)

    def changes(self, bookmark: str) -> Changed:
        """Return whose records were touched; see `Target.changes`."""
        key_id = self._items.fields()["key"].id
        feed = Feed(self._service, self._known(), key_id, self._config.page_size)
        return feed.changes(bookmark)

    def _known(self) -> Shape:
        """Return where things are kept, once the definitions of the fields are known."""
        if self._shape is None:
            config, found = self._config, self._items.fields()
            members = {"given_name": "firstName", "family_name": "lastName"}
            members |= {use: field.member for use, field in found.items() if use != "key"}
            asked = ["href", "id", "firstName", "lastName", "authorised", "accessGroups", "cards"]
            asked += ["competencies"] if config.competencies else []
            self._shape = Shape(
                key=found["key"].member,
                members=members,
                fields=(*asked, *(f"pdf_{field.id}" for field in found.values())),
                base_group=config.base_group,
                alarm_groups=frozenset(config.alarm_groups),
                competencies=config.competencies,
                whole_minutes=config.granularity == "minute",
                card_states=config.card_states,
            )
        return self._shape

    def _find(self, key: str) -> Record | None:
        """Return the one whose key is exactly this: the search folds case, so it is compared."""
        shape = self._known()
        if not key:
            return None
        if '"' in key:
            raise Refused("a key with a quotation mark cannot be searched for: correct the source")
        link = self._service.licensed("cardholders")
        filters = {f"pdf_{self._items.fields()['key'].id}": f'"{key}"'}
        found = self._service.everything(link, shape.fields, **filters)
        same = [record for record in found if key_of(record, shape) == key]
        if len(same) > 1:
            raise Refused(
                f"{len(same)} cardholders have one key: decide by hand which is the person's, and "
                "clear it on the others"
            )
        for record in same:
            require_memberships(record, shape)
        return same[0] if same else None

    def _require_sight(self) -> None:
        """See that nobody found is nobody there: a lost privilege finds nobody either.

        Raises:
            Denied: the operator does not see the key, or not everybody of the base group.
        """
        self._items.forget()
        self._items.fields()
        self._items.base_members()

    # ── writing ─────────────────────────────────────────────────────────────────────────

    def put(self, change: Change) -> Outcome:
        """Make it so; see `Target.put`."""
        record = self._find(change.key)
        if record is None and (change.before or change.after.status == "suspended"):
            self._require_gone(change)
            return CONFIRMED
        if record is not None and change.key in self._unanswered:
            # what came since is ours: set its dates right, instead of giving it again
            self._correct(change, self._unanswered[change.key], record)
            del self._unanswered[change.key]
            record = self._find(change.key)
        known = self._hrefs(record) if record else set()
        try:
            refusals = self._create(change) if record is None else self._change(change, record)
        except Unavailable:
            self._unanswered[change.key] = known
            raise
        if refusals:
            raise refusals[0]
        return CONFIRMED

    def _require_gone(self, change: Change) -> None:
        """See that whoever is not found by key is not there, and not only hidden.

        Raises:
            Denied: the operator does not see everybody.
            Refused: the person stands there without the key, or was planned to stay.
        """
        self._require_sight()
        link = change.before.native_id if change.before else ""
        if link and self._service.get(link, {"fields": "href"}) is not None:
            raise Refused(
                "a cardholder lost its key since the plan: look whether it is in base_group, and "
                "set the key again or block it by hand"
            )
        if change.after.status != "suspended":
            raise Refused("a cardholder is gone since the plan: plan again")

    def _create(self, change: Change) -> list[Refused | Denied]:
        """Make the cardholder, all in one; if that is refused, without rights, then each."""
        self._items.require_carried()
        writer = Writer(self._known(), self._items)
        link = self._service.licensed("cardholders")
        body, refusals = writer.new(change, with_grants=True)
        try:
            location = self._service.post(link, body)
        except Refused:
            record = self._find(change.key)  # another may have been faster
            bare, _ = writer.new(change, with_grants=False)
            if record is None and body == bare:
                raise
            if record is None:
                self._items.forget()
                record = self._made(change.key, self._service.post(link, bare))
            return self._change(change, record)
        self._correct(change, set(), self._made(change.key, location))
        return [*refusals]

    def _made(self, key: str, location: str) -> Record:
        """Return the cardholder just made, which has to be found again by its key.

        Raises:
            Refused: it is not. Then it is closed again, since nobody would look after it.
        """
        record = self._find(key)
        if record is None:
            closed = "it could not be closed"
            if location:
                with suppress(Refused, Denied):
                    self._service.patch(location, {"authorised": False})
                    closed = "it was de-authorised again"
            raise Refused(
                f"a cardholder was made and is not found by its key: {closed}; check that "
                "base_group gives key_field, and delete the cardholder in Command Centre"
            )
        return record

    def _change(self, change: Change, record: Record) -> list[Refused | Denied]:
        """Send what differs; return what was refused."""
        writer = Writer(self._known(), self._items)
        known = self._hrefs(record)
        steps = writer.steps(change, record)
        refusals: list[Refused | Denied] = [*steps.refusals]
        if steps.parts:
            refusals += self._send(change, writer, steps, self._service.followed(record))
        added = {(one.kind, one.ref) for one in undated(change.added)}
        if added - self._keeps_open_dates and steps.parts:
            fresh = self._find(change.key)
            if fresh is not None:
                self._correct(change, known, fresh)
        return refusals

    def _send(
        self, change: Change, writer: Writer, steps: Steps, link: str
    ) -> list[Refused | Denied]:
        """Send all parts as one, and where that is refused, each part of what is still to do."""
        try:
            self._service.patch(link, merged(steps.parts))
        except (Refused, Denied) as refused:
            self._items.forget()
            fresh = self._find(change.key)  # links of holdings change with every edit
            left = writer.steps(change, fresh).parts if fresh else []
            if fresh is None or (len(left) == 1 and left == steps.parts):
                return [refused]
            return one_by_one(left, lambda part: self._service.patch(link, part))
        return []

    def _hrefs(self, record: Record) -> set[str]:
        return {one.href for one in holdings(record, self._known())}

    def _correct(self, change: Change, known: set[str], record: Record) -> None:
        """Set right the dates of new holdings that came from defaults, once they are seen."""
        shape = self._known()
        writer = Writer(shape, self._items)
        parts = writer.corrected(change.added, known, record) + writer.base_corrected(record)
        if parts:
            self._service.patch(self._service.followed(record), merged(parts))
        held: set[Grant] = {one.grant for one in holdings(record, shape)}
        self._keeps_open_dates |= {
            (one.kind, one.ref) for one in undated(change.added) if one in held
        }

    # ── the rest ────────────────────────────────────────────────────────────────────────

    def check(self) -> str:
        """Reach Command Centre and look at all that the settings name; see `Target.check`."""
        version = self._service.home().version
        link = self._service.licensed("cardholders")
        self._items.require_carried()
        self._items.division()
        for name in self._config.alarm_groups:
            if not self._items.has_group(name):
                raise ConfigError(
                    "alarm_groups: one of them is not shown as an access group: check the names, "
                    "and the operator's privilege View Access Groups"
                )
        if self._config.competencies:
            self._service.licensed("competencies")
        members = self._items.base_members()
        if not any(self._service.pages(link, ("id", "href"))):
            if members:
                raise Denied(SHOWS_NOBODY)
            return (
                f"Gallagher Command Centre {version}; it shows no cardholder at all: if it has "
                "any, idsync's operator lacks View Cardholders"
            )
        return f"Gallagher Command Centre {version}, {len(members)} people in the base group"

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()
