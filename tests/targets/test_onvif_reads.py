"""What an ONVIF device shows, and when a read of it is whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from idsync.errors import ConfigError, Denied, Incomplete, Refused, Unavailable
from idsync.model import Credential, Grant
from idsync.targets.onvif import OnvifTarget
from idsync.targets.onvif_dates import Dates
from idsync.targets.onvif_numbers import Identifier, Numbers
from tests.fakes.onvif import Door, FakeOnvif
from tests.fakes.onvif_store import Habits, SoapFault
from tests.targets.onvif import CARD, HEX, RIGHTS, Start, another, shown, start

__all__ = ["start"]

STOCKHOLM = ZoneInfo("Europe/Stockholm")


# ── cardholders ─────────────────────────────────────────────────────────────────────────


def test_credentials_with_one_holder_are_one_cardholder(start: Start) -> None:
    fake, target = start()
    fake.credential("b", "1001", value=HEX, links=("profile-0",), description="Åsa Öberg")
    fake.credential("a", "1001", value="000102", links=("profile-0", "profile-1"))
    fake.credential("c", "", value="000103")
    mine, nobodys = sorted(target.read(), key=lambda one: one.key or "~")
    assert (mine.key, mine.native_id, mine.display_name) == ("1001", "a b", "Åsa Öberg")
    assert {card.number for card in mine.credentials} == {"258", CARD}
    assert {grant.ref for grant in mine.grants} == {RIGHTS[0], RIGHTS[1]}
    assert mine.amiss == "1 of 2 cards lack a right that another has"
    assert (nobodys.key, nobodys.native_id) == (None, "c")


def test_a_pin_is_never_shown(start: Start) -> None:
    fake, target = start()
    fake.credential("door-code", "1001", value="1234", type_name="pt:PIN", format_type="DIGITS")
    [card] = shown(target).credentials
    assert (card.number, card.medium) == ("token:door-code", "pin")


def test_a_card_of_another_format_keeps_its_octets(start: Start) -> None:
    fake, target = start(Habits(formats=("WIEGAND26", "VENDOR")))
    fake.credential("a", "1001", value="00ff", format_type="VENDOR")
    assert shown(target).credentials[0].number == "VENDOR:00FF"


def test_a_profile_that_is_gone_is_shown_by_its_token(start: Start) -> None:
    fake, target = start(Habits(checks_profiles=False))
    fake.credential("a", "1001", links=("profile-9",))
    assert shown(target).grants == (Grant(ref="token:profile-9"),)


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("pt:CredentialBlocked", "suspended"),
        ("pt:CredentialLost", "lost"),
        ("pt:CredentialStolen", "stolen"),
        ("pt:CredentialInactivity", "inactive"),
        ("pt:CredentialRenewalNeeded", "expired"),
        ("nobody knows why", "suspended"),
        (None, "suspended"),
    ],
)
def test_a_disabled_card_says_why(start: Start, reason: str | None, state: str) -> None:
    fake, target = start()
    held = fake.credential("a", "1001")
    held.enabled, held.reason = False, reason
    found = shown(target)
    assert (found.status, found.credentials[0].state) == ("suspended", state)
    assert found.credentials[0].state_reason in ("", reason), "free text may name somebody"


def test_a_lock_out_that_ends_by_itself_is_no_suspension(start: Start) -> None:
    fake, target = start()
    held = fake.credential("a", "1001")
    held.enabled, held.reason = False, "pt:CredentialLockedOut"
    assert (shown(target).status, shown(target).credentials[0].state) == ("active", "active")


def test_one_open_card_is_enough_to_be_active(start: Start) -> None:
    fake, target = start()
    fake.credential("a", "1001").enabled = False
    fake.credential("b", "1001")
    assert shown(target).status == "active"


# ── lists ───────────────────────────────────────────────────────────────────────────────


def crowd(fake: FakeOnvif, many: int) -> None:
    for number in range(many):
        fake.credential(f"c{number:03}", str(1000 + number))


def test_a_list_that_changed_is_begun_anew(start: Start) -> None:
    fake, target = start(Habits(page=10, stale_starts=True))
    crowd(fake, 25)
    fake.store.after_page.append(lambda: fake.touch("c001"))
    assert len(list(target.read())) == 25
    assert fake.seen.count("GetCredentialList") == 1 + 1 + 3, "first page, refused, three pages"


def test_a_list_that_never_holds_still_is_incomplete(start: Start) -> None:
    fake, target = start(Habits(page=10, always_stale=True))
    crowd(fake, 25)
    with pytest.raises(Incomplete, match="did not hold still"):
        list(target.read())
    assert fake.seen.count("GetCredentialList") < 12


@pytest.mark.parametrize("habits", [Habits(no_next=True), Habits(circles=True)])
def test_a_list_that_ends_too_early_or_never_is_incomplete(start: Start, habits: Habits) -> None:
    fake, target = start(habits)
    crowd(fake, 25)
    for read in (lambda: list(target.read()), lambda: target.read_one("1024")):
        with pytest.raises(Incomplete):
            read()


def test_a_credential_that_one_list_hides_is_missed(start: Start) -> None:
    fake, target = start(Habits(hidden={"c013"}))
    crowd(fake, 25)
    with pytest.raises(Incomplete, match="does not hold still"):
        list(target.read())


def test_a_credential_that_is_listed_and_not_shown_is_missed(start: Start) -> None:
    fake, target = start(Habits(unresolved={"c001"}))
    crowd(fake, 3)
    with pytest.raises(Incomplete, match="listed, and is not shown"):
        target.read_one("1001")
    assert target.read_one("1002") is not None


def test_whoever_is_deleted_during_a_read_is_gone(start: Start) -> None:
    fake, target = start()
    crowd(fake, 5)
    fake.store.after_page.append(fake.store.credentials.clear)
    assert list(target.read()) == []


def test_a_page_is_never_larger_than_the_device_allows(start: Start) -> None:
    fake, target = start(Habits(page=3))
    crowd(fake, 8)
    assert len(list(target.read())) == 8
    assert shown(target, "1007").key == "1007"


def test_a_fault_during_a_read_is_no_short_answer(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, target = start()
    crowd(fake, 3)

    def refuse(_: object) -> None:
        raise SoapFault("NobodyKnowsThisWord", text="1001 may not")

    monkeypatch.setattr(fake.store, "answer", refuse)
    with pytest.raises(Unavailable, match="refused without a word that is known"):
        list(target.read())


# ── card numbers ────────────────────────────────────────────────────────────────────────

W26 = Numbers(format="WIEGAND26", bits=24)
VECTORS = [
    (W26, "0", "000000"),
    (W26, "1", "000001"),
    (W26, "8000001", "7A1201"),  # facility 122, card 4609
    (W26, "16777215", "FFFFFF"),
    (Numbers(format="SIMPLE_NUMBER16", bits=16), "65535", "FFFF"),
    (Numbers(format="SIMPLE_NUMBER56", bits=56), "7", "00000000000007"),
    (Numbers(format="SIMPLE_NUMBER56", bits=56), "72057594037927935", "F" * 14),
    (Numbers(format="WIEGAND37", bits=35), "34359738367", "07FFFFFFFF"),
    (Numbers(format="VENDOR", bits=12), "4095", "0FFF"),  # an odd number of digits is filled up
    (Numbers(format="WIEGAND26", bits=24, digits=8), "00000001", "000001"),
    (Numbers(format="VENDOR", bits=None, style="hex"), "0001EA", "0001EA"),
    (Numbers(format="GUID", bits=128, style="hex"), "0" * 31 + "A", "0" * 31 + "A"),
    # 1 facility 8 card 16 1: even over the first 13 bits, odd over the last 13
    (Numbers(format="WIEGAND26", bits=24, parity=True), "0", "00000001"),
    (Numbers(format="WIEGAND26", bits=24, parity=True), "1", "00000002"),
    (Numbers(format="WIEGAND26", bits=24, parity=True), "8388608", "03000001"),
]


@pytest.mark.parametrize(("numbers", "number", "value"), VECTORS)
def test_a_number_becomes_octets_and_comes_back(numbers: Numbers, number: str, value: str) -> None:
    assert numbers.value(number) == value
    for written in (value, value.lower(), f" {value} "):
        one = Identifier("pt:Card", numbers.format, written)
        assert numbers.shown([one], "t") == (number, "card")


def test_zeros_that_a_device_leaves_out_are_no_other_number() -> None:
    for value in ("1", "01", "0001", "00000001"):  # an odd length is no hexBinary, and is seen
        assert W26.shown([Identifier("pt:Card", "WIEGAND26", value)], "t")[0] == "1"


@pytest.mark.parametrize("value", ["01000000", "FFFFFFFF", "XYZ", ""])
def test_what_is_no_number_of_the_format_is_shown_as_it_is(value: str) -> None:
    number, _ = W26.shown([Identifier("pt:Card", "WIEGAND26", value)], "t")
    assert number == f"WIEGAND26:{value}"


def test_a_wrong_parity_is_no_number() -> None:
    numbers = Numbers(format="WIEGAND26", bits=24, parity=True)
    assert numbers.shown([Identifier("pt:Card", "WIEGAND26", "00000003")], "t")[0].startswith("W")


@pytest.mark.parametrize(
    ("numbers", "number"),
    [
        (W26, "16777216"),
        (W26, "007"),
        (W26, ""),
        (W26, "-1"),
        (W26, "1.5"),
        (W26, "12 3"),
        (W26, "١٢"),
        (W26, "token:a"),
        (Numbers(format="VENDOR", bits=None, style="hex"), "ABC"),
        (Numbers(format="VENDOR", bits=None, style="hex"), "ab"),
        (Numbers(format="GUID", bits=128, style="hex"), "AB"),
    ],
)
def test_a_number_that_would_not_come_back_is_refused(numbers: Numbers, number: str) -> None:
    with pytest.raises(Refused) as error:
        numbers.value(number)
    assert not number or number not in str(error.value).split()


@pytest.mark.parametrize(
    "settings",
    [
        {"format_type": "VENDOR"},
        {"format_type": "WIEGAND26", "card_numbers": "hex", "parity": True},
        {"format_type": ""},
        {"url": "http://controller.example.se/onvif"},
        {"password": "in the file"},
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any]) -> None:
    sound = {
        "url": "https://controller.example.se",
        "user": "sync",
        "password": {"env": "X"},
        "format_type": "WIEGAND26",
    }
    OnvifTarget.Config.model_validate(sound)
    with pytest.raises(ValueError, match=r"validation error"):
        OnvifTarget.Config.model_validate(sound | settings)


# ── dates ───────────────────────────────────────────────────────────────────────────────


def test_the_day_of_the_end_is_included_where_there_are_only_days() -> None:
    """The specification's own example: 6 to 7 June is 6 June 00:00 up to 8 June 00:00."""
    dates = Dates(STOCKHOLM, times=False)
    sixth = datetime(2031, 6, 6, tzinfo=STOCKHOLM).astimezone(UTC)
    eighth = datetime(2031, 6, 8, tzinfo=STOCKHOLM).astimezone(UTC)
    assert (dates.valid_from(sixth) or "")[:10] == "2031-06-06"
    assert (dates.valid_to(eighth) or "")[:10] == "2031-06-07"
    assert dates.begins(datetime(2031, 6, 6, tzinfo=UTC)) == sixth
    assert dates.ends(datetime(2031, 6, 7, tzinfo=UTC)) == eighth


