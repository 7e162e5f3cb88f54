"""Numbers, letters and marks by which people are told apart: rows A3, A4 and X10, X8."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests.privacy.people import LATE, OPEN, PROTECTED, Human
from tests.privacy.search import Search
from tests.privacy.site import Site
from tests.privacy.test_protected import ALWAYS, fields_in
from tests.servers.postgres import Database

pytest_plugins = ("tests.servers.state_fixtures",)

NUMBERS = ("18900118-9811", "19900125-2397", "200101222384")
"""Made up, with check digits that hold; the last is written without its sign."""

MAC_KEY = "kanariens-nyckel-som-ingen-gissar-9f3b"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "stad", ("local",), (OPEN, PROTECTED, LATE)).standing() as site:
        yield site


def edited(site: Site, *pairs: tuple[str, str]) -> None:
    file = site.folder / "connectors.toml"
    text = file.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text, encoding="utf-8")


# ── personal identity numbers ───────────────────────────────────────────────────────────


def checked(number: str) -> str:
    """Return *number* with the check digit that belongs to it."""
    digits = [int(sign) for sign in number if sign.isdigit()][-10:]
    total = sum(sum(divmod(digit * (2 - place % 2), 10)) for place, digit in enumerate(digits[:9]))
    return number[:-1] + str(-total % 10)


def numbered(site: Site, *, short: bool = False) -> dict[str, str]:
    """Let personnummer be what HR knows people by, and the directory too, in its own form."""
    numbers = [checked(number) for number in NUMBERS]
    lines = [Human.HR]
    for human, number in zip(site.people, numbers, strict=True):
        lines.append(human.hr().replace(f"p{human.number};{human.number};", f"{number};{number};"))
    site.text("hr.csv", [*lines, f"#ANTAL;{len(numbers)}"])
    rows = [Human.DIRECTORY]
    for human, number in zip(site.people, numbers, strict=True):
        form = number[2:].replace("-", "") if short else number
        rows.append(human.directory().replace(f",{human.number},", f",{form},"))
    site.text("directory.csv", rows)
    lms = [f"{number},brand,2026-01-10,2099-01-10" for number in numbers]
    site.text("lms.csv", ["nr,kurs,klar,till", *lms])
    return {f"number {n}": form for n, number in enumerate(numbers)
            for form in (number, number.replace("-", ""), number[2:])}  # fmt: skip


@pytest.mark.case("A4")
def test_a_personnummer_as_a_key_refuses_the_source(site: Site) -> None:
    planted = numbered(site)
    answer = site.run("check", "--json")
    assert answer.code == 4
    assert "looks like personal identity numbers" in answer.out
    assert Search(planted)((answer.out + answer.err).encode(), "said") == []


@pytest.mark.case("A4")
def test_a_personnummer_that_must_match_is_a_keyed_code_before_it_is_kept(site: Site) -> None:
    planted = numbered(site, short=True)
    site.environment["NUMBER_KEY"] = MAC_KEY
    both = '["person_key", "employee_number"]'
    edited(
        site,
        ("[correlation]\n", '[correlation]\nnumber_key = { env = "NUMBER_KEY" }\n'),
        ("[sources.hr]\n", f"[sources.hr]\npersonal_numbers = {both}\n"),
        ("[sources.directory]\n", '[sources.directory]\npersonal_numbers = ["employee_number"]\n'),
        ("[sources.lms]\n", f"[sources.lms]\npersonal_numbers = {both}\n"),
    )
    answer = site.run("sync")
    assert answer.code == 0, answer
    held = site.told("local")
    assert fields_in(held, OPEN) >= {"mail"}, "the two forms of one number did not meet"
    kept = b"".join(path.read_bytes() for path in (site.folder / "var").iterdir())
    search = Search(planted)
    for data in (held, kept, (answer.out + answer.err).encode()):
        assert search(data, "here") == []
    assert MAC_KEY.encode() not in kept


@pytest.mark.case("A4")
def test_a_code_without_its_key_says_nothing_and_a_plain_hash_would_say_all(site: Site) -> None:
    test_a_personnummer_that_must_match_is_a_keyed_code_before_it_is_kept(site)
    number = checked(NUMBERS[1]).replace("-", "")
    plain = sha256(number[2:].encode()).hexdigest()
    began = time.process_time()
    tried = (f"9001{day:02d}{last:04d}" for day in range(1, 32) for last in range(10_000))
    found = next(one for one in tried if sha256(one.encode()).hexdigest() == plain)
    assert found == number[2:], "one month of births, tried out"
    assert time.process_time() - began < 20
    kept = b"".join(path.read_bytes() for path in (site.folder / "var").iterdir())
    for form in (number, number[2:]):
        assert sha256(form.encode()).hexdigest()[:32].encode() not in kept


def test_numbers_that_only_look_like_dates_are_no_personnummer(site: Site) -> None:
    rows = [f"2001{n:02d}0101" for n in range(1, 4)]
    people = tuple(replace(one, number=row) for one, row in zip(site.people, rows, strict=True))
    site.people = people
    site.write_people()
    assert site.run("check").code == 0


def test_personal_numbers_need_a_key(site: Site) -> None:
    edited(site, ("[sources.hr]\n", '[sources.hr]\npersonal_numbers = ["person_key"]\n'))
    answer = site.run("check")
    assert answer.code == 2
    assert "number_key" in answer.err


# ── marks ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("A3")
def test_while_the_source_of_marks_was_never_read_everybody_new_is_protected(site: Site) -> None:
    edited(
        site,
        (', protection = "Skydd"', ""),
        ('values = { protection = { "" = "none", S = "secrecy_marking" } }\n', ""),
        ('display_name = "cn" }', 'display_name = "cn", protection = "skydd" }'),
    )
    answer = site.run("sync")
    assert answer.code == 4
    assert fields_in(site.told("local"), OPEN) <= {"number"}
    rows = [f"{one.directory()},none" for one in site.people[:1]]
    marked = [f"{one.directory()},secrecy_marking" for one in site.people[1:]]
    site.text("directory.csv", [f"{Human.DIRECTORY},skydd", *rows, *marked])
    assert site.run("sync").code == 0
    assert "mail" in fields_in(site.told("local"), OPEN)
    (site.folder / "directory.csv").unlink()
    site.people = (*site.people, replace(OPEN, number="907999", given="Nykomlinga"))
    site.text("hr.csv", [Human.HR, *(one.hr() for one in site.people), "#ANTAL;4"])
    assert site.run("sync").code == 4
    assert b"Nykomlinga" not in site.told("local")
    assert fields_in(site.told("local"), LATE) <= ALWAYS


# ── letters ─────────────────────────────────────────────────────────────────────────────

ALIKE = {
    "composed and in pieces": ("Å-10440", "A\u030a-10440", True),
    "a zero-width space": ("10440", "10440\u200b", False),
    "digits of full width": ("10440", "１０４４０", False),
    "a Cyrillic letter": ("A10440", "\u0410" + "10440", False),
    "a dotless i": ("i10440", "ı10440", False),
    "a capital İ": ("i10440", "İ10440", False),
    "small and large": ("ö10440", "Ö10440", False),
    "a soft hyphen": ("10440", "104\u00ad40", False),
}


@pytest.mark.case("X10")
@pytest.mark.parametrize("pair", ALIKE)
def test_numbers_that_look_alike_are_one_only_where_the_text_is(site: Site, pair: str) -> None:
    """Identity is not given by looks: what differs in more than its form is somebody else."""
    first, second, same = ALIKE[pair]
    hr = [replace(OPEN, number=first).hr(), LATE.hr(), PROTECTED.hr()]
    site.text("hr.csv", [Human.HR, *hr, "#ANTAL;3"])
    directory = [replace(OPEN, number=second), LATE, PROTECTED]
    site.text("directory.csv", [Human.DIRECTORY, *(one.directory() for one in directory)])
    numbers = (first, LATE.number, PROTECTED.number)
    lms = [f"{number},brand,2026-01-10,2099-01-10" for number in numbers]
    site.text("lms.csv", ["nr,kurs,klar,till", *lms])
    plan = site.json("plan", "--save", "plan")
    told = (site.folder / "plan").read_bytes()
    assert plan["sources"]["hr"]["complete"]
    assert (OPEN.mail.encode() in told) is same


# ── statements ──────────────────────────────────────────────────────────────────────────


@pytest.mark.postgres
@pytest.mark.case("X8")
def test_a_name_that_is_a_statement_is_a_name_in_postgresql(
    tmp_path: Path, postgres_database: Database, postgres_url: str
) -> None:
    bobby = replace(OPEN, given="Robert'); DROP TABLE journal;--", family="' OR '1'='1",
                    shown="Robert'); DROP TABLE part;--")  # fmt: skip
    site = Site(tmp_path / "stad", ("local",), (bobby, PROTECTED, LATE), state=postgres_url)
    with site.standing():
        site.text("hr.csv", [Human.HR, *(one.hr().replace(bobby.given, f'"{bobby.given}"')
                                         for one in site.people), "#ANTAL;3"])  # fmt: skip
        assert site.run("sync").code == 0
        asked = site.run("explain", bobby.shown)
        assert asked.code == 0, asked
        reason = "'); DELETE FROM revocation;--"
        assert site.run("revoke", bobby.number, "--reason", reason).code == 0
        assert site.json("status")["revocations"][0]["reason"] == reason
        assert site.json("sync")["writes"] == 0
