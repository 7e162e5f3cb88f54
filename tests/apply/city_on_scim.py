"""A few made-up people on one SCIM stand-in, synced within the test's own process."""

from __future__ import annotations

from pathlib import Path

from idsync.config import Config, connect_target, load
from idsync.model import Cardholder
from idsync.service.applying import Run, clock, sync
from idsync.service.revoking import Closed, close_person
from idsync.store import State, open_state
from tests.fakes.scim import TOKEN, FakeScim

CONFIG = """
[idsync]
state = "sqlite:///{folder}/idsync.db"

[sources.hr]
type = "csv"
kind = "employments"
path = "hr.csv"
absent_reads = 1
band_people = 1000
map = {{ key = "anst", person_key = "nr", employee_number = "nr", given_name = "namn", \
unit = "enhet" }}

[targets.skola]
type = "scim"
url = "{url}"
token = {{ file = "{folder}/token" }}
key = "employee_number"
release = ["display_name"]
{more}

[brakes]
people = 1000
percent = 100.0

[[profiles]]
id = "skola"
grants = {{ skola = ["SKOLA"] }}

[[profiles]]
id = "kök"
grants = {{ skola = ["KÖK", "SKOLA"] }}

[[rules]]
profile = "skola"
when = {{ unit = "Skola" }}

[[rules]]
profile = "kök"
when = {{ unit = "Kök" }}
"""


class ScimCity:
    """The files, the stand-in, and what a test does with them."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.more = more
        self.fake = FakeScim()
        for name in ("SKOLA", "KÖK", "GÄST"):
            self.fake.group(name)
        self.units = {str(100 + i): "Skola" for i in range(4)}
        self.second: dict[str, str] = {}  # the unit of another employment
        (folder / "token").write_text(TOKEN)
        self.write()
        self.state: State = open_state(self.config.idsync.state)

    @property
    def config(self) -> Config:
        """The configuration as it stands in the file now."""
        return load(self.folder / "connectors.toml")

    def write(self) -> None:
        """Write the files as the city is now."""
        text = CONFIG.format(folder=self.folder, url=self.fake.url, more=self.more)
        (self.folder / "connectors.toml").write_text(text, encoding="utf-8")
        rows = [f"e{nr},{nr},Åsa{nr},{unit}" for nr, unit in self.units.items()]
        rows += [f"x{nr},{nr},Åsa{nr},{unit}" for nr, unit in self.second.items()]
        (self.folder / "hr.csv").write_text(
            "\n".join(["anst,nr,namn,enhet", *rows]) + "\n", encoding="utf-8"
        )

    def sync(self) -> Run:
        """Run once."""
        self.write()
        return sync(self.config, self.state, lambda _: None)

    def person(self, number: str) -> str:
        """Return idsync's id of a person."""
        columns = {"id": str, "employee_number": str}
        import polars as pl

        persons = self.state.frames.load("person", pl.Schema(columns))
        return str(persons.filter(pl.col("employee_number") == number)["id"][0])

    def order(self, number: str, employment: str | None = None) -> None:
        """Order somebody's revocation, or the end of one employment; nothing is sent yet."""
        self.state.orders.revoke(
            self.person(number), "HR 17", "test", clock(), employment=employment
        )  # fmt: skip

    def close_out(self, number: str) -> list[Closed]:
        """Carry the order out, as the command does."""
        person = self.person(number)
        run = self.state.begin_run("revoke", clock())
        return close_person(self.config, self.state, person, run, clock)

    def shown(self, number: str) -> Cardholder | None:
        """Return what the system shows of somebody."""
        target = connect_target(self.config.targets["skola"])
        try:
            return target.read_one(number)
        finally:
            target.close()

    def rights(self, number: str) -> set[str]:
        """Return which groups somebody is in."""
        found = self.shown(number)
        return {grant.ref for grant in found.grants} if found else set()

    def is_shut(self, number: str) -> bool:
        """Whether somebody opens nothing: suspended or unknown, and without what idsync gave."""
        found = self.shown(number)
        return found is None or (found.status == "suspended" and not self.rights(number) & GIVEN)

    def user(self, number: str) -> str:
        """Return the id of somebody's record in the stand-in."""
        [found] = [id for id, one in self.fake.users.items() if one.get("externalId") == number]
        return found

    def let_into(self, group: str, number: str) -> None:
        """Put somebody into a group by hand."""
        [there] = [one for one in self.fake.groups.values() if one["displayName"] == group]
        there["members"].append({"value": self.user(number)})
        self.fake.touch(there)

    def take_out(self, group: str, number: str) -> None:
        """Take somebody out of a group by hand."""
        [there] = [one for one in self.fake.groups.values() if one["displayName"] == group]
        there["members"] = [m for m in there["members"] if m["value"] != self.user(number)]
        self.fake.touch(there)

    def close(self) -> None:
        """Stop the stand-in."""
        self.state.close()
        self.fake.close()


GIVEN = {"SKOLA", "KÖK"}