@pytest.mark.parametrize(
    "written",
    [
        datetime(2031, 6, 7),  # noqa: DTZ001 - some devices leave the zone out
        datetime(2031, 6, 7, tzinfo=UTC),
        datetime(2031, 6, 7, tzinfo=STOCKHOLM),
        datetime(2031, 6, 6, 22, tzinfo=UTC),  # local midnight
        datetime(2031, 6, 7, 12, tzinfo=UTC),
        datetime(2031, 6, 7, 23, 59, 59, tzinfo=STOCKHOLM),
    ],
)
def test_a_day_is_read_however_a_device_writes_it(written: datetime) -> None:
    dates = Dates(STOCKHOLM, times=False)
    assert dates.ends(written) == datetime(2031, 6, 7, 22, tzinfo=UTC)


def test_a_day_west_of_greenwich_is_read_too() -> None:
    dates = Dates(ZoneInfo("America/New_York"), times=False)
    for written in (datetime(2031, 6, 7, tzinfo=UTC), datetime(2031, 6, 7, 12, tzinfo=UTC)):
        assert dates.begins(written) == datetime(2031, 6, 7, 4, tzinfo=UTC)


def test_an_end_is_exclusive_where_there_are_times() -> None:
    dates = Dates(STOCKHOLM, times=True)
    end = datetime(2031, 6, 7, 12, 30, 15, tzinfo=UTC)
    assert dates.valid_to(end) == "2031-06-07T12:30:15Z"
    assert dates.ends(end.astimezone(STOCKHOLM)) == end
    assert dates.ends(datetime(2031, 6, 7, 14, 30, 15)) == end, "without a zone: the device's"  # noqa: DTZ001


