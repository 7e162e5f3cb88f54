"""Personal identity numbers: matched by a keyed code where they must be, and kept nowhere.

A Swedish personnummer or samordningsnummer is no key here. Where a source has nothing else
to tell people by, its columns are named in `personal_numbers`: each value becomes a code
(HMAC-SHA-256 under a key that stands outside the state) before it is compared, kept or
shown. A code without a key would be worth nothing: there are so few numbers that all of
them are tried in seconds.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256

import polars as pl

from idsync.config import SourceConfig
from idsync.errors import ConfigError
from idsync.model import Kind

COLUMNS = ("key", "person_key", "employee_number", "user_name")
"""Columns by which people are told apart, and so the ones where such numbers turn up."""

SHAPE = r"^(1[89]|2[01])?\d\d(0[1-9]|1[0-2])([06][1-9]|[1278]\d|[39][01])[-+]?\d{4}$"
"""Date of birth, for a samordningsnummer with 60 added to the day; then four digits."""

LOOKED_AT = 1000
SHORTEST_KEY = 16


def coded(tables: Mapping[Kind, pl.DataFrame], source: SourceConfig) -> dict[Kind, pl.DataFrame]:
    """Return *tables* with every declared personal number replaced by its code.

    Raises:
        ConfigError: a column that is not declared holds such numbers, or there is no key.
    """
    for kind, table in tables.items():
        for name in set(COLUMNS) & set(table.columns) - _declared(kind, source):
            if _holds_numbers(table[name]):
                raise _undeclared(name)
    if not source.personal_numbers:
        return dict(tables)
    key = _key(source)
    return {
        kind: table.with_columns(
            _codes(table[name], key)
            for name in sorted(_declared(kind, source))
            if name in table.columns
        )
        for kind, table in tables.items()
    }


def coded_one(value: str, kind: Kind, column: str, source: SourceConfig) -> str:
    """Return what `coded` makes of one value: a table of one row would take longer than a write.

    Raises:
        ConfigError: it is such a number and not declared, or there is no key.
    """
    if column in _declared(kind, source):
        return _code(value, _key(source))
    if column in COLUMNS and re.fullmatch(SHAPE, value) and _checks(value):
        raise _undeclared(column)
    return value


def _undeclared(name: str) -> ConfigError:
    return ConfigError(
        f"{name} looks like personal identity numbers (personnummer), which are never kept as "
        "they are: map another column, or name it in personal_numbers"
    )


def _declared(kind: Kind, source: SourceConfig) -> set[str]:
    """The columns of one table; whom a `person_key` names is there by `key`."""
    declared = set(source.personal_numbers)
    return declared | {"key"} if kind == "persons" and "person_key" in declared else declared


def _holds_numbers(values: pl.Series) -> bool:
    """Whether at least half of the first values are such numbers, check digit and all."""
    if values.dtype != pl.String:
        return False
    known = values.drop_nulls().head(LOOKED_AT)
    known = known.filter(known != "")
    shaped = known.filter(known.str.contains(SHAPE))
    if known.is_empty() or shaped.len() * 2 < known.len():
        return False
    return sum(map(_checks, shaped)) * 2 >= known.len()


def _checks(number: str) -> bool:
    """Whether the last digit is the check digit of the nine before it (Luhn)."""
    digits = [int(sign) for sign in _ten_digits(number)]
    doubled = (sum(divmod(digit * 2, 10)) for digit in digits[0:9:2])
    return (sum(doubled) + sum(digits[1:10:2])) % 10 == 0


def _ten_digits(number: str) -> str:
    # with or without its century it is one number: they meet in what both have
    return "".join(sign for sign in number if sign.isdecimal())[-10:]


def _codes(values: pl.Series, key: bytes) -> pl.Series:
    distinct = values.drop_nulls().unique()
    codes = [_code(value, key) for value in distinct]
    return values.replace_strict(distinct, pl.Series(codes, dtype=pl.String), default=None)


def _code(value: str, key: bytes) -> str:
    if not value:
        return ""
    return f"pn-{hmac.digest(key, _ten_digits(value).encode(), sha256).hex()[:32]}"


def _key(source: SourceConfig) -> bytes:
    text = source.number_key.reveal() if source.number_key else ""
    if len(text) < SHORTEST_KEY:
        raise ConfigError(
            f"[correlation] number_key has fewer than {SHORTEST_KEY} signs: make a long one by "
            "chance, such as with `openssl rand -hex 32`"
        )
    return text.encode()
