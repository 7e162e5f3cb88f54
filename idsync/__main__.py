"""Lets `python -m idsync` be the command."""

from idsync.cli import main

main()
