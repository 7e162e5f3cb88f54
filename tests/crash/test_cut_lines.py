"""A line to a system that is cut, broken off or cut once more, wherever it hurts."""

from __future__ import annotations

from pathlib import Path

import pytest

from idsync.apply import retry
from tests.apply.city_on_scim import GIVEN, ScimCity
from tests.servers.proxy import Fault, Proxy


@pytest.mark.case("T2")
@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_line_cut_after_any_answer_leaves_nothing_undone_and_nothing_doubled(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0.05)
    city = ScimCity(tmp_path)
    try:
        city.sync()
        port = int(city.fake.url.split(":")[2].split("/")[0])
        plain = city.fake.url
        for round_, after in enumerate((300, 1200, 2500, 4000, 6000, 9000)):
            unit = "Skola" if round_ % 2 else "Kök"
            city.units = dict.fromkeys(city.units, unit)
            with Proxy(port, after=after, fault=fault) as cut:
                city.fake.url = plain.replace(str(port), str(cut.port))
                first = city.sync()
            city.fake.url = plain
            del first
            city.sync()
            wanted = GIVEN if unit == "Kök" else {"SKOLA"}
            assert [city.rights(number) for number in city.units] == [wanted] * len(city.units)
            assert city.state.journal.unsettled() == []
            assert city.sync().writes == 0
        assert len(city.fake.users) == len(city.units), "somebody was made twice"
        for group in city.fake.groups.values():
            ids = [member["value"] for member in group["members"]]
            assert len(ids) == len(set(ids)), "somebody was let in twice"
    finally:
        city.close()
