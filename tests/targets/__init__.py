"""Targets, each against the real thing where it runs here, and against a nasty fake."""
