"""Figures of a snapshot as Arrow tables: gaps, quality, metrics, indicators; and what else a system tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.data.partition import EVENT_KINDS
from mismartera.engine.state.gap_log import ranges_of
from mismartera.engine.state.gap_rows import GapRows
from mismartera.engine.state.history import History
from mismartera.engine.state.snapshot import Snapshot
from mismartera.sql.tables import SQL_TABLES

from .rows import symbol_array

Ints = NDArray[np.int64]
_NO_DATE = int(np.iinfo(np.int32).min)


def table_of(name: str, columns: Mapping[str, Any], rows: int | None = None) -> pa.Table:
    """Return a table of this package's from columns; a missing one or None is NULL throughout, NaN is NULL."""
    schema = SQL_TABLES[name].schema
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


class _Ranges(NamedTuple):
    """Gap ranges of one interval and part; `date` holds days since 1970 and is one entry, or one per range."""

    interval: str
    part: str
    date: Ints
    rows: GapRows


def gaps_table(snapshot: Snapshot) -> pa.Table:
    """Return every gap range of the session by now and of history. Cost: O(ranges), all symbols at once."""
    found = [*_session_ranges(snapshot), *_past_ranges(snapshot)]
    if not found:
        return SQL_TABLES["gaps"].schema.empty_table()
    counts = [len(ranges.rows.code) for ranges in found]
    place = pa.array(np.repeat(np.arange(len(found)), counts))
    code, start, end, bars, retries = (np.concatenate([ranges.rows[at] for ranges in found]) for at in range(5))
    rows = GapRows(code, start, end, bars, retries, pa.concat_arrays([ranges.rows.last_retry for ranges in found]))
    dates = np.concatenate([np.broadcast_to(ranges.date, count) for ranges, count in zip(found, counts, strict=True)])
    columns = {
        "symbol": symbol_array(snapshot).take(pa.array(rows.code)),
        "interval": pa.array([ranges.interval for ranges in found]).take(place),
        "scope": pa.array([ranges.part for ranges in found]).take(place),
        "session_date": pa.array(dates.astype(np.int32), mask=dates == _NO_DATE),
        "start_time": pa.array(rows.start_us),
        "end_time": pa.array(rows.end_us),
        "bar_count": rows.bar_count,
        "retry_count": rows.retry_count.astype(np.int32),
        "last_retry": rows.last_retry,
    }
    return table_of("gaps", columns)


def _session_ranges(snapshot: Snapshot) -> Iterator[_Ranges]:
    session = snapshot.session
    days = _NO_DATE if session is None else (session.date - dt.date(1970, 1, 1)).days
    date = np.array([days])
    codes = np.arange(len(snapshot.symbols))
    for name, kind in snapshot.kinds.items():
        if kind.gaps is not None:
            yield _Ranges(name, "session", date, ranges_of(kind.gaps, codes))


def _past_ranges(snapshot: Snapshot) -> Iterator[_Ranges]:
    for name, interval in snapshot.history.intervals.items():
        gaps = interval.gaps
        if gaps is not None:
            days = np.array([day.date for day in interval.days], dtype="datetime64[D]").view(np.int64)
            yield _Ranges(name, "historical", days[gaps.day], gaps.rows())


def quality_table(snapshot: Snapshot) -> pa.Table:
    """Return quality, bars and gaps of each symbol and interval. Cost: O(symbols × intervals)."""
    parts = [*_session_quality(snapshot), *_past_quality(snapshot)]
    if not parts:
        return SQL_TABLES["quality"].schema.empty_table()
    n_symbols = len(snapshot.symbols)
    part = pa.array(np.repeat(np.arange(len(parts)), n_symbols))
    unknown = np.full(n_symbols, np.nan)
    figures = {
        name: np.concatenate([unknown if told[name] is None else told[name] for *_, told in parts])
        for name in ("quality", "bars", "gap_count", "missing_bars")
    }
    columns = {
        "symbol": pa.concat_arrays([symbol_array(snapshot)] * len(parts)),
        "interval": pa.array([interval for interval, _, _ in parts]).take(part),
        "scope": pa.array([scope for _, scope, _ in parts]).take(part),
    }
    return table_of("quality", columns | figures)


def _session_quality(snapshot: Snapshot) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, kind in snapshot.kinds.items():
        if name in EVENT_KINDS:
            continue
        figures: dict[str, Any] = {"quality": kind.quality(), "bars": kind.distinct()}
        figures |= {"gap_count": None, "missing_bars": None}
        if kind.gaps is not None:
            searched = kind.columns.searched
            for figure, counts in (("gap_count", kind.gap_count), ("missing_bars", kind.missing)):
                figures[figure] = counts if searched is None else np.where(searched, counts, np.nan)
        yield name, "session", figures


def _past_quality(snapshot: Snapshot) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for kind, interval in snapshot.history.intervals.items():
        gaps = interval.gaps
        counts = None if gaps is None else np.bincount(gaps.code, minlength=len(snapshot.symbols))
        told = {"quality": interval.quality, "bars": interval.count, "gap_count": counts}
        yield kind, "historical", told | {"missing_bars": interval.missing}


def metrics_table(snapshot: Snapshot) -> pa.Table:
    """Return volume, high, low and vwap of each symbol; see `Snapshot.metrics` for the cost."""
    metrics = snapshot.metrics()
    date = None if snapshot.session is None else snapshot.session.date
    columns = {name: getattr(metrics, name) for name in ("volume", "high", "low", "vwap")}
    dates = pa.repeat(pa.scalar(date, pa.date32()), len(snapshot.symbols))
    return table_of("session_metrics", {"symbol": symbol_array(snapshot), "session_date": dates} | columns)


_INDICATORS: WeakKeyDictionary[History, pa.Table] = WeakKeyDictionary()


def indicators_table(snapshot: Snapshot) -> pa.Table:
    """Return every historical indicator, one row per value; made once per history."""
    history = snapshot.history
    if history not in _INDICATORS:
        tables = [SQL_TABLES["indicators"].schema.empty_table()]
        tables += [_indicator(snapshot, name, values) for name, values in history.indicators.items()]
        _INDICATORS[history] = pa.concat_tables(tables)
    return _INDICATORS[history]


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
    return pa.Table.from_pylist(rows, schema=SQL_TABLES["exports"].schema)


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
    return pa.Table.from_pylist(rows, schema=SQL_TABLES["threads"].schema)


def config_table(config: Mapping[str, Any]) -> pa.Table:
    """Return the configuration, one row per field that is no mapping with fields itself; none of an empty one."""
    rows = [{"key": key, "value": orjson.dumps(value).decode()} for key, value in _fields("", config)]
    return pa.Table.from_pylist(rows, schema=SQL_TABLES["config"].schema)


def _fields(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _fields(f"{prefix}.{key}" if prefix else str(key), inner)
    elif prefix:
        yield prefix, value
