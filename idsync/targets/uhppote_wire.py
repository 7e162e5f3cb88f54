"""One controller on the network: what is asked, what it answers, and when it is believed.

Facts, all from the open-source libraries of github.com/uhppoted (the vendor's own SDK
document was not seen):

* a message has 64 bytes: 0x17, the function, two zero bytes, the controller's serial
  number, then values; numbers are little-endian, dates BCD (uhppoted-codegen,
  bindings/.models/test-data.json; uhppoted-lib-python, encode.py and decode.py);
* an answer repeats function and serial number; a controller is silent when it is asked
  under another number, and answers "get controller" under number 0 (uhppote-simulator);
* a slot whose card was deleted shows the number 0xffffffff, one that never held a card,
  or lies beyond the end, 0; "get card" answers 0 for a card it does not have
  (uhppoted-lib-python, get_card_record_by_index and get_card_record);
* "put card" replaces the whole record and answers whether it was stored.

The messages are made and read by the package uhppoted; they are carried here. The
package's own UDP takes an answer from anybody, and its TCP never returns when a controller
hangs up: each waits per packet, not per call.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from idsync.errors import ConfigError, Incomplete, Unavailable
from idsync.targets.uhppote_cards import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 64
START = 0x17
DELETED = 0xFFFFFFFF
KEPT = slice(24, 28)  # PIN (three bytes) and first-card rights, in "get card" and in "put card"
SLOTS = 200_000  # no controller has as many


def _package() -> Any:  # noqa: ANN401 - the package carries no types
    try:
        import uhppoted.decode
        import uhppoted.encode
    except ImportError:
        raise ConfigError(
            "the package uhppoted is not installed: install idsync with its extra uhppote"
        ) from None
    return uhppoted


@dataclass(frozen=True, slots=True)
class Device:
    """One controller, asked one question at a time, each over a socket of its own.

    So an answer that comes too late finds nobody, and is never taken for another's.
    """

    id: int
    host: str
    port: int
    protocol: Literal["udp", "tcp"] = "udp"
    timeout_s: float = 2.5
    _others: set[int] = field(default_factory=set, repr=False)

    @property
    def place(self) -> str:
        """Which controller and where, for messages."""
        return f"controller {self.id} at {self.host}:{self.port}"

    # ── questions ───────────────────────────────────────────────────────────────────────

    def about(self) -> str:
        """Return the version of the firmware, such as 6.62."""
        package = _package()
        reply = self._ask(package.encode.get_controller_request(self.id))
        return str(package.decode.get_controller_response(reply).version).removeprefix("v")

    def who(self) -> int:
        """Return the serial number of whichever controller is at this address."""
        package = _package()
        reply = self._ask(package.encode.get_controller_request(0), anybody=True)
        return int(package.decode.get_controller_response(reply).controller)

    def clock(self) -> datetime | None:
        """Return what the controller's clock shows, in its own time zone."""
        package = _package()
        reply = self._ask(package.encode.get_time_request(self.id))
        shown: datetime | None = package.decode.get_time_response(reply).datetime
        return shown

    def count(self) -> int:
        """Return how many cards the controller says it holds."""
        package = _package()
        reply = self._ask(package.encode.get_cards_request(self.id))
        return int(package.decode.get_cards_response(reply).cards)

    def has_profile(self, number: int) -> bool:
        """Tell whether a time profile is defined there."""
        package = _package()
        reply = self._ask(package.encode.get_time_profile_request(self.id, number))
        return bool(package.decode.get_time_profile_response(reply).profile_id == number)

    def card(self, number: int) -> Record | None:
        """Return the record of a card, or None if the controller does not hold it."""
        package = _package()
        reply = self._ask(package.encode.get_card_request(self.id, number))
        record = _record(package.decode.get_card_response(reply), reply)
        if record.number in (0, DELETED):
            return None
        if record.number != number:
            raise Unavailable(f"{self.place}: answered about another card: ask again")
        return record

    def store(self, record: Record) -> bool:
        """Write a whole record; tell whether the controller says that it is stored."""
        package = _package()
        request = package.encode.put_card_request(
            self.id, record.number, record.begin, record.end, *record.doors, 0
        )
        request[KEPT] = record.kept
        return bool(package.decode.put_card_response(self._ask(request)).stored)

    def cards(self) -> dict[int, Record]:
        """Return every card: all slots up to the first empty one, as many as are counted.

        Raises:
            Incomplete: fewer, more or others came, or somebody wrote meanwhile.
        """
        total, found = self.count(), dict[int, Record]()
        for index in range(1, SLOTS):
            record = self._card_at(index)
            if record.number == 0:
                break
            if record.number in found:
                raise Incomplete(
                    f"{self.place}: one card came twice, in slot {index}: somebody is writing; "
                    "if it stays so, delete that card there and put it anew"
                )
            if record.number != DELETED:
                found[record.number] = record
        now = self.count()
        if not len(found) == total == now:
            raise Incomplete(
                f"{self.place}: {len(found)} cards came, of {total} counted before and {now} "
                "after: read again later"
            )
        return found

    def _card_at(self, index: int) -> Record:
        package = _package()
        reply = self._ask(package.encode.get_card_by_index_request(self.id, index))
        return _record(package.decode.get_card_by_index_response(reply), reply)

    # ── carrying ────────────────────────────────────────────────────────────────────────

    def _ask(self, request: bytearray, *, anybody: bool = False) -> bytes:
        deadline = time.monotonic() + self.timeout_s
        self._others.clear()
        with self._in_our_words(), self._connected() as line:
            line.sendall(request)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                line.settimeout(left)
                reply = self._received(line, deadline)
                if self._fits(reply, request, anybody=anybody):
                    return reply

    def _connected(self) -> socket.socket:
        """Open a line: connected, so that the network passes on only what comes from there."""
        udp = self.protocol == "udp"
        line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        try:
            line.settimeout(self.timeout_s)
            line.connect((self.host, self.port))
            # Port 60000 is one that systems hand out: a line to itself would echo the question.
            if line.getsockname() == line.getpeername():
                raise ConnectionRefusedError
        except BaseException:
            line.close()
            raise
        return line

    def _received(self, line: socket.socket, deadline: float) -> bytes:
        if self.protocol == "udp":
            return line.recv(1024)
        reply = b""
        while len(reply) < SIZE:
            line.settimeout(max(deadline - time.monotonic(), 0.001))
            part = line.recv(SIZE - len(reply))
            if not part:
                raise ConnectionResetError
            reply += part
            if time.monotonic() > deadline:
                raise TimeoutError
        return reply

    def _fits(self, reply: bytes, request: bytearray, *, anybody: bool) -> bool:
        if len(reply) != SIZE or reply[0] != START or reply[1] != request[1]:
            return False
        [sender] = struct.unpack_from("<L", reply, 4)
        if sender != self.id and not anybody:
            self._others.add(sender)
            return False
        return True

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except ConnectionRefusedError:
            raise Unavailable(
                f"{self.place}: nothing listens there: check address, port and protocol"
            ) from None
        except TimeoutError:
            if self._others:
                raise Unavailable(
                    f"{self.place}: another controller answers (id {min(self._others)}): "
                    "correct id or address"
                ) from None
            raise Unavailable(
                f"{self.place}: no answer within {self.timeout_s:g} s: check power, network and "
                "firewall, and the id: a controller is silent under another's"
            ) from None
        except ConnectionResetError:
            raise Unavailable(f"{self.place}: hung up without an answer: ask again later") from None
        except OSError as error:
            raise Unavailable(
                f"{self.place}: not reached ({error.strerror}): check network and address"
            ) from None


def _record(response: Any, reply: bytes) -> Record:  # noqa: ANN401 - the package carries no types
    return Record(
        number=response.card_number,
        begin=response.start_date,
        end=response.end_date,
        doors=(response.door_1, response.door_2, response.door_3, response.door_4),
        kept=bytes(reply[KEPT]),
    )
