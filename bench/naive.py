"""The naive reference of exports: row objects in lists, walked and dumped with `json`, as the seeds describe it.

It writes the very `session_data` the engine exports; what the engine works out (metrics, quality, gaps) it has at hand.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from mismartera.engine.state.gap_log import ranges_of
from mismartera.engine.state.snapshot import Snapshot

_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
_TIME, _DATETIME = "%H:%M:%S", "%Y-%m-%dT%H:%M:%S"


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
class Gap:
    """A run of missing bars, as an object."""

    start_time: dt.datetime
    end_time: dt.datetime
    bar_count: int


@dataclass(slots=True)
class Bars:
    """The bars of one symbol and interval, with what is known of them."""

    rows: list[Bar]
    generated: bool
    quality: float
    gaps: list[Gap]
    dates: list[dt.date]


@dataclass(slots=True)
class SymbolState:
    """A symbol's metrics, its bars by interval, and how many of each the consumer holds."""

    volume: int
    high: float
    low: float
    vwap: float
    session: dict[str, Bars]
    historical: dict[str, Bars]
    sent: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """Everything a snapshot holds, as objects."""

    now: dt.datetime
    active: bool
    ended: bool
    loaded: bool
    symbols: dict[str, SymbolState]


def objects_of(snapshot: Snapshot) -> State:
    """Return everything a snapshot holds as objects."""
    zone, metrics = snapshot.timezone, snapshot.metrics()
    symbols = {}
    for code, symbol in enumerate(snapshot.symbols):
        figures = [getattr(metrics, name)[code].item() for name in ("volume", "high", "low", "vwap")]
        session = {kind: _session_bars(snapshot, kind, code) for kind in snapshot.logs}
        past = {kind: _past_bars(snapshot, kind, code) for kind in snapshot.history.intervals}
        symbols[symbol] = SymbolState(*figures, session, past)
    now = _moment(snapshot.now_us, zone)
    return State(now, snapshot.active, snapshot.ended, snapshot.history.loaded, symbols)


def complete(state: State, row: Callable[[Bar, str], Any] | None = None) -> str:
    """Return a complete export's ``session_data``, its rows as arrays or as `row` makes them."""
    row = row or _array
    return json.dumps(
        {
            "_session_active": state.active,
            "_active_symbols": list(state.symbols),
            "session": {
                "date": state.now.date().isoformat(),
                "time": state.now.strftime(_TIME),
                "active": state.active,
                "ended": state.ended,
                "symbol_count": len(state.symbols),
            },
            "symbols": {symbol: _symbol(held, state.loaded, row) for symbol, held in state.symbols.items()},
        }
    )


def delta(state: State) -> str:
    """Return what was not sent: every list is asked for its tail."""
    symbols: dict[str, Any] = {}
    for symbol, held in state.symbols.items():
        for kind, bars in held.session.items():
            news = bars.rows[held.sent.get(kind, 0) :]
            told = {"count": len(news), "total_count": len(bars.rows), "data": [_array(bar, _TIME) for bar in news]}
            symbols.setdefault(symbol, {})[kind] = told
    return json.dumps({"session_data": {"symbols": symbols}})


def as_object(bar: Bar, pattern: str) -> dict[str, Any]:
    """Return a row with a name beside each value, as the seeds' first one had."""
    return {name: getattr(bar, name) for name in Bar.__slots__} | {"timestamp": bar.timestamp.isoformat()}


def _array(bar: Bar, pattern: str) -> list[Any]:
    return [
        bar.timestamp.strftime(pattern),
        float(bar.open),
        float(bar.high),
        float(bar.low),
        float(bar.close),
        int(bar.volume),
    ]


def _symbol(held: SymbolState, loaded: bool, row: Callable[[Bar, str], Any]) -> dict[str, Any]:
    dates = sorted({date for bars in held.historical.values() for date in bars.dates})
    return {
        "session": {
            "volume": held.volume,
            "high": held.high,
            "low": held.low,
            "vwap": held.vwap,
            "data": {
                kind: {"count": len(bars.rows), "total_count": len(bars.rows)} | _section(bars, _TIME, row)
                for kind, bars in held.session.items()
            },
        },
        "historical": {
            "loaded": loaded,
            "date_range": _range(dates),
            "data": {
                kind: {"count": len(bars.rows), "date_range": _range(bars.dates)}
                | {"dates": [date.isoformat() for date in bars.dates]}
                | _section(bars, _DATETIME, row)
                for kind, bars in held.historical.items()
            },
        },
    }


def _section(bars: Bars, pattern: str, row: Callable[[Bar, str], Any]) -> dict[str, Any]:
    return {
        "generated": bars.generated,
        "quality": bars.quality,
        "gaps": {
            "gap_count": len(bars.gaps),
            "missing_bars": sum(gap.bar_count for gap in bars.gaps),
            "ranges": [
                {
                    "start_time": gap.start_time.strftime(pattern),
                    "end_time": gap.end_time.strftime(pattern),
                    "bar_count": gap.bar_count,
                }
                for gap in bars.gaps
            ],
        },
        "columns": list(_COLUMNS),
        "data": [row(bar, pattern) for bar in bars.rows],
    }


def _range(dates: list[dt.date]) -> dict[str, Any]:
    first, last = (dates[0].isoformat(), dates[-1].isoformat()) if dates else (None, None)
    return {"start_date": first, "end_date": last, "days": len(dates)}


def _session_bars(snapshot: Snapshot, kind: str, code: int) -> Bars:
    state = snapshot.kinds[kind]
    assert state.gaps is not None
    ranges = ranges_of(state.gaps, np.array([code]))
    gaps = _gaps(
        zip(ranges.start_us.tolist(), ranges.end_us.tolist(), ranges.bar_count.tolist(), strict=True), snapshot.timezone
    )
    rows = _rows(snapshot.logs[kind].table(code), snapshot.timezone)
    return Bars(rows, state.generated, state.quality()[code].item(), gaps, [])


def _past_bars(snapshot: Snapshot, kind: str, code: int) -> Bars:
    interval = snapshot.history.intervals[kind]
    found, quality = interval.gaps, interval.quality
    assert found is not None
    assert quality is not None
    mine = found.code == code
    columns = (column[mine].tolist() for column in (found.start_us, found.end_us, found.bar_count))
    gaps = _gaps(zip(*columns, strict=True), snapshot.timezone)
    rows = _rows(interval.table(code), snapshot.timezone)
    return Bars(rows, interval.generated, quality[code].item(), gaps, list(interval.dates[code]))


def _gaps(ranges: Iterable[tuple[int, int, int]], zone: ZoneInfo) -> list[Gap]:
    return [Gap(_moment(start, zone), _moment(end, zone), count) for start, end, count in ranges]


def _rows(table: pa.Table, zone: ZoneInfo) -> list[Bar]:
    columns = [table.column(name).to_pylist() for name in _COLUMNS]
    return [Bar(stamp.astimezone(zone), *rest) for stamp, *rest in zip(*columns, strict=True)]


def _moment(us: int, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(us // 1_000_000, zone)
