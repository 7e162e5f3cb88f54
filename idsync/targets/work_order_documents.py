"""Writes what a landlord gets: orders as CSV and PDF, signatures, an answer form, reminders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from idsync.targets.work_order_files import Folder, stem
from idsync.targets.work_order_ledger import Ledger
from idsync.targets.work_order_letters import as_field
from idsync.targets.work_order_paper import (
    Letterhead,
    Notes,
    first_day,
    last_day,
    local_time,
    order_paper,
    reminder_paper,
)
from idsync.targets.work_order_signing import Signer
from idsync.targets.work_order_tables import table
from idsync.targets.work_order_tasks import DOORS, Line, Order
from idsync.targets.work_order_words import ACTIONS, say

ORDER_COLUMNS = (
    "order", "line", "of", "code", "urgent", "deadline", "action", "what", "reference", "name",
    "card", "door", "from", "last_day", "replaces",
)  # fmt: skip
ANSWER_COLUMNS = ("order", "line", "code", "result", "reason", "date", "by")


def publish(ledger: Ledger, folder: Folder, signer: Signer, head: Letterhead) -> None:
    """Write every document of the ledger that is not known to be in the folder.

    Raises:
        ConfigError: the folder holds another public key than that of *signer*.
    """
    signer.introduce(folder)
    for order in ledger.unpublished():
        files = _order_files(ledger, order, signer, head)
        folder.write(files)
        digests = {
            name: hashlib.sha256(data).hexdigest()
            for name, data in files
            if not name.endswith("-answer.csv")
        }
        ledger.published(order.number, json.dumps(digests))
    for reminder in ledger.unsent_reminders():
        lines = [line for line in ledger.lines(reminder.order.number) if line.open]
        notes = Notes(answer_file=f"{stem(reminder.order.number)}-answer.csv", whole_code="",
                      checksum="")  # fmt: skip
        paper = reminder_paper(reminder, lines, head, notes)
        name = f"{stem(reminder.order.number)}-reminder-{reminder.number:06}.pdf"
        folder.write([(name, paper), (f"{name}.sig", signer.sign(paper))])
        ledger.sent(reminder.number)


def altered(ledger: Ledger, folder: Folder) -> list[str]:
    """Return a sentence for each document of an awaited order that is not as it was written."""
    found = []
    for order, _ in ledger.awaited():
        for name, digest in json.loads(ledger.digests(order.number) or "{}").items():
            data = folder.read(name)
            if data is not None and hashlib.sha256(data).hexdigest() != digest:
                found.append(
                    f"{name} is not as idsync wrote it: ask who changed it, and what was done by it"
                )
    return found


def _order_files(
    ledger: Ledger, order: Order, signer: Signer, head: Letterhead
) -> list[tuple[str, bytes]]:
    """Return the files of an order; the paper comes last, as people begin with it."""
    name, lines = stem(order.number), ledger.lines(order.number)
    rows = order_table(order, lines, head)
    notes = Notes(
        answer_file=f"{name}-answer.csv",
        whole_code=ledger.whole_code(order.number),
        checksum=hashlib.sha256(rows).hexdigest(),
    )
    paper = order_paper(order, lines, head, notes)
    form = table(
        ANSWER_COLUMNS, [(order.number, line.number, line.code, "", "", "", "") for line in lines]
    )
    return [
        (f"{name}.csv", rows),
        (f"{name}.csv.sig", signer.sign(rows)),
        (f"{name}-answer.csv", form),
        (f"{name}.pdf.sig", signer.sign(paper)),
        (f"{name}.pdf", paper),
    ]


def order_table(order: Order, lines: Sequence[Line], head: Letterhead) -> bytes:
    """Return an order as CSV: what the landlord needs to do it, and nothing more."""
    zone = head.zone
    return table(
        ORDER_COLUMNS,
        [
            (
                order.number, line.number, len(lines), line.code, "yes" if order.urgent else "no",
                local_time(order.deadline, zone), line.task.action,
                say(ACTIONS[line.task.action], head.languages), line.alias,
                as_field(line.task.name or ""), as_field(" ".join(line.task.cards)),
                as_field(line.task.ref if line.task.action in DOORS else ""),
                first_day(line, zone), last_day(line, zone),
                f"order {line.replaces[0]} line {line.replaces[1]}" if line.replaces else "",
            )
            for line in lines
        ],
    )  # fmt: skip
