"""People, employments, trainings or memberships out of a delimited text file."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from idsync.files import decode
from idsync.sources import RECORDS, Batch, Source
from idsync.sources.csv_complete import open_up, prove, read_finished, refuse_older
from idsync.sources.csv_settings import CsvConfig
from idsync.sources.csv_table import Sheet, parse
from idsync.sources.csv_values import read_values


class CsvSource(Source):
    """Reads one file, which always holds everybody, and takes all of it or nothing.

    One cell that cannot be understood refuses the whole file: what was accepted last
    stays in force, and the error names the line.
    """

    Config = CsvConfig

    def __init__(self, config: CsvConfig) -> None:
        self._config = config

    def read(self, since: str | None) -> Iterator[Batch]:
        """Yield everybody in the file; see `Source.read`.

        Raises:
            Unavailable: the file is not there, is no plain file, or may not be read.
            Incomplete: it is not all there, is older than the last one, or is not in the
                declared form.
        """
        config = self._config
        file = read_finished(config)
        content = open_up(file, decode(file, config.encoding), config)
        refuse_older(content, since, config)
        table = parse(Sheet(config.path, content.text, config.delimiter, config.quote))
        proof = prove(content, table.rows.height, config)
        values = read_values(table, config)
        persons, records = _split(values, config)
        if config.kind != "persons":
            yield Batch(kind="persons", records=persons)
        yield Batch(
            kind=config.kind,
            records=records,
            proof=proof,
            cursor=content.cursor(table.rows.height),
        )

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _split(values: pl.DataFrame, config: CsvConfig) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return who is named, once for each thing said of them, and the records themselves.

    Two rows that say different things of one person key both stand: which of them is
    true, or whether they are two people, is for the correlation to decide.
    """
    if config.kind == "persons":
        return values, values.unique(maintain_order=True)
    if config.kind == "employments":
        about = [name for name in values.columns if name not in RECORDS["employments"]]
        persons = values.select(pl.col("person_key").alias("key"), *about)
    else:
        about = []
        key = pl.col("person_key")
        persons = values.select(key.alias("key"), key.alias(config.person))
    return persons.unique(maintain_order=True), values.drop(about)
