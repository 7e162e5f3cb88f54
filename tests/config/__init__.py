"""Tests of connectors.toml."""
