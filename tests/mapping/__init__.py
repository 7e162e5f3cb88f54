"""Tests of who is who and who gets what."""
