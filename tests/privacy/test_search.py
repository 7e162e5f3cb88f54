"""The search finds what is planted, written in every way: an instrument is proven first."""

from __future__ import annotations

import base64
import gzip
import io
import json
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest

from tests.privacy.search import WAYS, Search

NAME = "Kvittra Näktergalshöjd"
SEARCH = Search({"the name": NAME, "the secret": "hemlig/ö+nyckel=17"})


@pytest.mark.parametrize("way", WAYS)
def test_a_value_is_found_however_it_is_written(way: str) -> None:
    for needle in WAYS[way](NAME):
        assert SEARCH(b"before " + needle + b" after", "here"), needle


LEAKS: dict[str, Callable[[str], bytes]] = {
    "base 64 after something": lambda t: base64.b64encode(b"Basic ab" + t.encode()),
    "base 64 of a longer text": lambda t: base64.b64encode(f"namn: {t}; slut".encode()),
    "url in latin-1": lambda t: quote(t, encoding="latin-1").encode(),
    "json": lambda t: json.dumps({"name": t}).encode(),
    "a representation": lambda t: repr({"name": t, "bytes": t.encode()}).encode(),
    "large letters": lambda t: t.upper().encode(),
    "gzip": lambda t: b"head" + gzip.compress(t.encode() * 3),
    "zlib": lambda t: b"\0\0" + zlib.compress(t.encode()) + b"tail",
    "utf-16 with a mark": lambda t: t.encode("utf-16"),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_found(leak: str) -> None:
    found = SEARCH(b"xx" + LEAKS[leak](NAME), "a log")
    assert [one.name for one in found][:1] == ["the name"], leak


def test_a_secret_with_signs_is_found_in_a_header_and_in_an_address() -> None:
    secret = "hemlig/ö+nyckel=17"
    assert SEARCH(base64.b64encode(f"idsync:{secret}".encode()), "header")
    assert SEARCH(f"https://x/?key={quote(secret, safe='')}".encode(), "address")


@pytest.mark.parametrize("write", [pl.DataFrame.write_ipc, pl.DataFrame.write_ipc_stream])
def test_a_value_is_found_in_the_columns_of_a_state(
    tmp_path: Path, write: Callable[..., None]
) -> None:
    buffer = io.BytesIO()
    write(pl.DataFrame({"name": ["Åsa", NAME] * 50}), buffer, compression="lz4")
    file = tmp_path / "state.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE part (data BLOB)")
        connection.execute("INSERT INTO part VALUES (?)", (buffer.getvalue(),))
    connection.close()
    assert any("part" in one.where for one in SEARCH(file.read_bytes(), "state.db"))


def test_what_is_not_there_is_not_found() -> None:
    text = "Kvittra Naktergalshojd och Näktergalen sjunger på höjden. hemlig nyckel 17"
    for encoded in (text.encode(), text.encode("utf-16"), base64.b64encode(text.encode())):
        assert SEARCH(encoded, "here") == []
