"""What a [targets.NAME] table of type "salto_staging" may say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator, model_validator

from idsync.settings import PathField, SecretField, Settings, ZoneField
from idsync.targets.salto_lists import LIST_LENGTH, Empty

COLUMNS: dict[str, str] = {
    "waiting": "ToBeProcessedBySalto",
    "processed": "ProcessedDateTime",
    "error": "ErrorCode",
    "error_text": "ErrorMessage",
    "action": "Action",
    "ext_id": "ExtID",
    "activation": "dtActivation",
    "expiration": "dtExpiration",
    "given_name": "FirstName",
    "family_name": "LastName",
    "number": "Title",
    "levels": "ExtAccessLevelIDList",
    "zones": "ExtZoneIDList",
    "doors": "ExtDoorIDList",
    "stamp": "IdsyncStamp",
}
"""idsync's word for each column, and what the column is called unless `columns` says otherwise."""

FREE = ("key", "mail", "department", "blocked")
"""Words that have no column of their own in the product: `columns` may give them one."""

NEEDED = ("waiting", "error", "action", "ext_id", "levels")
"""Columns without which nothing can be read or written."""

LENGTHS = {"ext_id": 32, "given_name": 40, "family_name": 50}
GENERAL_PURPOSE, TITLE = 32, 10

Answers = Literal["gone", "archive", "status"]


class StagingSettings(Settings):
    """Keys of a [targets.NAME] table with type = "salto_staging"."""

    form: Literal["table", "csv"] = "table"
    # the table
    url: str | None = None
    password: SecretField | None = None
    ca_file: PathField | None = None
    table: str = "SaltoCardholders"
    timeout_s: float = Field(default=30.0, gt=0)
    page_size: int = Field(default=1000, ge=1)
    # the file
    path: PathField | None = None
    create: bool = False
    drop: PathField | None = None
    answers: Answers | None = None
    archive: PathField | None = None
    status: PathField | None = None
    header: bool = True
    encoding: Literal["utf-8", "utf-8-sig", "windows-1252"] = "utf-8"
    date_format: str = "%Y-%m-%dT%H:%M:%S"
    order: tuple[str, ...] = ()
    # both
    columns: dict[str, str] = Field(default={})
    prefix: str = Field(default="idsync-", max_length=16)
    defaults: dict[str, str | int | bool] = Field(default={})
    braces: bool | None = None
    empty_list: Empty | None = None
    timezone: ZoneField = Field(default=None, validate_default=True)
    answer_hours: float = Field(default=26.0, gt=0)
    offline_hours: int = Field(default=720, ge=0)

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        query = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        if parts.password or query & {"password", "pwd", "odbc_connect", "sslpassword"}:
            raise ValueError("a password never stands in url: give it as password")
        if not parts.scheme.startswith(("postgresql", "mssql", "sqlite")):
            raise ValueError("url begins with postgresql://, mssql+pyodbc:// or sqlite:///")
        return url

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(columns) - {*COLUMNS, *FREE})
        if unknown:
            known = ", ".join((*COLUMNS, *FREE))
            raise ValueError(f"columns knows {known}, and not {', '.join(unknown)}")
        names = [name.lower() for name in ({**COLUMNS, **columns}).values() if name]
        if len(set(names)) < len(names):
            raise ValueError("columns: two words name the same column")
        if lacking := [word for word in NEEDED if columns.get(word) == ""]:
            raise ValueError(f"columns: {', '.join(lacking)} must have a column")
        return columns

    @field_validator("date_format")
    @classmethod
    def _to_the_minute(cls, form: str) -> str:
        moment = datetime(2031, 2, 3, 16, 5)  # noqa: DTZ001 - the product's times have no zone
        if datetime.strptime(moment.strftime(form), form) != moment:  # noqa: DTZ007
            raise ValueError("date_format must hold a date and a time to the minute")
        return form

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.form == "table" and self.url is None:
            raise ValueError('form = "table" needs url')
        if self.form == "csv":
            if self.path is None or self.drop is None or self.answers is None:
                raise ValueError('form = "csv" needs path, drop and answers')
            if self.answers == "archive" and self.archive is None:
                raise ValueError('answers = "archive" needs archive, the folder of what was taken')
            if self.answers == "status" and self.status is None:
                raise ValueError('answers = "status" needs status, the file with the answers')
        names = self.names
        if "expiration" not in names and "blocked" not in names:
            raise ValueError("columns: nobody can be shut out without expiration or blocked")
        if "key" not in names and not self.prefix:
            raise ValueError(
                "without a prefix every row would be idsync's: give prefix, or columns.key"
            )
        managed = {name.lower() for name in names.values()}
        if clash := sorted(name for name in self.defaults if name.lower() in managed):
            raise ValueError(f"defaults: {', '.join(clash)} is written by idsync itself")
        return self

    @property
    def names(self) -> Mapping[str, str]:
        """The column of every word that has one."""
        return {word: name for word, name in ({**COLUMNS, **self.columns}).items() if name}

    def limits(self) -> dict[str, int]:
        """Return the most characters of each text, as far as they are known without looking."""
        limits = {}
        for word, name in self.names.items():
            if word in ("levels", "zones", "doors"):
                limits[word] = LIST_LENGTH
            elif word in LENGTHS:
                limits[word] = LENGTHS[word]
            elif word in ("number", "key", "mail", "department"):
                limits[word] = TITLE if name.lower() == "title" else GENERAL_PURPOSE
        return limits
