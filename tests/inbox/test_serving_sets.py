"""`idsync serve` polls by itself, acts on what it is told, and ends while a poll is waiting."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from tests.inbox.polled import BY_STREAM, Polled, transmitting
from tests.service.test_serving import served


def test_the_service_polls_verifies_shuts_out_and_ends_in_the_middle_of_a_poll(
    tmp_path: Path,
) -> None:
    with transmitting() as fake:
        fake.hold_s = 0.5
        office = Polled(tmp_path, fake, BY_STREAM)
        office.sync()
        office.has("p1")
        office.close()
        file = office.town.folder / "connectors.toml"
        with file.open("a", encoding="utf-8") as out:
            out.write('[serve]\nlisten = "127.0.0.1:0"\n')
        with served(office.town) as running:
            address = running.until("listening")["address"]
            running.until("closed after an event")
            until_verified(fake.acked, running.process.pid)
            health = json.loads(running.get(address, "/health")[1])
            assert health["streams"]["idp"]["age_s"] is not None
            pushed = file.read_text(encoding="utf-8").replace('delivery = "poll"', "")
            file.write_text(pushed, encoding="utf-8")
            running.process.send_signal(signal.SIGHUP)
            refused = running.until("configuration refused, the old one stays")
            assert "delivery" in refused["reason"]
            fake.hold_s, polls = 20, len(fake.polls)
            while len(fake.polls) == polls:
                os.kill(running.process.pid, 0)
                time.sleep(0.05)
            code, _ = running.stop()
            assert code == 0
            assert running.until("ended")["under_way"] == []
        assert "jti-p1" in fake.acked


def until_verified(acked: list[str], process: int) -> None:
    """Wait until the event that verifies the stream was acknowledged too."""
    for _ in range(600):
        if any(id_.startswith("verification") for id_ in acked):
            return
        os.kill(process, 0)
        time.sleep(0.1)
    raise AssertionError("never verified")
