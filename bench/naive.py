"""The naive reference of exports: row objects in lists, walked and dumped with `json`, as the seeds describe it."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from mismartera.engine.state.snapshot import Snapshot


@dataclass(slots=True)
class Bar:
    """One bar, as an object."""

    timestamp: dt.datetime
    open: float
    high: float
    low: float
    close: float
    volume: int


@dataclass(slots=True)
class SymbolRows:
    """A symbol's bars by interval, and how many of each the consumer holds."""

    session: dict[str, list[Bar]] = field(default_factory=dict)
    historical: dict[str, list[Bar]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)


def objects_of(snapshot: Snapshot) -> dict[str, SymbolRows]:
    """Return everything a snapshot holds as row objects."""
    zone = snapshot.timezone
    held = {}
    for code, symbol in enumerate(snapshot.symbols):
        session = {kind: _bars(log.table(code), zone) for kind, log in snapshot.logs.items()}
        past = {kind: _bars(interval.table(code), zone) for kind, interval in snapshot.history.intervals.items()}
        held[symbol] = SymbolRows(session, past)
    return held


def complete(held: dict[str, SymbolRows]) -> str:
    """Return a complete export: rows alone, without metadata, quality or gaps, which flatters it."""
    return json.dumps({"session_data": {"symbols": {symbol: _symbol(rows) for symbol, rows in held.items()}}})


def delta(held: dict[str, SymbolRows]) -> str:
    """Return what was not sent: every list is asked for its tail."""
    symbols: dict[str, Any] = {}
    for symbol, rows in held.items():
        for kind, bars in rows.session.items():
            news = bars[rows.sent.get(kind, 0) :]
            symbols.setdefault(symbol, {})[kind] = _part(news, len(bars), "%H:%M:%S")
    return json.dumps({"session_data": {"symbols": symbols}})


def dict_rows(held: dict[str, SymbolRows]) -> str:
    """Return a complete export whose rows are objects with a name beside each value, as the seeds' first one had."""
    symbols = {
        symbol: {
            part: {kind: [_named(bar) for bar in bars] for kind, bars in held_bars.items()}
            for part, held_bars in (("session", rows.session), ("historical", rows.historical))
        }
        for symbol, rows in held.items()
    }
    return json.dumps({"session_data": {"symbols": symbols}})


def _symbol(rows: SymbolRows) -> dict[str, Any]:
    return {
        "session": {kind: _part(bars, len(bars), "%H:%M:%S") for kind, bars in rows.session.items()},
        "historical": {kind: _part(bars, len(bars), "%Y-%m-%dT%H:%M:%S") for kind, bars in rows.historical.items()},
    }


def _part(bars: list[Bar], total: int, pattern: str) -> dict[str, Any]:
    data = [[bar.timestamp.strftime(pattern), bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in bars]
    return {"count": len(data), "total_count": total, "data": data}


def _named(bar: Bar) -> dict[str, Any]:
    return {name: getattr(bar, name) for name in Bar.__slots__} | {"timestamp": bar.timestamp.isoformat()}


def _bars(table: pa.Table, zone: ZoneInfo) -> list[Bar]:
    names = ("timestamp", "open", "high", "low", "close", "volume")
    columns = [table.column(name).to_pylist() for name in names]
    return [Bar(stamp.astimezone(zone), *rest) for stamp, *rest in zip(*columns, strict=True)]
