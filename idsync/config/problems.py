"""What is wrong with a configuration: collected, then told together, each with its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from idsync.config.lines import Place, key_lines, line_of
from idsync.config.sentences import explain
from idsync.errors import ConfigError

MOST_SHOWN = 10

SomeModel = TypeVar("SomeModel", bound=BaseModel)


class Problems:
    """The problems of one file; the first one told of a place stands."""

    def __init__(self) -> None:
        self._found: dict[Place, str] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: Place, sentence: str) -> None:
        """Note that *sentence* is true of *place*."""
        self._found.setdefault(place, sentence)

    def check(
        self,
        model: type[SomeModel],
        raw: object,
        place: Place,
        context: Mapping[str, object],
        also: Iterable[str] = (),
    ) -> SomeModel | None:
        """Return *raw* as *model*, or note what is wrong and return None.

        *also* are keys of the same table that somebody else reads.
        """
        try:
            return model.model_validate(raw, context=dict(context))
        except ValidationError as error:
            for inner, sentence in explain(error, model, raw, also):
                self.add((*place, *inner), sentence)
            return None

    def error(self, path: Path, text: str) -> ConfigError:
        """Return the error that tells of all of them, in the order of the file."""
        lines = key_lines(text)
        found = sorted(
            (line_of(place, lines) or 0, place_name(place), sentence)
            for place, sentence in self._found.items()
        )
        told = [
            f"{path}:{line}: {name}: {sentence}" if line else f"{path}: {name}: {sentence}"
            for line, name, sentence in found[:MOST_SHOWN]
        ]
        if len(found) > MOST_SHOWN:
            told.append(f"{path}: and {len(found) - MOST_SHOWN} more: mend these first")
        return ConfigError("\n".join(told))


def place_name(place: Place) -> str:
    """Return *place* as it is told, elements of lists counted from 1: rules[3].when."""
    name = ""
    for part in place:
        if isinstance(part, int):
            name += f"[{part + 1}]"
        else:
            plain = re.fullmatch(r"[\w-]+", part)
            name += ("." if name else "") + (
                part if plain else json.dumps(part, ensure_ascii=False)
            )
    return name or "the file"
