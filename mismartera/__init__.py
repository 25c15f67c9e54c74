"""A columnar in-memory engine that holds the whole state of a trading session, to watch, query and export.

The public names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mismartera.engine.data.catalog import Catalog
    from mismartera.engine.data.data_manager import DataManager
    from mismartera.engine.session.session_data import SessionData
    from mismartera.engine.session.symbol_session_data import SymbolSessionData
    from mismartera.engine.system.current import get_system_manager
    from mismartera.engine.system.system_manager import SystemManager, SystemState
    from mismartera.engine.threads.analysis_context import AnalysisContext
    from mismartera.engine.time.time_manager import TimeManager
    from mismartera.schemas.config import SessionConfig, load_config, parse_config
    from mismartera.schemas.errors import MismarteraError
    from mismartera.schemas.gaps import GapInfo
    from mismartera.schemas.interval import Interval

_HOMES = {
    "AnalysisContext": "engine.threads.analysis_context",
    "Catalog": "engine.data.catalog",
    "DataManager": "engine.data.data_manager",
    "GapInfo": "schemas.gaps",
    "Interval": "schemas.interval",
    "MismarteraError": "schemas.errors",
    "SessionConfig": "schemas.config",
    "SessionData": "engine.session.session_data",
    "SymbolSessionData": "engine.session.symbol_session_data",
    "SystemManager": "engine.system.system_manager",
    "SystemState": "engine.system.system_manager",
    "TimeManager": "engine.time.time_manager",
    "get_system_manager": "engine.system.current",
    "load_config": "schemas.config",
    "parse_config": "schemas.config",
}

__all__ = [
    "AnalysisContext",
    "Catalog",
    "DataManager",
    "GapInfo",
    "Interval",
    "MismarteraError",
    "SessionConfig",
    "SessionData",
    "SymbolSessionData",
    "SystemManager",
    "SystemState",
    "TimeManager",
    "get_system_manager",
    "load_config",
    "parse_config",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
