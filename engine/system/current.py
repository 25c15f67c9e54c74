"""The system this process made last, for code that is handed none."""

from __future__ import annotations

from mismartera.schemas.errors import StateError

from .system_manager import SystemManager


def get_system_manager() -> SystemManager:
    """Return the system this process made last; raises `StateError` if it made none."""
    if SystemManager.last is None:
        raise StateError(
            "this process has no system yet", hint="make one: SystemManager('session.json', 'data/catalog')"
        )
    return SystemManager.last
