"""The sections of an export that describe the system itself, as plain data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import psutil

from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.threads.worker import EngineThread
from mismartera.engine.time.time_manager import TimeManager
from mismartera.schemas.config import SessionConfig


def system_section(
    config: SessionConfig, time: TimeManager, state: str, started_at: str, *, debug: bool
) -> dict[str, Any]:
    """Return ``system_manager``: state, mode and window; debug adds uptime and memory."""
    window: dict[str, dt.date | None] = {"start_date": time.backtest_start_date, "end_date": time.backtest_end_date}
    section: dict[str, Any] = {
        "_state": state,
        "_mode": config.mode.upper(),
        "_start_time": started_at,
        "timezone": time.get_market_timezone().key,
        "exchange_group": config.exchange_group,
        "asset_class": config.asset_class,
        "backtest_window": None if time.backtest_start_date is None else window,
    }
    if debug:
        memory_mb = psutil.Process().memory_info().rss / 2**20
        section["performance"] = {"uptime_seconds": round(time.uptime_s, 3), "memory_usage_mb": round(memory_mb, 1)}
    return section


def thread_sections(
    threads: Mapping[str, EngineThread], snapshot: Snapshot | None = None, *, complete: bool = True, debug: bool = False
) -> dict[str, Any]:
    """Return ``threads``: one section per thread that exists.

    Parameters
    ----------
    threads : mapping
    snapshot : Snapshot, optional
        The one that is exported: the run goes on meanwhile, and whether the session is active is said as of it.
    complete, debug : bool
    """
    sections = {name: thread.to_json(complete, debug) for name, thread in threads.items()}
    if snapshot is not None and "session_coordinator" in sections:
        sections["session_coordinator"]["_session_active"] = snapshot.active
    return sections
