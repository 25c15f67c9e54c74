"""How long work on the catalog tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, text)``: units done, units in all, what is being worked on."""


def silent(done: int, total: int, text: str = "") -> None:
    """Tell nobody."""
