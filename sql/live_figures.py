"""Figures of a snapshot as Arrow tables: gaps, quality, metrics, indicators; and what else a system tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.columns.gaps import GapColumns
from mismartera.engine.log.view import LogView
from mismartera.engine.state.history import HistoryInterval
from mismartera.engine.state.snapshot import Snapshot, current
from mismartera.schemas.gaps import GapInfo

from .live_rows import symbol_array
from .tables import TABLES

Ints = NDArray[np.int64]
_EVENTS = ("ticks", "quotes")


def table_of(name: str, columns: Mapping[str, Any], rows: int | None = None) -> pa.Table:
    """Return a table of this package's from columns; a missing one or None is NULL throughout, NaN is NULL."""
    schema = TABLES[name].schema
    length = rows if rows is not None else len(next(iter(columns.values())))
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if values is None:
            arrays.append(pa.nulls(length, field.type))
        elif isinstance(values, pa.Array | pa.ChunkedArray):
            arrays.append(values.cast(field.type))
        else:
            arrays.append(pa.array(values, from_pandas=True).cast(field.type))
    return pa.table(arrays, schema=schema)


def gaps_table(snapshot: Snapshot) -> pa.Table:
    """Return every gap range of the session by now and of history. Cost: O(ranges), all symbols at once."""
    date = None if snapshot.session is None else snapshot.session.date
    tables = [TABLES["gaps"].schema.empty_table()]
    for kind in snapshot.logs:
        view = None if kind in _EVENTS else snapshot.gaps(kind)
        if view is not None:
            by_hand = np.array([code for held, code in snapshot.set_gaps if held == kind], dtype=np.int64)
            keep = (view.columns.first < view.expected) & ~np.isin(view.columns.code, by_hand)
            tables.append(_ranges(snapshot, view.columns, keep, view.grid, view.expected, (kind, "session", date)))
    tables += [_set_gaps(snapshot, kind, code, gaps, date) for (kind, code), gaps in snapshot.set_gaps.items() if gaps]
    for kind, interval in snapshot.history.intervals.items():
        for day in interval.days:
            if day.gaps is not None and len(day.gaps.first):
                keep = np.ones(len(day.gaps.first), dtype=bool)
                told = (kind, "historical", day.date)
                tables.append(_ranges(snapshot, day.gaps, keep, day.grid, day.grid.n_expected, told))
    return pa.concat_tables(tables)


def _ranges(
    snapshot: Snapshot,
    gaps: GapColumns,
    keep: NDArray[np.bool_],
    grid: BucketGrid,
    expected: int,
    told: tuple[str, str, dt.date | None],
) -> pa.Table:
    first = gaps.first[keep]
    last = np.minimum(gaps.last[keep], expected - 1)
    starts = grid.expected_starts
    interval, scope, date = told
    columns = {
        "symbol": symbol_array(snapshot).take(pa.array(gaps.code[keep])),
        "interval": pa.repeat(interval, len(first)),
        "scope": pa.repeat(scope, len(first)),
        "session_date": pa.repeat(pa.scalar(date, pa.date32()), len(first)),
        "start_time": pa.array(starts[first]),
        "end_time": pa.array(starts[last]),
        "bar_count": last - first + 1,
        "retry_count": np.zeros(len(first), dtype=np.int32),
    }
    return table_of("gaps", columns)


def _set_gaps(snapshot: Snapshot, kind: str, code: int, gaps: tuple[GapInfo, ...], date: dt.date | None) -> pa.Table:
    columns: dict[str, Any] = {
        name: [getattr(gap, name) for gap in gaps]
        for name in ("start_time", "end_time", "bar_count", "retry_count", "last_retry")
    }
    columns |= {"symbol": [snapshot.symbols[code]] * len(gaps), "interval": [kind] * len(gaps)}
    columns |= {"scope": ["session"] * len(gaps), "session_date": [date] * len(gaps)}
    return pa.Table.from_pydict(columns, schema=TABLES["gaps"].schema)


