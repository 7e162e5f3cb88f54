"""The capability profiles that idsync ships: one data file a product and version."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest

import idsync.targets
from idsync.capabilities import Capabilities, CardFormat, PinRules, profile, read_profile
from idsync.errors import ConfigError

FOLDER = Path(idsync.targets.__path__[0]) / "profiles"
SCHEMA = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
NAMES = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != "schema")


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_fits_the_schema_and_loads(name: str) -> None:
    told = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    loaded = profile(name)
    assert name.rpartition("-")[0] or loaded.version
    for key, value in told.items():
        if key != "$schema" and not isinstance(value, list | dict):
            assert getattr(loaded, key) == value


def test_the_schema_and_the_class_name_the_same_fields() -> None:
    assert set(SCHEMA["properties"]) - {"$schema"} == {field.name for field in fields(Capabilities)}
    formats = SCHEMA["properties"]["card_formats"]["items"]["properties"]
    assert set(formats) == {field.name for field in fields(CardFormat)}
    assert set(SCHEMA["properties"]["pin"]["properties"]) == {f.name for f in fields(PinRules)}


def test_a_profile_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "acme-1.json"
    pin = {"min_length": 4, "max_length": 6, "unique": True}
    told = {"dated_grants": False, "card_formats": [{"name": "W26"}], "pin": pin}
    file.write_text(json.dumps(told))
    loaded = read_profile(file)
    assert loaded.card_formats == (CardFormat(name="W26"),)
    assert loaded.pin == PinRules(min_length=4, max_length=6, unique=True)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"dated_grants": true, "colour": 1}', '{"dated_grants": true, "wire": "x"}'],
)
def test_a_profile_that_is_not_sound_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "acme-1.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"capability profile acme-1\.json"):
        read_profile(file)


def test_a_profile_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nobody-9\.json"):
        profile("nobody-9")
