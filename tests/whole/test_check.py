"""`idsync check` against a system that says no: what is wrong stands in a sentence of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.gallagher import KEY, FakeGallagher
from tests.fakes.gallagher_habits import EDIT, VIEW, Habits
from tests.servers.slapd import Certificates
from tests.targets.gallagher_site import BASE, KEY_FIELD, furnished, someone

CONFIG = """
[idsync]
state = "sqlite:///var/idsync.db"

[sources.hr]
type = "csv"
kind = "employments"
path = "hr.csv"
map = {{ key = "a", person_key = "b", employee_number = "c" }}

[targets.stadshuset]
type = "gallagher"
url = "{url}"
token = {{ env = "GALLAGHER_KEY" }}
key_field = "{field}"
base_group = "{base}"
division = "Kommunen"
{more}
"""

CASES: dict[str, tuple[Habits, str, str]] = {
    "a wrong key": (Habits(), "0000-0000", "answered 401"),
    "a missing licence": (Habits(licences={"RESTEvents"}), KEY, "no licence RESTCardholders"),
    "a missing privilege": (
        Habits(privileges=(VIEW | EDIT) - {"view cardholders"}), KEY, "give it View Cardholders",
    ),
    "a wrong CA": (Habits(), KEY, "the certificate is not trusted: check ca_file"),
    "a wrong host": (Habits(), KEY, "the connection could not be made"),
}  # fmt: skip


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def checked(tmp_path: Path, certificates: Certificates) -> Callable[[str], str]:
    """Run the command on one case, and return what it says of the target."""

    def run(case: str) -> str:
        habits, key, _ = CASES[case]
        tls = _pair(certificates) if "CA" in case else None
        fake = furnished(FakeGallagher(habits, tls=tls))
        someone(fake.system, "1001")
        more = f'ca_file = "{certificates.other_ca}"' if tls else ""
        url = "http://127.0.0.1:9" if "host" in case else fake.url
        text = CONFIG.format(url=url, field=KEY_FIELD, base=BASE, more=more)
        (tmp_path / "connectors.toml").write_text(text, encoding="utf-8")
        (tmp_path / "hr.csv").write_text("a,b,c\ne1,p1,1001\n", encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-m", "idsync", "check", "--json"],
                cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
                env={"GALLAGHER_KEY": key, "PATH": ""},
            )  # fmt: skip
        finally:
            fake.close()
        assert done.returncode == 4, done.stderr
        reason: str = json.loads(done.stdout)["targets"]["stadshuset"]["reason"]
        assert key not in reason, "the key stands in the sentence"
        assert not fake.writes, "a check has written"
        return reason

    return run


def test_five_faults_give_five_sentences(checked: Callable[[str], str]) -> None:
    told = {case: checked(case) for case in CASES}
    for case, (_, _, words) in CASES.items():
        assert words in told[case], case
        assert sum(words in other for other in told.values()) == 1, f"{case} is not told apart"


def _pair(certificates: Certificates) -> tuple[str, str]:
    return str(certificates.folder / "good.pem"), str(certificates.folder / "good.key")
