"""Controllers of the UT0311-L0x kind on loopback, with switchable bad habits.

They speak the 64-byte messages over UDP and TCP on one port, as the published test vectors
(uhppoted-codegen, bindings/.models/test-data.json) and the open simulator (uhppoted/
uhppote-simulator: put_card, delete_card, get_card, entities/cards) show them: numbers
little-endian, dates BCD, a deleted slot 0xffffffff, an empty one 0, a new card in the first
free slot, and silence towards whoever asks under another serial number.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

SIZE = 64
GET_TIME, PUT_CARD, DELETE_CARD = 0x32, 0x50, 0x52
COUNT, GET_CARD, CARD_AT = 0x58, 0x5A, 0x5C
GET_CONTROLLER, GET_PROFILE = 0x94, 0x98
DELETED = b"\xff\xff\xff\xff" + bytes(16)
CARD = slice(8, 28)  # number, two dates, four doors, PIN, first-card rights


@dataclass
class Habits:
    """What the controllers of one site do wrong; numbers are of calls, and count down."""

    busy: int = 0  # no answer, and nothing done
    lost: int = 0  # a card is stored, and the answer never comes
    ignored: int = 0  # a card is said to be stored, and is not
    refused: int = 0  # a card is not stored, and it is said
    takes_turned_dates: bool = True
    late_s: float = 0.0  # every answer comes so much later
    as_id: int | None = None  # answers under another's serial number
    noise: list[bytes] = field(default_factory=list)  # sent before every answer
    hangs_up: bool = False  # TCP only
    pieces: int = SIZE  # TCP: so many bytes at a time
    pause_s: float = 0.0  # TCP: between the pieces
    count_off: int = 0  # the count of cards is wrong by this many
    zero_dates: bool = False  # shows no dates
    after_slot: list[Callable[[], object]] = field(default_factory=list)  # each after one slot more


class FakeController:
    """One running controller. `slots` is its card list: 20 bytes a card."""

    def __init__(
        self, id: int, habits: Habits | None = None, version: str = "6.62", capacity: int = 1000
    ) -> None:
        self.id = id
        self.version = version
        self.capacity = capacity
        self.habits = habits or Habits()
        self.slots: list[bytes] = []
        self.profiles: set[int] = set()
        self.clock: datetime | None = None  # None: the right time of this machine
        self.seen: list[int] = []  # the functions that were asked for
        self.last = b""  # the last request
        self.lock = threading.RLock()
        self._udp, self._tcp, self.port = _bound()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._serve_udp, self._serve_tcp)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop answering and give the port back."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)
        self._udp.close()
        self._tcp.close()

    # ── a local administrator's hands ───────────────────────────────────────────────────

    def put(
        self,
        number: int,
        *doors: int,
        begin: date = date(2000, 1, 1),
        end: date = date(2099, 12, 31),
        pin: int = 0,
        first: int = 0,
    ) -> None:
        """Put a card as the vendor's program would."""
        four = bytes((*doors, 0, 0, 0, 0)[:4])
        kept = pin.to_bytes(3, "little") + bytes([first])
        self.store(struct.pack("<L", number) + _bcd(begin) + _bcd(end) + four + kept)

    def delete(self, number: int) -> bool:
        """Delete a card: its slot stays, marked."""
        with self.lock:
            slot = self._slot(struct.pack("<L", number))
            if slot is not None:
                self.slots[slot] = DELETED
            return slot is not None

    def store(self, card: bytes) -> bool:
        """Keep a card in the slot it has, or in the first free one."""
        with self.lock:
            slot = self._slot(card[:4])
            if slot is None and DELETED in self.slots:
                slot = self.slots.index(DELETED)
            if slot is not None:
                self.slots[slot] = card
            elif len(self.slots) < self.capacity:
                self.slots.append(card)
            else:
                return False
            return True

    def held(self, number: int) -> Held | None:
        """Return what the controller holds of a card."""
        with self.lock:
            slot = self._slot(struct.pack("<L", number))
            return None if slot is None else Held.of(self.slots[slot])

    @property
    def numbers(self) -> list[int]:
        """The numbers of the cards, slot by slot."""
        with self.lock:
            return [struct.unpack("<L", s[:4])[0] for s in self.slots if s != DELETED]

    def _slot(self, number: bytes) -> int | None:
        return next((i for i, card in enumerate(self.slots) if card[:4] == number), None)

    # ── answering ───────────────────────────────────────────────────────────────────────

    def answer(self, request: bytes) -> bytes | None:
        """Return what is answered, or None for silence."""
        if len(request) != SIZE or request[0] != 0x17:
            return None
        function = request[1]
        [asked] = struct.unpack_from("<L", request, 4)
        if asked != self.id and (asked, function) != (0, GET_CONTROLLER):
            return None
        with self.lock:
            self.seen.append(function)
            self.last = request
            if self.habits.busy:
                self.habits.busy -= 1
                return None
            body = self._body(function, request)
            if function == PUT_CARD and self.habits.lost:
                self.habits.lost -= 1
                return None
        if body is None:
            return None
        sender = self.habits.as_id or self.id
        return (struct.pack("<BBxxL", 0x17, function, sender) + body).ljust(SIZE, b"\0")

    def _body(self, function: int, request: bytes) -> bytes | None:
        [value] = struct.unpack_from("<L", request, 8)
        if function == COUNT:
            live = sum(slot != DELETED for slot in self.slots)
            return struct.pack("<L", live + self.habits.count_off)
        if function == GET_CARD:
            slot = self._slot(request[8:12]) if value not in (0, 0xFFFFFFFF) else None
            return bytes(20) if slot is None else self._shown(self.slots[slot])
        if function == CARD_AT:
            there = 0 < value <= len(self.slots)
            card = self._shown(self.slots[value - 1]) if there else bytes(20)
            if self.habits.after_slot:
                self.habits.after_slot.pop(0)()
            return card
        if function == PUT_CARD:
            return bytes([self._put(request[CARD])])
        if function == DELETE_CARD:
            return bytes([self.delete(value)])
        if function == GET_PROFILE:
            return bytes([request[8] if request[8] in self.profiles else 0])
        if function == GET_TIME:
            return bytes.fromhex(f"{self.clock or datetime.now().astimezone():%Y%m%d%H%M%S}")
        if function == GET_CONTROLLER:
            network = bytes(
                [127, 0, 0, 1, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x23, 0x34, 0x45, 0x56]
            )
            return network + bytes.fromhex(self.version.replace(".", "").zfill(4) + "20181105")
        return None

    def _shown(self, card: bytes) -> bytes:
        return card[:4] + bytes(8) + card[12:] if self.habits.zero_dates else card

    def _put(self, card: bytes) -> bool:
        habits = self.habits
        if habits.ignored:
            habits.ignored -= 1
            return True
        if habits.refused:
            habits.refused -= 1
            return False
        begin, end = card[4:8], card[8:12]
        if bytes(4) in (begin, end) or (begin > end and not habits.takes_turned_dates):
            return False
        return self.store(card)

    # ── the two transports ──────────────────────────────────────────────────────────────

    def _serve_udp(self) -> None:
        while not self._stop.is_set():
            try:
                request, sender = self._udp.recvfrom(1024)
            except TimeoutError:
                continue
            reply = self.answer(request)
            if reply is None:
                continue
            time.sleep(self.habits.late_s)
            for message in (*self.habits.noise, reply):
                self._udp.sendto(message, sender)

    def _serve_tcp(self) -> None:
        while not self._stop.is_set():
            try:
                line, _ = self._tcp.accept()
            except TimeoutError:
                continue
            with line:
                line.settimeout(1)
                try:
                    self._serve_line(line)
                except OSError:
                    continue

    def _serve_line(self, line: socket.socket) -> None:
        request = line.recv(SIZE, socket.MSG_WAITALL)
        if self.habits.hangs_up:
            return
        reply = self.answer(request)
        if reply is None:
            line.recv(1)  # silence, until the other side gives up
            return
        time.sleep(self.habits.late_s)
        for start in range(0, SIZE, self.habits.pieces):
            line.sendall(reply[start : start + self.habits.pieces])
            time.sleep(self.habits.pause_s)


@dataclass(frozen=True)
class Held:
    """A card as a controller holds it."""

    begin: str
    end: str
    doors: tuple[int, ...]
    pin: int
    first: int

    @classmethod
    def of(cls, card: bytes) -> Held:
        return cls(
            begin=_day(card[4:8]), end=_day(card[8:12]), doors=tuple(card[12:16]),
            pin=int.from_bytes(card[16:19], "little"), first=card[19],
        )  # fmt: skip


def _bcd(day: date) -> bytes:
    return bytes.fromhex(f"{day:%Y%m%d}")


def _day(bcd: bytes) -> str:
    return f"{bcd[:2].hex()}-{bcd[2:3].hex()}-{bcd[3:].hex()}"


def _bound() -> tuple[socket.socket, socket.socket, int]:
    """Return a UDP and a TCP socket on one free port of the loopback, and the port."""
    for _ in range(50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(("127.0.0.1", port))
        except OSError:
            udp.close()
            tcp.close()
            continue
        tcp.listen()
        for line in (udp, tcp):
            line.settimeout(0.05)
        return udp, tcp, port
    raise OSError("no port is free for both UDP and TCP")
