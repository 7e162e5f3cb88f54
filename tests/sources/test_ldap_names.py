"""Two ways to write one distinguished name are one name, and two names stay two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idsync.sources.ldap_names import normal_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("uid=Åsa,ou=People,dc=Staden", "UID=åsa,OU=people,DC=staden"),
        ("uid=a,ou=b", "uid = a , ou = b"),
        ("uid=a,ou=b", "uid=a;ou=b"),
        ("cn=Ek\\, Åsa,dc=x", "cn=Ek\\2C Åsa,dc=x"),
        ("cn=Ek\\, Åsa,dc=x", "cn=Ek\\2c \\C3\\85sa,dc=x"),
        ("cn=Ek\\, Åsa,dc=x", 'cn="Ek, Åsa",dc=x'),
        ("cn=A\\+B+uid=1,dc=x", "uid=1+cn=a\\2Bb,dc=x"),
        ("cn=\\#1,dc=x", "cn=\\231,dc=x"),
        ("cn=#0403414243,dc=x", "CN=#0403414243,dc=x"),
        ("cn=\\ två  ord\\ ,dc=x", "cn=två ord,dc=x"),
        ("cn=a\\=b,dc=x", "cn=a=b,dc=x"),
        ("cn=a\\\\b,dc=x", "cn=a\\5Cb,dc=x"),
        ("cn=A\u030asa,dc=x", "cn=Åsa,dc=x"),
        ("cn=Strauß,dc=x", "cn=STRAUSS,dc=x"),
    ],
)
def test_two_ways_to_write_a_name_are_one(one: str, other: str) -> None:
    assert normal_name(one.encode()) == normal_name(other.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cn=a,ou=b,dc=x", "cn=a\\,ou=b,dc=x"),
        ("cn=a+uid=1,dc=x", "cn=a\\+uid=1,dc=x"),
        ("cn=\\#41,dc=x", "cn=#41,dc=x"),
        ("cn=a\\\\,dc=x", "cn=a\\,dc=x"),
        ("cn=Åsa,dc=x", "cn=Asa,dc=x"),
        ("cn=Ek,dc=x", "cn=Ek,dc=y"),
        ("cn=a，dc=x", "cn=a,dc=x"),
    ],
)
def test_two_names_stay_two(one: str, other: str) -> None:
    assert normal_name(one.encode()) != normal_name(other.encode())


@pytest.mark.parametrize("name", [b"", b"anna", b"=x", b"cn=a,b\\,c", b"cn=\xff", b"cn=\\ff,dc=x"])
def test_what_is_no_name_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match=r"name|utf-8"):
        normal_name(name)


def escaped(value: str, how: int) -> str:
    """Write *value* for a name: each letter plain, with a backslash, or in hexadecimal."""
    if how == 1:
        return "".join(f"\\{octet:02X}" for octet in value.encode())
    special = ',+"\\<>;=#' if how == 0 else ',+"\\<>;='
    text = "".join(f"\\{letter}" if letter in special else letter for letter in value)
    return f"\\{text}" if text.startswith(("#", " ")) else text


VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text and "  " not in text
)


@given(st.lists(VALUES, min_size=1, max_size=3), st.integers(0, 2), st.integers(0, 2))
def test_however_a_value_is_escaped_the_name_is_the_same(
    values: list[str], first: int, second: int
) -> None:
    one, other = (
        ",".join(f"cn={escaped(value, how)}" for value in values).encode()
        for how in (first, second)
    )
    assert normal_name(one) == normal_name(other)


TRICKY = st.text('aB1 ,+=\\#"<>;', min_size=1, max_size=6).filter(
    lambda text: text.strip() == text and "  " not in text
)


@given(TRICKY, TRICKY, st.integers(0, 2), st.integers(0, 2))
def test_values_that_differ_make_names_that_differ(
    one: str, other: str, first: int, second: int
) -> None:
    a = normal_name(f"cn={escaped(one, first)},dc=x".encode())
    b = normal_name(f"cn={escaped(other, second)},dc=x".encode())
    assert (a == b) == (one.lower() == other.lower())
