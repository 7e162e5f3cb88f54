"""connectors.toml, checked as a whole before anything is contacted."""

from idsync.config.connectors import connect_source, connect_target
from idsync.config.events import (
    WHOLE_CITY,
    Events,
    GraphResource,
    GraphTable,
    SenderTable,
    SetTable,
    WebhookTable,
)
from idsync.config.loading import load
from idsync.config.result import Config, SourceConfig, TargetConfig
from idsync.config.tables import Brakes, Correlation, General, Limits, Retention

__all__ = [
    "WHOLE_CITY",
    "Brakes",
    "Config",
    "Correlation",
    "Events",
    "General",
    "GraphResource",
    "GraphTable",
    "Limits",
    "Retention",
    "SenderTable",
    "SetTable",
    "SourceConfig",
    "TargetConfig",
    "WebhookTable",
    "connect_source",
    "connect_target",
    "load",
]
