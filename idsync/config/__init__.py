"""connectors.toml, checked as a whole before anything is contacted."""

from idsync.config.connectors import connect_source, connect_target
from idsync.config.loading import load
from idsync.config.result import Config, SourceConfig, TargetConfig
from idsync.config.tables import (
    WHOLE_CITY,
    Brakes,
    Correlation,
    Events,
    General,
    Limits,
    Retention,
    SenderTable,
)

__all__ = [
    "WHOLE_CITY",
    "Brakes",
    "Config",
    "Correlation",
    "Events",
    "General",
    "Limits",
    "Retention",
    "SenderTable",
    "SourceConfig",
    "TargetConfig",
    "connect_source",
    "connect_target",
    "load",
]
