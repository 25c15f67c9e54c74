"""Runs worth exporting: ticks, quotes, history, gaps, several sessions, a live feed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.export.consumers.consumers import Consumers
from mismartera.engine.export.document.document import Export
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.config import parse_config

SYMBOLS = ["ZZ", "AAPL", "BRK.B", "a/b~c"]
CONFIG: dict[str, Any] = {
    "session_name": "Two days",
    "backtest_config": {"start_date": "2025-07-02", "end_date": "2025-07-03"},
    "session_data_config": {
        "symbols": SYMBOLS,
        "streams": ["1m", "ticks", "quotes"],
        "derived_intervals": ["5m", "1h", "1d"],
        "historical": {
            "data": [{"interval": "1m", "trailing_days": 2}, {"interval": "1d", "trailing_days": 2}],
            "indicators": {
                "avg": {"type": "daily_average", "field": "volume", "trailing_days": 2},
                "each_minute": {"type": "intraday_average", "field": "close", "trailing_days": 2},
            },
        },
    },
}


def make_catalog(folder: Path) -> Path:
    days = dt.date(2025, 6, 30), dt.date(2025, 7, 3)
    generate(Catalog(folder), SYMBOLS, *days, seed=3, missing=0.05, daily=True, ticks=True, quotes=True)
    return folder


def make_run(catalog: Path, **changes: Any) -> SystemManager:
    wanted = CONFIG["session_data_config"] | changes
    return SystemManager(parse_config(CONFIG | {"session_data_config": wanted}), catalog)


def every(system: SystemManager, minutes: int, call: Callable[[], None]) -> None:
    """Have `call` made on the coordinator's thread whenever so many minutes of the hour have passed."""
    system.hooks.stepped.append(lambda us: call() if us % (minutes * 60_000_000) == 0 else None)


def export_of(data: SessionData, consumers: Consumers, *, complete: bool, consumer: str = "default") -> Export:
    """An export of a session that is fed by hand, with the sections a system would add."""
    threads: dict[str, Any] = {}
    names = ("_state", "_mode", "_start_time", "timezone", "exchange_group", "asset_class", "backtest_window")
    sections = {
        "system_manager": dict.fromkeys(names) | {"timezone": data.timezone.key},
        "performance_metrics": {},
        "time_manager": {"current_time": "2025-07-02T11:00:00-04:00", "current_session": None},
        "threads": threads,
    } | ({"session_config": {}} if complete else {})
    moment = dt.datetime.fromtimestamp(data.snapshot.now_us / 1e6, dt.UTC).astimezone(data.timezone)
    return consumers.export(
        consumer, data.snapshot, lambda: sections, complete=complete, debug=False, generated_at=moment.isoformat()
    )
