"""What the one model holds together by itself."""

from __future__ import annotations

import pytest

from idsync.model import Cardholder, Change


def test_a_change_is_always_of_a_record_with_a_key() -> None:
    assert Change(before=None, after=Cardholder(key="n1")).key == "n1"
    with pytest.raises(ValueError, match="always has a key"):
        _ = Change(before=None, after=Cardholder(key=None)).key
