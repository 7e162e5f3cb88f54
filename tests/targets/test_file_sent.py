"""Files that are taken away: numbered, answered by receipts, and written in XML."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change
from idsync.targets.file import FileTarget
from idsync.testing.cardholders import holding, only, picture, refs
from tests.fakes.file import DeltaXml

ASA = Cardholder(key="1001", display_name="Åsa Öberg")
DOOR, HALL = "FSK-ENTRE", "STADSHUS Å"


def described(vendor: Any, **more: Any) -> FileTarget:
    return FileTarget(FileTarget.Config.model_validate(vendor.description(**more)))


def new(target: FileTarget, *rights: str, key: str = "1001") -> Cardholder:
    target.put(Change(before=None, after=holding(replace(ASA, key=key), *rights)))
    return only(target, key)


@pytest.fixture
def vendor(tmp_path: Path) -> DeltaXml:
    return DeltaXml(tmp_path)


@pytest.fixture
def target(vendor: DeltaXml) -> FileTarget:
    return described(vendor)


def keys(path: Path) -> list[str | None]:
    return [person.get("nr") for person in ET.parse(path).getroot().iter("person")]


# ── sending ─────────────────────────────────────────────────────────────────────────────


def test_each_file_holds_what_changed_and_none_is_overwritten(
    vendor: DeltaXml, target: FileTarget
) -> None:
    for key in ("1", "2", "1"):
        new(target, DOOR, f"R{key}", key=key)
        new(target, HALL, key=key)
    sent = sorted(vendor.out.iterdir())
    assert [path.name for path in sent] == [f"hr-{number:06}.xml" for number in range(1, 5)]
    assert [keys(path) for path in sent] == [["1"], ["1"], ["2"], ["2"]]
    root = ET.parse(sent[0]).getroot()
    personer = root.find("personer")
    assert personer is not None
    assert personer.get("antal") == "1"
    vendor.pick_up()
    assert vendor.doors == {"1": {DOOR, "R1", HALL}, "2": {DOOR, "R2", HALL}}


def test_a_number_is_never_given_twice(vendor: DeltaXml, target: FileTarget) -> None:
    new(target, DOOR, key="1")
    vendor.pick_up()
    for path in vendor.receipts.iterdir():
        path.unlink()
    (vendor.out / "hr-000041.xml").write_text("somebody's")
    new(target, DOOR, key="2")
    assert sorted(path.name for path in vendor.out.iterdir()) == ["hr-000041.xml", "hr-000042.xml"]
    (vendor.list.parent / ".lista.xml.sent").unlink()
    new(target, DOOR, key="3")
    assert (vendor.out / "hr-000043.xml").exists()


def test_many_changes_are_one_file(vendor: DeltaXml, target: FileTarget) -> None:
    people = [holding(replace(ASA, key=str(number)), DOOR) for number in range(1000, 1020)]
    people[3] = replace(people[3], mail="a@example.org")
    outcomes = target.put_many([Change(before=None, after=person) for person in people])
    assert [each.status for each in outcomes].count("submitted") == 19
    assert outcomes[3].status == "refused"
    [sent] = vendor.out.iterdir()
    assert len(keys(sent)) == 19


def test_all_rows_are_sent_where_that_is_asked(vendor: DeltaXml) -> None:
    send = vendor.description()["send"] | {"rows": "all"}
    target = described(vendor, send=send)
    for key in ("1", "2"):
        new(target, DOOR, key=key)
    assert [keys(path) for path in sorted(vendor.out.iterdir())] == [["1"], ["1", "2"]]


def test_without_receipts_a_sent_file_is_confirmed(vendor: DeltaXml) -> None:
    send = vendor.description()["send"] | {"receipts": None}
    target = described(vendor, send=send)
    assert not target.capabilities.answers_later
    assert target.put(Change(before=None, after=ASA)).status == "confirmed"
    assert not only(target, "1001").pending


# ── answers ─────────────────────────────────────────────────────────────────────────────


def test_what_is_refused_is_amiss_and_an_empty_change_sends_it_again(
    vendor: DeltaXml, target: FileTarget
) -> None:
    vendor.refuses.add("1001")
    before = new(target, DOOR)
    assert before.pending
    vendor.pick_up()
    amiss = only(target, "1001")
    assert (amiss.pending, amiss.amiss) == ("", "the system refused the last write")
    assert vendor.doors == {}
    assert target.put(Change(before=amiss, after=amiss)).status == "submitted"
    assert only(target, "1001").pending
    vendor.pick_up()
    found = only(target, "1001")
    assert (found.pending, found.amiss, refs(found)) == ("", "", {DOOR})
    assert vendor.doors == {"1001": {DOOR}}
    assert target.put(Change(before=found, after=found)).status == "confirmed"
    assert vendor.taken == ["hr-000001.xml", "hr-000002.xml"]


def test_a_receipt_that_does_not_name_somebody_is_amiss(
    vendor: DeltaXml, target: FileTarget
) -> None:
    vendor.forgets.add("1001")
    new(target, DOOR)
    vendor.pick_up()
    assert "does not name this person" in only(target, "1001").amiss


def test_half_a_receipt_is_none(vendor: DeltaXml, target: FileTarget) -> None:
    new(target, DOOR)
    vendor.pick_up()
    [receipt] = vendor.receipts.iterdir()
    whole = receipt.read_bytes()
    for cut in range(len(whole)):
        receipt.write_bytes(whole[:cut])
        assert only(target, "1001").pending, f"cut at {cut}"
    receipt.write_bytes(whole)
    assert not only(target, "1001").pending


def test_an_older_answer_does_not_answer_a_newer_change(
    vendor: DeltaXml, target: FileTarget
) -> None:
    before = new(target, DOOR)
    vendor.pick_up()
    target.put(Change(before=before, after=replace(holding(before), status="suspended")))
    assert only(target, "1001").pending
    vendor.pick_up()
    assert vendor.doors == {"1001": set()}
    assert not only(target, "1001").pending


def test_a_write_that_was_interrupted_is_seen_and_sent_with_the_next(
    vendor: DeltaXml, target: FileTarget
) -> None:
    """As a power cut leaves it: announced, and in the list, but in no file."""
    new(target, DOOR)
    [sent] = vendor.out.iterdir()
    sent.unlink()
    journal = vendor.list.parent / ".lista.xml.sent"
    told = json.loads(journal.read_text())
    journal.write_text(json.dumps(told | {"waiting": {}, "unsent": ["1001"]}))
    shown = only(target, "1001")
    assert "interrupted" in shown.amiss
    new(target, HALL, key="1002")
    [sent] = vendor.out.iterdir()
    assert sent.name == "hr-000002.xml"
    assert sorted(filter(None, keys(sent))) == ["1001", "1002"]
    assert only(target, "1001").pending


def test_a_missing_folder_is_unavailable_before_anything_is_written(
    vendor: DeltaXml, target: FileTarget
) -> None:
    vendor.out.rmdir()
    before = vendor.list.read_bytes()
    with pytest.raises(Unavailable, match="cannot be listed"):
        new(target, DOOR)
    assert vendor.list.read_bytes() == before
    with pytest.raises(Unavailable, match="no such folder"):
        target.check()


def test_a_damaged_journal_is_unavailable(vendor: DeltaXml, target: FileTarget) -> None:
    new(target, DOOR)
    for text in ("", "{}", '{"format": "other"}', "[1]"):
        (vendor.list.parent / ".lista.xml.sent").write_text(text)
        with pytest.raises(Unavailable, match="journal of sent files"):
            list(target.read())


# ── XML ─────────────────────────────────────────────────────────────────────────────────

LIST = """<?xml version='1.0' encoding="utf-8"?>
<!-- <person nr="0"/> --><?skriv ej?>
<lista xmlns:x="urn:x" skapad='>2031'>
 <personer x:y="1" antal = '3'>
