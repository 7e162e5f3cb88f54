"""A secret in the wrong place is refused, and not repeated: row O2."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from idsync.config import load
from idsync.errors import ConfigError
from idsync.settings import Secret, Settings

SECRET = "kanariens-hemlighet-i-klartext"


def _secret_fields() -> list[tuple[str, type[Settings], str]]:
    found = []
    for group in ("idsync.sources", "idsync.targets"):
        for point in entry_points(group=group):
            model = point.load().Config
            found += [
                (point.name, model, name)
                for name, field in model.model_fields.items()
                if "Secret" in str(field.annotation)
            ]
    return found


FIELDS = _secret_fields()


@pytest.mark.case("O2")
@pytest.mark.parametrize(("kind", "model", "name"), FIELDS, ids=lambda one: str(one)[-30:])
def test_a_secret_that_stands_in_the_file_is_refused_and_not_repeated(
    kind: str, model: type[Settings], name: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({name: SECRET})
    assert SECRET not in str(caught.value)
    mine = [error for error in caught.value.errors(include_input=False) if error["loc"] == (name,)]
    assert "never stands in this file" in mine[0]["msg"]


def test_every_connector_that_logs_in_was_looked_at() -> None:
    kinds = {kind for kind, _, _ in FIELDS}
    assert kinds >= {"ldap", "scim", "gallagher", "arx", "onvif", "sql", "work_order"}


@pytest.mark.case("O2")
@pytest.mark.parametrize(
    ("table", "told"),
    [
        (f'[idsync]\nstate = "postgresql://idsync:{SECRET}@db.example.org/idsync"', "password"),
        (f'[idsync]\nstate = "postgresql://idsync@db.example.org/x?password={SECRET}"', "password"),
        (f'[targets.a]\ntype = "scim"\nurl = "https://u:{SECRET}@x.example"\n'
         'token = { env = "T" }', "a secret never stands in an address"),
        (f'[targets.a]\ntype = "scim"\nurl = "https://x.example/?key={SECRET}"\n'
         'token = { env = "T" }', "leave out"),
        (f'[correlation]\nnumber_key = "{SECRET}"', "never stands in this file"),
    ],
)  # fmt: skip
def test_a_secret_in_an_address_is_refused_and_not_repeated(
    tmp_path: Path, table: str, told: str
) -> None:
    file = tmp_path / "connectors.toml"
    file.write_text(table)
    with pytest.raises(ConfigError, match=told) as caught:
        load(file)
    assert SECRET not in str(caught.value)


@pytest.mark.case("O2")
def test_no_option_of_any_command_takes_a_secret() -> None:
    from idsync.cli.app import COMMANDS, app

    context: Any = app.make_context("idsync", ["status"], resilient_parsing=True)
    for name in COMMANDS:
        command = app.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            words = " ".join((parameter.name or "", *parameter.opts)).lower()
            assert not any(word in words for word in ("password", "token", "secret", "key")), name


def test_a_secret_shows_itself_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANARIE", SECRET)
    secret = Secret("env", "KANARIE")
    assert secret.reveal() == SECRET
    for text in (repr(secret), str(secret), f"{secret}", str(vars(secret))):
        assert SECRET not in text
