"""The CSV form: the next state of users as a file that the product's import job takes.

Two files. `path` is idsync's memory: all rows, as the table would have them. `drop` is for
the job: the rows that it has not answered. Both are put in place whole. The drop goes
first: if the memory is not written after it, the same change is only sent once more.

What the job leaves behind as its answer is not known of the product (grade C), so a
setting says what the site has arranged: the file is gone, or stands in an archive, or a
status file lists what became of each row. Wire facts: access-systems.md, section 10
(semicolons, braces around lists of ids); the defaults of the product's import dialogue, as a
public import script of a university walks its users through them (separator `;`, text
qualifier `"`, first row skipped, columns by position, dates as 2022-06-30T23:59:00).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from idsync.errors import ConfigError, Denied, Incomplete, Refused, Unavailable
from idsync.targets.salto_files import (
    Print,
    digests,
    held,
    mark_written,
    put_whole,
    read_whole,
    table_rows,
    table_text,
    was_written,
)
from idsync.targets.salto_rows import ATTRIBUTES, EITHER, Row
from idsync.targets.salto_settings import NEEDED, StagingSettings

END = "#idsync"
AGAIN, LOST = "again", "lost"
DOUBTS = {
    AGAIN: "it was written again while the import job may have been reading it",
    LOST: "the file was taken, and does not stand in the archive",
}
ORDER = (
    "action", "ext_id", "activation", "expiration", "given_name", "family_name", "number", "key",
    "mail", "department", "blocked", "levels", "zones", "doors",
)  # fmt: skip

Record = dict[str, str]


class CsvSession:
    """The rows in memory; written when it ends well."""

    def __init__(self, store: CsvStore, records: list[Record], limits: dict[str, int]) -> None:
        self._store = store
        self.records = records
        self.limits = limits
        self.is_changed = False

    def find(self, key: str) -> list[Row]:
        """Return the rows with exactly this key."""
        return [row for row in map(self._store.row, self.records) if row.key == key]

    def check_text(self, text: str) -> None:
        """Refuse what the file cannot hold.

        Raises:
            Refused: a quote, or a letter that the encoding lacks.
        """
        if '"' in text:
            raise Refused("a quote has no place in the file: correct it")
        try:
            text.encode(self._store.encoding)
        except UnicodeEncodeError:
            raise Refused(
                f"a letter has no place in {self._store.encoding}: correct it, or set encoding "
                "to what the import job reads"
            ) from None

    def insert(self, row: Row, now: datetime) -> None:
        """Add *row* for the job to take."""
        if any(record[self._store.names["ext_id"]] == row.ext_id for record in self.records):
            raise Refused("a row of others has this ExtID already: look for it by hand")
        new = self._store.defaults() | self._store.cells(row)
        for word in ("key", "number"):
            if word in self._store.names:
                new[self._store.names[word]] = row.key or ""
        self.records.append(self._asked(new))

    def update(self, before: Row, after: Row) -> None:
        """Write what differs, and ask the job to take the row again."""
        name = self._store.names["ext_id"]
        [record] = [each for each in self.records if each[name] == before.ext_id]
        was, shall = self._store.cells(before), self._store.cells(after)
        differences = {n: cell for n, cell in shall.items() if cell != was[n]}
        rewritten = AGAIN if before.waiting and self._store.answers == "status" else ""
        record.update(self._asked(differences) | {self._store.stamp: rewritten})

    def _asked(self, record: Record) -> Record:
        self.is_changed = True
        names = self._store.names
        asked = {names["waiting"]: "1", names["error"]: "0", names["action"]: str(EITHER)}
        return record | asked | {self._store.stamp: ""}


class CsvStore:
    """The files; read anew for every call."""

    def __init__(self, config: StagingSettings) -> None:
        if config.path is None or config.drop is None or config.answers is None:
            raise ConfigError('salto_staging: form = "csv" needs path, drop and answers')
        self._config = config
        self._path, self._drop = config.path, config.drop
        self.answers, self.encoding = config.answers, config.encoding
        named = config.names
        self.order = config.order or (
            *(named[word] for word in ORDER if word in named), *config.defaults,
        )  # fmt: skip
        controls = ("waiting", "error")
        self.names = {w: n for w, n in named.items() if n in self.order or w in controls}
        needed = NEEDED if "blocked" in named else (*NEEDED, "expiration")
        if lacking := sorted(named[word] for word in needed if word not in self.names):
            raise ConfigError(f"salto_staging: order lacks the column {', '.join(lacking)}")
        self.stamp = named.get("stamp") or "IdsyncStamp"
        self._head = (*(self.names[word] for word in controls), *self.order, self.stamp)
        self._limits = {w: most for w, most in config.limits().items() if w in self.names}

    def rows(self) -> list[Row]:
        """Return all rows, with the answers that have come."""
        return list(map(self.row, self._answered(self._read())))

    def with_key(self, key: str) -> list[Row]:
        """Return the rows with exactly this key."""
        return [row for row in self.rows() if row.key == key]

    @contextmanager
    def session(self) -> Iterator[CsvSession]:
        """Open the files for writing; an error leaves them as they were."""
        with held(self._path):
            session = CsvSession(self, self._answered(self._read()), self._limits)
            yield session
            if session.is_changed:
                self._write(session.records)

    def check(self) -> str:
        """Read the files and say what stands there; see `Target.check`."""
        rows = self.rows()
        for folder in (self._path.parent, self._drop.parent):
            _probe(folder)
        waiting = sum(row.waiting for row in rows)
        return f"files with {len(rows)} rows, {waiting} of them waiting for the job"

    def close(self) -> None:
        """Do nothing: the files are opened anew for every call."""

    # ── rows ────────────────────────────────────────────────────────────────────────────

    def row(self, record: Record) -> Row:
        """Return what *record* says."""

        def cell(word: str) -> str:
            return record.get(self.names.get(word, ""), "")

        ext_id, prefix = cell("ext_id"), self._config.prefix
        key = ext_id.removeprefix(prefix) if ext_id.startswith(prefix) else ""
        try:
            return Row(
                ext_id=ext_id,
                key=(cell("key") if "key" in self.names else key) or None,
                waiting=cell("waiting") not in ("", "0"),
                error=int(cell("error") or 0),
                action=int(cell("action") or EITHER),
                activation=self._date(cell("activation")),
                expiration=self._date(cell("expiration")),
                blocked=cell("blocked") not in ("", "0"),
                lists={kind: cell(kind) for kind in ("levels", "zones", "doors")},
                texts={name: cell(name) for name in ATTRIBUTES if name in self.names},
                doubt=DOUBTS.get(record.get(self.stamp, ""), ""),
            )
        except ValueError:
            raise Incomplete(
                f"salto_staging: {self._path}: a number or date is none: correct the file"
            ) from None

    def cells(self, row: Row) -> Record:
        """Return what of *row* stands in cells, as it is written."""
        values: dict[str, str] = {"ext_id": row.ext_id, "blocked": str(int(row.blocked))}
        for word in ("activation", "expiration"):
            at: datetime | None = getattr(row, word)
            values[word] = "" if at is None else at.strftime(self._config.date_format)
        values |= {kind: listed or "" for kind, listed in row.lists.items()} | dict(row.texts)
        return {self.names[word]: cell for word, cell in values.items() if word in self.names}

    def defaults(self) -> Record:
        """Return what a new row begins with."""
        return {
            name: str(int(value)) if isinstance(value, bool) else str(value)
            for name, value in self._config.defaults.items()
        }

    def _date(self, cell: str) -> datetime | None:
        # the product's times have no zone
        return datetime.strptime(cell, self._config.date_format) if cell else None  # noqa: DTZ007

    # ── the files ───────────────────────────────────────────────────────────────────────

    def _read(self) -> list[Record]:
        is_first = self._config.create and not was_written(self._path)
        if is_first and not self._path.exists() and self._path.parent.is_dir():
            return []
        data, _ = read_whole(self._path)
        try:
            records = table_rows(data.decode("utf-8"), self._path)
        except (UnicodeDecodeError, csv.Error):
            raise Incomplete(f"salto_staging: {self._path} is damaged: restore it") from None
        *records, last = records or [{}]
        first, second = [*last.values(), "", ""][:2]
        if (first, second) != (END, str(len(records))):
            raise Incomplete(
                f"salto_staging: {self._path} does not end with its count of rows: it was cut or "
                "edited; restore it"
            )
        if lacking := {*self._head} - {*(records[0] if records else last)}:
            raise ConfigError(
                f"salto_staging: {self._path} lacks the column {', '.join(sorted(lacking))}: it "
                "was made with another order"
            )
        return records

    def _write(self, records: list[Record]) -> None:
        waiting = [each for each in records if each[self.names["waiting"]] not in ("", "0")]
        text = table_text(self.order, waiting, header=self._config.header)
        handed = str(put_whole(self._drop, text.encode(self._config.encoding)))
        for record in waiting:
            again = record.get(self.stamp, "").startswith(AGAIN)
            record[self.stamp] = f"{AGAIN} {handed}" if again else handed
        end = {self._head[0]: END, self._head[1]: str(len(records))}
        state = table_text(self._head, [*records, end], header=True)
        put_whole(self._path, state.encode("utf-8"), mode=0o600)
        mark_written(self._path)

    def _answered(self, records: list[Record]) -> list[Record]:
        """Return *records* with the answers that have come since they were written."""
        flag = self.names["waiting"]
        waiting = [each for each in records if each[flag] not in ("", "0")]
        if not waiting:
            return records
        answer = {"gone": self._gone, "archive": self._archived, "status": self._listed}
        answer[self.answers](waiting)
        return records

    def _gone(self, waiting: list[Record]) -> None:
        if self._is_dropped():
            return
        for record in waiting:
            if _print(record[self.stamp]) is not None:
                self._answer(record, "0", "")

    def _archived(self, waiting: list[Record]) -> None:
        if self._is_dropped() or self._config.archive is None:
            return
        prints = {each[self.names["ext_id"]]: _print(each[self.stamp]) for each in waiting}
        sizes = {each.size for each in prints.values() if each is not None}
        there = digests(self._config.archive, sizes)
        for record in waiting:
            handed = prints[record[self.names["ext_id"]]]
            if handed is not None:
                self._answer(record, "0", "" if handed.digest in there else LOST)

    def _listed(self, waiting: list[Record]) -> None:
        path = self._config.status
        if path is None or not path.exists():
            return
        data, written = read_whole(path)
        try:
            lines = table_rows(data.decode(self._config.encoding), path)
        except (UnicodeDecodeError, csv.Error):
            raise Incomplete(f"salto_staging: {path} is no table of answers: look at it") from None
        ext_id, error = self.names["ext_id"], self.names["error"]
        if lines and not {ext_id, error} <= set(lines[0]):
            raise Incomplete(f"salto_staging: {path} lacks the column {ext_id} or {error}")
        codes: dict[str, str] = {}
        for line in lines:  # where a row is listed twice, a refusal counts
            if codes.get(line[ext_id], "0") == "0":
                codes[line[ext_id]] = _code(line[error])
        for record in waiting:
            handed = _print(record[self.stamp])
            if handed is not None and written > handed.time_ns and record[ext_id] in codes:
                again = record[self.stamp].startswith(AGAIN)
                self._answer(record, codes[record[ext_id]], AGAIN if again else "")

    def _answer(self, record: Record, code: str, doubt: str) -> None:
        record |= {
            self.names["waiting"]: "0", self.names["error"]: code, self.stamp: doubt,
        }  # fmt: skip

    def _is_dropped(self) -> bool:
        try:
            self._drop.lstat()
        except FileNotFoundError:
            if self._drop.parent.is_dir():
                return False
            raise Unavailable(
                f"salto_staging: the folder {self._drop.parent} is not there: check drop"
            ) from None
        except OSError as error:
            raise Unavailable(
                f"salto_staging: {self._drop} cannot be looked at ({error.strerror}): check drop"
            ) from None
        return True


def _probe(folder: Path) -> None:
    if not folder.is_dir():
        raise Unavailable(f"salto_staging: the folder {folder} is not there: check the path")
    if not os.access(folder, os.W_OK):
        raise Denied(f"salto_staging: {folder} may not be written to: give this account rights")


def _print(stamp: str) -> Print | None:
    return Print.parse(stamp.removeprefix(AGAIN).strip())


def _code(cell: str) -> str:
    """Return an error code as a number; what is none is still an error."""
    cell = cell.strip()
    if not cell:
        return "0"
    return cell if cell.lstrip("-").isdigit() and len(cell) < 12 else "-1"
