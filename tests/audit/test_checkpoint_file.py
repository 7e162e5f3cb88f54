"""The file of the checkpoints on a disk that fails: nothing is signed by halves, or taken for lost.

What others do to the file on purpose is test_checkpoints.py's.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from idsync.errors import ConfigError, IntegrityError
from idsync.store.audit_checkpoints import (
    WRITTEN,
    Checkpoints,
    last_checkpoint,
    read_checkpoints,
    written_by,
)
from idsync.store.audit_records import Record
from idsync.store.audit_signing import signing_key_in
from idsync.store.tables import meta
from tests.audit.examples import Site
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)


def last_number(site: Site) -> int:
    told = last_checkpoint(site.file)
    assert told is not None
    number: int = told["number"]
    return number


# ── no place, no room ───────────────────────────────────────────────────────────────────


def a_folder(folder: Path) -> Path:
    (folder / "checkpoints.d").mkdir()
    return folder / "checkpoints.d"


def below_a_file(folder: Path) -> Path:
    (folder / "plain").write_text("a file")
    return folder / "plain" / "checkpoints"


def a_long_name(folder: Path) -> Path:
    return folder / ("n" * 300)


def a_full_disk(_: Path) -> Path:
    return Path("/dev/full")


@pytest.mark.parametrize("place", [a_folder, below_a_file, a_long_name, a_full_disk])
def test_where_no_checkpoint_can_be_written_none_counts_as_written(
    site: Site, tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    key = signing_key_in(tmp_path / "new.key")
    file = place(tmp_path)
    with pytest.raises(ConfigError) as told:
        Checkpoints(file, key).write(site.state.engine)
    assert f"cannot be written to {file} (" in str(told.value)
    assert "check [idsync] checkpoints" in str(told.value)
    with site.state.engine.connect() as connection:
        assert written_by(connection, key.name) == 0
        assert written_by(connection, site.key.name) == 1
    assert site.problems() == []


def test_a_link_in_the_place_of_the_file_is_not_followed(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"")
    (tmp_path / "link").symlink_to(other)
    with pytest.raises(ConfigError, match="cannot be written"):
        Checkpoints(tmp_path / "link", site.key).write(site.state.engine)
    assert other.read_bytes() == b""


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond *size* octets."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_that_the_disk_took_a_part_of_does_not_count_and_is_signed_when_there_is_room(
    site: Site,
) -> None:
    whole = site.file.read_bytes()
    site.operations(1)
    with room_for(len(whole) + 10), pytest.raises(ConfigError, match="cannot be written"):
        site.state.audit.witness()
    assert len(site.file.read_bytes()) == len(whole) + 10
    assert last_number(site) == 1
    assert site.problems() == []
    site.state.audit.witness()
    assert last_number(site) == 2
    assert site.problems() == []
    assert site.verdict().unsigned == 0


@pytest.mark.parametrize("name", ["nothing", "folder", "n" * 300])
def test_checkpoints_that_cannot_be_read_are_not_taken_for_none(
    site: Site, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be read \(.+\): name them with --checkpoints"):
        read_checkpoints(tmp_path / name, [site.key.public])


# ── a crash, a damaged end ──────────────────────────────────────────────────────────────


def test_a_line_that_lost_nothing_but_its_end_is_whole_and_the_next_one_follows_it(
    site: Site,
) -> None:
    site.file.write_bytes(site.file.read_bytes().rstrip(b"\n"))
    assert last_number(site) == 1
    assert site.problems() == []
    site.operations(1)
    site.state.audit.witness()
    assert last_number(site) == 2
    assert len(site.file.read_bytes().splitlines()) == 2
    assert site.problems() == []


def test_after_a_first_line_that_was_torn_the_next_one_is_the_first(site: Site) -> None:
    half = site.file.read_bytes()[:100]
    site.file.write_bytes(half)
    # the machine died in the write: the state does not remember to have signed anything
    site.change(lambda c: c.execute(meta.delete().where(meta.c.name.startswith(WRITTEN))))
    assert last_checkpoint(site.file) is None
    site.state.audit.witness()
    assert site.file.read_bytes().startswith(half + b"\n{")
    assert last_number(site) == 1
    assert site.problems() == []


ENDS = {
    "the zeros of a power cut": bytes(200_000),
    "a torn line": b'{"at":"' + b"2" * 200_000,
    "damaged lines": (b"x" * 999 + b"\n{}\n[1]\n") * 200,
}


@pytest.mark.parametrize("end", ENDS)
def test_before_a_damaged_end_however_long_the_last_whole_line_is_found(
    site: Site, end: str
) -> None:
    with site.file.open("ab") as handle:
        handle.write(ENDS[end])
    assert last_number(site) == 1
    site.operations(1)
    site.state.audit.witness()
    assert last_number(site) == 2
    assert site.file.read_bytes().splitlines()[-1].startswith(b'{"at":')
    assert site.problems() == []
    assert site.verdict().checkpoints == 2


@pytest.mark.parametrize("change", ["number = 'x'", "hash = 'x'", "hash = 7"])
def test_for_a_chain_whose_head_is_none_nothing_is_signed(plain: Site, change: str) -> None:
    whole = plain.file.read_bytes()
    plain.change(lambda c: c.exec_driver_sql(f"UPDATE audit_head SET {change}"))
    with pytest.raises(IntegrityError, match="look with `idsync audit verify`"):
        plain.state.audit.witness()
    plain.state.audit.sign_off()  # what nobody waits for keeps the reason, and stops nothing
    assert "a chain of the audit is damaged" in plain.state.audit.unwitnessed
    assert plain.file.read_bytes() == whole


def test_a_line_that_is_longer_than_what_is_read_at_once_is_read_whole(site: Site) -> None:
    names = [f"{number} " + "nämnd " * 700 for number in range(40)]
    for digest in ("a", "b"):
        note = [
            Record(kind="configured", controller=one, facts={"digest": digest}) for one in names
        ]
        site.state.audit.note(NOW, *note)
        site.state.audit.witness()
    assert min(len(line) for line in site.file.read_bytes().splitlines()[1:]) > 150_000
    told = last_checkpoint(site.file)
    assert told is not None
    assert told["number"] == 3
    assert {told["heads"][name][0] for name in names} == {2}
    assert site.problems() == []


def test_a_file_of_empty_lines_is_damaged_and_nothing_is_signed_in_it(site: Site) -> None:
    site.file.write_bytes(b"\n \n\n")
    with pytest.raises(IntegrityError, match="damaged: restore the file"):
        last_checkpoint(site.file)
    site.operations(1)
    with pytest.raises(IntegrityError, match="damaged: restore the file"):
        site.state.audit.witness()
    assert site.file.read_bytes() == b"\n \n\n"
    assert [one[:35] for one in site.problems()] == ["checkpoints are missing at the end:"]


@pytest.mark.parametrize("how", ["emptied", "destroyed", "gone"])
def test_a_file_that_was_lost_is_told_for_good_whatever_is_signed_after_it(
    site: Site, how: str
) -> None:
    site.a_bit_of_everything()
    if how == "gone":
        site.file.unlink()
    else:
        site.file.write_bytes(b"" if how == "emptied" else b"x" * 300 + b"\n")
    for _ in range(3):
        site.operations(1)
        site.state.audit.witness()
        assert any(
            "is not the first: those before it are missing" in one for one in site.problems()
        )


def test_what_is_wrong_is_told_with_the_line_of_the_file(site: Site) -> None:
    site.state.audit.note(NOW, Record(kind="configured", facts={"digest": "cd"}))
    site.state.audit.witness()
    first, second = site.file.read_bytes().splitlines()
    site.file.write_bytes(first + b"\n" + second.replace(b'"number":2', b'"number":3') + b"\n")
    (problem,) = read_checkpoints(site.file, [site.key.public]).problems
    assert problem.startswith(f"{site.file.name} line 2 is not signed")
