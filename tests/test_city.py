"""The made-up city is the same every time, holds everybody it promises, and says one thing."""

from __future__ import annotations

import base64
import csv
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from idsync.config import connect_target, load
from idsync.testing.city import Right, build, connectors, history
from idsync.testing.city.dice import Dice
from idsync.testing.city.groups import PARENT
from idsync.testing.city.jobs import COURSES
from idsync.testing.city.make import read_made
from idsync.testing.city.names import FIRST_PARTS, family_name, given_name, plain
from idsync.testing.city.people import Human, population
from idsync.testing.city.rights import rights_of
from idsync.testing.city.units import DEPARTMENTS, SITES, UNIT, UNITS
from tests.servers import slapd

ROOT = Path(__file__).parents[1]
TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOURCES = ("hr/employments.csv", "lms/completions.csv", "directory/people.csv",
           "directory/groups.csv")  # fmt: skip
MADE = (*SOURCES, "directory/city.ldif", "city.json")
TARGETS = ("stadshuset", "skola", "omsorg", "hamnen")
FLAWED = TARGETS[:3]
AGAIN = "make it again with: python -m idsync.testing.city city"

Row = dict[str, str]
Record = dict[str, Any]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The city of 2,000, with the history that idsync's own rules give it."""
    folder = tmp_path_factory.mktemp("city")
    build(folder)
    history(folder, rights_of(folder))
    return folder


@pytest.fixture(scope="module")
def people() -> list[Human]:
    """The same city's people, those who are gone included."""
    return list(population(2000, 7, TODAY))


@pytest.fixture(scope="module")
def staff(city: Path) -> list[Row]:
    return rows(city / "hr/employments.csv")


def rows(path: Path, encoding: str = "utf-8-sig", delimiter: str = ";") -> list[Row]:
    """Return the rows of a file without its trailer."""
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))[:-1]


def records(city: Path, target: str) -> list[Record]:
    """Return what *target* holds."""
    text = (city / "targets" / f"{target}.ndjson").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def content(folder: Path, names: tuple[str, ...] = MADE) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


# ── the same every time ─────────────────────────────────────────────────────────────────


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        build(tmp_path / name, 300, seed=3, today=date(2027, 2, 1))
    assert content(tmp_path / "one") == content(tmp_path / "other")


def test_another_process_gives_the_same_bytes(city: Path, tmp_path: Path) -> None:
    command = (
        "import sys; from pathlib import Path; from idsync.testing.city import build; "
        "build(Path(sys.argv[1]))"
    )
    environment = {"PYTHONHASHSEED": "4711", "LC_ALL": "C", "PYTHONUTF8": "0"}
    subprocess.run(
        [sys.executable, "-c", command, tmp_path],
        env=environment, cwd=ROOT, timeout=60, check=True,
    )  # fmt: skip
    assert content(tmp_path) == content(city)


@pytest.mark.parametrize("change", [{"people": 301}, {"seed": 4}, {"today": date(2026, 11, 24)}])
def test_other_arguments_give_another_city(tmp_path: Path, change: dict[str, Any]) -> None:
    build(tmp_path / "one", people=300, seed=3)
    build(tmp_path / "other", **({"people": 300, "seed": 3} | change))
    one, other = content(tmp_path / "one"), content(tmp_path / "other")
    assert all(one[name] != other[name] for name in SOURCES)


def test_without_ldif_everything_else_is_the_same(tmp_path: Path) -> None:
    build(tmp_path / "one", 200)
    build(tmp_path / "other", 200, ldif=False)
    assert not (tmp_path / "other/directory/city.ldif").exists()
    assert content(tmp_path / "one", SOURCES) == content(tmp_path / "other", SOURCES)


def test_the_committed_city_is_what_is_built(city: Path) -> None:
    names = (*MADE, *(f"targets/{name}.ndjson" for name in TARGETS))
    for name in names:
        assert (ROOT / "city" / name).read_bytes() == (city / name).read_bytes(), (name, AGAIN)
    kept = {file.relative_to(ROOT / "city").as_posix() for file in (ROOT / "city").rglob("*.*")}
    assert {name for name in kept if not name.startswith("var")} <= {*names, "connectors.toml"}