\t<person  nr = '1001'  aktiv="ja > nej" >
\t\t<namn xml:lang="sv">Åsa <!-- h --><![CDATA[& <Öberg>]]></namn><x:foto><namn>nej</namn></x:foto>
\t\t<grupper>A| B |C</grupper>
\t</person>
\t<person nr="a&quot;b"><spärr/><namn>&#197;&lt;&#x6F;</namn></person> text
\t<!-- slut --><person/>
 </personer><person nr="9"/>
</lista>
"""


@pytest.fixture
def edited(vendor: DeltaXml) -> DeltaXml:
    vendor.list.write_text(LIST, encoding="utf-8", newline="")
    return vendor


def test_what_xml_allows_is_understood(edited: DeltaXml, target: FileTarget) -> None:
    shown = {each.key: each for each in target.read()}
    assert set(shown) == {"1001", 'a"b', None}
    assert shown["1001"].display_name == "Åsa & <Öberg>"
    assert refs(shown["1001"]) == {"A", "B", "C"}
    assert shown['a"b'].display_name == "Å<o"


def test_only_what_is_meant_is_changed_in_xml(edited: DeltaXml, target: FileTarget) -> None:
    before = only(target, "1001")
    after = replace(holding(before, "A", "C", "D&E"), status="suspended")
    target.put(Change(before=before, after=after))
    text = edited.list.read_bytes().decode()
    expected = LIST.replace("A| B |C", "A|C|D&amp;E")
    # a child that was missing stands after those that are described before it
    head, close, rest = expected.partition("</namn><x:foto>")
    expected = f"{head}</namn>\n\t\t<spärr>1</spärr><x:foto>{rest}"
    expected = expected.replace(
        "</grupper>\n\t</person>", "</grupper>\n\t\t<åtgärd>3</åtgärd>\n\t</person>"
    )
    assert close
    assert text == expected
    assert only(target, "1001").status == "suspended"


def test_a_new_record_stands_after_the_last(edited: DeltaXml, target: FileTarget) -> None:
    target.put(Change(before=None, after=Cardholder(key='<&"', display_name="<&>'\"")))
    text = edited.list.read_text(encoding="utf-8")
    assert 'antal = "4"' in text
    assert text.count("<person/>") == 1
    found = only(target, '<&"')
    assert found.display_name == "<&>'\""
    assert ET.fromstring(text).findall("personer/person")[-1].get("nr") == '<&"'


@pytest.mark.case("X2")
@pytest.mark.parametrize(
    "attack",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><lista><personer antal="0"/></lista>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><lista><personer antal="0"/></lista>',
        '<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><personer antal="0">&b;</personer>',
    ],
)
def test_a_dtd_is_not_read(vendor: DeltaXml, target: FileTarget, attack: str) -> None:
    vendor.list.write_text(attack)
    with pytest.raises(Incomplete, match="holds a DTD"):
        list(target.read())


@pytest.mark.parametrize(
    ("old", "other", "told"),
    [
        ("antal = '3'", "antal='4'", "counts another number"),
        ("antal = '3'", "", "counts another number"),
        ('encoding="utf-8"', 'encoding="windows-1252"', "another encoding"),
        ("<spärr/>", "<spärr/><spärr/>", "two elements spärr"),
        ("<spärr/>", "<spärr><a/></spärr>", "holds elements"),
        ("<lista", "<personer/><lista", "not well-formed"),
        ("</lista>", "<personer/></lista>", "2 elements personer"),
        ("</lista>", "", "not well-formed"),
        ("&lt;", "&hemlig;", "not well-formed"),
    ],
)
def test_xml_that_is_not_as_described_is_incomplete(
    edited: DeltaXml, target: FileTarget, old: str, other: str, told: str
) -> None:
    edited.list.write_text(LIST.replace(old, other), encoding="utf-8")
    with pytest.raises(Incomplete, match=told) as raised:
        list(target.read())
    assert "hemlig" not in str(raised.value)


def test_xml_cut_anywhere_is_never_a_short_answer(edited: DeltaXml, target: FileTarget) -> None:
    whole, shown = edited.list.read_bytes(), picture(target)
    for cut in range(len(whole)):
        edited.list.write_bytes(whole[:cut])
        try:
            assert picture(target) == shown  # only the line end after the last tag may be missing
        except Incomplete:
            continue
        assert cut >= len(whole) - 1


def test_xml_in_windows_letters(vendor: DeltaXml) -> None:
    text = LIST.replace('encoding="utf-8"', 'encoding="Windows-1252"')
    vendor.list.write_bytes(text.encode("cp1252"))
    target = described(vendor, encoding="windows-1252")
    new(target, HALL, key="2001")
    assert b"\xc5sa \xd6berg" in vendor.list.read_bytes()
    with pytest.raises(Refused, match="cp1252"):
        target.put(Change(before=None, after=replace(ASA, key="7", display_name="Ђ")))


def test_a_new_xml_list_is_made_where_that_is_allowed(vendor: DeltaXml) -> None:
    vendor.list.unlink()
    target = described(vendor, create=True)
    new(target, DOOR)
    assert vendor.list.read_text(encoding="utf-8") == (
        '<?xml version="1.0" encoding="utf-8"?>\n<personer antal="1">\n  <person nr="1001">\n'
        "    <namn>Åsa Öberg</namn>\n    <spärr>0</spärr>\n    <grupper>FSK-ENTRE</grupper>\n"
        "    <åtgärd>3</åtgärd>\n  </person>\n</personer>\n"
    )