def quality_table(snapshot: Snapshot) -> pa.Table:
    """Return quality, bars and gaps of each symbol and interval. Cost: O(symbols × intervals)."""
    tables = [TABLES["quality"].schema.empty_table()]
    for kind, log in snapshot.logs.items():
        if kind in _EVENTS:
            continue
        view = snapshot.gaps(kind)
        counts = None if view is None else view.visible.copy()
        missing = None if view is None else view.missing.copy()
        for (held, code), gaps in snapshot.set_gaps.items():
            if held == kind and counts is not None and missing is not None:
                counts[code], missing[code] = len(gaps), sum(gap.bar_count for gap in gaps)
        columns = {"quality": snapshot.quality(kind), "bars": _distinct(log), "gap_count": counts}
        tables.append(_quality(snapshot, kind, "session", columns | {"missing_bars": missing}))
    for kind, interval in snapshot.history.intervals.items():
        columns = {"quality": interval.quality(), "bars": interval.count(), "gap_count": _ranges_of(interval)}
        tables.append(_quality(snapshot, kind, "historical", columns | {"missing_bars": interval.missing()}))
    return pa.concat_tables(tables)


def _quality(snapshot: Snapshot, kind: str, scope: str, columns: Mapping[str, Any]) -> pa.Table:
    n_symbols = len(snapshot.symbols)
    named = {
        "symbol": symbol_array(snapshot),
        "interval": pa.repeat(kind, n_symbols),
        "scope": pa.repeat(scope, n_symbols),
    }
    return table_of("quality", named | dict(columns), n_symbols)


def _distinct(log: LogView) -> Ints:
    """Return how many distinct bars of each symbol are visible; corrections of one bar count once."""
    return log.visible if log.ordered or not log.segments else current(log).count


def _ranges_of(interval: HistoryInterval) -> Ints | None:
    counts = [day.gaps.count for day in interval.days if day.gaps is not None]
    return None if len(counts) < len(interval.days) or not counts else np.sum(counts, axis=0)


def metrics_table(snapshot: Snapshot) -> pa.Table:
    """Return volume, high, low and vwap of each symbol; see `Snapshot.metrics` for the cost."""
    metrics = snapshot.metrics()
    date = None if snapshot.session is None else snapshot.session.date
    columns = {name: getattr(metrics, name) for name in ("volume", "high", "low", "vwap")}
    dates = pa.repeat(pa.scalar(date, pa.date32()), len(snapshot.symbols))
    return table_of("session_metrics", {"symbol": symbol_array(snapshot), "session_date": dates} | columns)


def indicators_table(snapshot: Snapshot) -> pa.Table:
    """Return every historical indicator, one row per value; made once per history."""
    memo = snapshot.history.memo
    if "sql indicators" not in memo:
        tables = [TABLES["indicators"].schema.empty_table()]
        tables += [_indicator(snapshot, name, values) for name, values in snapshot.history.indicators.items()]
        memo["sql indicators"] = pa.concat_tables(tables)
    return memo["sql indicators"]


def _indicator(snapshot: Snapshot, name: str, values: NDArray[np.float64]) -> pa.Table:
    n_symbols = len(values)
    width = 1 if values.ndim == 1 else values.shape[1]
    columns: dict[str, Any] = {
        "name": pa.repeat(name, values.size),
        "symbol": symbol_array(snapshot).take(pa.array(np.repeat(np.arange(n_symbols), width))),
        "minute": None if values.ndim == 1 else np.tile(np.arange(width, dtype=np.int32), n_symbols),
        "value": values.ravel(),
    }
    return table_of("indicators", columns, values.size)


def symbols_table(snapshot: Snapshot) -> pa.Table:
    """Return the registered symbols."""
    return table_of("symbols", {"symbol": symbol_array(snapshot), "position": np.arange(len(snapshot.symbols))})


def exports_table(log: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return the timing log of exports, as `ExportLog.entries` gives it."""
    rows = []
    for entry in log:
        taken = {f"{name[:-2]}_us": round(value * 1e6) for name, value in entry.items() if name.endswith("_s")}
        rows.append({**entry, **taken, "generated_at": dt.datetime.fromisoformat(entry["generated_at"])})
    return pa.Table.from_pylist(rows, schema=TABLES["exports"].schema)


def threads_table(threads: Mapping[str, Any]) -> pa.Table:
    """Return the threads from their sections of an export."""
    rows = [
        {
            "name": name,
            "alive": section.get("thread_info", {}).get("is_alive"),
            "daemon": section.get("thread_info", {}).get("daemon"),
            "running": section.get("_running"),
            "details": orjson.dumps(section).decode(),
        }
        for name, section in threads.items()
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["threads"].schema)


def config_table(config: Mapping[str, Any]) -> pa.Table:
    """Return the configuration, one row per field that is no mapping itself."""
    rows = [{"key": key, "value": orjson.dumps(value).decode()} for key, value in _fields("", config)]
    return pa.Table.from_pylist(rows, schema=TABLES["config"].schema)


def _fields(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _fields(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, value