def test_the_configuration_at_the_top_is_the_citys_own(city: Path) -> None:
    text = (ROOT / "connectors.toml").read_text(encoding="utf-8")
    assert text == connectors("city/")
    assert connectors() == (city / "connectors.toml").read_text(encoding="utf-8")
    pairs = zip(connectors().splitlines(), text.splitlines(), strict=True)
    changed = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
    assert len(changed) == len(SOURCES) + len(TARGETS)
    assert all(theirs.replace('"city/', '"') == ours for ours, theirs in changed)


# ── size ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [100, 3000])
def test_a_city_of_any_size_has_that_many_people_in_hr(tmp_path: Path, size: int) -> None:
    build(tmp_path, size)
    history(tmp_path, rights_of(tmp_path))
    found = rows(tmp_path / "hr/employments.csv")
    assert len({row["PersonId"] for row in found}) == size
    assert len({row["AnstId"] for row in found}) == len(found)
    assert {row["Enhet"] for row in found} <= {unit.path for unit in UNITS}
    assert len(records(tmp_path, "hamnen")) == 6


@pytest.mark.parametrize("size", [99, 0, -5, 1_000_001])
def test_a_size_that_cannot_be_leaves_nothing_behind(tmp_path: Path, size: int) -> None:
    with pytest.raises(ValueError, match="choose 100 to 1000000"):
        build(tmp_path, size)
    assert list(tmp_path.iterdir()) == []


def test_people_are_made_as_they_are_asked_for() -> None:
    everybody = population(1_000_000, 7, TODAY)
    first = [next(everybody) for _ in range(10)]
    assert [human.number for human in first] == [str(1_000_001 + index) for index in range(10)]


def test_houses_are_as_many_as_promised() -> None:
    assert len(DEPARTMENTS) == 12
    assert len(SITES) == 64
    assert len({unit.path for unit in UNITS}) == len(UNITS) == len(UNIT)
    assert all(unit.path.count("/") == 2 for unit in UNITS)


# ── who lives there ─────────────────────────────────────────────────────────────────────


def test_every_form_of_employment_occurs(staff: list[Row]) -> None:
    forms = Counter(row["Form"] for row in staff)
    assert set(forms) == {"TV", "VIK", "TIM", "FTV", "UPP"}
    assert min(forms.values()) >= 30
    hourly = [row["Tom"] for row in staff if row["Form"] == "TIM" and row["Tom"] >= str(TODAY)]
    assert set(hourly) == {"9999-12-31"}  # nobody says when they come for the last time


def test_most_have_one_employment_some_two_few_three(people: list[Human]) -> None:
    current = [human for human in people if human.story == "current"]
    counts = Counter(len(human.posts) for human in current)
    assert 0.77 < counts[1] / len(current) < 0.84
    assert 0.12 < counts[2] / len(current) < 0.18
    assert 0.03 < counts[3] / len(current) < 0.07
    assert all(sum(post.primary for post in human.posts) == 1 for human in people)


def ended(staff: list[Row]) -> list[int]:
    """How many days ago the employments ended of those who have none left."""
    last: dict[str, date] = {}
    for row in staff:
        last[row["PersonId"]] = max(
            last.get(row["PersonId"], date.min), date.fromisoformat(row["Tom"])
        )
    return [(TODAY - day).days for day in last.values() if day < TODAY]


def test_who_left_stays_in_the_file_for_a_year(staff: list[Row], people: list[Human]) -> None:
    ago = ended(staff)
    assert min(ago) < 10
    assert 300 < max(ago) <= 365
    assert 0.05 < len(ago) / 2000 < 0.08
    gone = {human.number for human in people if human.story == "gone"}
    assert len(gone) > 40
    assert not gone & {row["Anstnr"] for row in staff}


