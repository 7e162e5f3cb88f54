"""The on-call hears of every alarm that nobody sees to, whatever one of the ways does."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from idsync.config import Config, load
from idsync.config.oncall import AlarmKind
from idsync.errors import ConfigError
from idsync.service import calling_mail, calling_webhook
from idsync.service.answering import metrics
from idsync.service.calling import Called, call, try_out
from idsync.service.health import health, standing, watch
from idsync.store import State, open_state
from tests.fakes.oncall import SHARED, Receiver
from tests.fakes.smtp import PASSWORD, USER, FakeSmtp
from tests.service.test_serving import add, served
from tests.test_certificates import certificate
from tests.whole.town import Town

START = datetime(2026, 10, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PERSON = "6c03f2f8-1111-4222-8333-444455556666"
ALARM = {"revocation-unconfirmed": "1 revocations are not confirmed by skola"}

MAIL = """
[oncall.mail]
host = "127.0.0.1"
port = {port}
tls = "{tls}"
ca_file = "{ca}"
user = "idsync"
password = {{ file = "{folder}/password" }}
sender = "idsync@example.org"
to = ["jour@example.org", "reserv@example.org"]
"""
WEBHOOK = """
[oncall.webhook]
url = "{url}"
key = {{ file = "{folder}/key" }}
ca_file = "{ca}"
"""

PATIENT = """
import idsync.service.calling_mail as mail
mail.WAIT_S = mail.DEADLINE_S = 300.0
"""


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    return certificate(folder, "post.example.org", -timedelta(days=1), timedelta(days=9))


@dataclass
class Desk:
    """The on-call's mail server and receiver, and an idsync that knows both."""

    folder: Path
    mail: FakeSmtp
    hook: Receiver
    now: datetime = START
    said: list[Called] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.town = Town(self.folder, people=2)
        self.town.write()
        (self.folder / "password").write_text(PASSWORD, encoding="utf-8")
        coded = base64.b64encode(SHARED).decode()
        (self.folder / "key").write_text(f"whsec_{coded}", encoding="utf-8")
        self.plain = (self.folder / "connectors.toml").read_text(encoding="utf-8")
        self.configure(self.mail_table() + self.hook_table())
        self.state: State = open_state(self.config.idsync.state)

    def mail_table(self, tls: str = "starttls", ca: Path | None = None) -> str:
        ca = ca or self.mail.certificate
        return MAIL.format(port=self.mail.port, tls=tls, ca=ca, folder=self.folder)

    def hook_table(self, ca: Path | None = None) -> str:
        ca = ca or self.mail.certificate
        return WEBHOOK.format(url=self.hook.url, folder=self.folder, ca=ca)

    def configure(self, text: str) -> None:
        file = self.folder / "connectors.toml"
        file.write_text(self.plain + text, encoding="utf-8")
        self.config: Config = load(file)

    def restart(self) -> None:
        self.state.close()
        self.state = open_state(self.config.idsync.state)

    def call(self, after: timedelta = timedelta(0)) -> dict[str, Called]:
        self.now += after
        return {one.way: one for one in call(self.config, self.state, lambda: self.now)}

    def alarms(self) -> dict[str, str]:
        return {one["name"]: one["detail"] for one in standing(self.config, self.state, self.now)}


@pytest.fixture
def desk(tmp_path: Path, trusted: Path) -> Iterator[Desk]:
    with FakeSmtp(trusted).listening() as mail, Receiver(trusted).listening() as hook:
        made = Desk(tmp_path, mail, hook)
        made.state.orders.revoke(PERSON, "uppsagd av Åsa Öberg", "hr", START - 17 * MINUTE)
        made.state.closings.note(PERSON, "skola", "unavailable", "no answer", START)
        made.state.alarms.stand(ALARM, START)
        yield made
        made.state.close()


# ── what is told ────────────────────────────────────────────────────────────────────────


