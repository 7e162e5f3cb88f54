"""Finds connectors by entry point, and loads only the ones that are configured."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from idsync.config.sentences import suggest
from idsync.errors import ConfigError
from idsync.settings import Settings

if TYPE_CHECKING:
    from idsync.config.result import SourceConfig, TargetConfig
    from idsync.sources import Source
    from idsync.targets import Target

Side: TypeAlias = Literal["sources", "targets"]


def connect_source(config: SourceConfig) -> Source:
    """Return the connector of *config*. Nothing is contacted before its first call."""
    return cast("Source", adapter("sources", config.type)(config.settings))


def connect_target(config: TargetConfig) -> Target:
    """Return the connector of *config*. Nothing is contacted before its first call."""
    made = cast("Target", adapter("targets", config.type)(config.settings))
    if config.settles_s is not None:  # what is known of this system counts, not of its kind
        made.capabilities = replace(made.capabilities, settles_s=config.settles_s)
    return made


def adapter(side: Side, kind: str) -> type[Any]:
    """Return the connector class that is installed under the name *kind*.

    Raises:
        ConfigError: none is, two are, or it does not load. The sentence has no place.
    """
    offered = _offered(side, tuple(sys.path))
    fitting = [found for (name, _), found in offered.items() if name == kind]
    if len(fitting) == 1:
        return _load(fitting[0])
    if fitting:
        packages = ", ".join(sorted(_package(found) for found in fitting))
        raise ConfigError(
            f"{len(fitting)} packages offer this type ({packages}): uninstall all but one"
        )
    if not offered:
        raise ConfigError(
            "no connector is installed, not even idsync's own: install idsync with pip"
        )
    known = {name for name, _ in offered}
    raise ConfigError(f"no connector of this type is installed; {suggest(kind, known)}")


@lru_cache
def _offered(side: Side, path: tuple[str, ...]) -> dict[tuple[str, str], EntryPoint]:
    """What is installed on *path*; it does not change under a running program."""
    return {(found.name, found.value): found for found in entry_points(group=f"idsync.{side}")}


def _load(found: EntryPoint) -> type[Any]:
    package = _package(found)
    try:
        cls = found.load()
    except ImportError as error:
        missing = f" (module {error.name})" if error.name else ""
        raise ConfigError(
            f"type {found.name} of package {package} needs something that is not "
            f"installed{missing}: install it, or the extra of {package} that brings it"
        ) from None
    except Exception as error:
        raise ConfigError(
            f"type {found.name} of package {package} does not load ({type(error).__name__}): "
            "reinstall the package or report it to its author"
        ) from None
    config = getattr(cls, "Config", None)
    if isinstance(cls, type) and isinstance(config, type) and issubclass(config, Settings):
        return cls
    raise ConfigError(
        f"type {found.name} of package {package} is no connector: its class needs a Config "
        "made of idsync.settings.Settings; report it to its author"
    )


def _package(found: EntryPoint) -> str:
    return found.dist.name if found.dist else found.value.partition(".")[0]