def leave_of(row: Row) -> str:
    if not row["Ledig from"]:
        return "none"
    if date.fromisoformat(row["Ledig from"]) > TODAY:
        return "future"
    return "past" if "" != row["Ledig tom"] < TODAY.isoformat() else "now"


def test_leave_lasts_now_is_over_or_is_to_come(staff: list[Row]) -> None:
    leaves = Counter(map(leave_of, staff))
    assert min(leaves["now"], leaves["past"], leaves["future"]) >= 10
    assert all(row["Ledig from"] <= (row["Ledig tom"] or "9999") for row in staff)
    assert any(row["Ledig from"] and not row["Ledig tom"] for row in staff)


def test_some_begin_later_and_some_have_come_back(people: list[Human]) -> None:
    future = [human.main.first for human in people if human.story == "future"]
    assert len(future) >= 20
    assert min(future) > TODAY
    assert any(first < TODAY + timedelta(days=14) for first in future)
    back = [
        human
        for human in people
        if human.main.runs(TODAY)
        and any(post.last and post.last < human.main.first for post in human.posts)
    ]
    assert len(back) >= 10


def test_somebody_is_on_leave_here_and_works_by_the_hour_there(people: list[Human]) -> None:
    assert any(
        human.main.leave
        and human.main.leave[0] <= TODAY
        and any(post.form == "hourly" and post.runs(TODAY) for post in human.posts)
        for human in people
    )


def test_protected_people_have_another_name_in_the_directory(
    city: Path, staff: list[Row], people: list[Human]
) -> None:
    marks = {row["Anstnr"]: row["Skydd"] for row in staff}
    assert {"S", "F"} < set(marks.values())
    protected = {number for number, mark in marks.items() if mark != "N"}
    assert 0.001 < len(protected) / 2000 < 0.007
    real = {human.number: human for human in people}
    listed = {row["employeeNumber"]: row for row in rows(city / "directory/people.csv")}
    seen = protected & set(listed)
    assert seen
    for number in seen:
        row, human = listed[number], real[number]
        assert row["cn"] == f"Medarbetare {number}"
        assert human.family not in row.values()
        assert plain(human.family) not in row["mail"]


def test_a_new_name_is_in_hr_before_it_is_anywhere_else(
    city: Path, staff: list[Row], people: list[Human]
) -> None:
    renamed = {human.number: human for human in people if human.former_family}
    assert len(renamed) >= 8
    now = {row["Anstnr"]: row["Efternamn"] for row in staff}
    then = {row["employeeNumber"]: row["sn"] for row in rows(city / "directory/people.csv")}
    held = {one["key"]: one.get("display_name", "") for one in records(city, "stadshuset")}
    assert any(number in then and number in held for number in renamed)
    for number, human in renamed.items():
        assert now[number] == human.family != human.former_family
        assert then.get(number, human.former_family) == human.former_family
        assert held.get(number, human.former_family).endswith(human.former_family)


def test_names_are_invented_and_of_many_letters(people: list[Human]) -> None:
    names = " ".join(human.display for human in people)
    for sign in "åäöÅÄÖéüøÞŁčğ'-":
        assert sign in names, sign
    assert all(part in names for part in (" von ", " af ", "O'Brien-", "Nguyễn-", " De la "))
    assert all(any(part in human.family for part in FIRST_PARTS) for human in people)


def test_every_name_makes_a_plain_address(people: list[Human]) -> None:
    assert all(re.fullmatch(r"[a-z0-9.-]+@example\.se", human.mail) for human in people)
    assert len({human.mail for human in people}) == len(people)
    assert len({human.user_name for human in people}) == len(people)


def test_no_personnummer_stands_anywhere(city: Path) -> None:
    looks_like_one = re.compile(rb"(?<!\d)(\d{6}|\d{8})[-+]\d{4}(?!\d)|(?<!\d)(19|20)\d{10}(?!\d)")
    for path in city.rglob("*.*"):
        text = re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"", path.read_bytes())
        assert not looks_like_one.search(text), path.name


