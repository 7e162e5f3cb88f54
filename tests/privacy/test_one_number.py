"""A key that comes alone, in an event, is looked at as one that comes in a table is."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from idsync.config import SourceConfig
from idsync.errors import ConfigError
from idsync.mapping.bands import Bands
from idsync.model import Kind
from idsync.service.personal_numbers import coded, coded_one
from idsync.settings import Secret, Settings


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "key"
    file.write_text("made up, and long enough", encoding="utf-8")
    return file


def source(key: Path, *declared: str) -> SourceConfig:
    return SourceConfig(
        name="hr", type="csv", kind="employments", min_share=0.6, settings=Settings(),
        bands=Bands(), absent_reads=2, digest="", personal_numbers=declared,
        number_key=Secret("file", str(key)),
    )  # fmt: skip


KINDS: tuple[Kind, ...] = ("persons", "employments")
LIKE = st.from_regex(r"\A(19|20)?[0-9]{6}[-+]?[0-9]{4}\Z") | st.text(max_size=14)


@given(LIKE, st.sampled_from(KINDS), st.sampled_from(("key", "employee_number")), st.booleans())
@example("20121212-1212", "persons", "key", False)
@example("121212+1212", "persons", "key", True)
@example("p1", "employments", "employee_number", False)
def test_one_value_is_what_a_table_of_it_is(
    key: Path, value: str, kind: Kind, column: str, declared: bool
) -> None:
    config = source(key, *([column] if declared else []))
    table = pl.DataFrame({column: [value]}, schema={column: pl.String})
    try:
        expected = coded({kind: table}, config)[kind][column][0]
    except ConfigError as error:
        with pytest.raises(ConfigError, match="personnummer"):
            coded_one(value, kind, column, config)
        assert "personnummer" in str(error)
    else:
        assert coded_one(value, kind, column, config) == expected
