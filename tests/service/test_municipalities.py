"""Two municipalities on one PostgreSQL, made by the statements of docs/operate.md."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from idsync.store.turns import CHANNEL
from tests.inbox.office import Office
from tests.servers.postgres import Postgres
from tests.service.test_machines import LEADS, Machines
from tests.service.test_serving import SLOW, let_a_night_be_due, served
from tests.whole.town import Town

pytest_plugins = ("tests.servers.state_fixtures",)
pytestmark = pytest.mark.postgres

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
SHOWN = "ekstad"
NAMES = ("ekstad", "lindstad")
PEOPLE = 12


def statements(name: str) -> list[str]:
    """Return what the page has the administrator say for the municipality *name*."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition("## Several municipalities\n")
    found = re.search(r"^```sql\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].replace(SHOWN, name).split(";\n")[:-1]


class Cluster:
    """The server, and the offices of the municipalities on it."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        self.server = server
        self.offices: dict[str, Office] = {}
        for name in NAMES:
            with server.connect("postgres") as root:
                for statement in statements(name):
                    root.execute(statement.encode())
                root.execute(f"ALTER ROLE {name} PASSWORD 'lösen {name}'".encode())
            town = Town(folder / name, people=PEOPLE, state=self.url(name))
            self.offices[name] = Office(town, now=datetime.now(UTC))
            with (town.folder / "connectors.toml").open("a", encoding="utf-8") as file:
                file.write('\n[serve]\nlisten = "127.0.0.1:0"\n')

    def url(self, database: str, role: str = "") -> str:
        return f"postgresql://{role or database}@127.0.0.1:{self.server.port}/{database}"

    def move(self, name: str, state: str) -> Town:
        """Point the configuration of *name* at another state."""
        town = self.offices[name].town
        file = town.folder / "connectors.toml"
        text = file.read_text(encoding="utf-8")
        assert town.state in text
        file.write_text(text.replace(f'"{town.state}"', f'"{state}"'), encoding="utf-8")
        return town

    def connections(self, role: str) -> int:
        """Return how many sessions the role has."""
        with self.server.connect("postgres") as root:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
            [(count,)] = root.execute(asked, (role,)).fetchall()
        return int(count)

    def close(self) -> None:
        for office in self.offices.values():
            office.close()
        with self.server.connect("postgres") as root:
            for name in NAMES:
                root.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
                root.execute(f"DROP ROLE IF EXISTS {name}".encode())


@pytest.fixture
def cluster(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    passwords = tmp_path / "passwords"
    passwords.write_text(
        "\n".join(f"*:*:*:{name}:lösen {name}" for name in NAMES), encoding="utf-8"
    )
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    made = None
    try:
        made = Cluster(postgres, tmp_path)
        yield made
    finally:
        if made is not None:
            made.close()


def test_nobody_reaches_the_state_of_another_municipality(cluster: Cluster) -> None:
    for own, other in (NAMES, NAMES[::-1]):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(cluster.url(other, role=own))
        with psycopg.connect(cluster.url(own)) as session:
            seen = session.execute(
                "SELECT query FROM pg_stat_activity WHERE usename = %s", (other,)
            ).fetchall()
            assert {query for (query,) in seen} <= {"<insufficient privilege>"}
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("CREATE ROLE spy SUPERUSER")


def test_a_service_at_the_database_of_another_municipality_is_refused_with_what_to_do(
    cluster: Cluster,
) -> None:
    one, other = NAMES
    for office in cluster.offices.values():
        office.sync()
        office.town.json("sync", code=0)  # which begins the witness
    before = cluster.offices[other].state.height()

    town = cluster.move(one, cluster.url(other, role=one))
    answer = town.run("sync")
    assert answer.code == 2
    assert "lets this user not into that database: correct [idsync] state" in answer.err
    with served(town) as service:
        said = service.until("waiting")
        assert "correct [idsync] state" in said["reason"]

    town.state = cluster.url(other, role=one)
    town = cluster.move(one, cluster.url(other))
    with served(town) as service:
        said = service.until("cannot go on")
        assert "not the one that this machine has worked on" in said["reason"]
        assert "is it another city's?" in said["reason"]
        assert service.process.wait(20) == 5
    assert cluster.offices[other].state.height() == before


def test_what_a_new_machine_takes_for_its_own_state_the_brakes_hold(cluster: Cluster) -> None:
    """Nobody but the brakes knows where there is no witness, and the other's role is given."""
    one, other = NAMES
    office = cluster.offices[one]
    office.town.people, office.town.leavers = 2 * PEOPLE, set(range(PEOPLE))  # quite other people
    office.town.write_hr()
    cluster.offices[other].town.json("sync", code=0)
    doors = cluster.offices[other].doors()
    town = cluster.move(one, cluster.url(other))
    assert town.run("sync").code == 3, "held by brakes"
    assert cluster.offices[other].doors() == doors
    assert not cluster.offices[other].orders()


def test_turns_calls_and_nights_of_two_municipalities_do_not_meet(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = NAMES
    with ExitStack() as stack:
        for office in cluster.offices.values():
            let_a_night_be_due(office.town)
        services = {
            name: Machines(office, {name: "connectors.toml"}, SLOW, stack)
            for name, office in cluster.offices.items()
        }
        for name, each in services.items():
            assert each.all[name].has_said(LEADS), "each has a turn of its own"
            if not each.all[name].has_said("night begins"):
                each.all[name].until("night begins")
        for name, each in services.items():
            each.read(name)
            assert not each.all[name].has_said("night ended"), "both run at the same time"
        at_night = {name: cluster.connections(name) for name in NAMES}
        for name, each in services.items():
            each.all[name].until("night ended", outcome="applied")
        _, ears = (
            stack.enter_context(psycopg.connect(cluster.url(name), autocommit=True))
            for name in NAMES
        )
        ears.execute(f"LISTEN {CHANNEL}".encode())
        services[one].tell(one, 1)
        services[one].closed(1, 20)
        assert list(ears.notifies(timeout=0.5)) == []
        assert all(cluster.offices[other].opens(i) for i in range(PEOPLE))
        assert (cluster.offices[one].orders(), cluster.offices[other].orders()) == (["p1"], [])
        services[other].tell(other, 2)
        assert list(ears.notifies(timeout=10, stop_after=1))
        services[other].closed(2, 20)
        ears.close()
        time.sleep(1)
        at_rest = {name: cluster.connections(name) for name in NAMES}
        for name, each in services.items():
            assert each.all[name].stop()[0] == 0
    with capsys.disabled():
        sys.stdout.write(f"\nconnections of each service: {at_rest}, at night: {at_night}\n")