def test_courses_are_valid_soon_over_over_and_missing(city: Path, people: list[Human]) -> None:
    found = rows(city / "lms/completions.csv", "windows-1252", ",")
    until = [date.fromisoformat(row["Giltig t.o.m."]) for row in found if row["Giltig t.o.m."]]
    left = [(day - TODAY).days for day in until]
    assert {row["Kurs"] for row in found} == set(COURSES)
    assert sum(rest < 0 for rest in left) > 100
    assert sum(0 <= rest <= 30 for rest in left) > 50
    assert sum(rest > 365 for rest in left) > len(left) / 2  # it keeps its meaning for years
    assert any(not row["Giltig t.o.m."] for row in found)
    missing = [
        human
        for human in people
        if human.story == "current"
        and {course for post in human.posts for course in post.job.courses}
        - {one.course.id for one in human.completions}
    ]
    assert len(missing) > 50


def test_known_ends_are_spread_over_two_years(staff: list[Row]) -> None:
    ends = [(date.fromisoformat(row["Tom"]) - TODAY).days for row in staff if row["Tom"] < "9999"]
    for low, high in ((0, 60), (60, 200), (200, 400), (400, 720)):
        assert sum(low <= rest < high for rest in ends) >= 10


# ── files ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SOURCES)
def test_the_trailer_counts_the_rows(city: Path, name: str) -> None:
    encoding = "windows-1252" if name.startswith("lms") else "utf-8-sig"
    lines = (city / name).read_text(encoding=encoding).splitlines()
    delimiter = "," if name.startswith("lms") else ";"
    assert lines[-1].split(delimiter) == ["#ANTAL", str(len(lines) - 2), "2026-11-23"]


def test_every_file_is_written_in_its_own_alphabet(city: Path) -> None:
    hr = (city / "hr/employments.csv").read_bytes()
    lms = (city / "lms/completions.csv").read_bytes()
    assert hr.startswith("\ufeffAnstId;".encode())
    assert "Förnamn".encode() in hr
    assert "Anställningsnummer".encode("windows-1252") in lms
    with pytest.raises(UnicodeDecodeError):
        lms.decode("utf-8")
    assert (city / "directory/city.ldif").read_bytes().isascii()
    assert all(b"\r" not in path.read_bytes() for path in city.rglob("*.*"))


def entries(path: Path) -> Iterator[dict[str, list[str]]]:
    """Yield the entries of an LDIF file that folds no lines."""
    for block in path.read_text(encoding="ascii").split("\n\n"):
        entry: dict[str, list[str]] = {}
        for line in block.splitlines():
            name, _, value = line.partition(":")
            if value.startswith(":"):
                value = base64.b64decode(value[1:]).decode()
            entry.setdefault(name, []).append(value.strip())
        yield entry


def test_export_and_ldif_hold_the_same_people(city: Path) -> None:
    exported = rows(city / "directory/people.csv")
    columns = list(exported[0])
    loaded = [
        {name: entry[name][0] for name in columns}
        for entry in entries(city / "directory/city.ldif")
        if "inetOrgPerson" in entry["objectClass"]
    ]
    assert loaded == exported


def test_export_holds_what_the_nested_groups_of_the_ldif_come_to(city: Path) -> None:
    found = list(entries(city / "directory/city.ldif"))
    number = {entry["dn"][0]: entry["employeeNumber"][0] for entry in found
              if "employeeNumber" in entry}  # fmt: skip
    members = {entry["dn"][0]: entry["member"] for entry in found if "member" in entry}
    names = {entry["dn"][0]: entry["cn"][0] for entry in found if "member" in entry}

    def inside(group: str) -> set[str]:
        parts = (inside(one) if one in members else {number[one]} for one in members[group])
        return set().union(*parts)

    loaded = {(person, name) for group, name in names.items() for person in inside(group)}
    exported = [(row["employeeNumber"], row["cn"]) for row in rows(city / "directory/groups.csv")]
    assert len(exported) == len(set(exported))
    assert set(exported) == loaded
    nested = [one for group in members.values() for one in group if one in members]
    assert len(nested) > len(set(PARENT.values())) > 10


