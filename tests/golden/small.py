"""Small systems over literal rows, for tests that say every answer by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.config import parse_config

MINUTE_US = 60_000_000
Row = tuple[str, int, float, float, float, float, int]


def us(moment: str) -> int:
    """Microseconds of a time with its offset, such as ``"2024-07-03T09:30-04:00"``."""
    return int(dt.datetime.fromisoformat(moment).timestamp()) * 1_000_000


def minutes(symbol: str, first: str, count: int, *, without: Sequence[int] = (), step: int = 1) -> list[Row]:
    """Bars from `first` on. Bar i opens at 10 + i, reaches half a unit above and below, closes a quarter up."""
    start = us(first)
    return [
        (symbol, start + i * step * MINUTE_US, 10.0 + i, 10.5 + i, 9.5 + i, 10.25 + i, 100)
        for i in range(count)
        if i not in without
    ]


def table(rows: Sequence[Row]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(BAR_SCHEMA.names, columns, strict=True)), schema=BAR_SCHEMA)


def make_system(
    folder: Path,
    rows: Sequence[Row],
    start: str,
    end: str | None = None,
    *,
    symbols: Sequence[str] = (),
    group: str = "US_EQUITY",
    base: str = "1m",
    derived: Sequence[str] = ("5m",),
    history: Sequence[tuple[str, int]] = (),
    on_error: Any = "raise",
    **more: Any,
) -> SystemManager:
    catalog = Catalog(folder / "catalog")
    if rows:
        catalog.upsert(base, table(rows))
    config = {
        "session_name": "Small run",
        "exchange_group": group,
        "backtest_config": {"start_date": start, "end_date": end or start},
        "session_data_config": {
            "symbols": list(symbols) or sorted({row[0] for row in rows}),
            "streams": [base],
            "derived_intervals": list(derived),
            "historical": {"data": [{"interval": i, "trailing_days": n} for i, n in history]},
            **more,
        },
    }
    return SystemManager(parse_config(config), catalog, on_error=on_error)
