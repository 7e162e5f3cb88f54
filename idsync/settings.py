"""What the settings of a connector are made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
)

from idsync.errors import ConfigError

Text: TypeAlias = Annotated[str, Field(min_length=1)]
"""The type of a settings field that holds a text that is not empty."""


class Settings(BaseModel):
    """A table of connectors.toml. Unknown keys are errors; values never show in errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )


class Secret:
    """A secret that stands elsewhere: read when it is used, never shown.

    Written { env = "NAME" }, { file = "PATH" } or { credential = "NAME" } (systemd's
    credentials directory). The value stays text, whatever it looks like.
    """

    KINDS = ("env", "file", "credential")

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name

    def __repr__(self) -> str:
        return f"Secret({self.kind})"

    __str__ = __repr__

    @classmethod
    def parse(cls, value: Any) -> Secret:  # noqa: ANN401 - whatever TOML holds
        """Return the secret that a TOML value points to; a literal is an error."""
        if isinstance(value, Secret):
            return value
        if isinstance(value, dict) and len(value) == 1:
            [(kind, name)] = value.items()
            if kind in cls.KINDS and isinstance(name, str) and name:
                return cls(kind, name)
        raise ValueError(
            'a secret never stands in this file: write { env = "NAME" }, { file = "PATH" } '
            'or { credential = "NAME" }'
        )

    def reveal(self) -> str:
        """Return the secret's text.

        Raises:
            ConfigError: there is none where the configuration points to.
        """
        if self.kind == "env":
            found = os.environ.get(self.name)
            if not found:
                raise ConfigError(
                    f"environment variable {self.name} is not set: set it and run again"
                )
            return found
        path = Path(self.name)
        if self.kind == "credential":
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            if not folder:
                raise ConfigError(
                    f"credential {self.name}: systemd gave no credentials directory; "
                    "add LoadCredential= to the unit, or use env or file"
                )
            path = Path(folder) / self.name
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise ConfigError(
                f"secret file {path} cannot be read: check the path and its rights"
            ) from None


SecretField = Annotated[Secret, BeforeValidator(Secret.parse)]
"""The type of a settings field that holds a secret."""


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


def _zone(value: Any, info: ValidationInfo) -> ZoneInfo:  # noqa: ANN401 - whatever TOML holds
    name = value or (info.context or {}).get("timezone", "Europe/Stockholm")
    if isinstance(name, ZoneInfo):
        return name
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise ValueError("no such time zone: write an IANA name such as Europe/Stockholm") from None


PathField = Annotated[Path, AfterValidator(_beside_the_file)]
"""The type of a settings field that holds a path, relative to the folder of the file."""

ZoneField = Annotated[ZoneInfo, BeforeValidator(_zone)]
"""The type of a settings field that holds a time zone.

Give it `Field(default=None, validate_default=True)` to inherit [idsync] timezone.
"""
