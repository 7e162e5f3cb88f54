"""What the sql and the file target share: dates, texts, and settings that say what is wrong."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idsync.config.problems import Problems
from idsync.config.tables import TargetTable
from idsync.errors import Refused
from idsync.rows_dates import Dates, Unreadable
from idsync.rows_texts import Texts
from idsync.settings import Settings
from idsync.targets.file import FileTarget
from idsync.targets.sql import SqlTarget
from tests.fakes.file import BracedCsv, DeltaXml, NightlyCsv
from tests.fakes.sql import ListDatabase, RowsDatabase

DOCS = Path(__file__).parents[2] / "docs" / "targets"
DAYS, MINUTES, SECONDS = "%Y-%m-%d", "%d.%m.%Y %H:%M", "%Y%m%d%H%M%S"
STOCKHOLM = ZoneInfo("Europe/Stockholm")


def dates(form: str, *, inclusive: bool, **more: Any) -> Dates:
    settings = {"format": form, "end_inclusive": inclusive, "timezone": "Europe/Stockholm"}
    return Dates.model_validate(settings | more)


def local(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=STOCKHOLM).astimezone(UTC)  # type: ignore[arg-type,misc]  # six numbers at most


# ── dates ───────────────────────────────────────────────────────────────────────────────


@given(
    st.sampled_from([DAYS, MINUTES, SECONDS]),
    st.booleans(),
    st.integers(-631_152_000, 7_258_118_400),
    st.sampled_from([1, 60, 3600, 86400]),
)
def test_what_is_written_is_read_back_or_refused(
    form: str, inclusive: bool, moment: int, step: int
) -> None:
    whole = datetime.fromtimestamp(moment // step * step, UTC)
    written = dates(form, inclusive=inclusive)
    try:
        texts = written.write(whole, whole + timedelta(days=3))
    except Refused:
        return
    assert written.read(*texts) == (whole, whole + timedelta(days=3))


@given(st.sampled_from([DAYS, MINUTES, SECONDS]), st.booleans(), st.text(max_size=20))
def test_any_text_is_an_instant_or_unreadable(form: str, inclusive: bool, text: str) -> None:
    with suppress(Unreadable):
        dates(form, inclusive=inclusive).read(text, text)


@pytest.mark.parametrize("inclusive", [True, False])
def test_a_last_day_is_counted_in_or_not(inclusive: bool) -> None:
    texts = dates(DAYS, inclusive=inclusive).write(local(2031, 3, 3), local(2031, 3, 9))
    assert texts == ("2031-03-03", "2031-03-08" if inclusive else "2031-03-09")


def test_a_last_minute_is_counted_in() -> None:
    texts = dates(MINUTES, inclusive=True).write(None, local(2031, 3, 9))
    assert texts == ("", "08.03.2031 23:59")


def test_the_first_word_for_never_is_written_and_all_are_read() -> None:
    never = dates(DAYS, inclusive=True, no_end=["9999-12-31", "", "2000-01-01"])
    assert never.write(None, None) == ("", "9999-12-31")
    assert {never.read("", text) for text in ("9999-12-31", "", "2000-01-01")} == {(None, None)}
    with pytest.raises(Refused):  # that day itself would be read as never
        never.write(None, local(2000, 1, 2))


@pytest.mark.parametrize(
    ("form", "end"),
    [
        (DAYS, local(2031, 3, 9, 12)),
        (MINUTES, local(2031, 3, 9, 12, 0, 30)),
        (MINUTES, datetime(2031, 10, 26, 1, 30, tzinfo=UTC)),  # the hour that comes twice
        (SECONDS, datetime(2031, 3, 9, 12, 0, 0, 5, tzinfo=UTC)),
    ],
)
def test_an_end_that_the_form_cannot_hold_is_refused(form: str, end: datetime) -> None:
    with pytest.raises(Refused, match="written exactly"):
        dates(form, inclusive=False).write(None, end)


@pytest.mark.parametrize("text", ["2031-03-1", "2031-3-01", "31-03-01", " 2031-03-01"])
def test_a_cut_off_date_is_no_date(text: str) -> None:
    with pytest.raises(Unreadable):
        dates(DAYS, inclusive=True).read("", text)


# ── texts ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Åsa\nÖberg", "line break"),
        ("Åsa\x1f", "line break"),
        ("Ђорђе", "letter"),
        ("\ud800", "letter"),
        ("=cmd()", "spreadsheet"),
        ("+46", "spreadsheet"),
        ("@SUM(1)", "spreadsheet"),
        ("-1", "spreadsheet"),
        ("A" * 41, "41 characters"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_without_being_told(text: str, told: str) -> None:
    texts = Texts(codec="cp1252", lengths={"display_name": 40}, formulas=False)
    with pytest.raises(Refused, match=told) as raised:
        texts.check("display_name", text)
    assert text not in str(raised.value)


def test_a_text_that_fits_is_let_through() -> None:
    texts = Texts(codec="cp1252", lengths={"display_name": 40}, formulas=False)
    for text in ("", "A" * 40, "Åsa-Lena Öberg €", 'O\'Brien; "x"'):
        texts.check("display_name", text)


@pytest.mark.parametrize("key", ["", " 1001", "1001\u2003"])
def test_a_key_that_could_become_another_is_refused(key: str) -> None:
    with pytest.raises(Refused):
        Texts(lengths={}, trims=True).check("key", key)


# ── settings ────────────────────────────────────────────────────────────────────────────

CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("rows", {"columns": {"key": "a", "state": "b"}}, "did you mean status?"),
    ("rows", {"columns": {"status": "Spärr"}}, "key is missing"),
    ("rows", {"values": {"status": {"0": "active", "1": "away"}}}, "ours are active, suspended"),
    ("rows", {"values": {"status": {"0": "active"}}}, 'no code means "suspended"'),
    ("rows", {"dates": None}, "go together"),
    ("rows", {"dates": {"format": "%Y-%m-%d"}}, "this key is missing"),
    ("rows", {"dates": {"format": "%d %b %y", "end_inclusive": True}}, '"%Y-%m-%d" for days'),
    ("rows", {"dates": {"end_inclusive": 3}}, "true or false"),
    ("rows", {"lists": {"access": {"column": "x"}}}, "one of the two"),
    ("rows", {"rights": None, "dates": None}, "say where rights stand"),
    ("rows", {"lengths": {"maill": 3}}, "did you mean mail?"),
    ("rows", {"new_row": {"Anstnr": "1"}}, "named for two things"),
    ("rows", {"cards": [{"number": "Kort 2"}]}, "values.state"),
    ("rows", {"url": "postgresql://idsync:geheim@db/x"}, "a secret never stands in this file"),
    ("rows", {"url": "postgresql://db/x?password=geheim"}, "leave out what stands after the ?"),
    ("rows", {"url": "mysql://db/x"}, '"postgresql://user@host/database"'),
    ("rows", {"url": "sqlite://"}, '"sqlite:///path/to/file.db"'),
    ("rows", {"password": "geheim"}, "a secret never stands in this file"),
    ("rows", {"password": {"env": "X"}}, "belong to postgresql"),
    ("list", {"answer": {"column": "behandla", "codes": {"0": "done"}}}, 'means "waiting"'),
    ("list", {"lists": {"acces": {"column": "x"}}}, "access, alarm, competency"),
    ("list", {"lists": {"access": {"column": "x", "opening": "{"}}}, "go together"),
    ("csv", {"csv": {"delimiter": ";"}}, "say how a whole file is known"),
    ("csv", {"csv": {"delimiter": ";;", "proof": "line_end"}}, "write one character"),
    ("csv", {"csv": {"proof": "line_end", "header": False}}, "its columns in order"),
    ("csv", {"csv": {"proof": "line_end", "names": ["a"]}}, "a described column is missing"),
    ("csv", {"xml": {"inside": "a", "record": "b"}}, "one of the two"),
    ("csv", {"encoding": "utf8"}, "one of utf-8, utf-8-sig, windows-1252, iso-8859-1"),
    ("csv", {"send": {"folder": "x", "name": "a-{number}.csv"}}, "cannot be sent"),
    ("csv", {"formulas": "quote"}, "one of refuse, keep"),
    ("braced", {"csv": {"proof": "line_end", "quote": "", "delimiter": ","}}, "would fall apart"),
    ("braced", {"send": {"folder": "x", "name": "a-{number}.csv"}}, "the answer comes in"),
    ("xml", {"send": {"folder": "x", "name": "a.xml"}}, "one {number} in it"),
    ("xml", {"send": {"folder": "x", "name": "../{number}"}}, "one {number} in it"),
]


@pytest.mark.parametrize(("kind", "change", "told"), CHANGES)
def test_a_wrong_setting_is_told_with_what_to_write(
    kind: str, change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    makers: dict[str, Any] = {
        "rows": RowsDatabase, "list": ListDatabase, "csv": NightlyCsv, "braced": BracedCsv,
        "xml": DeltaXml,
    }  # fmt: skip
    place = tmp_path / "a.db" if kind in ("rows", "list") else tmp_path
    described = {
        name: value
        for name, value in makers[kind](place).description(**change).items()
        if value is not None
    }
    model: type[Settings] = SqlTarget.Config if kind in ("rows", "list") else FileTarget.Config
    problems = Problems()
    assert problems.check(model, described, ("targets", "depot"), {"folder": tmp_path}) is None
    sentence = str(problems.error(Path("connectors.toml"), ""))
    assert told in sentence
    assert "geheim" not in sentence
    assert "targets.depot" in sentence


def test_a_path_begins_in_the_folder_of_the_settings(tmp_path: Path) -> None:
    told = ListDatabase(tmp_path / "a.db").description(url="sqlite:///var/staging.db")
    config = SqlTarget.Config.model_validate(told, context={"folder": tmp_path})
    assert config.url == f"sqlite:///{tmp_path}/var/staging.db"


def test_the_description_decides_the_capabilities(tmp_path: Path) -> None:
    rows = SqlTarget(
        SqlTarget.Config.model_validate(RowsDatabase(tmp_path / "a.db").description())
    ).capabilities
    assert (rows.dated_grants, rows.grants_per_right, rows.granularity) == (True, "many", "second")
    assert (rows.kinds, rows.credentials) == (("access", "alarm", "competency"), "write")
    assert (rows.cards_per_holder, rows.writes, rows.time_zone) == (3, "delta", "utc")
    listed = SqlTarget(
        SqlTarget.Config.model_validate(ListDatabase(tmp_path / "b.db").description())
    ).capabilities
    assert (listed.dated_grants, listed.grants_text, listed.answer_hours) == (False, 60, 26)
    assert (listed.characters, listed.writes, listed.lengths) == (
        "latin-1", "replace", {"key": 32, "display_name": 40},
    )  # fmt: skip
    days = FileTarget(
        FileTarget.Config.model_validate(NightlyCsv(tmp_path).description())
    ).capabilities
    assert (days.granularity, days.end_inclusive, days.time_zone) == ("day", True, "system")
    assert (days.characters, days.wire, days.batch) == ("latin-1", "documents", 500)
    sent = FileTarget(FileTarget.Config.model_validate(DeltaXml(tmp_path).description()))
    assert (sent.capabilities.answer_hours, sent.capabilities.credentials) == (48, "read")


@pytest.mark.parametrize("page", ["sql", "file"])
def test_the_examples_of_the_page_are_sound(page: str, tmp_path: Path) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        for table in tomllib.loads(block)["targets"].values():
            own = {
                name: value for name, value in table.items() if name not in TargetTable.model_fields
            }
            context = {"folder": tmp_path}
            if page == "sql":
                SqlTarget(SqlTarget.Config.model_validate(own, context=context)).close()
            else:
                FileTarget(FileTarget.Config.model_validate(own, context=context)).close()


@pytest.mark.parametrize(
    ("page", "config"), [("sql", SqlTarget.Config), ("file", FileTarget.Config)]
)
def test_the_page_names_every_key(page: str, config: type[Settings]) -> None:
    text = (DOCS / "sql.md").read_text(encoding="utf-8")
    text += (DOCS / f"{page}.md").read_text(encoding="utf-8")
    models, seen = [config], set[type[Settings]]()
    while models:
        model = models.pop()
        seen.add(model)
        for name, declared in model.model_fields.items():
            assert f"`{name}`" in text, f"{model.__name__}: {name} is not on the page"
            parts = [declared.annotation]
            while parts:
                kind = parts.pop()
                parts += get_args(kind)
                if isinstance(kind, type) and issubclass(kind, Settings) and kind not in seen:
                    models.append(kind)