@pytest.mark.slapd
def test_slapadd_takes_the_directory_with_its_own_ids(city: Path, tmp_path: Path) -> None:
    slapd.required()
    data, settings = tmp_path / "data", tmp_path / "slapd.conf"
    data.mkdir()
    settings.write_text(
        "".join(f"include /etc/ldap/schema/{name}.schema\n"
                for name in ("core", "cosine", "inetorgperson"))
        + "modulepath /usr/lib/ldap\nmoduleload back_mdb\ndatabase mdb\n"
        + f'suffix "dc=stad,dc=example"\ndirectory {data}\nmaxsize 1073741824\ndbnosync\n'
    )  # fmt: skip
    search = "/usr/sbin:/sbin:/usr/bin"
    ldif = city / "directory/city.ldif"
    add, cat = (shutil.which(name, path=search) or name for name in ("slapadd", "slapcat"))
    subprocess.run([add, "-f", settings, "-l", ldif], timeout=60, check=True, capture_output=True)
    held = subprocess.run(
        [cat, "-f", settings, "-o", "ldif-wrap=no"], timeout=60, check=True, capture_output=True
    )
    ours = set(re.findall(rb"^entryUUID: .*$", ldif.read_bytes(), re.MULTILINE))
    theirs = re.findall(rb"^entryUUID: .*$", held.stdout, re.MULTILINE)
    assert len(ours) > 1800
    assert ours <= set(theirs)
    assert len(theirs) == len(ours) + 3  # the suffix and two folders


# ── the configuration ───────────────────────────────────────────────────────────────────


def test_the_configuration_is_sound_and_rich(city: Path) -> None:
    config = load(city / "connectors.toml")
    assert 60 <= len(config.rules) <= 80
    assert {profile.level for profile in config.profiles} == {"basic", "extended", "advanced"}
    assert {profile.suspend_after_days for profile in config.profiles} >= {None, 0, 30}
    assert any(profile.lead_days for profile in config.profiles)
    text = (city / "connectors.toml").read_text(encoding="utf-8")
    rules = [str(rule["when"]) for rule in tomllib.loads(text)["rules"]]
    for word in ("unit_under", "job_code", "glob", "between", "any", "not", "member_of",
                 "has_training", "primary", "percent"):  # fmt: skip
        assert any(f"'{word}'" in rule for rule in rules), word


def test_every_right_is_in_a_house_that_exists_and_every_house_has_one(city: Path) -> None:
    rights = load(city / "connectors.toml").catalogue.rights
    places = {right.ref.partition("-")[0] for right in rights}
    assert places <= {*SITES, *DEPARTMENTS}
    assert set(SITES) <= places
    owners = {(right.ref.partition("-")[0], right.target) for right in rights}
    assert len(owners) == len(places)  # a house is in one system


def test_every_course_and_group_that_a_rule_names_exists(city: Path) -> None:
    rules = load(city / "connectors.toml").rules
    wanted = {course for rule in rules for course in rule.requires}
    assert wanted == set(COURSES)
    found = {row["cn"] for row in rows(city / "directory/groups.csv")}
    text = connectors()
    named = set(re.findall(r'member_of = "([^"]+)"', text))
    assert len(named) >= 4
    assert named <= found


def test_every_rule_gives_somebody_something_and_people_have_about_eight(
    city: Path, people: list[Human]
) -> None:
    rights = list(rights_of(city))
    given = {(right.target, right.kind, right.ref) for right in rights}
    known = {(right.target, right.kind, right.ref)
             for right in load(city / "connectors.toml").catalogue.rights}  # fmt: skip
    assert given == known
    current = {human.number for human in people if human.story == "current"}
    average = sum(right.employee_number in current for right in rights) / len(current)
    assert 7.5 < average < 9


