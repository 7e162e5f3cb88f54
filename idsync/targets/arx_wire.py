"""How ARX is spoken to: three paths under /arx, HTTP Basic, port 5002.

Facts, and where from: the paths, the parameters external_id and exclude_deleted, the
multipart parts `upfile` and `comment`, and "OK" as the whole answer to an import that was
taken, from the Java client of a Norwegian booking platform (package
com.thundashop.core.arx), which sends POST for everything; a second client (C#) and a third
(Go) read /arx/export by GET and by POST. That the IMPORT function has a licence of its own:
Identum's page "ARX (Access Card System)". What ARX answers when it refuses is told nowhere.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal, NamedTuple, TypeAlias
from uuid import uuid4

from idsync.errors import Denied, Incomplete, Unavailable
from idsync.http import RETURNED as BY_DEFAULT
from idsync.http import Api, RawAnswer
from idsync.targets.arx_xml import Export, read_categories, read_export

RETURNED = BY_DEFAULT | {402, 403, 500}
ReadWith: TypeAlias = Literal["get", "post"]
LICENCE = re.compile(rb"licen[cs]", re.IGNORECASE)


class Taken(NamedTuple):
    """What ARX said to an import: OK, or not, or (`broken`) that it has failed itself."""

    ok: bool
    broken: bool = False
    told: str = ""


class Wire:
    """The web interface of one ARX."""

    def __init__(self, api: Api, read_with: ReadWith) -> None:
        self._api = api
        self._read_with = read_with.upper()

    def everything(self) -> Export:
        """Return everybody who is not deleted, and all cards."""
        return _require_whole(read_export(self._read("export", exclude_deleted="true")))

    def everything_ever(self, keep: str | None = None) -> Export:
        """Return everybody, deleted ones included, and all cards; *keep* is an id to be written."""
        return _require_whole(read_export(self._read("export"), keep))

    def one(self, id: str) -> Export:
        """Return what ARX shows for one id, deleted or not: perhaps others too, perhaps nothing."""
        answer = self._ask("export", external_id=id)
        if answer.status == 404:  # nobody, or another address: who reads everybody will know
            return Export([], [], whole=False)
        return read_export(self._content("export", answer), id)

    def categories(self) -> Counter[str] | None:
        """Return how often each name of an access category is there; None if ARX does not tell."""
        answer = self._ask("export_accesscategory")
        if answer.status in (404, 405):
            return None
        return Counter(read_categories(self._content("export_accesscategory", answer)))

    def take(self, document: bytes) -> Taken:
        """Have ARX import a document.

        Raises:
            Unavailable, Denied: no answer, or not for this account.
        """
        form, kind = _form(document)
        answer = self._api.raw("POST", "arx/import", data=form, headers={"Content-Type": kind})
        _require_allowed("import", answer)
        if answer.ok and answer.data.strip().upper() == b"OK":
            return Taken(ok=True)
        if answer.ok and _is_page(answer):
            raise Unavailable(
                "ARX: import answered with a web page: check the url, and for a login page in "
                "front of ARX"
            )
        told = f"answered {answer.status}" + (" and not OK" if answer.ok else "")
        return Taken(ok=False, broken=answer.status == 500, told=told)

    def _read(self, path: str, **query: str) -> bytes:
        return self._content(path, self._ask(path, **query))

    def _ask(self, path: str, **query: str) -> RawAnswer:
        answer = self._api.raw(self._read_with, f"arx/{path}", query=query)
        _require_allowed(path, answer)
        return answer

    def _content(self, path: str, answer: RawAnswer) -> bytes:
        if answer.ok:
            return answer.data
        why = {
            404: "there is no ARX web interface at this address: the url ends before /arx",
            405: 'it is not read in this way: set read_with to the other of "get" and "post"',
        }.get(answer.status, "idsync tries again later")
        raise Unavailable(f"ARX: {path} answered {answer.status}: {why}")


def _require_whole(export: Export) -> Export:
    """Check that persons and cards are there, were it with nothing in them."""
    if not export.whole:
        raise Incomplete(
            "ARX: an export without persons or without cards: give idsync's account the right "
            "to read both"
        )
    return export


def _require_allowed(path: str, answer: RawAnswer) -> None:
    if answer.status not in (402, 403):
        return
    if answer.status == 402 or LICENCE.search(answer.data):
        raise Denied(
            f"ARX: {path} answered {answer.status}: ARX has no licence for it: order the import "
            "and export function from the supplier"
        )
    raise Denied(
        f"ARX: {path} answered {answer.status}: give idsync's account in ARX the right to do "
        "this; if it has it, look whether ARX's licence covers import and export"
    )


def _is_page(answer: RawAnswer) -> bool:
    start = answer.data.lstrip()[:15].lower()
    return start.startswith((b"<html", b"<!doctype html"))


def _form(document: bytes) -> tuple[bytes, str]:
    """Return a form with the parts that the client sends, in ISO-8859-1, and its content type."""
    boundary = uuid4().hex
    form = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n'
        b"Content-Type: text/plain; charset=ISO-8859-1\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n%s\r\n" % (boundary.encode(), name, text)
        for name, text in ((b"upfile", document), (b"comment", b"idsync"))
    )
    closed = form + b"--%s--\r\n" % boundary.encode()
    return closed, f"multipart/form-data; boundary={boundary}"
