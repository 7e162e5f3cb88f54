"""Whether a file is all of it: its trailer, its control file, its marker, its age."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import polars as pl

from idsync.errors import Incomplete, Unavailable
from idsync.files import File, read_file
from idsync.sources.csv_dates import parse_days
from idsync.sources.csv_settings import CsvConfig


@dataclass(frozen=True, slots=True)
class Content:
    """The data of a file without its trailer, and what the file says of itself."""

    text: str  # the header and the rows, without the last line end
    trailer: int | None  # the number of rows, says the trailer
    as_of: str | None  # the day or the instant the content is of, in ISO 8601
    digest: str  # of the whole file

    def cursor(self, rows: int) -> str | None:
        """Return what the next read wants to know about this one.

        A file that does not say of when it is has none: unchanged, it is what is true today.
        """
        if self.as_of is None:
            return None
        return json.dumps({"as_of": self.as_of, "rows": rows, "sha256": self.digest})


def read_finished(config: CsvConfig) -> File:
    """Return the file, which its marker, if one is declared, says is finished.

    Raises:
        Unavailable, Incomplete: see `read_file`; or the marker is not there, or is older.
    """
    # The marker first: one that appears while the file is read says nothing of what was read.
    marked = _last_written(config.done) if config.done else None
    file = read_file(config.path, config.max_mb)
    if marked is not None and marked < file.modified:
        raise Incomplete(
            f"{config.done}: older than the file it stands for: wait for the marker of this one"
        )
    return file


def _last_written(marker: Path) -> datetime:
    try:
        return datetime.fromtimestamp(marker.stat().st_mtime, UTC)
    except FileNotFoundError:
        raise Incomplete(f"{marker}: not there yet: the file is still being written") from None
    except OSError as error:
        raise Unavailable(f"{marker}: {error.strerror}: check the path and its rights") from None


def open_up(file: File, text: str, config: CsvConfig) -> Content:
    """Return what is in the *file*, whose text is *text*.

    Raises:
        Incomplete: the last line is not ended, or is not the trailer that is declared.
    """
    if not text.endswith("\n"):
        raise Incomplete(f"{file.path}: the last line is not ended: the file is empty or cut off")
    text = text.rstrip("\n")
    rows, as_of = None, None
    if config.as_of and config.as_of.modified:
        as_of = file.modified.isoformat(timespec="microseconds")
    if config.trailer:
        text, _, last = text.rpartition("\n")
        fields = _trailer_fields(last, config, file)
        rows = _number(_field(fields, config.trailer.count, file), f"{file.path}: trailer")
        if config.as_of and config.as_of.trailer:
            as_of = _day(_field(fields, config.as_of.trailer, file), config.dates, file)
    return Content(text, rows, as_of, sha256(file.data).hexdigest())


def prove(content: Content, rows: int, config: CsvConfig) -> str:
    """Return in words why *rows* rows are everything.

    Raises:
        Incomplete: there are none, or another number than the trailer or control file says.
        Unavailable: the control file cannot be read.
    """
    if rows == 0:
        raise Incomplete(f"{config.path}: no rows: nobody at all is never everybody")
    proofs = []
    if content.trailer is not None:
        proofs.append(_agree(content.trailer, rows, f"{config.path.name}: trailer"))
    if config.control:
        control = read_file(config.control, max_mb=1).data.decode("ascii", "replace").strip()
        proofs.append(_agree(_number(control, str(config.control)), rows, str(config.control)))
    if config.done:
        proofs.append(f"{config.done} marks it as finished: {rows} rows")
    if not proofs:
        proofs.append(f"read to the end of the file: {rows} rows, last line ended")
    return "; ".join(proofs)


def refuse_older(content: Content, since: str | None, config: CsvConfig) -> None:
    """Raise Incomplete if *since*, the cursor of the last accepted file, is of a newer one.

    An old file delivered again would bring back whoever has left since. A cursor that
    another connector wrote under this source's name says nothing about a file's age.
    """
    try:
        accepted = json.loads(since or "{}").get("as_of")
    except (ValueError, AttributeError):
        return
    if content.as_of is None or not isinstance(accepted, str):
        return
    # A day and an instant, after the setting was changed, are compared by the day.
    shared = min(len(content.as_of), len(accepted))
    if content.as_of[:shared] < accepted[:shared]:
        raise Incomplete(
            f"{config.path}: older than the last accepted file ({content.as_of} < {accepted}): "
            "deliver the newest one"
        )


def _trailer_fields(line: str, config: CsvConfig, file: File) -> list[str]:
    fields = [field.strip().strip(config.quote or None) for field in line.split(config.delimiter)]
    begins = config.trailer.starts_with if config.trailer else ""
    if not config.delimiter.join(fields).startswith(begins):
        raise Incomplete(
            f"{file.path}: the last line is not the trailer: the file is cut off, "
            "or set trailer.starts_with"
        )
    return fields


def _field(fields: list[str], number: int, file: File) -> str:
    if number > len(fields):
        raise Incomplete(
            f"{file.path}: the trailer has {len(fields)} fields and its field {number} is asked "
            "for: the file is cut off, or correct the number"
        )
    return fields[number - 1]


def _number(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise Incomplete(f"{where}: holds no number of rows: correct the file or the settings")
    return int(text)


def _day(text: str, form: str, file: File) -> str:
    [day] = parse_days(pl.Series([text]), form).to_list()
    if day is None:
        raise Incomplete(
            f"{file.path}: trailer: no date of the form {form}: correct as_of or dates"
        )
    return str(day.isoformat())


def _agree(announced: int, rows: int, where: str) -> str:
    if announced != rows:
        raise Incomplete(f"{where}: says {announced} rows and there are {rows}: deliver all of it")
    return f"{where}: its count {announced} agrees with the rows"
