"""The holders file: read completely or not at all, and what half of it must not do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from idsync.errors import Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Grant
from idsync.targets.uhppote_holders import Holders
from tests.targets.uhppote import Site

SOUND = "key;card\n1001;8000001\n1002;8000002\n1001;8000003\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "holders.csv"
    path.write_text(SOUND, encoding="utf-8")
    return path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.own("1001", 8_000_001)
    site.own("1002", 8_000_002)
    yield site
    site.close()


# ── what may stand there ────────────────────────────────────────────────────────────────


def test_several_cards_of_a_person_stand_in_rows_of_their_own(file: Path) -> None:
    holders = Holders(file)
    assert holders.cards_of("1001") == (8_000_001, 8_000_003)
    assert holders.cards_of("1003") == ()
    assert holders.read().key[8_000_002] == "1002"


SOUND_FORMS = {
    "byte order mark": "\ufeff" + SOUND,
    "other line ends": SOUND.replace("\n", "\r\n"),
    "empty lines": SOUND.replace("\n1002", "\n\n1002") + "\n",
    "leading zeros": SOUND.replace("8000002", " 0008000002"),
    "a row twice": SOUND + "1002;8000002\n",
    "quotes": SOUND.replace("1002", '"1002"'),
    "a count": SOUND + ";3\n",
}


@pytest.mark.parametrize("form", SOUND_FORMS)
def test_such_a_file_says_the_same(file: Path, form: str) -> None:
    expected = Holders(file).read()
    file.write_text(SOUND_FORMS[form], encoding="utf-8", newline="")
    assert Holders(file).read() == expected


def test_keys_are_taken_exactly(file: Path) -> None:
    file.write_text('key;card\n" 1001";1\n"a;b";2\n"a""b";3\n"å\u2028ä";4\n', encoding="utf-8")
    assert set(Holders(file).read().cards) == {" 1001", "a;b", 'a"b', "å\u2028ä"}


FAULTY = {
    "empty": "",
    "no rows": "key;card\n",
    "no header": "1001;8000001\n",
    "another header": "card;key\n8000001;1001\n",
    "cut in a line": SOUND[:-3],
    "cut before a line end": SOUND[:-1],
    "open quotes": SOUND + '"1003;8000004\n',
    "a card of two people": SOUND + "1003;8000001\n",
    "a column too many": SOUND + "1003;8000004;x\n",
    "a column too few": SOUND + "1003\n",
    "no key": SOUND + " ;8000004\n",
    "no card": SOUND + "1003;\n",
    "card 0": SOUND + "1003;0\n",
    "the mark of a deleted slot": SOUND + "1003;4294967295\n",
    "more than 32 bits": SOUND + "1003;4294967296\n",
    "far too many digits": SOUND + f"1003;{'9' * 5000}\n",
    "digits of another script": SOUND + "1003;٣\n",
    "a wrong count": SOUND + ";4\n",
    "a count in the middle": SOUND + ";3\n1003;8000004\n",
}


@pytest.mark.parametrize("what", FAULTY)
def test_a_file_that_is_not_sound_is_not_used(file: Path, what: str) -> None:
    file.write_text(FAULTY[what], encoding="utf-8")
    with pytest.raises(Incomplete) as raised:
        Holders(file).read()
    assert "800000" not in str(raised.value), "a card number is told"
    assert "1003" not in str(raised.value), "a key is told"


def test_a_file_in_another_encoding_is_not_used(file: Path) -> None:
    file.write_bytes("key;card\nå;1\n".encode("cp1252"))
    with pytest.raises(Incomplete, match="UTF-8"):
        Holders(file).read()


def nothing(path: Path) -> None:
    """Put nothing in the file's place."""


@pytest.mark.parametrize("instead", [nothing, Path.mkdir, os.mkfifo])
def test_a_file_that_is_not_there_is_unavailable(
    file: Path, instead: Callable[[Path], None]
) -> None:
    file.unlink()
    instead(file)
    with pytest.raises(Unavailable, match="holders"):
        Holders(file).read()


def test_fewer_rows_than_the_settings_expect_are_not_all(file: Path) -> None:
    assert Holders(file, at_least=3).read()
    with pytest.raises(Incomplete, match="3 rows and holders_at_least says 4"):
        Holders(file, at_least=4).read()


def test_a_count_can_be_demanded(file: Path) -> None:
    with pytest.raises(Incomplete, match="cut off"):
        Holders(file, counted=True).read()
    file.write_text(SOUND + ";3\n", encoding="utf-8")
    assert Holders(file, counted=True).cards_of("1002") == (8_000_002,)


# ── what half a file must not do ────────────────────────────────────────────────────────


def test_an_emptied_file_makes_nobody_a_stranger(site: Site) -> None:
    target = site.target()
    change = Change(before=None, after=Cardholder(key="1001", grants=(Grant(ref="FSK-ENTRE"),)))
    target.put(change)
    for emptied in ("", "key;card\n"):
        site.file.write_text(emptied, encoding="utf-8")
        for call in (lambda: list(target.read()), lambda: target.read_one("1001")):
            with pytest.raises(Incomplete):
                call()
        with pytest.raises(Incomplete):
            target.put(change)


def test_a_file_that_goes_away_stops_everything(site: Site) -> None:
    target = site.target()
    site.file.unlink()
    for call in (lambda: list(target.read()), lambda: target.read_one("1001"), target.check):
        with pytest.raises(Unavailable):
            call()


def test_more_strangers_than_expected_are_no_whole_answer(site: Site) -> None:
    for number in range(3):
        site.first.put(9_000_001 + number, 1)
    assert len(list(site.target().read())) == 3
    with pytest.raises(Incomplete, match="3 cards on the controllers are nobody's"):
        list(site.target(strangers_at_most=2).read())


def test_a_stranger_on_two_controllers_is_one(site: Site) -> None:
    for controller in site.both:
        controller.put(9_000_001, 1)
    [found] = site.target(strangers_at_most=1).read()
    assert (found.key, found.native_id) == (None, "9000001")
    assert {grant.ref for grant in found.grants} == {"FSK-ENTRE", "STADSHUS BAK"}
    assert [card.number for card in found.credentials] == ["9000001"]


def test_a_person_whose_row_is_lost_is_not_said_to_hold_nothing(site: Site) -> None:
    """Else the apply step would take "nobody there" for "all is gone"."""
    before = Cardholder(key="1001", grants=(Grant(ref="FSK-ENTRE"),))
    site.target().put(Change(before=None, after=before))
    site.rows = site.rows[1:]
    site.write()
    fresh = site.target()  # has never seen the row
    with pytest.raises(Refused, match="no card in the holders file"):
        fresh.put(Change(before=before, after=Cardholder(key="1001", status="suspended")))
    with pytest.raises(Incomplete, match="no card any longer"):
        fresh.read_one("1001")

    aged = site.target()
    site.own("1001", 8_000_001)
    assert aged.read_one("1001") is not None
    site.rows.pop()
    site.write()
    with pytest.raises(Incomplete, match="no card any longer"):
        aged.read_one("1001")


def test_who_never_had_a_card_is_refused_or_unknown(site: Site) -> None:
    target = site.target()
    assert target.read_one("4711") is None
    with pytest.raises(Refused, match="no card in the holders file"):
        target.put(Change(before=None, after=Cardholder(key="4711")))
    assert target.read_one("4711") is None
    gone = Change(before=None, after=Cardholder(key="4711", status="suspended"))
    assert target.put(gone).status == "confirmed"
    assert not site.first.slots
    assert not site.second.slots
