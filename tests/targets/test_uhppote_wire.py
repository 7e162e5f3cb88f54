"""What a UHPPOTE controller may answer, and when it is believed."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from idsync.errors import ConfigError, Incomplete, Unavailable
from idsync.targets.uhppote_cards import Record
from idsync.targets.uhppote_wire import Device
from tests.fakes.uhppote import CARD_AT, FakeController

HOME = Path(__file__).parents[2]

# published test vectors: uhppoted-codegen, bindings/.models/test-data.json
GET_CARD = (
    "F1oAAHg3KhiimHwAICIBASAiEjEAAR0Aax0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
)
AT_INDEX = (
    "F1wAAHg3KhiimHwAICIBASAiEjEAAR0Aax0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
)
PUT_CARD = (
    "F1AAAHg3KhiimHwAICIBASAiEjEAAR0Aax0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
)
STORED = "F1AAAHg3KhgBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
ASK_AT_3 = (
    "F1wAAHg3KhgDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
)

Protocol = Literal["udp", "tcp"]


@pytest.fixture
def controller() -> Iterator[FakeController]:
    running = FakeController(405419896)
    yield running
    running.close()


@pytest.fixture(params=["udp", "tcp"])
def device(controller: FakeController, request: pytest.FixtureRequest) -> Device:
    return of(controller, request.param)


def of(controller: FakeController, protocol: Protocol = "udp", timeout_s: float = 0.3) -> Device:
    return Device(controller.id, "127.0.0.1", controller.port, protocol, timeout_s)


def filled(controller: FakeController, cards: int = 6) -> None:
    for number in range(cards):
        controller.put(8_000_001 + number, 1)


# ── the messages ────────────────────────────────────────────────────────────────────────


def test_the_stand_in_answers_as_published(controller: FakeController) -> None:
    assert controller.answer(base64.b64decode(PUT_CARD)) == base64.b64decode(STORED)
    controller.slots *= 3
    asked = bytearray(base64.b64decode(GET_CARD)[:12]).ljust(64, b"\0")
    assert controller.answer(bytes(asked)) == base64.b64decode(GET_CARD)
    assert controller.answer(base64.b64decode(ASK_AT_3)) == base64.b64decode(AT_INDEX)


def test_a_card_is_written_as_published(controller: FakeController, device: Device) -> None:
    kept = (7531).to_bytes(3, "little") + b"\0"
    card = Record(8165538, date(2022, 1, 1), date(2022, 12, 31), (0, 1, 29, 0), kept)
    assert device.store(card)
    assert controller.last == base64.b64decode(PUT_CARD)
    assert device.card(8165538) == card


def test_pin_and_first_card_rights_are_passed_on(
    controller: FakeController, device: Device
) -> None:
    controller.put(8_000_001, 1, pin=654321, first=5)
    record = device.card(8_000_001)
    assert record is not None
    assert device.store(replace(record, doors=(0, 0, 0, 1)))
    held = controller.held(8_000_001)
    assert held is not None
    assert (held.pin, held.first, held.doors) == (654321, 5, (0, 0, 0, 1))
    assert "654321" not in repr(record)
    assert str(record.kept) not in repr(record), "a PIN shows in a traceback"


# ── the whole list ──────────────────────────────────────────────────────────────────────


def test_deleted_slots_are_passed_over(controller: FakeController, device: Device) -> None:
    filled(controller)
    for number in (8_000_001, 8_000_004, 8_000_006):
        controller.delete(number)
    assert sorted(device.cards()) == [8_000_002, 8_000_003, 8_000_005]
    controller.put(8_000_099, 1)  # takes the first deleted slot
    assert sorted(device.cards()) == [8_000_002, 8_000_003, 8_000_005, 8_000_099]


def test_an_empty_controller_is_empty(device: Device) -> None:
    assert device.cards() == {}
    assert device.card(8_000_001) is None


@pytest.mark.parametrize("off", [-1, 1])
def test_another_count_than_cards_is_incomplete(controller: FakeController, off: int) -> None:
    filled(controller)
    controller.habits.count_off = off
    with pytest.raises(Incomplete, match="6 cards came, of"):
        of(controller).cards()


def moved_back(controller: FakeController) -> None:
    controller.delete(8_000_001)
    controller.delete(8_000_005)
    controller.put(8_000_005, 1)


EDITS: dict[str, Callable[[FakeController], object]] = {
    "added": partial(FakeController.put, number=8_000_099),
    "deleted before": partial(FakeController.delete, number=8_000_001),
    "deleted after": partial(FakeController.delete, number=8_000_005),
    "moved back": moved_back,
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_during_a_read_is_seen(controller: FakeController, edit: str) -> None:
    filled(controller)
    controller.habits.after_slot += [lambda: None, lambda: EDITS[edit](controller)]
    try:
        found = of(controller).cards()
    except Incomplete:
        return
    assert sorted(found) == sorted(controller.numbers), "somebody is missing, and nobody was told"


def test_only_a_card_made_meanwhile_in_a_slot_already_read_can_be_missed(
    controller: FakeController,
) -> None:
    """Nothing on the wire tells it; it is there at the next read."""

    def replaced() -> None:
        controller.delete(8_000_001)
        controller.put(8_000_099, 1)

    filled(controller)
    controller.habits.after_slot += [lambda: None, replaced]
    found = of(controller).cards()
    assert set(controller.numbers) - set(found) == {8_000_099}
    assert sorted(of(controller).cards()) == sorted(controller.numbers)


def test_a_card_that_came_twice_is_incomplete(controller: FakeController) -> None:
    filled(controller, 2)
    controller.slots.append(controller.slots[0])
    with pytest.raises(Incomplete, match="one card came twice, in slot 3"):
        of(controller).cards()


def test_a_silence_in_the_middle_ends_the_read(controller: FakeController) -> None:
    filled(controller)
    controller.habits.after_slot += [
        lambda: None,
        lambda: setattr(controller.habits, "busy", 1),
    ]
    with pytest.raises(Unavailable):
        of(controller).cards()
    assert controller.seen.count(CARD_AT) == 3


def test_an_answer_about_another_card_is_not_taken(
    controller: FakeController, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(controller)
    monkeypatch.setattr(controller, "_slot", lambda number: 3)
    with pytest.raises(Unavailable, match="another card"):
        of(controller).card(8_000_001)


# ── silence, noise, and others ──────────────────────────────────────────────────────────


def within(seconds: float, call: Callable[[], object], match: str) -> None:
    begun = time.monotonic()
    with pytest.raises(Unavailable, match=match):
        call()
    assert time.monotonic() - begun < seconds, "a call outlived its time"


def test_a_silent_controller_is_given_up(controller: FakeController, device: Device) -> None:
    controller.habits.busy = 1
    within(1, device.count, r"no answer within 0\.3 s")
    assert device.count() == 0


def test_a_late_answer_is_not_taken_for_the_next(
    controller: FakeController, device: Device
) -> None:
    filled(controller)
    controller.habits.late_s = 0.5
    within(1, lambda: device.card(8_000_001), "no answer within")
    controller.habits.late_s = 0.0
    time.sleep(0.3)
    assert device.count() == 6
    found = device.card(8_000_002)
    assert found is not None
    assert found.number == 8_000_002


def test_another_controllers_answer_is_not_taken(controller: FakeController) -> None:
    controller.habits.as_id = 201020304
    within(1, of(controller).count, r"another controller answers \(id 201020304\)")


def test_noise_before_the_answer_is_passed_over(controller: FakeController) -> None:
    filled(controller)
    another = bytes.fromhex("175800007837ffff") + bytes(56)
    older = bytes.fromhex("195a0000" + "78372a18") + bytes(56)
    controller.habits.noise = [b"", b"hello", bytes(64), another, older]
    assert of(controller).count() == 6


def test_noise_without_end_is_given_up(controller: FakeController) -> None:
    controller.habits.noise = [bytes(63)] * 20
    controller.habits.as_id = 201020304
    within(1, of(controller).count, "another controller answers")


def test_nobody_at_the_address_is_told_at_once(controller: FakeController) -> None:
    for protocol in ("udp", "tcp"):
        gone = of(controller, protocol, timeout_s=5)
        if protocol == "udp":
            controller.close()
        within(1, gone.count, "nothing listens there")


def test_a_tcp_line_that_is_hung_up_is_told_at_once(controller: FakeController) -> None:
    controller.habits.hangs_up = True
    within(1, of(controller, "tcp", timeout_s=5).count, "hung up without an answer")


def test_a_tcp_answer_in_pieces_is_put_together(controller: FakeController) -> None:
    filled(controller)
    controller.habits.pieces = 7
    assert of(controller, "tcp").count() == 6


def test_a_tcp_answer_that_trickles_is_given_up(controller: FakeController) -> None:
    controller.habits.pieces = 1
    controller.habits.pause_s = 0.05
    within(1, of(controller, "tcp").count, "no answer within")


def test_a_broadcast_is_not_even_sent() -> None:
    everybody = Device(1, "255.255.255.255", 60000, timeout_s=0.1)
    with pytest.raises(Unavailable, match="not reached"):
        everybody.count()


def test_a_line_to_itself_is_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    connect = socket.socket.connect

    def on_its_own_port(line: socket.socket, address: tuple[str, int]) -> None:
        line.bind(("127.0.0.1", port))
        connect(line, address)

    monkeypatch.setattr(socket.socket, "connect", on_its_own_port)
    with pytest.raises(Unavailable, match="nothing listens"):
        Device(405419896, "127.0.0.1", port, timeout_s=0.2).count()


def test_without_the_package_the_extra_is_named(
    controller: FakeController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uhppoted.decode", None)
    with pytest.raises(ConfigError, match="extra uhppote"):
        of(controller).count()


def test_the_package_is_loaded_only_when_it_is_used() -> None:
    text = (HOME / "idsync/targets/uhppote_wire.py").read_text(encoding="utf-8")
    assert "\nimport uhppoted" not in text
