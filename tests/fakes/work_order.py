"""A landlord: reads orders from a shared folder, keeps people, cards and doors, and answers.

It knows the CSV as the page of the target describes it, checks signatures with the public
keys in the folder whose fingerprints it was told by telephone, and has the habits of people:
late, forgetful, inventive, and now and then somebody who is not the landlord at all.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

PUBLIC_KEY = "idsync-signing.pub"
ANSWER = ("order", "line", "code", "result", "reason", "date", "by")
LIST = ("reference", "name", "card", "door", "from", "last_day")
BY = "Vaktmästare Ek"


@dataclass
class Tenant:
    """Somebody in the landlord's system."""

    reference: str = ""
    name: str = ""
    blocked: bool = False
    cards: dict[str, bool] = field(default_factory=dict)  # number: whether it works
    doors: dict[str, tuple[str, str]] = field(default_factory=dict)  # door: first and last day


class Landlord:
    """Works through the folder when told to; each habit is a method or a switch."""

    def __init__(self, folder: Path, today: date) -> None:
        self.folder = folder
        self.inbox = folder / "acknowledgements"
        self.inbox.mkdir(exist_ok=True)
        self.list_file = folder / "list.csv"
        self.today = today
        self.fingerprints: set[str] = set()  # told by telephone
        self.tenants: list[Tenant] = []
        self.handled: set[tuple[str, str]] = set()
        self.refuses: dict[str, str] = {}  # action: the reason it cannot be done
        self.does_nothing = False  # says that it is done, and did not do it
        self.answers = 0
        self.write_list()

    # ── the daily work ──────────────────────────────────────────────────────────────────

    def orders(self) -> list[Path]:
        """Return the orders in the folder, the lowest number first."""
        found = self.folder.glob("order-*.csv")
        return sorted(path for path in found if not path.stem.endswith("-answer"))

    def lines(self, path: Path) -> list[dict[str, str]]:
        """Return what an order says, after its signature has been checked."""
        assert self.is_genuine(path), "not from idsync"
        return rows_of(path.read_bytes())

    def is_genuine(self, path: Path) -> bool:
        """Whether a key whose fingerprint is known has signed a file, as the page says."""
        signature = path.with_name(f"{path.name}.sig").read_bytes()
        for file in self.folder.glob("idsync-signing*.pub"):
            key = load_pem_public_key(file.read_bytes())
            assert isinstance(key, Ed25519PublicKey)
            if fingerprint(key) in self.fingerprints:
                try:
                    key.verify(signature, path.read_bytes())
                except InvalidSignature:
                    continue
                return True
        return False

    def put_key_away(self, until: int) -> None:
        """Keep the public key under another name: it is changed after order *until*."""
        (self.folder / PUBLIC_KEY).rename(self.folder / f"idsync-signing-until-{until:06}.pub")

    def waiting(self) -> Iterator[dict[str, str]]:
        """Yield the lines that were not handled before."""
        for path in self.orders():
            for line in self.lines(path):
                if (line["order"], line["line"]) not in self.handled:
                    yield line

    def work(self, *, most: int | None = None) -> list[dict[str, str]]:
        """Do what waits (the first *most* lines of it), answer, and write the list anew."""
        done = []
        for line in list(self.waiting())[:most]:
            reason = self.refuses.get(line["action"], "")
            if not reason and not self.does_nothing:
                self.carry_out(line)
            self.handled.add((line["order"], line["line"]))
            done.append(self.answer_of(line, reason=reason))
        if done:
            self.answer(done)
        self.write_list()
        return done

    def carry_out(self, line: dict[str, str]) -> None:
        """Do one line, as a person at the landlord's system would."""
        tenant = self.tenant(line["reference"])
        tenant.name = line["name"]
        cards = line["card"].split()
        match line["action"]:
            case "add" | "change":
                tenant.doors[line["door"]] = (line["from"], line["last_day"])
            case "remove":
                tenant.doors.pop(line["door"], None)
            case "suspend":
                tenant.blocked = True
            case "resume":
                tenant.blocked = False
            case "add_card" | "return_card":
                tenant.cards[cards[0]] = True
            case "block_card":
                tenant.cards[cards[0]] = False
            case "register" | "rename":
                pass
            case _:
                raise AssertionError("an action that the page does not name")

    def tenant(self, reference: str) -> Tenant:
        """Return the tenant with a reference, made if need be."""
        for tenant in self.tenants:
            if tenant.reference == reference:
                return tenant
        self.tenants.append(Tenant(reference=reference))
        return self.tenants[-1]

    # ── answers ─────────────────────────────────────────────────────────────────────────

    def answer_of(self, of: dict[str, str], /, reason: str = "", **changed: str) -> dict[str, str]:
        """Return the answer to a line, as filled in by hand; *changed* are other fields."""
        return {
            "order": of["order"], "line": of["line"], "code": of["code"],
            "result": "gick inte" if reason else "klart", "reason": reason,
            "date": self.today.isoformat(), "by": BY, **changed,
        }  # fmt: skip

    def answer(
        self, answers: list[dict[str, str]], *, name: str = "", separator: str = ";",
        encoding: str = "utf-8-sig",
    ) -> Path:  # fmt: skip
        """Drop a file of answers into the folder."""
        self.answers += 1
        path = self.inbox / (name or f"svar-{self.answers:04}.csv")
        out = io.StringIO()
        writer = csv.DictWriter(out, ANSWER, delimiter=separator, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(answers)
        path.write_bytes(out.getvalue().encode(encoding))
        return path

    # ── the list ────────────────────────────────────────────────────────────────────────

    def write_list(self, as_of: date | None = None) -> None:
        """Export everybody: one row a card and door, and a closing row that counts them."""
        rows = [row for tenant in self.tenants for row in self._rows(tenant)]
        rows.append(("total", str(len(rows)), (as_of or self.today).isoformat(), "", "", ""))
        out = io.StringIO()
        csv.writer(out, delimiter=";", lineterminator="\r\n").writerows([LIST, *rows])
        self.list_file.write_bytes(out.getvalue().encode("utf-8-sig"))

    def _rows(self, tenant: Tenant) -> Iterator[tuple[str, ...]]:
        cards = [number for number, works in tenant.cards.items() if works] or [""]
        doors = [(door, *days) for door, days in tenant.doors.items()] or [("", "", "")]
        for card in cards:
            for door in doors:
                if tenant.reference or tenant.name or card:
                    yield (tenant.reference, tenant.name, card, *door)


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a public key, by which people compare it."""
    exact = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(exact).hexdigest()


def rows_of(data: bytes) -> list[dict[str, str]]:
    """Return the rows of a CSV file as idsync writes it."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig")), delimiter=";"))