def test_both_ways_tell_whose_door_how_long_and_what_to_do_and_name_nobody(desk: Desk) -> None:
    told = desk.call(3 * MINUTE)
    assert {way: (one.told, one.reason) for way, one in told.items()} == {
        "mail": (True, ""), "webhook": (True, ""),
    }  # fmt: skip
    [letter] = desk.mail.letters
    assert (letter.user, letter.secured) == (USER, True)
    assert letter.to == ["jour@example.org", "reserv@example.org"]
    assert letter.message["Subject"] == "idsync ALARM: revocation-unconfirmed"
    assert letter.message["Auto-Submitted"] == "auto-generated"
    assert "skola: Person 6c03f2f8, order 1, for 20 minutes: unavailable" in letter.text
    assert "What to do: docs/operate.md#alarms" in letter.text
    assert "idsync alarms revocation-unconfirmed --by" in letter.text
    [message] = desk.hook.messages.values()
    assert message["type"] == "idsync.alarm"
    [alarm] = message["data"]["alarms"]
    assert (alarm["name"], alarm["age_s"]) == ("revocation-unconfirmed", 180)
    assert message["data"]["unconfirmed"][1] == {
        "order": 1, "person": "6c03f2f8", "target": "skola", "age_s": 1200,
        "outcome": "unavailable",
    }  # fmt: skip
    everything = letter.text + json.dumps(message, ensure_ascii=False) + letter.raw.decode()
    for secret in (PERSON, "Åsa", "uppsagd", PASSWORD):
        assert secret not in everything
    assert not [one for one in desk.mail.plain_words if "AUTH" in one or "MAIL" in one]


def test_it_is_told_again_each_hour_until_somebody_sees_to_it(desk: Desk) -> None:
    assert set(desk.call()) == {"mail", "webhook"}
    assert desk.call(59 * MINUTE) == {}
    assert set(desk.call(MINUTE)) == {"mail", "webhook"}
    assert len(desk.hook.messages) == 2, "another message has another id"
    desk.state.alarms.acknowledge("revocation-unconfirmed", "Åsa", desk.now)
    assert desk.call(120 * MINUTE) == {}


@pytest.mark.case("O4")
def test_a_restart_neither_repeats_nor_forgets(desk: Desk) -> None:
    desk.hook.habit = "500"
    assert desk.call()["mail"].told
    desk.hook.habit = ""
    desk.restart()
    told = desk.call(MINUTE)
    assert set(told) == {"webhook"}, "the mail was told already"
    assert len(desk.mail.letters) == 1
    desk.state.alarms.stand({}, desk.now)
    desk.call()
    desk.state.alarms.stand(ALARM, desk.now + MINUTE)
    assert set(desk.call(2 * MINUTE)) == {"mail", "webhook"}, "one that came back is another"


def test_what_was_sent_before_a_crash_is_sent_again_under_the_same_id(desk: Desk) -> None:
    desk.mail.habit = desk.hook.habit = "dies"
    failed = desk.call()
    assert not failed["mail"].told
    assert not failed["webhook"].told
    desk.mail.habit = desk.hook.habit = ""
    desk.restart()
    assert all(one.told for one in desk.call(MINUTE).values())
    first, second = desk.mail.letters
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert len(desk.hook.messages) == 1 < desk.hook.tries


def test_alarms_that_need_nobody_at_night_are_not_told_unless_they_are_asked_for(
    desk: Desk,
) -> None:
    desk.state.alarms.stand({"night-late": "it began late", "source-stale:hr": "26 hours"}, START)
    assert desk.call() == {}
    desk.configure('[oncall]\nalarms = ["source-stale"]\n' + desk.mail_table())
    assert desk.call()["mail"].alarms == ("source-stale:hr",)


def test_every_alarm_there_is_has_its_words_and_may_be_asked_for() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operate.md").read_text(encoding="utf-8")
    table = page.partition("## Alarms")[2].partition("## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)", table, re.M)) == set(get_args(AlarmKind))


