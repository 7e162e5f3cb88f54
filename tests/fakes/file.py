"""A vendor's import folder: real files, an import job with nasty habits, and hands that edit.

`NightlyCsv` has a full list of people and a full list of rights, in windows-1252 with
semicolons, days counted in. Its job believes whatever lies there, also half a file.
`DeltaXml` takes numbered files away as soon as it sees them, answers each with a receipt a
record, and refuses some. Both know nothing of idsync's code: they read with Python's own
csv and xml modules, and edit by hand as a person with an editor does.
"""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from idsync.model import Cardholder

RIGHTS = ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS Å")
ALARMS = ("LARM-FSK",)

PEOPLE = 'Anstnr;Namn;"Enhet";Läge;Kommentar\r\nSLUT;0\r\n'
HELD = "Anstnr;Rätt;Slag;Från;Till;Schema\r\nSLUT;0\r\n"


class NightlyCsv:
    """Two lists that a job reads whole every night."""

    def __init__(self, folder: Path) -> None:
        self.people, self.held = folder / "personer.csv", folder / "rätter.csv"
        self.write(self.people, PEOPLE)
        self.write(self.held, HELD)
        self.doors: dict[str, set[tuple[str, str, str]]] = {}

    def text(self, path: Path) -> str:
        return path.read_bytes().decode("cp1252")

    def write(self, path: Path, text: str) -> None:
        path.write_bytes(text.encode("cp1252"))

    def description(self, **more: Any) -> dict[str, Any]:
        shape = {"delimiter": ";", "trailer": {"starts_with": "SLUT", "count": 2}}
        return {
            "path": str(self.people),
            "encoding": "windows-1252",
            "csv": shape,
            "columns": {
                "key": "Anstnr", "display_name": "Namn", "department": "Enhet", "status": "Läge",
            },
            "values": {
                "status": {"A": "active", "S": "suspended"},
                "kind": {"Dörr": "access", "Larm": "alarm"},
            },
            "lengths": {"display_name": 60},
            "rights": {
                "path": str(self.held),
                "columns": {
                    "key": "Anstnr", "ref": "Rätt", "kind": "Slag", "valid_from": "Från",
                    "valid_to": "Till",
                },
            },
            "dates": {"format": "%Y-%m-%d", "end_inclusive": True, "no_end": ["9999-12-31"]},
        } | more  # fmt: skip

    def append(self, path: Path, *cells: str) -> None:
        """Add a line by hand, and count it in the trailer, as the vendor's own program does."""
        head, _, tail = self.text(path).rpartition("SLUT;")
        line = io.StringIO()
        csv.writer(line, delimiter=";", lineterminator="\r\n").writerow(cells)
        self.write(path, f"{head}{line.getvalue()}SLUT;{int(tail) + 1}\r\n")

    def by_hand(self, wanted: Cardholder) -> None:
        """Write as a local administrator would; a right of nobody known stands by itself."""
        known = {row[0] for row in self.rows(self.people)}
        key = wanted.key or "B-7"
        if wanted.key and wanted.key not in known:
            self.append(self.people, wanted.key, wanted.display_name or "", "", "A", "för hand")
        for grant in wanted.grants:
            self.append(self.held, key, grant.ref, "Dörr", "", "9999-12-31", "vardagar")

    def rows(self, path: Path) -> list[list[str]]:
        """Return the rows between header and trailer, or as many as there are."""
        read = list(csv.reader(io.StringIO(self.text(path), newline=""), delimiter=";"))[1:]
        return [row for row in read if row and row[0] != "SLUT"]

    def night(self) -> None:
        """Believe both lists: who does not stand there is gone."""
        self.doors = {row[0]: set() for row in self.rows(self.people) if row[3] == "A"}
        for key, right, _, begin, end, *_ in self.rows(self.held):
            if key in self.doors:
                self.doors[key].add((right, begin, end))


EMPTY = """<?xml version="1.0" encoding="utf-8"?>
<!-- Förs av HR; rör inte ordningen -->
<lista skapad="2031-01-01">
 <personer antal="0"/>
</lista>
"""


