"""The whole line, run as its users run it."""
