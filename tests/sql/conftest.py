"""One small run that the SQL tests ask in three ways: live, through its exports, and through its catalog."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.config import parse_config
from mismartera.sql.database import Limits
from mismartera.sql.tables import SQL_TABLES

SYMBOLS = ["ZED", "BRK.B", "AAPL", "M'X"]
UNTIL = "2025-07-02T11:07"
FORMS = ("json", "json.gz", "parquet", "arrow")


@dataclass(frozen=True)
class Run:
    """A system that stopped at `UNTIL`, what it exported, and the rows of some steps as the engine told them then."""

    system: SystemManager
    catalog: Path
    exports: Path
    states: dict[int, pl.DataFrame]


def config(**changes):
    session = {
        "symbols": SYMBOLS,
        "streams": ["1m", "ticks", "quotes"],
        "derived_intervals": [5, "1h"],
        "historical": {
            "data": [{"interval": "1m", "trailing_days": 2}, {"interval": "1d", "trailing_days": 3}],
            "indicators": {
                "volume_2d": {"type": "daily_average", "field": "volume", "trailing_days": 2},
                "minute_close": {"type": "intraday_average", "field": "close", "trailing_days": 2},
            },
        },
    }
    window = {"start_date": "2025-07-01", "end_date": "2025-07-02"}
    return parse_config({"session_name": "sql", "backtest_config": window, "session_data_config": session | changes})


@pytest.fixture(scope="session")
def catalog(tmp_path_factory):
    """Return a catalog of four symbols: six sessions, three bars of a hundred missing."""
    folder = tmp_path_factory.mktemp("it's [a] catalog")
    window = dt.date(2025, 6, 25), dt.date(2025, 7, 2)
    generate(Catalog(folder), SYMBOLS, *window, seed=3, missing=0.03, daily=True, ticks=True, quotes=True)
    return folder


@pytest.fixture(scope="session")
def run(catalog, tmp_path_factory):
    """Return the run: chains of deltas in four forms, one of them mixed, and a complete export of each form."""
    folder = tmp_path_factory.mktemp("exports")
    system = SystemManager(config(), catalog)
    names = [*(form.replace(".", "_") for form in FORMS), "mixed"]
    for name in names:
        system.register_consumer(name)
        (folder / name).mkdir()
    states, count = {}, 0

    def export(us):
        nonlocal count
        count += 1
        if count % 701 and us != system.time_manager.parse_local(UNTIL):
            return
        number = len(states) + 1
        states[number] = session_bars(system)
        for form, name in zip(FORMS, names, strict=False):
            system.export_status(folder / name / f"{number:03}.{form}", complete=False, consumer=name)
        mixed = folder / "mixed" / f"{number:03}.{FORMS[number % 4]}"
        system.export_status(mixed, complete=number == 2, consumer="mixed")

    system.hooks.stepped.append(export)
    system.run(until=UNTIL)
    export(system.time_manager.parse_local(UNTIL))
    for form in FORMS:
        system.register_consumer(f"all_{form}")
        system.export_status(folder / f"complete.{form}", complete=True, consumer=f"all_{form}")
    return Run(system, catalog, folder, states)


def session_bars(system):
    """Return the visible session bars as the engine's own reading gives them, symbol by symbol."""
    parts = []
    for interval in ("1m", "5m", "1h"):
        for symbol in SYMBOLS:
            bars = system.session_data.get_bars(symbol, interval, part="session", as_polars=True)
            parts.append(bars.select(pl.lit(symbol).alias("symbol"), pl.lit(interval).alias("interval"), pl.all()))
    return pl.concat(parts)


def frame(table):
    return pl.DataFrame(pl.from_arrow(table))


def types_of(session):
    """Return the columns and types of every table as DuckDB describes them."""
    told = {}
    for name in SQL_TABLES:
        rows = session.query(f"DESCRIBE {name}").to_pylist()
        told[name] = [(row["column_name"], _short(row["column_type"])) for row in rows]
    return told


def _short(kind):
    return kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")


@pytest.fixture
def tight():
    return Limits(memory="200MB", timeout_s=1.0, rows=100_000)