class DeltaXml:
    """A list that idsync keeps, and a folder out of which a job takes what has changed."""

    def __init__(self, folder: Path) -> None:
        self.list = folder / "lista.xml"
        self.out, self.receipts = folder / "ut", folder / "kvitto"
        self.out.mkdir()
        self.receipts.mkdir()
        self.list.write_text(EMPTY, encoding="utf-8")
        self.doors: dict[str, set[str]] = {}
        self.refuses: set[str] = set()  # keys whose next record is refused
        self.forgets: set[str] = set()  # keys that the next receipt does not name
        self.halves = 0  # files that were taken half-written
        self.taken: list[str] = []

    def description(self, **more: Any) -> dict[str, Any]:
        return {
            "path": str(self.list),
            "encoding": "utf-8",
            "xml": {"inside": "personer", "record": "person", "count": "antal"},
            "columns": {"key": "@nr", "display_name": "namn", "status": "spärr"},
            "values": {"status": {"0": "active", "1": "suspended", "": "active"}},
            "lists": {"access": {"column": "grupper", "separator": "|", "most": 200}},
            "cards": [{"number": "kort"}],
            "every_write": {"åtgärd": "3"},
            "send": {
                "folder": str(self.out),
                "name": "hr-{number}.xml",
                "receipts": {
                    "folder": str(self.receipts),
                    "name": "hr-{number}.kvitto.xml",
                    "columns": {"key": "@nr", "code": "resultat"},
                    "codes": {"OK": "done", "FEL": "refused"},
                    "xml": {"inside": "kvitto", "record": "rad"},
                    "hours": 48,
                },
            },
        } | more  # fmt: skip

    def by_hand(self, wanted: Cardholder) -> None:
        """Edit the list in an editor; a record of theirs has things that nobody described."""
        text = self.list.read_text(encoding="utf-8")
        start = text.find(f'nr="{escape(wanted.key or "", {chr(34): "&quot;"})}"')
        if wanted.key is None or start < 0:
            new = f"<grupper>{'|'.join(grant.ref for grant in wanted.grants)}</grupper>"
            name = f"<namn>{escape(wanted.display_name or '')}</namn>"
            number = f' nr="{wanted.key}"' if wanted.key else ""
            text = self.add(text, f"<person{number} källa='hand'>{name}{new}<foto/></person>")
        for grant in wanted.grants if start >= 0 and wanted.key else ():
            at = text.index("<grupper>", start) + len("<grupper>")
            end = text.index("</grupper>", at)
            held = [each for each in text[at:end].split("|") if each]
            text = text[:at] + "|".join([*held, grant.ref]) + text[end:]
        for card in wanted.credentials:
            at = text.index("</person>", start)
            text = f"{text[:at]}<kort>{card.number}</kort>{text[at:]}"
        self.list.write_text(text, encoding="utf-8")

    def add(self, text: str, record: str) -> str:
        count = ET.fromstring(text).find("personer")
        assert count is not None
        number = int(count.get("antal", ""))
        text = text.replace(f'antal="{number}"', f'antal="{number + 1}"')
        if "</personer>" not in text:
            return text.replace(
                f'antal="{number + 1}"/>', f'antal="{number + 1}">{record}</personer>'
            )
        return text.replace("</personer>", f"{record}\n </personer>")

    def pick_up(self) -> None:
        """Take every file that lies there, whole or not, and answer it."""
        for path in sorted(self.out.glob("*.xml")):
            self.taken.append(path.name)
            try:
                root = ET.parse(path).getroot()
            except ET.ParseError:
                self.halves += 1
                path.unlink()
                continue
            path.unlink()
            rows = [self.take(person) for person in root.iter("person")]
            body = "".join(rows)
            receipt = self.receipts / f"{path.stem}.kvitto.xml"
            receipt.write_text(f"<kvitto>{body}</kvitto>", encoding="utf-8")

    def take(self, person: ET.Element) -> str:
        key = person.get("nr", "")
        told = "OK"
        if key in self.refuses:
            self.refuses.discard(key)
            told = "FEL"
        elif key not in self.forgets:
            groups = (person.findtext("grupper") or "").split("|")
            open_ = person.findtext("spärr") != "1"
            self.doors[key] = {each for each in groups if each and open_}
        if key in self.forgets:
            self.forgets.discard(key)
            return ""
        quoted = escape(key, {'"': "&quot;"})
        return f'<rad nr="{quoted}"><resultat>{told}</resultat><text>rad</text></rad>'


class BracedCsv:
    """One list that the job answers in itself."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "people.txt"

    def description(self, **more: Any) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "create": True,
            "encoding": "utf-8-sig",
            "csv": {
                "delimiter": ",", "quote_all": True, "line_end": "\n", "header": False,
                "names": ["id", "groups", "name", "mail", "state", "answer", "own"],
                "proof": "line_end",
            },
            "columns": {"key": "id", "display_name": "name", "mail": "mail", "status": "state"},
            "values": {"status": {"in": "active", "out": "suspended"}},
            "lists": {"access": {"column": "groups", "opening": "{", "closing": "}"}},
            "answer": {
                "column": "answer", "codes": {"new": "waiting", "ok": "done", "no": "refused"},
            },
        } | more  # fmt: skip

    def by_hand(self, wanted: Cardholder) -> None:
        text = self.path.read_bytes().decode("utf-8-sig") if self.path.exists() else ""
        rows = list(csv.reader(io.StringIO(text, newline="")))
        mine = [row for row in rows if wanted.key and row[0] == wanted.key]
        if not mine:
            mine = [[wanted.key or "", "", wanted.display_name or "", "", "in", "ok", "mine"]]
            rows += mine
        held = [each for each in mine[0][1].strip("{}").split(",") if each]
        mine[0][1] = "{" + ",".join([*held, *(grant.ref for grant in wanted.grants)]) + "}"
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows(rows)
        self.path.write_bytes(b"\xef\xbb\xbf" + written.getvalue().encode())

    def night(self) -> None:
        text = self.path.read_bytes()
        self.path.write_bytes(text.replace(b'"new"', b'"ok"'))
