"""Any access system that is fed from a file: CSV or XML, as connectors.toml describes it.

The system's own import reads the file, or takes numbered files away; idsync writes them and
never speaks to the system. What a record means is described, and nothing else is assumed.
The shapes (a full list or changes only, rights joined in a cell or in a file of their own, a
trailer that counts, receipts) are those that access systems' imports document (evidence B).
CSV is written after RFC 4180, XML after XML 1.0.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idsync.capabilities import Capabilities
from idsync.errors import ConfigError, Denied, Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Outcome
from idsync.rows import capabilities_of
from idsync.rows_merging import Edits, Merging
from idsync.rows_reading import PENDING, REFUSED, Reading
from idsync.rows_texts import Texts
from idsync.targets import Target
from idsync.targets.file_csv import CsvDocument, needs_quotes
from idsync.targets.file_disk import (
    Stamp,
    lock_of,
    locked,
    mark_written,
    read_whole,
    replace_whole,
    stamp_of,
    was_written,
)
from idsync.targets.file_document import Document, Record
from idsync.targets.file_sending import Sending, Sent
from idsync.targets.file_settings import CODECS, CsvShape, FileConfig, Receipts, XmlShape

if TYPE_CHECKING:
    from idsync.targets.file_xml import XmlDocument

BOM = b"\xef\xbb\xbf"

AMISS: dict[Sent, str] = {
    "refused": REFUSED,
    "unanswered": "the receipt for the last write does not name this person",
    "unsent": "the last write was interrupted before it was sent",
}


@dataclass(kw_only=True)
class Loaded:
    """The files as they were read: documents, and which state of each that was."""

    people: Document
    people_stamp: Stamp | None
    by_key: dict[str, list[Record]]
    rights: Document | None = None
    rights_stamp: Stamp | None = None
    rights_by_key: dict[str, list[Record]] = field(default_factory=dict)
    people_changed: bool = False
    rights_changed: bool = False
    to_send: set[str] = field(default_factory=set)


class FileTarget(Target):
    """The records of one file of people, and of one file of rights where it has one.

    A record without a key, and records that share one, are somebody else's: shown without
    a key, never changed.
    """

    Config = FileConfig

    def __init__(self, config: FileConfig) -> None:
        self._config = config
        self._key = config.columns["key"]
        self._people = [*config.person_columns(), *config.new_row, *config.every_write]
        self._rights = [*config.right_columns(), *(config.rights.new_row if config.rights else ())]
        self._reading = Reading(config)
        self._merging = Merging(self._reading, self._check_text)
        self._texts = Texts(
            codec=CODECS[config.encoding],
            lengths=config.lengths,
            formulas=config.formulas == "keep" or config.xml is not None,
            trims=True,
        )
        if config.xml:
            _xml()
        self._sending = Sending(config, config.send, self._receipt) if config.send else None
        self.capabilities = _capabilities(config)

    # ── the promise ─────────────────────────────────────────────────────────────────────

    def read(self) -> Iterator[Cardholder]:
        """Yield everybody as of one moment; see `Target.read`."""
        loaded = self._load()
        self._unchanged(loaded)
        rows = [record.row for record in loaded.people.records]
        rights = [record.row for record in loaded.rights.records] if loaded.rights else []
        standing = self._sending.standing() if self._sending else {}
        for cardholder in self._reading.everybody(rows, rights):
            yield _with(cardholder, standing)

    def read_one(self, key: str) -> Cardholder | None:
        """Return the cardholder with this key as it is now, or None."""
        loaded = self._load()
        self._unchanged(loaded)
        person = self._find(loaded, key)
        if person is None:
            return None
        rights = [record.row for record in loaded.rights_by_key.get(key, [])]
        standing = self._sending.standing() if self._sending else {}
        return _with(self._reading.cardholder(person.row, rights, key), standing)

    def put(self, change: Change) -> Outcome:
        """Make it so, with one write of each file on a fresh read; see `Target.put`."""
        [done] = self._put([change])
        if isinstance(done, Refused):
            raise done
        return done

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        """Put many changes with one write of each file; see `Target.put_many`."""
        return [
            Outcome(status="refused", reason=str(done)) if isinstance(done, Refused) else done
            for done in self._put(changes)
        ]

    def check(self) -> str:
        """Read the files, and look whether they may be written; see `Target.check`."""
        loaded = self._load()
        folders = [self._config.path.parent]
        folders += [self._config.rights.path.parent] if self._config.rights else []
        folders += [self._config.send.folder] if self._config.send else []
        for folder in folders:
            if not folder.is_dir():
                raise Unavailable(
                    f"{folder}: there is no such folder: make it, or correct the path"
                )
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise Denied(f"{folder}: may not be written: give idsync's account the right")
        kind = "CSV" if self._config.csv else "XML"
        return f"{kind} file, {len(loaded.people.records)} records"

    def close(self) -> None:
        """Do nothing: the files are opened anew for every call."""

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def _load(self) -> Loaded:
        config, rights = self._config, self._config.rights
        shape = config.csv or config.xml
        assert shape is not None  # noqa: S101 - the settings want one of them
        new = config.create and not was_written(config.path)
        people, stamp = self._open(config.path, self._people, shape, new=new)
        loaded = Loaded(people=people, people_stamp=stamp, by_key=_by(people.records, self._key))
        if rights:
            own = rights.csv or rights.xml or shape
            loaded.rights, loaded.rights_stamp = self._open(
                rights.path, self._rights, own, new=new and stamp is None
            )
            loaded.rights_by_key = _by(loaded.rights.records, rights.columns["key"])
        return loaded

    def _open(
        self, path: Path, columns: list[str], shape: CsvShape | XmlShape, *, new: bool
    ) -> tuple[Document, Stamp | None]:
        content = read_whole(path, self._config.max_mb)
        if content:
            return self._document(content.data, path, columns, shape), content.stamp
        if new:
            return self._empty(path, columns, shape), None
        told = "check the path, or write create = true for a new list"
        if self._config.create:
            told = (
                "idsync has written it, or its other file, before: restore it, or remove "
                f"{lock_of(self._config.path)} as well to begin with an empty list"
            )
        raise Unavailable(f"{path}: there is no such file: {told}")

    def _empty(self, path: Path, columns: list[str], shape: CsvShape | XmlShape) -> Document:
        if isinstance(shape, CsvShape):
            return CsvDocument.empty(columns, shape, str(path))
        return _xml().empty(columns, shape, str(path), self._config.encoding)

    def _document(
        self, data: bytes, path: Path, columns: list[str], shape: CsvShape | XmlShape
    ) -> Document:
        text = self._decoded(data, path)
        if not text.strip():
            raise Incomplete(f"{path}: is empty, not even begun: restore it, or remove it")
        if isinstance(shape, CsvShape):
            return CsvDocument(text, columns, shape, str(path))
        return _xml()(text, columns, shape, str(path), self._config.encoding)

    def _decoded(self, data: bytes, path: Path) -> str:
        encoding = self._config.encoding
        marked = data.startswith(BOM)
        if marked != (encoding == "utf-8-sig") and (marked or data):
            told = "begins" if marked else "does not begin"
            raise Incomplete(f"{path}: {told} with a byte order mark: correct encoding")
        try:
            text = data[len(BOM) if marked else 0 :].decode(CODECS[encoding])
        except UnicodeDecodeError:
            raise Incomplete(f"{path}: is not {encoding}: correct encoding, or the file") from None
        if "\0" in text:
            raise Incomplete(f"{path}: holds a NUL: restore the file")
        if encoding in ("windows-1252", "iso-8859-1") and _is_utf_8(data):
            raise Incomplete(f'{path}: is UTF-8: set encoding = "utf-8"')
        return text

    def _receipt(self, data: bytes, path: Path, receipts: Receipts) -> Document:
        shape = receipts.csv or receipts.xml or self._config.csv or self._config.xml
        assert shape is not None  # noqa: S101 - the settings want one of them
        return self._document(data, path, list(receipts.columns.values()), shape)

    def _unchanged(self, loaded: Loaded) -> None:
        """Raise Incomplete if one of two files was renewed while the other was read."""
        if loaded.rights and stamp_of(self._config.path) != loaded.people_stamp:
            raise Incomplete(f"{self._config.path}: was renewed meanwhile: read both again")

    def _find(self, loaded: Loaded, key: str) -> Record | None:
        found = loaded.by_key.get(key, []) if key else []
        if len(found) > 1:
            raise Refused(
                f"{len(found)} records have one key: decide by hand which is the person's, and "
                "clear the key of the others"
            )
        return found[0] if found else None

    # ── writing ─────────────────────────────────────────────────────────────────────────

    def _put(self, changes: Sequence[Change]) -> list[Outcome | Refused]:
        with locked(self._config.path):
            loaded = self._load()
            standing = self._sending.standing() if self._sending else {}
            done = [self._edit(loaded, change, standing) for change in changes]
            self._save(loaded)
        return done

    def _edit(self, loaded: Loaded, change: Change, standing: dict[str, Sent]) -> Outcome | Refused:
        """Change the documents as *change* says; tell what becomes of it once they are saved."""
        key, stand = change.key, standing.get(change.key)
        try:
            person = self._find(loaded, key)
        except Refused as refused:
            return refused
        row = person.row if person else None
        rights = loaded.rights_by_key.get(key, [])
        again = stand in AMISS
        edits = self._merging.edits(row, [each.row for each in rights], change, again=again)
        if row and edits.touched and self._reading.stand(row) == "taken":
            return Refused("the system is at work on this person's last write: it comes later")
        self._apply(loaded, key, person, rights, edits)
        if self._sending and (edits.touched or (again and person and not edits.refused)):
            loaded.to_send.add(key)
        if edits.refused:
            return edits.refused
        answers = self._config.send is not None and self._config.send.receipts is not None
        later = answers and (key in loaded.to_send or stand == "waiting")
        return Outcome(status="submitted" if later or edits.waiting else "confirmed")

    def _apply(
        self, loaded: Loaded, key: str, person: Record | None, rights: list[Record], edits: Edits
    ) -> None:
        if edits.new and edits.cells:
            loaded.by_key[key] = [loaded.people.add(edits.cells)]
        elif person and edits.cells:
            loaded.people.change(person, edits.cells)
        loaded.people_changed |= bool(edits.cells)
        if loaded.rights is None:
            return
        for at in edits.drop:
            loaded.rights.remove(rights[at])
        kept = [each for each in rights if not each.gone]
        kept += [loaded.rights.add(new) for new in edits.add]
        loaded.rights_by_key[key] = kept
        loaded.rights_changed |= bool(edits.drop or edits.add)

    def _save(self, loaded: Loaded) -> None:
        """Write what was changed: people first, so that who is suspended is so at once."""
        config = self._config
        if self._sending and loaded.to_send:
            self._sending.announce(loaded.to_send)
        if config.rights and loaded.rights_stamp is None and loaded.people_changed:
            shape = config.rights.csv or config.rights.xml or config.csv or config.xml
            assert shape is not None  # noqa: S101 - the settings want one of them
            empty = self._empty(config.rights.path, self._rights, shape)
            loaded.rights_stamp = replace_whole(
                config.rights.path, self._encoded(empty.written()), None
            )
        if loaded.people_changed:
            data = self._encoded(loaded.people.written())
            replace_whole(config.path, data, loaded.people_stamp)
            mark_written(config.path)
        if config.rights and loaded.rights and loaded.rights_changed:
            data = self._encoded(loaded.rights.written())
            replace_whole(config.rights.path, data, loaded.rights_stamp)
        if self._sending and loaded.to_send:
            self._sending.deliver(loaded.people, self._key, self._encoded)

    def _encoded(self, text: str) -> bytes:
        mark = BOM if self._config.encoding == "utf-8-sig" else b""
        return mark + text.encode(CODECS[self._config.encoding])

    def _check_text(self, name: str, text: str) -> None:
        self._texts.check(name, text)
        csv = self._config.csv
        if csv and not csv.quote and needs_quotes(text, csv):
            raise Refused(
                f"{name} holds the delimiter or has blanks around it, and nothing is quoted here: "
                "correct the record"
            )
        if self._config.xml and ("\ufffe" in text or "\uffff" in text):
            raise Refused(f"{name} holds what no XML may hold: correct the record")


def _by(records: Sequence[Record], column: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.row[column], []).append(record)
    return found


def _with(cardholder: Cardholder, standing: dict[str, Sent]) -> Cardholder:
    """Return the cardholder with what became of its last sent file."""
    stand = standing.get(cardholder.key or "")
    if stand is None:
        return cardholder
    return replace(
        cardholder,
        pending=PENDING if stand == "waiting" else "",
        amiss=AMISS.get(stand, ""),
    )


def _is_utf_8(data: bytes) -> bool:
    try:
        return not data.isascii() and bool(data.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _xml() -> type[XmlDocument]:
    """Return what reads XML, which needs a package that CSV does not."""
    try:
        from idsync.targets.file_xml import XmlDocument as reads_xml
    except ImportError:
        raise ConfigError(
            "XML is read with the package defusedxml, which is not installed: install it"
        ) from None
    return reads_xml


def _capabilities(config: FileConfig) -> Capabilities:
    receipts = config.send.receipts if config.send else None
    more: dict[str, Any] = {"answer_hours": receipts.hours} if receipts else {}
    unicode = CODECS[config.encoding] == "utf-8"
    return capabilities_of(
        config, "file-1", characters="unicode" if unicode else "latin-1", batch=config.batch,
        **more,
    )  # fmt: skip