def test_never_and_always_are_no_dates() -> None:
    for times in (True, False):
        dates = Dates(STOCKHOLM, times)
        assert dates.ends(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)) is None
        assert dates.begins(datetime(1, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("times", "moment"),
    [
        (True, datetime(2031, 6, 7, 12, 0, 0, 1, tzinfo=UTC)),
        (False, datetime(2031, 6, 7, 12, tzinfo=UTC)),
        (False, datetime(2031, 6, 7, tzinfo=UTC)),  # midnight elsewhere
    ],
)
def test_what_is_finer_than_the_device_keeps_is_refused(times: bool, moment: datetime) -> None:
    for write in (Dates(STOCKHOLM, times).valid_from, Dates(STOCKHOLM, times).valid_to):
        with pytest.raises(Refused):
            write(moment)


# ── what it can ─────────────────────────────────────────────────────────────────────────


def test_the_device_narrows_what_can_be_held(start: Start) -> None:
    _, rich = start(Habits(most_links=7))
    assert rich.capabilities.dated_grants
    assert rich.capabilities.granularity == "second"
    assert rich.capabilities.grants_per_holder == 7
    assert rich.capabilities.change_feed
    _, poor = start(
        Habits(dated=False, times=False), Door(services=("credential", "accessrules")),
        display_name="none", name_length=40,
    )  # fmt: skip
    assert not poor.capabilities.dated_grants
    assert poor.capabilities.granularity == "day"
    assert poor.capabilities.end_inclusive
    assert not poor.capabilities.change_feed
    assert poor.capabilities.attributes == ()
    _, short = start(name_length=40)
    assert short.capabilities.lengths["display_name"] == 40


def test_an_outage_does_not_hide_what_the_device_says_later(start: Start) -> None:
    fake, target = start(Habits(times=False))
    fake.busy = 1
    assert not target.capabilities.end_inclusive, "the widest, while nothing is known"
    list(target.read())
    assert target.capabilities.end_inclusive


def test_nothing_heavy_is_loaded_before_the_first_call() -> None:
    code = (
        "import sys, idsync.targets.onvif as o\n"
        "o.OnvifTarget(o.OnvifTarget.Config(url='https://a.example.se', user='u',"
        "password={'env': 'X'}, format_type='WIEGAND26'))\n"
        "print([name for name in ('zeep', 'lxml', 'onvif') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run(
        [sys.executable, "-c", code],
        check=True, capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    assert told.stdout.strip() == "[]"


def test_no_message_carries_what_stands_in_a_record(start: Start) -> None:
    fake, target = start(Habits(no_next=True))
    crowd(fake, 25)
    with pytest.raises(Incomplete) as error:
        list(target.read())
    assert not re.search(r"c0\d\d|10\d\d", str(error.value))


@pytest.mark.case("X2")
def test_an_answer_with_entities_is_not_read(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, target = start()
    list(target.read())
    evil = (
        b'<!DOCTYPE a [<!ENTITY b "c">]><e:Envelope '
        b'xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body>&b;</e:Body></e:Envelope>'
    )
    soap = {"Content-Type": "application/soap+xml"}
    monkeypatch.setattr(fake, "_answer", lambda *_: (200, soap, evil))
    with pytest.raises(Unavailable, match="does not fit ONVIF's schema"):
        list(target.read())


# ── check ───────────────────────────────────────────────────────────────────────────────


def test_a_sound_device_says_what_it_is(start: Start) -> None:
    for login in ("digest", "wsse"):
        fake, target = start(door=Door(login=login))
        assert "FakeManufacturer FakeModel FakeFirmwareVersion" in target.check()
        assert not {"SetCredential", "DisableCredential"} & set(fake.seen)


CHECKS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "wrong password": (
        {"password": {"env": "ONVIF_OTHER"}}, Denied, "does not accept user and password",
    ),
    "wrong password in a token": (
        {"door": Door(login="wsse"), "password": {"env": "ONVIF_OTHER"}},
        Denied, "does not accept user and password",
    ),
    "no licence": (
        {"door": Door(services=("events",))}, Denied, "no controller of ONVIF Profile A",
    ),
    "no privilege": (
        {"door": Door(login="wsse", may_read_secrets=False)}, Denied, "READ_SYSTEM_SECRET",
    ),
    "an unfitting version": (
        {"door": Door(version="ver20")}, ConfigError, "another version of the credential service",
    ),
    "a web page": (
        {"door": Door(page=b"<html>")}, Unavailable, "with a web page: check the url",
    ),
    "clocks apart": (
        {"door": Door(login="wsse", clock_off_s=300), "device_clock": False},
        Denied, "clock is 300 s off",
    ),
    "no cards": ({"habits": Habits(types=("pt:PIN",))}, ConfigError, "takes no cards"),
    "only lists": ({"habits": Habits(most_cards=0)}, ConfigError, "MaxCredentials is 0"),
    "another format": (
        {"format_type": "WIEGAND37"}, ConfigError, r"\(SIMPLE_NUMBER56, WIEGAND26\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("made", "error", "sentence"), CHECKS.values(), ids=CHECKS.keys())
def test_what_is_wrong_is_told_apart(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    made: dict[str, Any],
    error: type[Exception],
    sentence: str,
) -> None:
    monkeypatch.setenv("ONVIF_OTHER", "not the password")
    _, target = start(**made)
    with pytest.raises(error, match=sentence.replace("300", r"\d+")) as raised:
        target.check()
    assert "not the password" not in str(raised.value)


def test_a_wrong_host_is_told_apart(start: Start) -> None:
    fake, _ = start()
    target = another(fake, url="http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="could not be made"):
        target.check()
    target = another(fake, url=f"{fake.url}/not/here")
    with pytest.raises(Unavailable, match="no ONVIF device service"):
        target.check()


def test_a_certificate_that_is_not_trusted_is_told_apart(
    start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tls")
    files = (str(folder / "own.pem"), str(folder / "own.key"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=own", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    fake, trusting = start(tls=files, ca_file=files[0])
    assert "FakeModel" in trusting.check()
    with pytest.raises(Unavailable, match="certificate is not trusted: check ca_file"):
        another(fake).check()


def test_a_password_in_a_token_is_never_sent_as_it_is(start: Start) -> None:
    fake, target = start(door=Door(login="wsse", clock_off_s=86_400))
    fake.credential("a", "1001", value=HEX)
    assert shown(target).credentials == (Credential(number=CARD),)
    assert fake.seen.count("GetSystemDateAndTime") == 1, "the clock is asked once"


def test_the_clock_is_asked_again_after_a_refusal(start: Start) -> None:
    fake, target = start(door=Door(login="wsse"))
    list(target.read())
    fake.door.clock_off_s = 3600
    with pytest.raises(Denied):
        list(target.read())
    assert list(target.read()) == []
