"""Reading LDAP messages: positions in one buffer instead of a copy for every element.

An LDAP message is BER with definite lengths (RFC 4511, section 5.1). Only what a search
answers is known here. Every length is checked against what encloses it, so damaged bytes
raise `Damaged` and never read beyond their message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

MESSAGE_LIMIT = 64 * 1024 * 1024
"""Bytes one message may hold: a group of half a million members fits."""

INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET = 0x02, 0x04, 0x0A, 0x30, 0x31
BIND_RESPONSE, EXTENDED_RESPONSE = 0x61, 0x78
SEARCH_ENTRY, SEARCH_DONE, SEARCH_REFERENCE = 0x64, 0x65, 0x73
CONTROLS = 0xA0
PAGED = b"1.2.840.113556.1.4.319"  # RFC 2696, section 2
REMEMBERED = 256  # attribute descriptions whose meaning is kept


class Damaged(Exception):
    """The bytes are not the LDAP that was expected. The text says what was found."""


class Ranged(Exception):
    """The server cut the values of an attribute that is asked for into ranges."""


def frames(receive: Callable[[], bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Yield (buffer, start, end) of the content of each message that *receive* brings.

    Nothing more has been received when `end` is the length of `buffer`.
    """
    buffer = b""
    position = 0
    while True:
        size = len(buffer)
        missing = 2
        while size - position >= 2:
            if buffer[position] != SEQUENCE:
                raise Damaged("the answer is not an LDAP message")
            length = buffer[position + 1]
            start = position + 2
            if length > 127:
                octets = length & 127
                if not 1 <= octets <= 4:
                    raise Damaged("a message has no usable length")
                if size - start < octets:
                    missing = start + octets - size
                    break
                length = int.from_bytes(buffer[start : start + octets], "big")
                start += octets
                if length > MESSAGE_LIMIT:
                    raise Damaged(f"a message claims {length} bytes, more than {MESSAGE_LIMIT}")
            end = start + length
            if end > size:
                missing = end - size
                break
            yield buffer, start, end
            position = end
        else:
            missing = 2 - (size - position)
        # A long message is joined once, however many pieces it comes in.
        pieces = [buffer[position:]]
        while missing > 0:
            piece = receive()
            missing -= len(piece)
            pieces.append(piece)
        buffer = b"".join(pieces)
        position = 0


def element(buffer: bytes, position: int, end: int) -> tuple[int, int, int]:
    """Return (tag, start, stop) of the element at *position*, which must fit before *end*."""
    if position + 2 > end:
        raise Damaged("an element is cut off")
    length = buffer[position + 1]
    start = position + 2
    if length > 127:
        length, start = long_length(buffer, start, length)
    if start + length > end:
        raise Damaged("an element is longer than what holds it")
    return buffer[position], start, start + length


def long_length(buffer: bytes, position: int, first: int) -> tuple[int, int]:
    """Return a length that takes several octets, and the position behind it."""
    octets = first & 127
    if not 1 <= octets <= 4:
        raise Damaged("an element has no usable length")
    stop = position + octets
    return int.from_bytes(buffer[position:stop], "big"), stop


def expect(buffer: bytes, position: int, end: int, tag: int) -> tuple[int, int]:
    """Return (start, stop) of the element at *position*, which must have *tag*."""
    found, start, stop = element(buffer, position, end)
    if found != tag:
        raise Damaged(f"tag 0x{found:02x} stands where 0x{tag:02x} belongs")
    return start, stop


