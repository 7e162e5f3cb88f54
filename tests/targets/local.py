"""What tests of the local system share: systems in a folder, and a local administrator."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from idsync.model import Cardholder
from idsync.targets.local import LocalTarget
from idsync.targets.local_system import HolderRecord, LocalSystem
from idsync.testing.target_kit import Stranger

ANNA = "Anna Administratör"


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
            del fields["version"]
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
