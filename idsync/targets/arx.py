"""ASSA ABLOY ARX: people with access categories, written as documents and read as exports.

Evidence B: nobody's own manual was read; see `arx_wire` and `arx_xml` for where each fact is
from, and docs/targets/arx.md for what is uncertain and which setting it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydantic import Field

from idsync.capabilities import profile
from idsync.errors import Incomplete, Refused, Unavailable
from idsync.http import Api, UrlField
from idsync.model import Cardholder, Change, Outcome
from idsync.settings import PathField, SecretField, Settings, ZoneField
from idsync.targets import Target
from idsync.targets.arx_changes import Work
from idsync.targets.arx_people import People
from idsync.targets.arx_records import Rules, Suspend
from idsync.targets.arx_sending import CONFIRMED, CategoriesAbsent, Job, Sending
from idsync.targets.arx_times import Clock
from idsync.targets.arx_wire import RETURNED, ReadWith, Wire

MEGABYTE = 1024 * 1024
NOBODY = "idsync-check"


class ArxTarget(Target):
    """Persons, cards and access categories of one ARX.

    A person's id is the key, behind `id_prefix`. Whoever has another id is somebody else's
    record: shown without a key, never changed.
    """

    class Config(Settings):
        """Keys of a [targets.NAME] table with type = "arx"."""

        url: UrlField
        user: str
        password: SecretField
        ca_file: PathField | None = None
        timezone: ZoneField = Field(default=None, validate_default=True)
        id_prefix: str = ""
        categories_absent: CategoriesAbsent = "unknown"
        suspend: Suspend = "inhibit_cards"
        card_format: str = ""
        card_prefix: str = ""
        mail_field: str = ""
        department_field: str = ""
        end_inclusive: bool = True
        empty_pin: bool = False
        fewest_people: int = Field(default=0, ge=0)
        read_with: ReadWith = "get"
        batch: int = Field(default=25, ge=1, le=500)
        timeout_s: float = Field(default=60.0, gt=0)
        deadline_s: float = Field(default=300.0, gt=0)
        largest_answer_mb: int = Field(default=256, ge=1, le=2048)

    def __init__(self, config: Config) -> None:
        fields = {"mail": config.mail_field, "department": config.department_field}
        self._rules = Rules(
            clock=Clock(config.timezone, config.end_inclusive),
            id_prefix=config.id_prefix,
            suspend=config.suspend,
            card_format=config.card_format,
            card_prefix=config.card_prefix,
            fields={attribute: name for attribute, name in fields.items() if name},
        )
        self._api = Api(
            config.url,
            token=config.password,
            user=config.user,
            ca_file=config.ca_file,
            timeout_s=config.timeout_s,
            deadline_s=config.deadline_s,
            max_bytes=config.largest_answer_mb * MEGABYTE,
            media_type="text/xml",
            returned=RETURNED,
        )
        self._wire = Wire(self._api, config.read_with)
        self._people = People(self._wire, self._rules, config.fewest_people)
        self._sending = Sending(
            self._wire,
            self._people,
            absent=config.categories_absent,
            empty_pin=config.empty_pin,
        )
        known = profile("arx-4.1")
        writes_cards = config.suspend != "mark"
        self.capabilities = profile(
            "arx-4.1",
            attributes=(*known.attributes, *self._rules.fields),
            credential=known.credential if writes_cards else ("read",),
            end_inclusive=config.end_inclusive,
            batch=config.batch,
        )

    def read(self) -> Iterator[Cardholder]:
        """Yield everybody and every card of nobody, out of one export; see `Target.read`."""
        return self._people.everybody()

    def read_one(self, key: str) -> Cardholder | None:
        """Return the person whose id is the prefix and *key*; see `Target.read_one`.

        Raises:
            Refused: several persons have it.
        """
        try:
            id = self._rules.id_of(key)
        except Refused:  # so nobody has it
            return None
        found = self._people.seek(id).found
        return None if found is None or found.person.deleted else self._rules.cardholder(found)

    def put(self, change: Change) -> Outcome:
        """Make it so; see `Target.put`. What is sent is looked at afterwards."""
        outcome = self.put_many([change])[0]
        if outcome.status == "refused":
            raise Refused(outcome.reason)
        if outcome.status == "unknown":
            raise Unavailable(outcome.reason)
        return outcome

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        """Put changes in one document of persons and one of cards; see `Target.put_many`."""
        try:
            names: Counter[str] | None = None
            if any(change.added for change in changes):
                names = self._wire.categories()
            made = [self._job(change, names) for change in changes]
            jobs = [job for job in made if isinstance(job, Job)]
            done = iter(self._sending.carry_out(jobs))
        except Incomplete as error:
            raise Unavailable(str(error)) from None
        return [next(done) if isinstance(job, Job) else job for job in made]

    def check(self) -> str:
        """Read the categories, and look for somebody who is not there; writes nothing.

        Whether the account may import, and whether that has a licence, shows only when
        something is imported: no document is known to be harmless everywhere.
        """
        names = self._wire.categories()
        if not self._wire.one(NOBODY).whole or names is None:
            self._wire.everything()  # or else nothing has shown that this is ARX
        if names is None:
            return "ARX, which does not tell its access categories"
        return f"ARX with {sum(names.values())} access categories"

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()

    def _job(self, change: Change, names: Counter[str] | None) -> Job | Outcome:
        """Return what is to be done for one change, or its outcome if nothing can be."""
        suspends = change.after.status == "suspended"
        try:
            id = self._rules.id_of(change.key)
        except Refused as refused:
            return CONFIRMED if suspends else Outcome(status="refused", reason=str(refused))
        try:
            found, twin = self._people.seek(id)
            if suspends and (found is None or found.person.deleted):
                return CONFIRMED
            if twin:
                raise Refused(
                    "ARX has an id that differs from this one in case or spaces only, and might "
                    "take one for the other: correct the key, or the id in ARX"
                )
            if found is not None and found.person.deleted:
                raise Refused(
                    "the id belongs to a person who is deleted in ARX, and might come back with "
                    "all they had: restore them there, or remove them for good"
                )
        except Refused as refused:
            return Outcome(status="refused", reason=str(refused))
        work = Work(change=change, now=found, rules=self._rules, names=names)
        if work.issues:
            work = replace(work, taken=self._people.card_numbers())
        return Job(work=work)
