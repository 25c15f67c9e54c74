"""What every benchmark runs on: seeded synthetic catalogs, and the configuration of a session over them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.schemas.config import SessionConfig, parse_config

SEED = 20250609
MONDAY, FRIDAY = dt.date(2025, 6, 9), dt.date(2025, 6, 13)
DERIVED = ("5m", "15m", "1h")


@contextmanager
def catalog(symbols: int, start: dt.date = MONDAY, end: dt.date = FRIDAY) -> Iterator[Catalog]:
    """Make a temporary catalog of 1m bars, 1 % of them missing; it is gone afterwards."""
    with TemporaryDirectory(prefix="mismartera-bench-") as folder:
        made = Catalog(Path(folder))
        generate(made, symbols, start, end, seed=SEED, missing=0.01)
        yield made


def config(
    symbols: int,
    start: dt.date = MONDAY,
    end: dt.date = FRIDAY,
    *,
    trailing_days: int = 0,
    prefetch_days: int = 1,
    derived: tuple[str, ...] = DERIVED,
) -> SessionConfig:
    """Return the configuration of a session over the first `symbols` of a generated catalog."""
    historical: dict[str, Any] = {"data": [{"interval": "1m", "trailing_days": trailing_days}]} if trailing_days else {}
    return parse_config(
        {
            "session_name": "bench",
            "backtest_config": {
                "start_date": start.isoformat(),
                "end_date": end.isoformat(),
                "prefetch_days": prefetch_days,
            },
            "session_data_config": {
                "symbols": [f"SYM{number:04d}" for number in range(1, symbols + 1)],
                "streams": ["1m"],
                "derived_intervals": list(derived),
                "historical": historical,
            },
        }
    )
