"""A key that is no key is refused with what to do, wherever it stands and whatever it holds."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from idsync.errors import ConfigError
from idsync.store.audit_signing import (
    public_half,
    read_public_keys,
    read_signing_key,
    signing_key_in,
)

KEY = Ed25519PrivateKey.generate()
Private = Ed25519PrivateKey | EllipticCurvePrivateKey | X25519PrivateKey
OTHERS = (X25519PrivateKey.generate(), generate_private_key(SECP256R1()))
OPEN = NoEncryption()
UNKNOWN = (b"\x2b\x65\x70", b"\x2b\x65\x7f")  # the number of Ed25519, and one that is nobody's


def private(key: Private, encryption: KeySerializationEncryption = OPEN) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def public(key: Private) -> str:
    half = key.public_key()
    return half.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def pem(kind: str, der: bytes) -> str:
    return f"-----BEGIN {kind} KEY-----\n{b64encode(der).decode()}\n-----END {kind} KEY-----\n"


PRIVATE_DER = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, OPEN)
PUBLIC_DER = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def flips(der: bytes) -> Iterator[bytes]:
    """Every text that differs from *der* in one bit."""
    for place in range(len(der)):
        for bit in range(8):
            yield der[:place] + bytes([der[place] ^ 1 << bit]) + der[place + 1 :]


# ── what a key holds ────────────────────────────────────────────────────────────────────

NO_KEY = {
    "nothing": "",
    "words": "hemligt",
    "half of it": private(KEY)[:60],
    "the public half": public(KEY),
    "a password on it": private(KEY, BestAvailableEncryption(b"a password")),
    "a key that does not sign": private(OTHERS[0]),
    "a key of another kind": private(OTHERS[1]),
    "a kind that nobody knows": pem("PRIVATE", PRIVATE_DER.replace(*UNKNOWN)),
    "no text": "\ud800",
}


@pytest.mark.parametrize("what", NO_KEY)
def test_what_is_no_ed25519_key_is_refused_and_not_repeated(what: str) -> None:
    with pytest.raises(ConfigError) as told:
        read_signing_key(NO_KEY[what], "the variable KEY")
    assert str(told.value) == (
        "the variable KEY holds no Ed25519 key in PEM: check [idsync] audit_key"
    )


def test_a_sound_key_is_read_and_signs() -> None:
    key = read_signing_key(private(KEY), "here")
    assert key.public.verifies(KEY.sign(b"text").hex(), b"text")
    assert not key.public.verifies("no hexadecimal", b"text")


def test_a_private_key_with_a_changed_bit_is_another_key_or_refused() -> None:
    name, read, refused = read_signing_key(private(KEY), "here").name, 0, 0
    for der in flips(PRIVATE_DER):
        try:
            assert read_signing_key(pem("PRIVATE", der), "here").name != name
            read += 1
        except ConfigError:
            refused += 1
    assert read == 32 * 8  # any 32 octets are a key
    assert refused == (len(PRIVATE_DER) - 32) * 8


NO_PUBLIC_KEY = {
    "nothing": "",
    "the private half": private(KEY),
    "half of it": public(KEY)[:60],
    "a key that does not sign": public(OTHERS[0]),
    "a damaged one": "-----BEGIN PUBLIC KEY-----\nå\n-----END PUBLIC KEY-----\n",
    "a kind that nobody knows": pem("PUBLIC", PUBLIC_DER.replace(*UNKNOWN)),
    "a sound one before a damaged one": public(KEY) + pem("PUBLIC", PUBLIC_DER[:-1]),
}


@pytest.mark.parametrize("what", NO_PUBLIC_KEY)
def test_a_file_without_a_public_key_is_refused_though_the_others_have_one(
    tmp_path: Path, what: str
) -> None:
    sound, file = tmp_path / "sound.pub", tmp_path / "revisor.pub"
    sound.write_text(public(KEY))
    file.write_text(NO_PUBLIC_KEY[what], encoding="utf-8")
    assert len(read_public_keys([sound])) == 1
    with pytest.raises(ConfigError) as told:
        read_public_keys([sound, file])
    assert str(told.value) == f"{file} holds no Ed25519 public key in PEM: check --public-key"


@pytest.mark.parametrize("name", ["nothing", "folder", "sound.pub/below", "n" * 300])
def test_a_public_key_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "sound.pub").write_text(public(KEY))
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="check --public-key"):
        read_public_keys([tmp_path / name])


def test_of_several_public_keys_in_a_file_those_that_sign_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "revisor.pub"
    second = Ed25519PrivateKey.generate()
    file.write_text("the auditor's\n" + public(KEY) + public(OTHERS[0]) + public(second))
    keys = read_public_keys([file])
    assert [key.verifies(KEY.sign(b"x").hex(), b"x") for key in keys] == [True, False]
    assert [key.verifies(second.sign(b"x").hex(), b"x") for key in keys] == [False, True]


def test_a_public_key_with_a_changed_bit_is_another_key_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "audit.pub"
    text = KEY.sign(b"text").hex()
    for der in flips(PUBLIC_DER):
        file.write_text(pem("PUBLIC", der))
        try:
            assert not any(key.verifies(text, b"text") for key in read_public_keys([file]))
        except ConfigError as error:
            assert "check --public-key" in str(error)


# ── where a key stands ──────────────────────────────────────────────────────────────────


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def a_folder(file: Path) -> None:
    file.mkdir(mode=0o700)


def a_link_to_nothing(file: Path) -> None:
    file.symlink_to(file.with_name("nowhere"))


def no_text(file: Path) -> None:
    file.touch(mode=0o600)
    file.write_bytes(b"\xff\xfe\xfd")


@pytest.mark.parametrize("harm", [a_folder, a_link_to_nothing, no_text])
def test_a_key_that_cannot_be_read_is_told_and_no_other_is_made(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    file = tmp_path / "audit.key"
    harm(file)
    with pytest.raises(ConfigError) as told:
        signing_key_in(file)
    assert str(told.value) == (
        f"the audit's key {file} cannot be read: check [idsync] audit_key and its rights"
    )
    assert names(tmp_path) == ["audit.key"]


@pytest.mark.parametrize(
    "name",
    ["plain/audit.key", "plain/below/audit.key", "n" * 300, "n" * 250, "f" * 300 + "/audit.key"],
)
def test_where_no_key_can_be_made_it_is_told_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(ConfigError) as told:
        signing_key_in(tmp_path / name)
    assert str(told.value) == (
        f"the audit's key cannot be made at {tmp_path / name}: check [idsync] audit_key"
    )
    assert names(tmp_path) == ["plain"]


def test_a_key_whose_public_half_has_no_place_is_told_and_no_half_made_one_is_left(
    tmp_path: Path,
) -> None:
    (tmp_path / "audit.pub").mkdir()
    with pytest.raises(ConfigError, match="cannot be made"):
        signing_key_in(tmp_path / "audit.key")
    assert names(tmp_path) == ["audit.key", "audit.pub"]
    assert signing_key_in(tmp_path / "audit.key").sign(b"text")  # whole, and its own


def test_a_key_is_made_with_the_folders_it_stands_in(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "of the audit" / "audit.key"
    made = signing_key_in(file)
    assert signing_key_in(file).name == made.name
    assert [one.name for one in read_public_keys([public_half(file)])] == [made.name]
    assert sorted(one.name for one in file.parent.iterdir()) == ["audit.key", "audit.pub"]