@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended. `cookie` is None where the server sent no paging control."""

    code: int
    diagnostic: bytes
    cookie: bytes | None


def read_result(buffer: bytes, position: int, end: int) -> Result:
    """Return the LDAPResult (RFC 4511, section 4.1.9) of the operation at *position*."""
    _, start, stop = element(buffer, position, end)
    first, last = expect(buffer, start, stop, ENUMERATED)
    if not 1 <= last - first <= 4:
        raise Damaged("a result code is not a number")
    code = int.from_bytes(buffer[first:last], "big")
    _, last = expect(buffer, last, stop, OCTETS)
    first, last = expect(buffer, last, stop, OCTETS)
    return Result(code, buffer[first:last], _paging_cookie(buffer, stop, end))


def _paging_cookie(buffer: bytes, position: int, end: int) -> bytes | None:
    if position == end:
        return None
    position, end = expect(buffer, position, end, CONTROLS)
    while position < end:
        start, position = expect(buffer, position, end, SEQUENCE)
        first, last = expect(buffer, start, position, OCTETS)
        if buffer[first:last] != PAGED:
            continue
        tag, first, last = element(buffer, last, position)
        if tag != OCTETS:  # the criticality, which may stand between
            first, last = expect(buffer, last, position, OCTETS)
        first, stop = expect(buffer, first, last, SEQUENCE)
        _, first = expect(buffer, first, stop, INTEGER)
        first, last = expect(buffer, first, stop, OCTETS)
        return buffer[first:last]
    return None


class Slots(dict[bytes, int]):
    """The place in a row of each attribute that is asked for, by its description.

    Descriptions are compared without regard to case (RFC 4512, section 2.5); what was
    not asked for, such as a language variant, is -1.
    """

    def __init__(self, attributes: list[str]) -> None:
        super().__init__()
        self.wanted = {name.lower().encode(): slot for slot, name in enumerate(attributes, 1)}

    def __missing__(self, description: bytes) -> int:
        name = description.lower()
        if name.partition(b";range=")[0] in self.wanted and b";range=" in name:
            raise Ranged
        slot = self.wanted.get(name, -1)
        if len(self) < REMEMBERED:
            self[description] = slot
        return slot


def read_row(  # noqa: PLR0912, PLR0915 - one flat loop: calls would double its time
    b: bytes, p: int, end: int, slots: Slots, width: int
) -> list[bytes | None]:
    """Return the name of the entry in b[p:end], then one value for each slot, or None.

    Of several values it is the least, byte by byte: servers keep no order among them.
    """
    row: list[bytes | None] = [None] * width
    if b[p] != OCTETS:
        raise Damaged("an entry has no name")
    n = b[p + 1]
    p += 2
    if n > 127:
        n, p = long_length(b, p, n)
    row[0] = b[p : p + n]
    p += n
    if b[p] != SEQUENCE:
        raise Damaged("an entry has no attributes")
    n = b[p + 1]
    p += 2
    if n > 127:
        n, p = long_length(b, p, n)
    if p + n != end:
        raise Damaged("the attributes do not end where the entry ends")
    while p < end:
        if b[p] != SEQUENCE:
            raise Damaged("an attribute is not a sequence")
        n = b[p + 1]
        p += 2
        if n > 127:
            n, p = long_length(b, p, n)
        stop = p + n
        if b[p] != OCTETS:
            raise Damaged("an attribute has no description")
        n = b[p + 1]
        p += 2
        if n > 127:
            n, p = long_length(b, p, n)
        q = p + n
        slot = slots[b[p:q]]
        if b[q] != SET:
            raise Damaged("an attribute has no set of values")
        n = b[q + 1]
        p = q + 2
        if n > 127:
            n, p = long_length(b, p, n)
        if p + n != stop or stop > end:
            raise Damaged("the values do not end where the attribute ends")
        if slot > 0 and n:
            least = None
            while p < stop:
                if b[p] != OCTETS:
                    raise Damaged("a value is not an octet string")
                n = b[p + 1]
                p += 2
                if n > 127:
                    n, p = long_length(b, p, n)
                q = p + n
                value = b[p:q]
                p = q
                if least is None or value < least:
                    least = value
            if p != stop:
                raise Damaged("a value is longer than what holds it")
            row[slot] = least
        p = stop
    return row


def read_entry(buffer: bytes, start: int, end: int) -> tuple[bytes, dict[bytes, list[bytes]]]:
    """Return the name of the entry in buffer[start:end] and all values of its attributes.

    Attribute descriptions come in lower case.
    """
    first, last = expect(buffer, start, end, OCTETS)
    name = buffer[first:last]
    position, stop = expect(buffer, last, end, SEQUENCE)
    if stop != end:
        raise Damaged("the attributes do not end where the entry ends")
    attributes: dict[bytes, list[bytes]] = {}
    while position < end:
        start, position = expect(buffer, position, end, SEQUENCE)
        first, last = expect(buffer, start, position, OCTETS)
        values = attributes.setdefault(buffer[first:last].lower(), [])
        start, stop = expect(buffer, last, position, SET)
        if stop != position:
            raise Damaged("the values do not end where the attribute ends")
        while start < stop:
            first, start = expect(buffer, start, stop, OCTETS)
            values.append(buffer[first:start])
    return name, attributes
