"""The people of the canary city: nobody, with values that stand nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Human:
    """One made-up person, as HR, the directory and the course system know them."""

    HR: ClassVar[str] = (
        "PersonId;Nr;Förnamn;Efternamn;Telefon;Född;Skydd;AnstId;Enhet;Titel;From;Tom;"
        "Personnummer;Adress"
    )
    DIRECTORY: ClassVar[str] = "guid,nr,uid,mail,cn,homePostalAddress"

    number: str
    given: str
    family: str
    shown: str
    phone: str
    mail: str
    user: str
    born: str
    card: str
    title: str
    unit: str
    personal_number: str = field(metadata={"read": False})
    address: str = field(metadata={"read": False})
    mark: str = ""
    until: str = ""

    def hr(self) -> str:
        """Return the line of the HR file."""
        return ";".join(
            (
                f"p{self.number}", self.number, self.given, self.family, self.phone, self.born,
                self.mark, f"e{self.number}", self.unit, self.title, "2020-01-01", self.until,
                self.personal_number, self.address,
            )
        )  # fmt: skip

    def directory(self) -> str:
        """Return the line of the directory."""
        shown = f"g{self.number},{self.number},{self.user},{self.mail},{self.shown}"
        return f"{shown},{self.address}"

    def values(self) -> dict[str, str]:
        """Return what is planted of them, by the name of the field."""
        planted = {each.name: str(getattr(self, each.name)) for each in fields(self)}
        return {name: value for name, value in planted.items() if name not in ("mark", "until")}

    def marked(self, mark: str = "S") -> Human:
        """Return them with the mark of protected personal data."""
        return replace(self, mark=mark)


OPEN = Human(
    number="907431", given="Kvittra", family="Näktergalshöjd", shown="Kvittra N Näktergalshöjd",
    phone="+46 70 907 43 19", mail="kvittra.naktergal@kanarie.example", user="kvinak01",
    born="1931-07-19", card="8907431", title="Kanariefågelskötare", unit="Fågelnämnden / Buren",
    personal_number="19310719-9074", address="Näktergalsgränd 9431",
)  # fmt: skip

PROTECTED = Human(
    number="907522", given="Skyddhild", family="Gömmarström", shown="Skyddhild G Gömmarström",
    phone="+46 70 907 52 28", mail="skyddhild.gommar@kanarie.example", user="skygom02",
    born="1932-08-22", card="8907522", title="Dolsköterska", unit="Gömnämnden / Lönngången",
    personal_number="19320822-9075", address="Lönnstigen 9522", mark="S",
)  # fmt: skip

LATE = Human(
    number="907633", given="Sentimea", family="Dröjmarkedal", shown="Sentimea D Dröjmarkedal",
    phone="+46 70 907 63 37", mail="sentimea.drojmarke@kanarie.example", user="sendro03",
    born="1933-09-23", card="8907633", title="Dröjsmålshandläggare", unit="Väntnämnden / Kön",
    personal_number="19330923-9076", address="Dröjgatan 9633",
)  # fmt: skip

LEAVER = Human(
    number="907744", given="Bortåkra", family="Försvunnelund", shown="Bortåkra F Försvunnelund",
    phone="+46 70 907 74 46", mail="bortakra.forsvunne@kanarie.example", user="borfor04",
    born="1934-10-24", card="8907744", title="Avgångsvärdinna", unit="Fågelnämnden / Voljären",
    personal_number="19341024-9077", address="Utvägen 9744",
)  # fmt: skip

OTHERS = (PROTECTED, LATE, LEAVER)
