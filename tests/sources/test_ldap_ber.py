"""The fast reader of people agrees with the plain one, and neither believes damaged bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from idsync.errors import Incomplete
from idsync.sources.ldap_ber import (
    REMEMBERED,
    Damaged,
    Slots,
    frames,
    read_entry,
    read_result,
    read_row,
)
from idsync.sources.ldap_values import People
from tests.servers.replay import PAGED, done, entry, message, pieces, result, tlv

ATTRIBUTES = ["cn", "mail", "sn"]
VALUES = {"cn": ["Åsa Öberg" * 20], "mail": ["z@staden.test", "a@staden.test", "m@staden.test"]}
[(_, ENTRY)] = pieces(entry("uid=x,dc=staden", **VALUES, sn=["b" * 130, "", "c"]))


def structure(octets: bytes, start: int, end: int) -> Iterator[int]:
    """Yield the positions of all tags and lengths between *start* and *end*."""
    while start < end:
        size, content = octets[start + 1], start + 2
        if size > 127:
            content += size & 127
            size = int.from_bytes(octets[start + 2 : content], "big")
        yield from range(start, content)
        if octets[start] in (0x30, 0x31):
            yield from structure(octets, content, content + size)
        start = content + size


def by_row(octets: bytes, end: int) -> list[bytes | None] | None:
    """Return what the fast reader finds, or None where it finds damage."""
    try:
        return read_row(octets, 0, end, Slots(ATTRIBUTES), 4)
    except (Damaged, IndexError):
        return None


def by_entry(octets: bytes, end: int) -> list[bytes | None] | None:
    """Return the same from the plain reader."""
    try:
        name, values = read_entry(octets, 0, end)
    except (Damaged, IndexError):
        return None
    found = (values.get(attribute.encode(), []) for attribute in ATTRIBUTES)
    return [name, *(min(one) if one else None for one in found)]


def test_both_readers_find_the_least_of_each() -> None:
    expected = [b"uid=x,dc=staden", VALUES["cn"][0].encode(), b"a@staden.test", b""]
    assert by_row(ENTRY, len(ENTRY)) == by_entry(ENTRY, len(ENTRY)) == expected


def test_both_readers_agree_on_every_change_of_a_tag_or_a_length() -> None:
    # What follows the entry is the next message, into which no reader may reach.
    after = message(7, entry("uid=y,dc=staden", cn=["annan"]))
    damaged = 0
    for position in structure(ENTRY, 0, len(ENTRY)):
        for octet in range(256):
            changed = bytearray(ENTRY + after)
            changed[position] = octet
            found = by_row(bytes(changed), len(ENTRY))
            assert found == by_entry(bytes(changed), len(ENTRY)), (position, octet)
            damaged += found is None
    assert damaged > 5000


def test_both_readers_agree_wherever_an_entry_is_said_to_end() -> None:
    for end in range(len(ENTRY)):
        assert by_row(ENTRY, end) is None
        assert by_entry(ENTRY, end) is None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 65536])
def test_messages_are_framed_the_same_whatever_pieces_they_come_in(size: int) -> None:
    bodies = [tlv(0x30, b"x" * length) for length in (0, 1, 125, 126, 127, 128, 300, 70_000)]
    sent = b"".join(bodies)
    parts = iter([sent[at : at + size] for at in range(0, len(sent), size)])
    found = frames(lambda: next(parts))
    for body in bodies:
        buffer, start, end = next(found)
        assert tlv(0x30, buffer[start:end]) == body


def test_the_paging_control_is_found_among_others() -> None:
    other = tlv(0x30, tlv(4, b"1.2.3"), tlv(1, b"\xff"), tlv(4, b"x"))
    value = tlv(0x30, tlv(2, b"\0"), tlv(4, b"cookie"))
    critical = tlv(0x30, tlv(4, PAGED), tlv(1, b"\xff"), tlv(4, value))
    plain = tlv(0x30, tlv(4, PAGED), tlv(4, value))
    for control in (critical, plain):
        octets = result(0x65) + tlv(0xA0, other, control)
        assert read_result(octets, 0, len(octets)).cookie == b"cookie"
    assert read_result(result(0x65), 0, len(result(0x65))).cookie is None


def test_a_result_that_is_cut_or_has_no_number_is_damaged() -> None:
    [(_, content)] = pieces(done(1, b"cookie"))
    whole = content[3:]
    for end in range(len(whole)):
        try:
            assert read_result(whole, 0, end).cookie is None
        except Damaged:
            continue
    with pytest.raises(Damaged):
        read_result(tlv(0x65, tlv(10), tlv(4), tlv(4)), 0, 9)


def test_a_server_that_invents_attributes_does_not_fill_the_memory() -> None:
    slots = Slots(["cn"])
    assert all(slots[b"x%d" % number] == -1 for number in range(10 * REMEMBERED))
    assert slots[b"CN"] == slots[b"cN"] == 1
    assert len(slots) <= REMEMBERED


@pytest.mark.parametrize("value", ["a\0b", "\0"])
def test_the_letter_nul_is_not_text(value: str) -> None:
    people = People("ldaps://x", {"mail": "mail"}, {})
    [(_, octets)] = pieces(entry("uid=x", mail=[value]))
    people.add(octets, 0, len(octets))
    with pytest.raises(Incomplete, match="mail of entry 1 is not text"):
        people.take()