# ── what the access systems hold ────────────────────────────────────────────────────────


def test_the_local_target_takes_every_history(city: Path) -> None:
    for name, target in load(city / "connectors.toml").targets.items():
        adapter = connect_target(target)
        assert len(list(adapter.read())) >= len(records(city, name)) > 5
        adapter.close()


def test_six_people_hold_the_landlords_system_and_nothing_is_wrong_in_it(
    city: Path, staff: list[Row]
) -> None:
    there = {row["Anstnr"] for row in staff if row["Enhet"].endswith("/Färjeterminalen")}
    held = records(city, "hamnen")
    assert {one["key"] for one in held} == there
    assert len(there) == 6
    assert all(len(one["grants"]) == 3 and len(one["credentials"]) == 1 for one in held)


def right(number: str, target: str = "skola", ref: str = "GRS-PERSONAL") -> Right:
    begin = datetime(2024, 1, 31, 23, tzinfo=UTC)
    return Right(number, "Åsa Mån", None, None, None, None, target, "access", ref, begin, None)


def numbers(folder: Path, story: str) -> list[str]:
    made = read_made(folder)
    found = population(made.people, made.seed, made.today)
    return [human.number for human in found if human.story == story]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    build(tmp_path, 100, ldif=False)
    return tmp_path


def test_history_holds_the_rights_it_is_given(small: Path) -> None:
    refs = ("A", "B", "C")
    given = [right(number, ref=ref) for number in numbers(small, "current") for ref in refs]
    history(small, (tuple(one) for one in given))  # plain tuples will do
    held = {
        (one["key"], grant["ref"], grant["valid_from"])
        for one in records(small, "skola")
        for grant in one.get("grants", [])
    }
    wanted = {(one.employee_number, one.ref, "2024-01-31T23:00:00Z") for one in given}
    assert len(wanted - held) <= 5  # about one in a hundred lacks something
    assert records(small, "hamnen") == []
    first = records(small, "skola")[0]
    assert first["display_name"] == "Åsa Mån"
    assert "mail" not in first


def test_an_alarm_right_and_its_end_are_kept(small: Path) -> None:
    number = numbers(small, "current")[0]
    end = datetime(2027, 6, 30, 22, tzinfo=UTC)
    given = right(number, "hamnen")._replace(kind="alarm", valid_from=None, valid_to=end)
    history(small, [given])
    [one] = records(small, "hamnen")
    assert one["grants"] == [
        {"ref": "GRS-PERSONAL", "kind": "alarm", "valid_to": "2027-06-30T22:00:00Z",
         "granted_by": "migrated"}
    ]  # fmt: skip


