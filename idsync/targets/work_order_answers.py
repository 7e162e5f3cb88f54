"""The landlord's answers: files in a folder, read strictly, and the same answer from a command.

A file is used whole or not at all. Files are never moved, as a landlord may still be
writing one: a file that has changed is read again, and an answer given twice is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from idsync.targets.work_order_documents import ANSWER_COLUMNS
from idsync.targets.work_order_ledger import Ledger
from idsync.targets.work_order_signing import CODE_LENGTH
from idsync.targets.work_order_tables import day, read_rows, whole_number
from idsync.targets.work_order_tasks import Wrong, unreadable
from idsync.targets.work_order_words import COULD_NOT, DONE, REASONS

LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the landlord says of a line, or (without a line) of every open line of an order."""

    order: int
    line: int | None
    done: bool
    reason: str
    on: date
    by: str


def listen(ledger: Ledger, folder: Path, now: datetime, zone: ZoneInfo) -> list[str]:
    """Take in every answer file that is new or has changed; return what is wrong with which.

    Raises:
        Unavailable: the folder is there and does not answer.
    """
    noted = ledger.answer_files()
    found = _stamps(folder)
    if any(noted.get(name, ("", ""))[0] != stamp for name, stamp in found.items()) or (
        noted.keys() - found.keys()
    ):
        with ledger.transaction():
            _take_in(ledger, folder, now, zone)
        noted = ledger.answer_files()
    return [f"{name}: {wrong}" for name, (_, wrong) in noted.items() if wrong]


def news(ledger: Ledger, folder: Path) -> int:
    """Return how many answer files are new or have changed, taking none in."""
    noted = ledger.answer_files()
    return sum(noted.get(name, ("", ""))[0] != stamp for name, stamp in _stamps(folder).items())


def record(ledger: Ledger, answer: Answer, now: datetime, zone: ZoneInfo) -> None:
    """Note an answer, within a transaction.

    Raises:
        Wrong: there is no such order or line, or the answer contradicts an older one.
    """
    lines = ledger.lines(answer.order)
    if not lines:
        raise Wrong("no such order: compare the number")
    if answer.line is not None:
        lines = [line for line in lines if line.number == answer.line]
        if not lines:
            raise Wrong(f"order {answer.order} has no line {answer.line}")
    else:
        lines = [line for line in lines if line.state == "open"]
    order = ledger.order(answer.order)
    if order and answer.on < order.made_at.astimezone(zone).date():
        raise Wrong(f"the date is before order {answer.order} was made")
    for line in lines:
        ledger.answer(
            line, done=answer.done, reason=answer.reason, on=answer.on, by=answer.by, at=now
        )


def flaw(*, done: bool, reason: str, by: str) -> str:
    """Return what is wrong with an answer by itself; "" if nothing is."""
    if done and reason:
        return "done, and yet with a reason"
    if not done and reason not in REASONS:
        return f"the reason must be one of {', '.join(REASONS)}"
    if not by or len(by) > LONGEST_NAME or not by.isprintable():
        return f"who did it must be named, in at most {LONGEST_NAME} characters"
    return ""


def _stamps(folder: Path) -> dict[str, str]:
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.lower().endswith(".csv") or entry.name.startswith("."):
                    continue
                with suppress(FileNotFoundError):  # just taken away, or a link to nothing
                    told = entry.stat()
                    if entry.is_file():
                        found[entry.name] = f"{told.st_size}-{told.st_mtime_ns}-{told.st_ino}"
    except FileNotFoundError:  # the landlord has not answered yet
        return found
    except OSError as error:
        raise unreadable("the folder of acknowledgements", error) from None
    return found


def _take_in(ledger: Ledger, folder: Path, now: datetime, zone: ZoneInfo) -> None:
    noted, found = ledger.answer_files(), _stamps(folder)
    for name in noted.keys() - found.keys():
        ledger.forget_answer_file(name)
    for name, now_stamp in sorted(found.items()):
        if noted.get(name, ("", ""))[0] == now_stamp:
            continue
        stamp, wrong = now_stamp, ""
        try:
            with ledger.part():
                for answer in _answers(ledger, folder / name, now, zone):
                    record(ledger, answer, now, zone)
        except Wrong as told:
            wrong = str(told)
        except OSError as error:  # tried again at every read; it holds up nobody else's answer
            stamp, wrong = "", f"cannot be read ({type(error).__name__}): give idsync the right"
        ledger.note_answer_file(name, stamp, wrong)


def _answers(ledger: Ledger, path: Path, now: datetime, zone: ZoneInfo) -> Iterator[Answer]:
    """Yield the answers of one file, older orders first, whatever its order of rows."""
    found: dict[tuple[int, int], Answer] = {}
    for number, row in read_rows(path, ANSWER_COLUMNS):
        if not (row["result"] or row["reason"] or row["date"] or row["by"]):
            continue  # a row of the form that is not filled in yet
        answer = _answer(ledger, number, row, now.astimezone(zone).date())
        place = (answer.order, answer.line or 0)
        if place in found and found[place] != answer:
            raise Wrong(f"row {number}: another answer than an earlier row gives for this line")
        found[place] = answer
    yield from (found[place] for place in sorted(found))


def _answer(ledger: Ledger, number: int, row: dict[str, str], today: date) -> Answer:
    order = whole_number(row["order"], number, "order")
    line = whole_number(row["line"], number, "line") if row["line"] else None
    known = ledger.lines(order)
    codes = {each.number: each.code for each in known}
    if not known or (line is not None and line not in codes):
        raise Wrong(f"row {number}: idsync made no such order and line")
    code = ledger.whole_code(order) if line is None else codes[line]
    if len(row["code"]) != CODE_LENGTH or row["code"].upper() != code:
        raise Wrong(f"row {number}: the code is not that of order {order}, this line")
    result, reason = row["result"].lower(), row["reason"].upper()
    if result not in (*DONE, *COULD_NOT):
        raise Wrong(f"row {number}: the result must be one of {', '.join((*DONE, *COULD_NOT))}")
    on = day(row["date"], number, "date")
    if on > today:
        raise Wrong(f"row {number}: the date has not come yet")
    if wrong := flaw(done=result in DONE, reason=reason, by=row["by"]):
        raise Wrong(f"row {number}: {wrong}")
    return Answer(order=order, line=line, done=result in DONE, reason=reason, on=on, by=row["by"])
