"""Numbered files for the system to take away, what was sent in them, and what came back.

Beside the file stands a journal of idsync's own: the last number given, the keys that
wait for an answer with the number each was sent under, and the keys whose record was
changed and has not been sent yet. It is written before the file is changed and again after
the numbered file lies there, so that a crash in between is seen and sent again; a number is
never given twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from idsync.errors import Incomplete, Unavailable
from idsync.targets.file_disk import put_beside, read_whole, replace_whole, stamp_of
from idsync.targets.file_document import Document
from idsync.targets.file_settings import NUMBER, FileConfig, Receipts, Send

DIGITS = 6
OURS = "idsync-sent/1"

Sent: TypeAlias = Literal["done", "waiting", "refused", "unanswered", "unsent"]
OpenDocument: TypeAlias = Callable[[bytes, Path, Receipts], Document]


@dataclass
class Journal:
    """What was sent, and under which number."""

    number: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    unsent: list[str] = field(default_factory=list)


class Sending:
    """The sent files of one target; *opened* reads a receipt. Writing is done under the lock."""

    def __init__(self, config: FileConfig, send: Send, opened: OpenDocument) -> None:
        self._config, self._send, self._receipts = config, send, send.receipts
        self._opened = opened
        self._path = config.path.with_name(f".{config.path.name}.sent")

    # ── what stands ─────────────────────────────────────────────────────────────────────

    def standing(self) -> dict[str, Sent]:
        """Return for each key that is not simply done what became of its last change."""
        journal = self._journal()
        found: dict[str, Sent] = {}
        answers: dict[int, dict[str, Sent] | None] = {}
        for key, number in journal.waiting.items():
            if number not in answers:
                answers[number] = self._answers(number)
            answer = answers[number]
            found[key] = "waiting" if answer is None else answer.get(key, "unanswered")
        return {
            **{key: stand for key, stand in found.items() if stand != "done"},
            **dict.fromkeys(journal.unsent, "unsent"),
        }

    def _answers(self, number: int) -> dict[str, Sent] | None:
        """Return the answers to one sent file, or None until there is a whole receipt."""
        receipts = self._receipts
        if receipts is None:
            return None
        path = receipts.folder / _numbered(receipts.name, number)
        try:
            content = read_whole(path, self._config.max_mb)
            if content is None:
                return None
            document = self._opened(content.data, path, receipts)
        except Incomplete:
            return None  # half a receipt is none yet; one that stays so becomes overdue
        key, code = receipts.columns["key"], receipts.columns["code"]
        return {
            record.row[key]: receipts.codes.get(record.row[code], "refused")
            for record in document.records
        }

    # ── sending ─────────────────────────────────────────────────────────────────────────

    def announce(self, keys: Iterable[str]) -> None:
        """Write down, before anything else is written, which records will have to be sent."""
        journal = self._journal()
        settled = self.standing()
        journal.waiting = {key: n for key, n in journal.waiting.items() if key in settled}
        journal.number = max([journal.number, *self._seen()]) + 1
        journal.unsent = sorted({*journal.unsent, *keys})
        self._write(journal)

    def deliver(self, document: Document, key_of: str, encode: Callable[[str], bytes]) -> None:
        """Put the records that were announced, or all, into the folder under the next number."""
        journal = self._journal()
        unsent = set(journal.unsent)
        everything = self._send.rows == "all"
        text = document.written(lambda record: everything or record.row[key_of] in unsent)
        put_beside(self._send.folder / _numbered(self._send.name, journal.number), encode(text))
        if self._receipts:
            journal.waiting |= dict.fromkeys(journal.unsent, journal.number)
        journal.unsent = []
        self._write(journal)

    def _seen(self) -> list[int]:
        """Return the numbers that files have, ours and the receipts': none is given again."""
        places = [(self._send.folder, self._send.name)]
        places += [(self._receipts.folder, self._receipts.name)] if self._receipts else []
        numbers = []
        for folder, name in places:
            before, _, after = name.partition(NUMBER)
            pattern = re.compile(f"{re.escape(before)}([0-9]{{1,18}}){re.escape(after)}")
            try:
                found = [pattern.fullmatch(path.name) for path in folder.iterdir()]
            except OSError:
                raise Unavailable(
                    f"{folder}: cannot be listed: check send, and its rights"
                ) from None
            numbers += [int(match[1]) for match in found if match]
        return numbers

    # ── the journal ─────────────────────────────────────────────────────────────────────

    def _journal(self) -> Journal:
        content = read_whole(self._path, self._config.max_mb)
        if content is None:
            return Journal()
        try:
            told = json.loads(content.data)
            if told["format"] == OURS:
                return Journal(int(told["number"]), dict(told["waiting"]), list(told["unsent"]))
        except (ValueError, KeyError, TypeError):
            pass
        raise Unavailable(
            f"{self._path}: is not idsync's journal of sent files: restore it, or remove it to "
            "begin anew, when nothing waits for an answer"
        )

    def _write(self, journal: Journal) -> None:
        told = {
            "format": OURS, "number": journal.number, "waiting": journal.waiting,
            "unsent": journal.unsent,
        }  # fmt: skip
        data = json.dumps(told, ensure_ascii=False, indent=0).encode()
        replace_whole(self._path, data, stamp_of(self._path))


def _numbered(name: str, number: int) -> str:
    return name.replace(NUMBER, f"{number:0{DIGITS}}")
