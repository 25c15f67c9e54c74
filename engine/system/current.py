"""The system this process made last, for code that is handed none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mismartera.schemas.errors import StateError

if TYPE_CHECKING:
    from .system_manager import SystemManager

_current: SystemManager | None = None


def get_system_manager() -> SystemManager:
    """Return the system this process made last; raises `StateError` if it made none."""
    if _current is None:
        raise StateError(
            "this process has no system yet", hint="make one: SystemManager('session.json', 'data/catalog')"
        )
    return _current


def set_system_manager(system: SystemManager) -> None:
    """Make `system` the one that `get_system_manager` returns."""
    global _current
    _current = system