def test_the_configuration_that_the_page_shows_loads(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operate.md").read_text(encoding="utf-8")
    section = page.partition("## Telling the on-call")[2].partition("\n## ")[0]
    town = Town(tmp_path, people=1)
    town.write()
    add(town, section.partition("```toml")[2].partition("```")[0])
    assert load(tmp_path / "connectors.toml").oncall.ways == ("mail", "webhook")


def test_of_two_processes_one_tells(desk: Desk) -> None:
    other = open_state(desk.config.idsync.state)
    assert other.calls.claim("mail", 2 * MINUTE, START)
    assert set(desk.call()) == {"webhook"}
    assert desk.call(MINUTE) == {}
    assert set(desk.call(MINUTE)) == {"mail"}, "whoever died with it is followed"
    other.close()


def test_a_clock_that_was_put_back_silences_nobody(desk: Desk) -> None:
    desk.now += timedelta(days=30)
    desk.mail.habit = "full"
    desk.call()
    desk.mail.habit = ""
    desk.now = START + MINUTE
    assert set(desk.call()) == {"mail", "webhook"}


def test_the_receiver_may_know_the_public_half_alone(desk: Desk) -> None:
    key = Ed25519PrivateKey.generate()
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    coded = base64.b64encode(seed).decode()
    (desk.folder / "key").write_text(f"whsk_{coded}", encoding="utf-8")
    desk.hook.public = key.public_key()
    assert desk.call()["webhook"].told
    assert len(desk.hook.messages) == 1


# ── what fails ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (calling_mail, calling_webhook):
        monkeypatch.setattr(module, "WAIT_S", 0.3)
        monkeypatch.setattr(module, "DEADLINE_S", 0.6)


@pytest.mark.case("O4")
@pytest.mark.usefixtures("in_a_hurry")
@pytest.mark.parametrize(
    ("habit", "said"),
    [
        ("hangs", "no whole answer"), ("drips", "no whole answer"),
        ("no starttls", "offers no STARTTLS"), ("refuses", "the login was refused"),
        ("full", "answered 452"), ("dies", "connection broke"),
    ],
)  # fmt: skip
def test_a_mail_server_that_fails_is_told_of_and_the_webhook_tells_that_too(
    desk: Desk, habit: str, said: str
) -> None:
    desk.mail.habit = habit
    begun = time.monotonic()
    told = desk.call()
    assert time.monotonic() - begun < 20
    assert told["webhook"].told
    assert not told["mail"].told
    assert said in told["mail"].reason
    for leaked in (PASSWORD, "jour@example.org", PERSON):
        assert leaked not in told["mail"].reason
    assert said in desk.alarms()["oncall-failed:mail"]
    text = metrics(health(desk.config, desk.state, desk.now)).decode()
    assert 'idsync_oncall_works{way="mail"} 0.0' in text
    assert 'idsync_oncall_works{way="webhook"} 1.0' in text
    watch(desk.config, desk.state, desk.now)
    again = desk.call(timedelta(seconds=1))
    assert "oncall-failed:mail" in again["webhook"].alarms
    assert "mail" not in again, "a pause first"
    desk.mail.habit = ""
    assert "oncall-failed:mail" not in desk.call(MINUTE)["mail"].alarms
    assert "oncall-failed:mail" not in desk.alarms()


@pytest.mark.case("O4")
@pytest.mark.usefixtures("in_a_hurry")
@pytest.mark.parametrize(
    ("habit", "said"),
    [
        ("500", "answered 500"), ("404", "answered 404"), ("307", "a redirect"),
        ("401", "not accepted"), ("hangs", "no whole answer"), ("drips", "no whole answer"),
    ],
)  # fmt: skip
def test_a_receiver_that_fails_is_told_of_and_the_mail_tells_that_too(
    desk: Desk, habit: str, said: str
) -> None:
    desk.hook.habit = habit
    told = desk.call()
    assert told["mail"].told
    assert said in told["webhook"].reason
    assert desk.hook.messages.keys() <= {"never"} or habit == "drips"
    watch(desk.config, desk.state, desk.now)
    assert "oncall-failed:webhook" in desk.call(timedelta(seconds=1))["mail"].alarms


def test_who_asks_to_be_left_alone_is_and_pauses_grow_to_a_quarter_of_an_hour(desk: Desk) -> None:
    desk.hook.habit = "503"
    desk.call()
    assert desk.call(3 * MINUTE) == {}, "it asked for four minutes"
    assert set(desk.call(MINUTE)) == {"webhook"}
    desk.hook.habit = "500"
    tries = 0
    for _ in range(120):
        tries += "webhook" in desk.call(MINUTE)
    assert 7 <= tries <= 12


def test_neither_way_trusts_a_stranger(desk: Desk, tmp_path: Path) -> None:
    stranger = certificate(tmp_path, "another", -timedelta(days=1), timedelta(days=9))
    desk.configure(desk.mail_table(ca=stranger) + desk.hook_table(ca=stranger))
    for one in desk.call().values():
        assert "the certificate is not trusted" in one.reason
    assert desk.mail.letters == []
    assert desk.hook.tries == 0


def test_one_address_that_is_refused_keeps_the_mail_from_nobody_else(desk: Desk) -> None:
    desk.mail.habit = "picky"
    told = desk.call()["mail"]
    assert told.told
    assert "1 of 2 addresses were refused" in told.reason
    assert [one.to for one in desk.mail.letters] == [["reserv@example.org"]]
    assert "oncall-failed:mail" in desk.alarms()
    assert "mail" not in desk.call(20 * MINUTE), "the others have it"


def test_a_mail_server_may_speak_tls_from_the_first_word(tmp_path: Path, trusted: Path) -> None:
    with (
        FakeSmtp(trusted, implicit=True).listening() as mail,
        Receiver(trusted).listening() as hook,
    ):
        desk = Desk(tmp_path, mail, hook)
        desk.configure(desk.mail_table(tls="tls"))
        desk.state.alarms.stand(ALARM, START)
        assert desk.call()["mail"].told
        assert mail.plain_words == []
        desk.state.close()


# ── what is written, and the commands ───────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[oncall]\nalarms = ["revocation-unconfirmd"]', "did you mean revocation-unconfirmed?"),
        ('[oncall.mail]\nhost = "a"\nsender = "x"\nto = ["a@b.se"]', "jour@example.org"),
        ('[oncall.mail]\nhost = "a"\nsender = "x@b.se"\nto = ["Å <a@b.se>"]', "jour@example.org"),
        ('[oncall.mail]\nhost = "a"\nuser = "x"\nsender = "x@b.se"\nto = ["a@b.se"]',
         "user and password go together"),
        ('[oncall.mail]\nhost = "a"\ntls = "none"\nsender = "x@b.se"\nto = ["a@b.se"]',
         "only for a mail server on this machine"),
        ('[oncall.webhook]\nurl = "http://jour.example.org/x"\nkey = { env = "K" }', "https://"),
        ('[oncall.webhook]\nurl = "https://jour.example.org"\nkey = "whsec_x"', "never stands"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_before_anything_is_contacted(
    tmp_path: Path, text: str, said: str
) -> None:
    town = Town(tmp_path, people=1)
    town.write()
    add(town, "\n" + text + "\n")
    with pytest.raises(ConfigError, match="oncall") as caught:
        load(tmp_path / "connectors.toml")
    assert said in str(caught.value)


def test_a_trial_by_every_way_says_that_nothing_is_wrong(desk: Desk) -> None:
    desk.mail.habit = "full"
    desk.call()
    assert "oncall-failed:mail" in desk.alarms()
    desk.mail.habit = ""
    tried = try_out(desk.config, desk.state, lambda: desk.now)
    assert [(one.way, one.told, one.reason) for one in tried] == [
        ("mail", True, ""), ("webhook", True, ""),
    ]  # fmt: skip
    assert desk.mail.letters[-1].message["Subject"] == "idsync: a trial, nothing is wrong"
    last = list(desk.hook.messages.values())[-1]
    assert (last["type"], last["data"]["alarms"]) == ("idsync.trial", [])
    assert "oncall-failed:mail" not in desk.alarms(), "a way that was mended is told again at once"
    assert set(desk.call()) == {"mail"}


def test_the_commands_look_at_the_ways_and_try_them(desk: Desk) -> None:
    (desk.folder / "password").write_text("wrong", encoding="utf-8")
    told = desk.town.json("alarms", "--try", code=4)["ways"]
    assert told["webhook"] == {"told": True, "reason": ""}
    assert told["mail"]["reason"].startswith("mail 127.0.0.1: the login was refused")
    assert "oncall-failed:mail" in desk.alarms()
    assert desk.town.run("alarms", "night-late", "--try").code == 2
    checked = desk.town.json("check", code=4)["oncall"]
    assert "the login was refused" in checked["mail"]["reason"]
    assert checked["webhook"]["ok"]
    assert desk.mail.letters == []
    desk.configure("")
    answer = desk.town.run("alarms", "--try")
    assert (answer.code, "[oncall.mail]" in answer.err) == (2, True)


@pytest.mark.case("O4")
def test_a_mail_server_that_hangs_delays_no_revocation_and_not_the_end(
    tmp_path: Path, trusted: Path
) -> None:
    with (
        FakeSmtp(trusted, habit="hangs").listening() as mail,
        Receiver(trusted).listening() as hook,
    ):
        desk = Desk(tmp_path / "en stad", mail, hook)
        (desk.folder / "lists").mkdir()
        desk.configure('\n[serve]\nurgent = "lists"\n' + desk.mail_table() + desk.hook_table())
        desk.town.json("sync", code=0)
        desk.state.orders.revoke(PERSON, "uppsagd", "hr", datetime.now(UTC) - 20 * MINUTE)
        desk.state.close()
        with served(desk.town, PATIENT) as service:
            service.until("alarm", alarm="revocation-unconfirmed")
            (desk.folder / "lists" / "x.csv").write_text("person\n200000\n", encoding="utf-8")
            service.until("revocation pursued", target="stadshuset", outcome="confirmed")
            assert len(hook.messages) == 1, "nor does one way wait for the other"
            assert not service.has_said("the on-call cannot be told", way="mail")
            code, took = service.stop()
            assert (code, took < 8) == (0, True)
        assert mail.letters == []
