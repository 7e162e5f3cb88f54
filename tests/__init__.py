"""Tests: `./dev test` runs them all."""
