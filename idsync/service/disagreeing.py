"""Lists what the sources tell differently of one person, as last accepted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from idsync.config import Config
from idsync.mapping.disagreeing import disagreements
from idsync.model import IdentityLink, schema
from idsync.service.planning import stored_people
from idsync.store import State


def disagreeing(config: Config, state: State, now: datetime) -> list[dict[str, Any]]:
    """Return person_id, attribute and sources of every disagreement."""
    people = stored_people(config, state)
    links = state.frames.load("identity_link", schema(IdentityLink))
    return disagreements(replace(people, links=links), now).to_dicts()
