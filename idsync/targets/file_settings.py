"""What a [targets.NAME] table of type "file" may say."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from idsync.rows import Described, RightRows, must_know
from idsync.settings import PathField, Settings

CODECS = {
    "utf-8": "utf-8",
    "utf-8-sig": "utf-8",
    "windows-1252": "cp1252",
    "iso-8859-1": "latin-1",
}
"""Python's name for the letters of each encoding."""

NUMBER = "{number}"
Answered = Literal["done", "refused"]


class Trailer(Settings):
    """The last line of a file: how it begins, and which of its fields counts the rows."""

    starts_with: str = Field(min_length=1)
    count: int = Field(ge=2)


class CsvShape(Settings):
    """How a CSV file is written, and how it shows that it is whole."""

    delimiter: str = ";"
    quote: str = '"'
    quote_all: bool = False
    line_end: Literal["\r\n", "\n"] = "\r\n"
    header: bool = True
    names: tuple[str, ...] = ()
    trailer: Trailer | None = None
    proof: Literal["line_end"] | None = None

    @field_validator("delimiter")
    @classmethod
    def _one_delimiter(cls, text: str) -> str:
        if len(text) != 1 or not text.isascii() or text in '\r\n\0"':
            raise ValueError('write one character, such as ";", "," or "\\t"')
        return text

    @field_validator("quote")
    @classmethod
    def _at_most_one_quote(cls, text: str) -> str:
        if text not in ('"', "'", ""):
            raise ValueError('write \'"\', or "" when the file quotes nothing')
        return text

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.trailer is None) == (self.proof is None):
            raise ValueError(
                "say how a whole file is known: trailer = { starts_with = ..., count = N } for a "
                'last line that counts the rows, or proof = "line_end" where everybody who writes '
                "the file puts it in place whole"
            )
        if not self.header and not self.names:
            raise ValueError("names: a file without a header needs its columns in order")
        if len(set(self.names)) < len(self.names):
            raise ValueError("names: one name stands there twice")
        if self.quote_all and not self.quote:
            raise ValueError("quote_all: there is no quote to do it with")
        return self


class XmlShape(Settings):
    """Which elements of an XML file are rows; a column is a child of one, or its "@attribute"."""

    inside: str = Field(min_length=1)
    record: str = Field(min_length=1)
    count: str | None = Field(default=None, min_length=1)


class FileRights(RightRows):
    """Rights as rows of a file of their own."""

    path: PathField
    csv: CsvShape | None = None
    xml: XmlShape | None = None

    @field_validator("by")
    @classmethod
    def _by_key(cls, by: str) -> str:
        if by != "key":
            raise ValueError('in files only "key": nobody gives a new person a native id')
        return by


class Receipts(Settings):
    """Files in which the system answers one sent file: a row a person, with a code."""

    folder: PathField
    name: str
    columns: dict[str, str]
    codes: dict[str, Answered]
    hours: float = Field(default=24, gt=0)
    csv: CsvShape | None = None
    xml: XmlShape | None = None

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str]) -> dict[str, str]:
        must_know(columns, ("key", "code"), needed=("key", "code"))
        return columns

    @field_validator("name")
    @classmethod
    def _numbered(cls, name: str) -> str:
        return numbered(name)

    @field_validator("codes")
    @classmethod
    def _can_be_done(cls, codes: dict[str, Answered]) -> dict[str, Answered]:
        if "done" not in codes.values():
            raise ValueError('no code means "done": add it, such as { OK = "done" }')
        return codes


class Send(Settings):
    """Numbered files that the system takes away: of the changed rows, or of all."""

    folder: PathField
    name: str
    rows: Literal["changed", "all"] = "changed"
    receipts: Receipts | None = None

    @field_validator("name")
    @classmethod
    def _numbered(cls, name: str) -> str:
        return numbered(name)


class FileConfig(Described):
    """Keys of a [targets.NAME] table with type = "file"."""

    path: PathField
    create: bool = False
    encoding: Literal["utf-8", "utf-8-sig", "windows-1252", "iso-8859-1"] = "utf-8"
    csv: CsvShape | None = None
    xml: XmlShape | None = None
    rights: FileRights | None = None
    send: Send | None = None
    formulas: Literal["refuse", "keep"] = "refuse"
    batch: int = Field(default=500, ge=1)
    max_mb: int = Field(default=256, ge=1)

    @model_validator(mode="after")
    def _one_format(self) -> Self:
        if (self.csv is None) == (self.xml is None):
            raise ValueError("write csv = { ... } or xml = { ... }, one of the two")
        shapes: list[FileRights | Receipts] = [self.rights] if self.rights else []
        shapes += [self.send.receipts] if self.send and self.send.receipts else []
        for other in shapes:
            if (other.csv and not self.csv) or (other.xml and not self.xml):
                raise ValueError("rights and receipts have the format of the file itself")
        if self.csv and not self.csv.quote:
            for column in self.lists.values():
                if self.csv.delimiter in (column.separator, column.opening, column.closing):
                    raise ValueError(
                        "csv.delimiter is also a list's separator, and nothing is quoted: a list "
                        "would fall apart"
                    )
        return self

    @model_validator(mode="after")
    def _columns_are_named(self) -> Self:
        rights = self.rights
        for shape, columns in (
            (self.csv, [*self.person_columns(), *self.new_row, *self.every_write]),
            (rights and (rights.csv or self.csv), self.right_columns()),
        ):
            if shape and shape.names and not set(columns) <= set(shape.names):
                raise ValueError(
                    "csv.names: a described column is missing there: add it in its place"
                )
        return self

    @model_validator(mode="after")
    def _sent_or_not(self) -> Self:
        if self.send and self.rights:
            raise ValueError(
                "rights as rows of a second file cannot be sent: who lost the last one would not "
                "stand there. Use lists, or leave send out"
            )
        if self.answer and (self.send or self.rights):
            raise ValueError(
                "answer, a column of the same file, goes only with lists and without send: with "
                "send the answer comes in send.receipts"
            )
        if self.rights and self.rights.path == self.path:
            raise ValueError("rights.path: write a file of its own")
        return self


def numbered(name: str) -> str:
    """Return *name*, or raise ValueError where it has no single place for a number."""
    if name.count(NUMBER) != 1 or "/" in name or name.startswith("."):
        raise ValueError('write a file name with one {number} in it, such as "hr-{number}.csv"')
    return name
