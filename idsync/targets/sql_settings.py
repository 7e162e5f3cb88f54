"""What a [targets.NAME] table of type "sql" may say."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from idsync.rows import Described, RightRows
from idsync.settings import PathField, SecretField

HERE = (None, "", "localhost", "127.0.0.1", "::1")
"""Hosts to which the way is this machine: no certificate is asked for."""


class SqlRights(RightRows):
    """Rights as rows of a table of their own."""

    table: str = Field(min_length=1)
    db_schema: str | None = Field(default=None, min_length=1)


class SqlConfig(Described):
    """Keys of a [targets.NAME] table with type = "sql"."""

    url: str
    password: SecretField | None = None
    ca_file: PathField | None = None
    table: str = Field(min_length=1)
    db_schema: str | None = Field(default=None, min_length=1)
    rights: SqlRights | None = None
    characters: Literal["unicode", "latin-1", "ascii"] = "unicode"
    empty: Literal["text", "null"] = "text"
    timeout_s: float = Field(default=10.0, ge=1)
    deadline_s: float = Field(default=60.0, ge=1)

    @field_validator("url")
    @classmethod
    def _known_and_without_secret(cls, url: str, info: ValidationInfo) -> str:
        if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
            folder: Path = (info.context or {}).get("folder", Path())
            return f"sqlite:///{(folder / url.removeprefix('sqlite:///')).absolute()}"
        try:
            parts = make_url(url)
        except ArgumentError:
            parts = None
        if parts is None or parts.drivername != "postgresql" or not parts.database:
            raise ValueError(
                'write "sqlite:///path/to/file.db" or "postgresql://user@host/database"'
            )
        if parts.password is not None:
            raise ValueError(
                "a secret never stands in this file: leave the password out of url, and write "
                'password = { env = "NAME" }'
            )
        if parts.query:
            raise ValueError("leave out what stands after the ?: idsync sets how it connects")
        return url

    @model_validator(mode="after")
    def _of_postgresql(self) -> Self:
        if self.url.startswith("sqlite:") and (self.password or self.ca_file):
            raise ValueError("password and ca_file belong to postgresql: leave them out for sqlite")
        return self
