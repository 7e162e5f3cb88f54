"""Signatures of orders: what OpenSSL says of them, whose key is believed, and codes of lines."""

from __future__ import annotations

import hashlib
import hmac
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from idsync.errors import ConfigError
from idsync.settings import Secret
from idsync.targets.work_order import WorkOrderTarget
from idsync.targets.work_order_signing import Signer
from tests.fakes.work_order import PUBLIC_KEY
from tests.targets.work_order import House, anna, give, made_up_key, pem, refs, see

PAGE = Path(__file__).parents[2] / "docs" / "targets" / "work_order.md"
VERIFY = (
    "openssl pkeyutl -verify -pubin -inkey idsync-signing.pub -rawin "
    "-in order-000001.csv -sigfile order-000001.csv.sig"
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def target(house: House) -> WorkOrderTarget:
    return house.target()


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as it stands on the page, in *folder*."""
    return subprocess.run(
        command, cwd=folder, shell=True, capture_output=True, text=True, timeout=20, check=False
    )


def on_the_page(beginning: str) -> str:
    """Return the one command of the page that begins so."""
    [found] = re.findall(rf"^{re.escape(beginning)}.*$", PAGE.read_text(), re.MULTILINE)
    return str(found)


def by_openssl(*arguments: str) -> bytes:
    """Return what the real openssl makes."""
    made = subprocess.run(["openssl", *arguments], capture_output=True, check=True, timeout=20)
    return made.stdout


# ── what openssl says ───────────────────────────────────────────────────────────────────


def test_the_commands_of_the_page_make_a_key_and_verify_what_it_signs(house: House) -> None:
    assert run(on_the_page("openssl genpkey"), house.root).returncode == 0
    key = house.root / "bjorken.key"
    give(house.target(signing_key={"file": str(key)}), anna("PORT A"))
    assert on_the_page("openssl pkeyutl") == VERIFY
    told = run(VERIFY, house.folder)
    assert (told.returncode, told.stdout.strip()) == (0, "Signature Verified Successfully")
    ours = run(on_the_page("openssl pkey -in"), house.root)
    theirs = run(on_the_page("openssl pkey -pubin"), house.folder)
    assert re.search(r"\b[0-9a-f]{64}$", ours.stdout)
    assert ours.stdout == theirs.stdout, "the two fingerprints"


@pytest.mark.parametrize(
    "name", ["order-000001.csv", "order-000001.pdf", "order-000001-reminder-000001.pdf"]
)
def test_openssl_verifies_every_document_and_sees_one_changed_byte(
    house: House, target: WorkOrderTarget, name: str
) -> None:
    give(target, anna("PORT A"))
    house.clock.later(days=4)
    see(target)
    command = VERIFY.replace("order-000001.csv", name)
    assert run(command, house.folder).returncode == 0
    assert len((house.folder / f"{name}.sig").read_bytes()) == 64
    file = house.folder / name
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    told = run(command, house.folder)
    assert (told.returncode, told.stdout.strip()) == (1, "Signature Verification Failure")


def test_a_signature_fits_no_other_document(house: House, target: WorkOrderTarget) -> None:
    give(target, anna("PORT A"))
    give(target, anna("PORT A", "PORT B"), see(target))
    command = VERIFY.replace("-in order-000001", "-in order-000002")
    assert run(command, house.folder).returncode == 1
    assert run(VERIFY, house.folder).returncode == 0


def test_every_table_and_sheet_is_signed_and_the_form_to_fill_in_is_not(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    house.clock.later(days=4)
    see(target)
    names = set(house.files("order-*"))
    documents = {name for name in names if not name.endswith((".sig", "-answer.csv"))}
    assert {name.removesuffix(".sig") for name in names if name.endswith(".sig")} == documents
    assert len(documents) == 3


# ── the private key ─────────────────────────────────────────────────────────────────────

WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "a shared secret": (lambda: b"5f0c" * 16, "is no private key in PEM"),
    "empty": (lambda: b"", "is no private key in PEM"),
    "cut": (lambda: pem(made_up_key())[:-40], "is no private key in PEM"),
    "garbled": (lambda: pem(made_up_key()).replace(b"MC4C", b"!!!!"), "is no private key in PEM"),
    "not text": (lambda: b"\xff\xfe\x00", "cannot be read"),
    "public": (
        lambda: Signer(Secret("env", "MADE_UP_KEY")).public(), "is no private key in PEM",
    ),
    "encrypted": (
        lambda: by_openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:made up"),
        "is encrypted",
    ),
    "RSA": (
        lambda: by_openssl("genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024"),
        "of another kind than Ed25519",
    ),
    "Ed448": (lambda: by_openssl("genpkey", "-algorithm", "ed448"), "of another kind than Ed25519"),
    "X25519": (
        lambda: by_openssl("genpkey", "-algorithm", "x25519"), "of another kind than Ed25519",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_key_that_cannot_sign_uses_no_number_and_is_never_shown(
    house: House, monkeypatch: pytest.MonkeyPatch, make: Callable[[], bytes], told: str
) -> None:
    monkeypatch.setenv("MADE_UP_KEY", pem(made_up_key()).decode())
    key = make()
    house.secret.write_bytes(key)
    target = house.target()
    for call in (target.check, lambda: give(target, anna("PORT A"))):
        with pytest.raises(ConfigError, match=told) as caught:
            call()
        said = str(caught.value).encode()
        assert not any(line in said for line in key.splitlines() if line)
    assert house.files("order-*") == []
    assert not (house.folder / PUBLIC_KEY).exists()
    house.take_key(made_up_key())
    give(target, anna("PORT A"))
    assert house.files("order-*.pdf") == ["order-000001.pdf"]


def test_without_its_key_nothing_is_ordered(house: House) -> None:
    house.secret.unlink()
    target = house.target()
    for call in (target.check, lambda: give(target, anna("PORT A"))):
        with pytest.raises(ConfigError, match="cannot be read"):
            call()
    assert house.files("order-*") == []


def test_a_key_in_a_variable_of_the_environment_signs_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADE_UP_KEY", pem(made_up_key()).decode())
    give(house.target(signing_key={"env": "MADE_UP_KEY"}), anna("PORT A"))
    assert run(VERIFY, house.folder).returncode == 0


def test_a_missing_package_is_told_with_what_brings_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigError, match="extra work-order"):
        house.target().check()


def test_reading_needs_no_key(house: House, target: WorkOrderTarget) -> None:
    give(target, anna("PORT A"))
    house.secret.unlink()
    (house.folder / PUBLIC_KEY).write_bytes(b"another key")
    assert see(house.target()).pending
    assert [found.key for found in house.target().read()] == ["1001"]


# ── the public key in the folder ────────────────────────────────────────────────────────


def test_the_public_key_is_written_once(house: House, target: WorkOrderTarget) -> None:
    target.check()
    list(target.read())
    assert not (house.folder / PUBLIC_KEY).exists()
    give(target, anna("PORT A"))
    file = house.folder / PUBLIC_KEY
    assert file.read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----\n")
    before = file.stat()
    give(house.target(), anna("PORT A", "PORT B"), see(target))
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_public_key_with_other_line_ends_is_the_same_and_left_as_it_is(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    file = house.folder / PUBLIC_KEY
    edited = file.read_bytes().strip().replace(b"\n", b"\r\n")
    file.write_bytes(edited)
    give(target, anna("PORT A", "PORT B"), see(target))
    assert file.read_bytes() == edited
    assert run(VERIFY, house.folder).returncode == 0


@pytest.mark.parametrize("there", ["another's", "ours, and more", "empty", "cut"])
def test_another_public_key_in_the_folder_stops_orders_and_is_never_overwritten(
    house: House, target: WorkOrderTarget, there: str
) -> None:
    give(target, anna("PORT A"))
    file = house.folder / PUBLIC_KEY
    ours = file.read_bytes()
    (house.root / "another").write_bytes(pem(made_up_key("somebody else")))
    another = Signer(Secret("file", str(house.root / "another"))).public()
    key = {
        "another's": another, "ours, and more": another + ours, "empty": b"", "cut": ours[:-1][:-9],
    }[there]  # fmt: skip
    file.write_bytes(key)
    before = house.files("*")
    for call in (
        target.check, lambda: give(target, anna("PORT A", "PORT B")), lambda: target.put_many([]),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="is not the public key of signing_key"):
            call()
    assert (house.files("*"), file.read_bytes()) == (before, key)
    file.write_bytes(ours)
    assert refs(see(target)) == {"PORT A"}, "nothing was ordered"
    give(target, anna("PORT A", "PORT B"), see(target))
    assert house.files("order-*.pdf")[-1] == "order-000002.pdf", "no number was used"


def test_no_reminder_is_signed_beside_another_public_key(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    ours = (house.folder / PUBLIC_KEY).read_bytes()
    (house.folder / PUBLIC_KEY).write_bytes(b"another key")
    house.clock.later(days=4)
    with pytest.raises(ConfigError, match="is not the public key"):
        see(target)
    assert house.files("*reminder*") == []
    (house.folder / PUBLIC_KEY).write_bytes(ours)
    see(target)
    assert house.files("*reminder*.pdf") == ["order-000001-reminder-000001.pdf"]


def test_a_changed_key_is_an_error_until_the_old_public_key_is_put_away(house: House) -> None:
    target = house.target()
    give(target, anna("PORT A"))
    house.take_key(made_up_key("the next"))
    with pytest.raises(ConfigError, match="tell the landlord the new fingerprint"):
        give(target, anna("PORT A", "PORT B"), see(target))
    house.landlord.put_key_away(until=1)
    give(target, anna("PORT A", "PORT B"), see(target))
    old = VERIFY.replace("idsync-signing.pub", "idsync-signing-until-000001.pub")
    assert run(old, house.folder).returncode == 0, "orders from before keep their signature"
    assert run(VERIFY, house.folder).returncode == 1
    assert run(VERIFY.replace("000001", "000002"), house.folder).returncode == 0
    assert len(house.landlord.work()) == 2, "both orders are genuine"
    assert not see(target).pending, "codes made by the old key are still good"
    assert target.troubles() == []


def test_a_landlord_who_was_told_no_fingerprint_believes_nothing(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A"))
    house.landlord.fingerprints.clear()
    with pytest.raises(AssertionError, match="not from idsync"):
        house.landlord.work()


# ── codes ───────────────────────────────────────────────────────────────────────────────


def test_codes_come_from_the_private_key_by_hkdf(house: House) -> None:
    # RFC 5869, sections 2.2 and 2.3: extract without salt, expand to one block.
    seed = made_up_key().private_bytes_raw()
    extracted = hmac.digest(bytes(32), seed, hashlib.sha256)
    key = hmac.digest(extracted, b"idsync work order: acknowledgement codes\x01", hashlib.sha256)
    number = int.from_bytes(hmac.digest(key, b"(7, 0, None)", hashlib.sha256), "big")
    letters = "BCDFGHJKMNPQRSTVWXZ"
    expected = "".join(letters[number // 19**place % 19] for place in range(6))
    assert Signer(Secret("file", str(house.secret))).code(7, 0, None) == expected


def test_another_key_makes_other_codes(house: House) -> None:
    signer = Signer(Secret("file", str(house.secret)))
    first = [signer.code(order, 0, None) for order in range(50)]
    assert first == [signer.code(order, 0, None) for order in range(50)]
    house.take_key(made_up_key("the next"))
    assert not set(first) & {signer.code(order, 0, None) for order in range(50)}