def two(folder: Path) -> list[Right]:
    return [right(number) for number in numbers(folder, "current")[:2]]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: two(folder)[::-1], "not sorted"),
        (lambda folder: [*two(folder), right("999999")], "nobody has"),
        (lambda folder: [one._replace(target="badhus") for one in two(folder)], "use stadshuset"),
    ],
)
def test_rights_that_do_not_fit_the_city_are_refused(
    small: Path, spoil: Callable[[Path], list[Right]], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        history(small, spoil(small))


def test_a_history_needs_a_city(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no city here"):
        history(tmp_path, [])


def test_first_contact_finds_nearly_everything_as_the_rules_want_it(city: Path) -> None:
    held = {
        (name, one["key"], grant["ref"], grant.get("valid_from"), grant.get("valid_to"))
        for name in TARGETS
        for one in records(city, name)
        for grant in one.get("grants", [])
    }
    missing = [one for one in rights_of(city) if wanted(one) not in held]
    lacking = {one.employee_number for one in missing}
    assert 0.003 < len(lacking) / 2000 < 0.015
    assert len(missing) == len(lacking)  # each lacks one thing


def wanted(one: Right) -> tuple[str, str, str, str | None, str | None]:
    return one.target, one.employee_number, one.ref, stamp(one.valid_from), stamp(one.valid_to)


def stamp(instant: datetime | None) -> str | None:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ") if instant else None


def opens(one: Record) -> bool:
    """Whether somebody gets in with this record now, by what came from the system before."""
    return one.get("status") != "suspended" and any(
        grant["granted_by"] == "migrated" and "valid_to" not in grant
        for grant in one.get("grants", [])
    )


def test_tags_of_some_who_left_still_open_doors(city: Path, people: list[Human]) -> None:
    away = {human.number for human in people if human.story in ("left", "gone")}
    gone = {human.number for human in people if human.story == "gone"}
    open_ = {one["key"] for name in FLAWED for one in records(city, name) if opens(one)} & away
    assert 0.008 < len(open_) / 2000 < 0.02
    assert open_ & gone
    assert open_ - gone
    closed = [one for name in FLAWED for one in records(city, name)
              if one.get("status") == "suspended"]  # fmt: skip
    assert {one["credentials"][0]["state"] for one in closed} == {"returned"}


@pytest.mark.parametrize("name", FLAWED)
def test_years_without_idsync_have_left_their_traces(
    city: Path, people: list[Human], name: str
) -> None:
    held = records(city, name)
    nobody = [one for one in held if "native_id" not in one]
    assert nobody
    assert all(set(one) == {"key", "credentials"} and one["key"] is None for one in nobody)
    known = {human.number for human in people}
    assert sum(one["key"] is not None and one["key"] not in known for one in held) >= 2
    cards = Counter(card["number"] for one in held for card in one["credentials"])
    assert 1 <= sum(count == 2 for count in cards.values()) <= 5
    assert max(cards.values()) == 2
    grants = [grant for one in held for grant in one.get("grants", [])]
    assert any(grant.get("valid_to", "9") < "2026-11-23" for grant in grants)
    assert any(grant.get("kind") == "alarm" for grant in grants)
    givers = {grant["granted_by"] for grant in grants}
    assert len(givers) == 2
    assert "migrated" in givers
    assert all(giver == "migrated" or "@" in giver for giver in givers)
    by_hand = [grant for grant in grants if grant["granted_by"] != "migrated"]
    assert {grant["note"] for grant in by_hand} == {"akut", "gäst"}


def test_native_ids_are_the_systems_own(city: Path) -> None:
    ids = [one["native_id"] for name in TARGETS for one in records(city, name)
           if "native_id" in one]  # fmt: skip
    assert len(ids) == len(set(ids))


def test_history_is_the_same_every_time(city: Path, tmp_path: Path) -> None:
    shutil.copytree(city, tmp_path / "again")
    history(tmp_path / "again", rights_of(city))
    for name in TARGETS:
        assert records(tmp_path / "again", name) == records(city, name)


# ── the command ─────────────────────────────────────────────────────────────────────────


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "idsync.testing.city", *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip


def test_the_command_writes_a_whole_city(tmp_path: Path) -> None:
    asked = ("--people", "150", "--seed", "9", "--today", "2027-01-31", "--no-ldif")
    done = run(tmp_path, *asked)
    assert done.returncode == 0, done.stderr
    made = read_made(tmp_path)
    assert (made.people, made.seed, made.today) == (150, 9, date(2027, 1, 31))
    assert sorted(path.stem for path in (tmp_path / "targets").iterdir()) == sorted(TARGETS)
    assert not (tmp_path / "directory/city.ldif").exists()


def test_the_command_says_what_size_is_possible(tmp_path: Path) -> None:
    done = run(tmp_path, "--people", "12")
    assert done.returncode == 2
    assert "choose 100 to 1000000" in done.stderr


def test_every_name_folds_to_plain_letters() -> None:
    dice = Dice(1)
    for _ in range(5000):
        name = plain(f"{given_name(dice)}.{family_name(dice)}")
        assert re.fullmatch(r"[a-z.-]+", name), name
