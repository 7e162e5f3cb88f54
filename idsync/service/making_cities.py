"""Makes a whole made-up city, its access systems as history has left them."""

from __future__ import annotations
