"""An XML file as its records: read by a parser that lets no DTD in, edited where it stands.

The parser proves that the file is well-formed to its end. After that a few patterns find
every tag, since without a DTD nothing else can stand between "<" and ">" (XML 1.0, 2.4,
3.1: neither "<" nor the quote itself is allowed in an attribute's value).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from idsync.errors import Incomplete
from idsync.rows import Row
from idsync.targets.file_document import Document, Record
from idsync.targets.file_settings import XmlShape

TOKEN = re.compile(
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<(?:[^\"'>]|\"[^\"]*\"|'[^']*')*>|[^<]+",
    re.DOTALL,
)
NAME = re.compile(r"<([^\s/>!?]+)")
ATTRIBUTE = re.compile(r"(\s+)([^\s=]+)(\s*=\s*)(\"[^\"]*\"|'[^']*')")
NIL = re.compile(r"\s+[^\s=:]+:nil\s*=\s*(?:\"[^\"]*\"|'[^']*')")
REFERENCE = re.compile(r"&(#x[0-9a-fA-F]+|#[0-9]+|lt|gt|amp|quot|apos);")
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
DECLARED = re.compile(r"<\?xml\s[^>]*?encoding\s*=\s*[\"']([\w.-]+)")


@dataclass(eq=False, kw_only=True)
class Element(Record):
    """A record as it is written, tag by tag; `lead` is the blank before it."""

    tokens: list[str] = field(default_factory=list)
    lead: str = ""


class XmlDocument(Document):
    """The records of one file; *place* says where in messages, *columns* are the described ones."""

    def __init__(
        self, text: str, columns: list[str], shape: XmlShape, place: str, encoding: str
    ) -> None:
        self._shape, self._place = shape, place
        self._columns = list(dict.fromkeys(columns))
        self._check(text, encoding)
        self._head: list[str] = []
        self._parts: list[Element | str] = []
        self._tail: list[str] = []
        self._cut(_tokens(text))
        places = [at for at, part in enumerate(self._parts) if isinstance(part, Element)]
        self._end = places[-1] + 1 if places else 0
        for element in self.records:
            element.row = self._row(element)
        if shape.count and _attribute(self._head[-1], shape.count) != str(len(self.records)):
            raise Incomplete(
                f"{place}: has {len(self.records)} records, and {shape.inside} counts another "
                "number: restore the file"
            )

    @classmethod
    def empty(cls, columns: list[str], shape: XmlShape, place: str, encoding: str) -> XmlDocument:
        """Return a file without records."""
        count = f' {shape.count}="0"' if shape.count else ""
        named = "utf-8" if encoding == "utf-8-sig" else encoding
        root = f"<{shape.inside}{count}>\n</{shape.inside}>"
        text = f'<?xml version="1.0" encoding="{named}"?>\n{root}\n'
        return cls(text, columns, shape, place, encoding)

    # ── records ─────────────────────────────────────────────────────────────────────────

    @property
    def records(self) -> list[Element]:
        """The elements that are records."""
        return [part for part in self._parts if isinstance(part, Element) and not part.gone]

    def add(self, cells: Row) -> Element:
        """Add an element after the last one, its cells in the order of the description."""
        known = self._parts[self._end - 1] if self._end else None
        lead = known.lead if isinstance(known, Element) else "\n  "
        name = self._shape.record
        new = Element(tokens=[f"<{name}>", f"</{name}>"], lead=lead)
        self._parts.insert(self._end, new)
        self._end += 1
        new.row = dict.fromkeys(self._columns, "")
        for column in self._columns:
            if column in cells:
                self._set(new, column, cells[column], always=True)
        return new

    def change(self, record: Record, cells: Row) -> None:
        """Set *cells* of an element."""
        assert isinstance(record, Element)  # noqa: S101 - a document is given its own records
        for column, text in cells.items():
            self._set(record, column, text)

    def remove(self, record: Record) -> None:
        """Leave an element out from now on."""
        record.gone = True

    def written(self, only: Callable[[Record], bool] = lambda _: True) -> str:
        """Return the text of the file, its count renewed."""
        shown: list[str] = []
        count = 0
        for part in self._parts:
            if isinstance(part, str):
                shown.append(part)
            elif not part.gone and only(part):
                count += 1
                shown += [part.lead, *part.tokens]
        head = list(self._head)
        if self._shape.count and _attribute(head[-1], self._shape.count) != str(count):
            head[-1] = _with_attribute(head[-1], self._shape.count, str(count))
        return "".join([*head, *shown, *self._tail])

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def _check(self, text: str, encoding: str) -> None:
        declared = DECLARED.match(text)
        try:
            name = codecs.lookup(declared[1]).name if declared else "utf-8"
        except LookupError:
            name = "unknown"
        if name != codecs.lookup(encoding.removesuffix("-sig")).name:
            raise Incomplete(
                f"{self._place}: declares another encoding than {encoding}: set encoding, or "
                "correct the file"
            )
        parser = DefusedXMLParser(encoding="utf-8", forbid_dtd=True)
        try:
            parser.feed(text.encode("utf-8"))
            parser.close()
        except ParseError as error:
            line, _ = error.position
            raise Incomplete(
                f"{self._place}: line {line}: is not well-formed XML: read it when it is finished"
            ) from None
        except DefusedXmlException:
            raise Incomplete(
                f"{self._place}: holds a DTD, which is not read: leave it out"
            ) from None

    def _cut(self, tokens: list[str]) -> None:
        """Sort the tokens into what comes before the records, the records, and what comes after."""
        places = [at for at, token in enumerate(tokens) if _opens(token, self._shape.inside)]
        if len(places) != 1:
            raise Incomplete(
                f"{self._place}: has {len(places)} elements {self._shape.inside}, and one is due: "
                "correct xml.inside"
            )
        start = places[0]
        end = _end_of(tokens, start)
        if end == start:  # <Persons/>
            tokens[start : start + 1] = [_open(tokens[start]), f"</{self._shape.inside}>"]
            end = start + 1
        self._head, self._tail = tokens[: start + 1], tokens[end:]
        at = start + 1
        while at < end:
            stop = _end_of(tokens, at)
            if _opens(tokens[at], self._shape.record):
                lead = ""
                if self._parts and isinstance(self._parts[-1], str) and not self._parts[-1].strip():
                    lead = str(self._parts.pop())
                self._parts.append(Element(tokens=tokens[at : stop + 1], lead=lead))
            else:
                self._parts += tokens[at : stop + 1]
            at = stop + 1

    def _row(self, element: Element) -> dict[str, str]:
        children = self._children(element)
        return {
            name: _attribute(element.tokens[0], name[1:]) or ""
            if name.startswith("@")
            else self._content(element, name, children.get(name))
            for name in self._columns
        }

    def _content(self, element: Element, column: str, place: tuple[int, int] | None) -> str:
        inner = element.tokens[place[0] + 1 : place[1]] if place else []
        if any(map(_depth, inner)) or any(
            each.endswith("/>") for each in inner if each.startswith("<")
        ):
            raise Incomplete(
                f"{self._place}: a {column} holds elements, and a text is due: correct columns"
            )
        return "".join(map(_text, inner))

    def _children(self, element: Element) -> dict[str, tuple[int, int]]:
        """Return where each described child begins and ends among the tokens."""
        places: dict[str, tuple[int, int]] = {}
        at = 1
        while at < len(element.tokens) - 1:
            token, stop = element.tokens[at], _end_of(element.tokens, at)
            name = NAME.match(token)
            if name and name[1] in self._columns:
                if name[1] in places:
                    raise Incomplete(
                        f"{self._place}: a record has two elements {name[1]}, and one is due"
                    )
                places[name[1]] = (at, stop)
            at = stop + 1
        return places

    # ── writing ─────────────────────────────────────────────────────────────────────────

    def _set(self, element: Element, column: str, text: str, *, always: bool = False) -> None:
        element.row[column] = text
        tokens = element.tokens
        if column.startswith("@"):
            tokens[0] = _with_attribute(tokens[0], column[1:], text)
            return
        if len(tokens) == 1:  # <Person/>
            tokens[:] = [_open(tokens[0]), f"</{self._shape.record}>"]
        children = self._children(element)
        if column in children:
            start, end = children[column]
            tokens[start : end + 1] = [
                NIL.sub("", _open(tokens[start])), _escaped(text), f"</{column}>",
            ]  # fmt: skip
        elif text or always:
            blank = tokens[1] if len(tokens) > 2 and not tokens[1].strip() else element.lead + "  "
            new = [blank, f"<{column}>", _escaped(text), f"</{column}>"]
            before = self._columns[: self._columns.index(column)]
            at = max((children[each][1] for each in before if each in children), default=0) + 1
            tokens[at:at] = new if len(tokens) > 2 else [*new, element.lead]


# ── tags ────────────────────────────────────────────────────────────────────────────────


def _tokens(text: str) -> list[str]:
    return [found[0] for found in TOKEN.finditer(text)]


def _opens(token: str, name: str) -> bool:
    after = token[len(name) + 1 : len(name) + 2]
    return token.startswith(f"<{name}") and (after in "/>" or after.isspace())


def _end_of(tokens: list[str], start: int) -> int:
    """Return where the element that begins at *start* ends; anything else ends where it is."""
    depth = 0
    for at in range(start, len(tokens)):
        depth += _depth(tokens[at])
        if depth <= 0:
            return at
    return len(tokens) - 1


def _depth(token: str) -> int:
    if not token.startswith("<") or token[1] in "!?" or token.endswith("/>"):
        return 0
    return -1 if token[1] == "/" else 1


def _open(tag: str) -> str:
    """Return the tag, beginning an element that is not empty."""
    return tag[:-2].rstrip() + ">" if tag.endswith("/>") else tag


def _attribute(tag: str, name: str) -> str | None:
    for found in ATTRIBUTE.finditer(tag):
        if found[2] == name:
            return _resolved(re.sub(r"\r\n|[\t\r\n]", " ", found[4][1:-1]))
    return None


def _with_attribute(tag: str, name: str, text: str) -> str:
    value = _escaped(text).replace('"', "&quot;")
    for found in ATTRIBUTE.finditer(tag):
        if found[2] == name:
            return f'{tag[: found.start(4)]}"{value}"{tag[found.end(4) :]}'
    ends = len(tag) - (2 if tag.endswith("/>") else 1)
    return f'{tag[:ends].rstrip()} {name}="{value}"{tag[ends:]}'


def _text(token: str) -> str:
    if token.startswith("<![CDATA["):
        return token[9:-3].replace("\r\n", "\n")
    return "" if token.startswith("<") else _resolved(token.replace("\r\n", "\n"))


def _resolved(text: str) -> str:
    def letter(found: re.Match[str]) -> str:
        name = found[1]
        if not name.startswith("#"):
            return NAMED[name]
        return chr(int(name[2:], 16) if name[1] == "x" else int(name[1:]))

    return REFERENCE.sub(letter, text)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
