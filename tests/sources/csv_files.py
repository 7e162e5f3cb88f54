"""Files for the tests of the csv source, and the source over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from idsync.errors import Incomplete
from idsync.sources import Batch
from idsync.sources.csv import CsvSource

HEADER = "AnstId;PersonId;Förnamn;Enhet;From;Tom"
ROWS = (
    "anst-10001;pers-20001;Åsa;Förskoleförvaltningen/Björken;2024-01-01;",
    "anst-10002;pers-20002;Östen;Äldreomsorgen/Gråsparven;2025-08-18;2026-12-31",
    "anst-10003;pers-20001;Åsa;Kultur/Musikskolan;2026-01-01;2026-10-25",
    "anst-10004;pers-20003;Andréa;Förskoleförvaltningen/Lärkan;2026-03-02;2026-03-28",
)
MAP = {
    "key": "AnstId",
    "person_key": "PersonId",
    "given_name": "Förnamn",
    "unit": "Enhet",
    "valid_from": "From",
    "valid_to": "Tom",
}
TRAILER = {"starts_with": "#ANTAL", "count": 2}


def content(*rows: str, header: str = HEADER, trailer: str | None = None) -> str:
    """Return the text of a file, every line ended."""
    return "".join(f"{line}\n" for line in (header, *rows, *([trailer] if trailer else [])))


def configured(folder: Path, **settings: Any) -> CsvSource:
    """Return the source over `people.csv` in *folder*: employments, unless told otherwise."""
    table = {
        "kind": "employments",
        "path": "people.csv",
        "delimiter": ";",
        "map": MAP,
    } | settings
    context = {"folder": folder, "timezone": ZoneInfo("Europe/Stockholm")}
    return CsvSource(CsvSource.Config.model_validate(table, context=context))


def over(folder: Path, data: str | bytes, **settings: Any) -> CsvSource:
    """Return the source over *data*, written to `people.csv` in *folder*."""
    (folder / "people.csv").write_bytes(data.encode() if isinstance(data, str) else data)
    return configured(folder, **settings)


def read(source: CsvSource, since: str | None = None) -> dict[str, pl.DataFrame]:
    """Return what a read gives, which must be proven."""
    batches = list(source.read(since))
    assert batches[-1].proof
    return {batch.kind: batch.records for batch in batches}


def last(source: CsvSource, since: str | None = None) -> Batch:
    """Return the batch with the proof."""
    return list(source.read(since))[-1]


def refused(source: CsvSource, since: str | None = None) -> str:
    """Return why the file is not taken; not one batch may have come before."""
    batches = []
    with pytest.raises(Incomplete) as caught:
        for batch in source.read(since):
            batches.append(batch)
    assert not batches
    return str(caught.value)
