"""idsync keeps the doors of a city in step with the people who work there."""

__version__ = "0.1.0"
