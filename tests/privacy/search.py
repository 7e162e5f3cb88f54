"""Finds planted values in bytes, however they are written down.

A value is looked for as text in several encodings, in large and small letters, in base 64
at every offset, in hexadecimal, escaped for JSON, XML, URLs and Python, and inside what is
packed: gzip, zlib, the state's own columns, SQLite files, PDF. `written` is what proves it:
each way in which something could leak has its own entry there.
"""

from __future__ import annotations

import base64
import io
import json
import quopri
import re
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import polars as pl

Write = Callable[[str], Iterable[bytes]]


def _in_base64(text: str) -> Iterator[bytes]:
    """The middle of a value in base 64, whatever stands before it: one text an offset."""
    value = text.encode()
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + value)
        begin, rest = (offset * 8 + 5) // 6, (offset + len(value)) % 3
        kept = whole.rstrip(b"=")
        middle = kept[begin : len(kept) - (1 if rest else 0)]
        yield middle
        yield middle.translate(bytes.maketrans(b"+/", b"-_"))


def _references(text: str) -> str:
    return "".join(letter if letter.isascii() else f"&#{ord(letter)};" for letter in text)


WAYS: Mapping[str, Write] = {
    "utf-8": lambda text: [text.encode()],
    "utf-16": lambda text: [text.encode("utf-16-le"), text.encode("utf-16-be")],
    "utf-32": lambda text: [text.encode("utf-32-le")],
    "latin-1": lambda text: [text.encode("latin-1", "replace")],
    "base 64": _in_base64,
    "hexadecimal": lambda text: [text.encode().hex().encode(), text.encode().hex(" ").encode()],
    "url": lambda text: [
        quote(text, safe="").encode(),
        quote(text, safe="").replace("%20", "+").encode(),
        quote(text, safe="@:").encode(),
        quote(text.encode("latin-1", "replace"), safe="").encode(),
    ],
    "json": lambda text: [json.dumps(text)[1:-1].encode()],
    "json, large": lambda text: [json.dumps(text)[1:-1].upper().replace("\\U", "\\u").encode()],
    "xml": lambda text: [escape(text).encode(), _references(text).encode()],
    "python": lambda text: [
        repr(text.encode())[2:-1].encode(), ascii(text)[1:-1].encode(),
        repr(text.encode("latin-1", "replace"))[2:-1].encode(),
    ],
    "quoted-printable": lambda text: [quopri.encodestring(text.encode())],
    "backwards": lambda text: [text[::-1].encode()],
    "without blanks": lambda text: [text.replace(" ", "").encode()],
}  # fmt: skip
"""Each way of writing a value down; letters are compared without regard to their size."""


@dataclass(frozen=True)
class Found:
    """A planted value that stands somewhere: its name, the way it is written, and where."""

    name: str
    way: str
    where: str

    def __str__(self) -> str:
        return f"{self.name} in {self.where} ({self.way})"


class Search:
    """Looks for *values*, by name, in bytes and in what is packed in them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._needles: dict[bytes, tuple[str, str]] = {}
        for name, value in values.items():
            assert len(value) >= 5, f"{name} is too short to be told from chance"
            for text in dict.fromkeys((value, value.upper(), value.lower())):
                for way, write in WAYS.items():
                    for needle in write(text):
                        if len(needle) >= 5:
                            self._needles.setdefault(needle.lower(), (name, way))

    def __call__(self, data: bytes, where: str) -> list[Found]:
        """Return what stands in *data* and in everything packed in it."""
        found: dict[tuple[str, str], Found] = {}
        for packed, layer in layers(data, where):
            lower = packed.lower()
            for needle, (name, way) in self._needles.items():
                if needle in lower:
                    found.setdefault((name, layer), Found(name, way, layer))
        return list(found.values())


# ── what is packed ──────────────────────────────────────────────────────────────────────


def layers(data: bytes, where: str) -> Iterator[tuple[bytes, str]]:
    """Yield *data*, and what can be unpacked from it, each with a name."""
    yield data, where
    for start, mark in _marks(data):
        with suppress(zlib.error):
            inner = zlib.decompressobj(wbits=47).decompress(data[start:], 50_000_000)
            yield inner, f"{where}, {mark} at {start}"
    for paper in re.finditer(rb"%PDF-.*?%%EOF", data, re.DOTALL):
        yield _pdf(paper[0]), f"{where}, the text of a page"
    if data.startswith(b"SQLite format 3\0"):
        yield from _sqlite(data, where)
    if data.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        yield _columns(data), f"{where}, columns"


def _marks(data: bytes) -> Iterator[tuple[int, str]]:
    for mark, name in ((b"\x1f\x8b\x08", "gzip"), (b"\x78\x9c", "zlib"), (b"\x78\xda", "zlib")):
        start = data.find(mark)
        while start >= 0:
            yield start, name
            start = data.find(mark, start + 1)


def _pdf(data: bytes) -> bytes:
    from pypdf import PdfReader

    pages = PdfReader(io.BytesIO(data)).pages
    return "\n".join(page.extract_text() for page in pages).encode()


def _sqlite(data: bytes, where: str) -> Iterator[tuple[bytes, str]]:
    """Every cell of every table: a row that is not read back is in the bytes anyway."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "copy.db"
        # a file of WAL alone holds the same pages; here the copy is read as it stands
        file.write_bytes(data[:18] + b"\x01\x01" + data[20:])
        connection = sqlite3.connect(file)
        try:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in names.fetchall():
                for row in connection.execute(f'SELECT * FROM "{table}"'):
                    for cell in row:
                        if isinstance(cell, bytes):
                            yield from layers(cell, f"{where}, table {table}")
                        elif isinstance(cell, str):
                            yield cell.encode(), f"{where}, table {table}"
        except sqlite3.DatabaseError:
            return
        finally:
            connection.close()


def _columns(data: bytes) -> bytes:
    with suppress(pl.exceptions.PolarsError, OSError):
        read = pl.read_ipc if data.startswith(b"ARROW1") else pl.read_ipc_stream
        return read(io.BytesIO(data)).write_ndjson().encode()
    return b""
