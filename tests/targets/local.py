"""What tests of the local system share: systems in a folder, and a local administrator."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from idsync.model import Cardholder, Change
from idsync.targets.local import LocalTarget
from idsync.targets.local_system import HolderRecord, LocalSystem
from idsync.testing.target_kit import Stranger

ANNA = "Anna Administratör"

INITIAL: list[dict[str, Any]] = [
    {
        "key": "1001",
        "native_id": "N1",
        "display_name": "Åsa Öberg",
        "credentials": [{"number": "7001", "medium": "tag", "state": "lost"}],
        "grants": [
            {
                "ref": "FSK-ENTRE",
                "kind": "access",
                "valid_from": "2031-05-01T00:00:00Z",
                "valid_to": None,
                "granted_by": "migrated",
                "note": "från det gamla systemet",
            }
        ],
    },
    {"key": None, "native_id": "N2", "display_name": "Städ", "status": "suspended"},
    {"key": None, "native_id": "", "credentials": [{"number": "7001"}, {"number": "7002"}]},
]


def new_target(folder: Path, cls: type[LocalTarget] = LocalTarget) -> LocalTarget:
    """Return a target whose system holds nobody yet."""
    return cls(cls.Config(path=folder / "system.db", create=True))


def down_target(folder: Path, cls: type[LocalTarget] = LocalTarget) -> LocalTarget:
    """Return a target whose system's file is gone."""
    return cls(cls.Config(path=folder / "gone.db"))


def administrator(folder: Path) -> Stranger:
    """Return the hand of a local administrator of the system in *folder*."""
    system = LocalSystem(folder / "system.db", create=True)

    def write(cardholder: Cardholder) -> None:
        if cardholder.key is None or system.record(cardholder.key) is None:
            fields = asdict(cardholder)
            for name in ("version", "pending", "amiss"):
                del fields[name]
            fields["grants"] = [dict(grant, because=None) for grant in fields["grants"]]
            for grant in fields["grants"]:
                del grant["because"]
            system.add_by_hand(HolderRecord.model_validate(fields), by=ANNA)
            return
        for grant in cardholder.grants:
            system.grant_by_hand(
                cardholder.key, grant.ref, grant.kind, grant.valid_from, grant.valid_to, by=ANNA
            )
        for card in cardholder.credentials:
            system.issue_card(cardholder.key, card.number, card.medium, by=ANNA)

    return write


def write_initial(folder: Path) -> Path:
    """Return the path of a new file with INITIAL."""
    file = folder / "cityhall.ndjson"
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in INITIAL))
    return file


def put(target: LocalTarget, after: Cardholder, before: Cardholder | None = None) -> Cardholder:
    """Put a change that is confirmed, and return what is there then."""
    assert target.put(Change(before=before, after=after)).status == "confirmed"
    found = target.read_one(after.key or "")
    assert found is not None
    return found
