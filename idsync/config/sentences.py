"""What is wrong with a setting and what to write instead, in a sentence without the value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ValidationError

from idsync.config.lines import Place

EXPECTED = {
    "string": 'a text in quotes: "…"',
    "path": 'a path in quotes: "…"',
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "list": "a list: [ … ]",
    "tuple": "a list: [ … ]",
    "set": "a list: [ … ]",
    "frozen": "a list: [ … ]",
    "dict": "a table: { … }",
    "model": "a table: { … }",
    "mapping": "a table: { … }",
    "date": "a date: 2026-01-31",
    "datetime": "a date and time: 2026-01-31T06:00:00",
    "url": 'a whole address in quotes: "https://host/path"',
}
"""What to write, by the first word of pydantic's name of the error."""

LIMITS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of")


MISSING = "this key is missing: add it"
TOO_SHORT = "this is empty or too short: write more, or leave the key out"


def suggest(word: object, known: Iterable[str]) -> str:
    """Return the end of a sentence: the known name nearest to *word*, or all of them."""
    names = sorted(known)
    for near in _nearest(word, names):
        return f"did you mean {near}?"
    return f"known: {', '.join(names)}" if names else "there is none yet"


def explain(
    error: ValidationError, model: type[BaseModel], raw: object, also: Iterable[str] = ()
) -> Iterator[tuple[Place, str]]:
    """Yield place and sentence for each thing that *model* finds wrong with *raw*.

    *also* are keys of the same table that somebody else reads. Values of *raw* are
    compared with what is known, and never repeated.
    """
    sentences: dict[Place, list[str]] = {}
    secondary: set[Place] = set()
    for found in error.errors(include_input=False, include_context=False, include_url=False):
        place = _written(found["loc"], raw, missing=found["type"] == "missing")
        if found["type"] == "extra_forbidden":
            known = set(_keys_at(model, found["loc"][:-1]))
            known |= set(also) if len(found["loc"]) == 1 else set()
            sentence = f"there is no such key here; {suggest(place[-1], known)}"
            secondary |= {(*place[:-1], meant) for meant in _nearest(place[-1], known)}
        else:
            sentence = _sentence(found["type"], found["msg"], _value_at(place, raw))
        if sentence not in sentences.setdefault(place, []):
            sentences[place].append(sentence)
    for place, several in sentences.items():
        if not (several == [MISSING] and place in secondary) and not _follows(place, sentences):
            yield place, " or ".join(several)


def _follows(place: Place, sentences: Mapping[Place, list[str]]) -> bool:
    """Tell whether a list is too short only because something in it is wrong."""
    return sentences[place] == [TOO_SHORT] and any(
        other[: len(place)] == place for other in sentences if other != place
    )


def _sentence(kind: str, message: str, value: object) -> str:
    if kind == "missing":
        return MISSING
    if kind == "value_error":
        return _own_words(message.removeprefix("Value error, "), value)
    if kind == "literal_error":
        return f"write {_one_of(message, value)}"
    if kind in LIMITS:
        return f"write a number {message.removeprefix('Input should be ')}"
    if kind in ("string_too_short", "too_short"):
        return TOO_SHORT
    expected = EXPECTED.get(kind.partition("_")[0])
    return f"write {expected}" if expected else "this value does not fit here"


def _own_words(sentence: str, value: object) -> str:
    """Return a validator's own sentence, unless it lets the value out."""
    text = str(value)
    told = re.search(rf"(?<![\w/]){re.escape(text)}(?![\w/])", sentence)
    if told and len(text) > 3 and not isinstance(value, Mapping):
        return "this value does not fit here"
    return sentence


def _one_of(message: str, value: object) -> str:
    names = re.findall(r"'([^']*)'", message)
    end = "".join(f"; did you mean {near}?" for near in _nearest(value, names))
    return f"one of {', '.join(names)}{end}"


def _nearest(word: object, known: Iterable[str]) -> list[str]:
    """Return the one known name that *word* may have been meant for, or nothing."""
    return get_close_matches(word, sorted(known), 1) if isinstance(word, str) else []


def _written(loc: Place, raw: object, *, missing: bool) -> Place:
    """Return the part of pydantic's *loc* that stands in the file.

    The names of the branches of a union stand in it too, and are left out.
    """
    place: Place = ()
    for part in loc:
        if _has(part, raw):
            place = (*place, part)
            raw = raw[part]  # type: ignore[index]  # _has has looked
    return (*place, loc[-1]) if missing and loc else place


def _has(part: str | int, raw: object) -> bool:
    if isinstance(raw, Mapping):
        return part in raw
    return isinstance(raw, list) and isinstance(part, int) and part < len(raw)


def _value_at(place: Place, raw: object) -> object:
    for part in place:
        if not _has(part, raw):
            return None
        raw = raw[part]  # type: ignore[index]  # _has has looked
    return raw


def _keys_at(model: type[BaseModel], loc: Place) -> Iterator[str]:
    """Yield the keys that the table at *loc* may have."""
    models = [model]
    for part in loc:
        inner = [
            deeper
            for one in models
            for name, field in one.model_fields.items()
            if part == (field.alias or name)
            for deeper in _models_in(field.annotation)
        ]
        if not inner:  # a table whose name is the user's own
            inner = [deeper for one in models for deeper in _models_in(_further(one))]
        branch = [one for one in models if one.__name__ == part]
        models = inner or branch or models
    for one in models:
        for name, field in one.model_fields.items():
            yield field.alias or name


def _further(model: type[BaseModel]) -> Any:  # noqa: ANN401 - any type form
    """Return the type of keys that *model* does not name."""
    return get_type_hints(model).get("__pydantic_extra__")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any type form
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
