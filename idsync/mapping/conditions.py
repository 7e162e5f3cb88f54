"""Conditions of a rule: data, parsed once, evaluated on whole columns.

A condition is true, false or unknown for an employment. Polars' Boolean columns with
nulls follow Kleene's logic, so unknown is null, and `all`, `any` and `not` need no code
of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import polars as pl

TEXT_FIELDS = ("unit", "employer", "kind", "title", "job_code", "person_kind", "person_status")
FIELDS = (*TEXT_FIELDS, "unit_under", "percent", "primary", "member_of", "has_training")
JOINERS = ("all", "any", "not")
OPERATORS = ("one_of", "glob", "between")


@dataclass(frozen=True, slots=True)
class Test:
    """One field held against some values."""

    field: str
    operator: str  # one_of, glob, between
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition


Condition: TypeAlias = Test | All | AnyOf | Not


# ── parsing ─────────────────────────────────────────────────────────────────────────────


def parse(when: Mapping[str, Any]) -> Condition:
    """Return the condition that a `when` table states; an empty table always holds.

    Raises:
        ValueError: a sentence that says which key is wrong and what to write.
    """
    parts = tuple(_part(key, value) for key, value in when.items())
    return parts[0] if len(parts) == 1 else All(parts)


def _part(key: str, value: Any) -> Condition:  # noqa: ANN401 - whatever TOML holds
    if key in ("all", "any"):
        if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
            raise ValueError(f"{key} takes a list of tables: {key} = [ {{ … }}, {{ … }} ]")
        parts = tuple(parse(part) for part in value)
        return All(parts) if key == "all" else AnyOf(parts)
    if key == "not":
        if not isinstance(value, Mapping):
            raise ValueError("not takes a table: not = { … }")
        return Not(parse(value))
    if key not in FIELDS:
        near = get_close_matches(key, [*FIELDS, *JOINERS], 1)
        hint = f"; did you mean {near[0]}?" if near else f": one of {', '.join(FIELDS)}"
        raise ValueError(f"{key} is not a field of a condition{hint}")
    return _test(key, value)


def _test(field: str, value: Any) -> Condition:  # noqa: ANN401
    if isinstance(value, Mapping):
        if len(value) != 1 or next(iter(value)) not in (*OPERATORS, "not"):
            raise ValueError(f"{field} takes one operator of {', '.join(OPERATORS)}, not")
        [(operator, operand)] = value.items()
        if operator == "not":
            return Not(_test(field, operand))
        if operator == "between":
            return _between(field, operand)
        if operator == "glob":
            return _glob(field, operand)
        value = operand
    values = tuple(value) if isinstance(value, list) else (value,)
    wanted, name = _type(field)
    if not values or not all(type(one) in wanted for one in values):
        raise ValueError(f"{field} takes {name}, or a list of them")
    return Test(field, "one_of", tuple(dict.fromkeys(values)))


def _type(field: str) -> tuple[tuple[type, ...], str]:
    if field == "percent":
        return (int, float), "a number"
    if field == "primary":
        return (bool,), "true or false"
    return (str,), "a text"


def _between(field: str, operand: Any) -> Test:  # noqa: ANN401
    if field != "percent" and field not in ("job_code",):
        raise ValueError(f"between does not fit {field}: it fits percent and job_code")
    wanted, _ = _type(field)
    if (
        not isinstance(operand, list)
        or len(operand) != 2
        or any(type(o) not in wanted for o in operand)
    ):
        raise ValueError(f"{field} between takes two values, both included: [50, 100]")
    return Test(field, "between", tuple(operand))


def _glob(field: str, operand: Any) -> Test:  # noqa: ANN401
    if field not in TEXT_FIELDS and field != "member_of":
        raise ValueError(f"glob does not fit {field}: it fits texts")
    patterns = tuple(operand) if isinstance(operand, list) else (operand,)
    if not patterns or not all(isinstance(one, str) for one in patterns):
        raise ValueError(f'{field} glob takes a text with * and ?: {{ glob = "*lärare*" }}')
    return Test(field, "glob", tuple(dict.fromkeys(patterns)))


# ── evaluation ──────────────────────────────────────────────────────────────────────────


def tests(condition: Condition) -> Iterator[Test]:
    """Yield every test in *condition*."""
    if isinstance(condition, Test):
        yield condition
    elif isinstance(condition, Not):
        yield from tests(condition.part)
    else:
        for part in condition.parts:
            yield from tests(part)


def column(test: Test) -> list[str]:
    """Return the columns that *test* looks at; a group and a course have one of their own."""
    if test.field == "has_training":
        return [f"course:{course}" for course in test.values]
    if test.field == "member_of":
        return [f"group:{test.operator}:{group}" for group in test.values]
    return [{"unit_under": "unit", "percent": "percent_permille"}.get(test.field, test.field)]


def expression(condition: Condition, said: Callable[[Test], pl.Expr] | None = None) -> pl.Expr:
    """Return *condition* as a Boolean expression; null is unknown.

    *said* gives what a test says where that is known already; by default it is held
    against the columns that it looks at.
    """
    import polars as pl

    if isinstance(condition, Test):
        return said(condition) if said else _test_expression(condition)
    if isinstance(condition, Not):
        return ~expression(condition.part, said)
    parts = [expression(part, said) for part in condition.parts]
    if isinstance(condition, All):
        return pl.all_horizontal(parts) if parts else pl.lit(True)
    return pl.any_horizontal(parts) if parts else pl.lit(False)


def _test_expression(test: Test) -> pl.Expr:
    import polars as pl

    if test.field in ("has_training", "member_of"):
        return pl.any_horizontal([pl.col(name) for name in column(test)])
    value = pl.col(column(test)[0])
    if test.field == "unit_under":
        path = pl.concat_str(pl.lit(" / "), value, pl.lit(" / "))
        return pl.any_horizontal(
            [path.str.contains(f" / {unit} / ", literal=True) for unit in test.values]
        )
    if test.operator == "glob":
        return pl.any_horizontal([value.str.contains(glob_pattern(one)) for one in test.values])
    if test.operator == "between":
        low, high = (pl.lit(_number(test, one)) for one in test.values)  # a text is no column
        return value.is_between(low, high)
    wanted = [_number(test, one) for one in test.values]
    return value.is_in(wanted)


def _number(test: Test, value: Any) -> Any:  # noqa: ANN401
    return round(value * 10) if test.field == "percent" else value


def glob_pattern(glob: str) -> str:
    """Return *glob* (* any text, ? one character) as an anchored regular expression."""
    body = "".join({"*": ".*", "?": "."}.get(sign) or re.escape(sign) for sign in glob)
    return f"(?s)^{body}$"


# ── words ───────────────────────────────────────────────────────────────────────────────


def words(condition: Condition) -> str:
    """Return *condition* in words, for explanations."""
    if isinstance(condition, Not):
        return f"not ({words(condition.part)})"
    if isinstance(condition, Test):
        values = ", ".join(str(value) for value in condition.values)
        if condition.operator == "between":
            return f"{condition.field} between {condition.values[0]} and {condition.values[1]}"
        verb = {"one_of": "is" if len(condition.values) == 1 else "is one of", "glob": "looks like"}
        return f"{condition.field} {verb[condition.operator]} {values}"
    joiner = " and " if isinstance(condition, All) else " or "
    if not condition.parts:
        return "always" if isinstance(condition, All) else "never"
    return joiner.join(
        words(part) if isinstance(part, Test | Not) else f"({words(part)})"
        for part in condition.parts
    )
