"""Figures of a snapshot as Arrow tables: gaps, quality, metrics, indicators; and what else a system tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.data.partition import EVENT_KINDS
from mismartera.engine.log.view import LogView
from mismartera.engine.state.snapshot import Snapshot, current
from mismartera.schemas.gaps import GapInfo
from mismartera.sql.tables import SQL_TABLES

from .rows import symbol_array

Ints = NDArray[np.int64]


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
    """Gap ranges of one interval and scope; `date` holds days since 1970 and is one entry, or one per range."""

    interval: str
    scope: str
    date: Ints
    code: Ints
    start_us: Ints
    end_us: Ints
    bar_count: Ints


def gaps_table(snapshot: Snapshot) -> pa.Table:
    """Return every gap range of the session by now and of history. Cost: O(ranges), all symbols at once."""
    date = None if snapshot.session is None else snapshot.session.date
    found = [*_session_ranges(snapshot, date), *_past_ranges(snapshot)]
    tables = [_ranges_table(snapshot, found)] if found else [SQL_TABLES["gaps"].schema.empty_table()]
    tables += [_set_gaps(snapshot, kind, code, gaps, date) for (kind, code), gaps in snapshot.set_gaps.items() if gaps]
    return pa.concat_tables(tables)


def _session_ranges(snapshot: Snapshot, date: dt.date | None) -> Iterator[_Ranges]:
    for kind in snapshot.logs if date is not None else ():
        view = None if kind in EVENT_KINDS else snapshot.gaps(kind)
        if view is None:
            continue
        gaps, starts = view.columns, view.grid.expected_starts
        keep = gaps.first < view.expected
        by_hand = [code for held, code in snapshot.set_gaps if held == kind]
        if by_hand:
            keep &= ~np.isin(gaps.code, by_hand)
        first, last = gaps.first[keep], np.minimum(gaps.last[keep], view.expected - 1)
        days = np.array([date], dtype="datetime64[D]").view(np.int64)
        yield _Ranges(kind, "session", days, gaps.code[keep], starts[first], starts[last], last - first + 1)


def _past_ranges(snapshot: Snapshot) -> Iterator[_Ranges]:
    for kind, interval in snapshot.history.intervals.items():
        gaps = interval.gaps()
        if gaps is not None:
            days = np.array([day.date for day in interval.days], dtype="datetime64[D]").view(np.int64)
            yield _Ranges(kind, "historical", days[gaps.day], gaps.code, gaps.start_us, gaps.end_us, gaps.bar_count)


def _ranges_table(snapshot: Snapshot, found: Sequence[_Ranges]) -> pa.Table:
    part = np.repeat(np.arange(len(found)), [len(ranges.code) for ranges in found])
    dates = np.concatenate([np.broadcast_to(ranges.date, len(ranges.code)) for ranges in found])
    code, start, end, count = (np.concatenate([ranges[place] for ranges in found]) for place in range(3, 7))
    columns = {
        "symbol": symbol_array(snapshot).take(pa.array(code)),
        "interval": pa.array([ranges.interval for ranges in found]).take(pa.array(part)),
        "scope": pa.array([ranges.scope for ranges in found]).take(pa.array(part)),
        "session_date": pa.array(dates.astype(np.int32)),
        "start_time": pa.array(start),
        "end_time": pa.array(end),
        "bar_count": count,
        "retry_count": np.zeros(len(code), dtype=np.int32),
    }
    return table_of("gaps", columns)


def _set_gaps(snapshot: Snapshot, kind: str, code: int, gaps: tuple[GapInfo, ...], date: dt.date | None) -> pa.Table:
    columns: dict[str, Any] = {
        name: [getattr(gap, name) for gap in gaps]
        for name in ("start_time", "end_time", "bar_count", "retry_count", "last_retry")
    }
    columns |= {"symbol": [snapshot.symbols[code]] * len(gaps), "interval": [kind] * len(gaps)}
    columns |= {"scope": ["session"] * len(gaps), "session_date": [date] * len(gaps)}
    return pa.Table.from_pydict(columns, schema=SQL_TABLES["gaps"].schema)


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
    for kind, log in snapshot.logs.items():
        if kind in EVENT_KINDS:
            continue
        view = snapshot.gaps(kind)
        counts = None if view is None else view.visible.copy()
        missing = None if view is None else view.missing.copy()
        for (held, code), gaps in snapshot.set_gaps.items():
            if held == kind and counts is not None and missing is not None:
                counts[code], missing[code] = len(gaps), sum(gap.bar_count for gap in gaps)
        told = {"quality": snapshot.quality(kind), "bars": _distinct(log), "gap_count": counts, "missing_bars": missing}
        yield kind, "session", told


def _past_quality(snapshot: Snapshot) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for kind, interval in snapshot.history.intervals.items():
        gaps = interval.gaps()
        counts = None if gaps is None else np.bincount(gaps.code, minlength=len(snapshot.symbols))
        told = {"quality": interval.quality(), "bars": interval.count(), "gap_count": counts}
        yield kind, "historical", told | {"missing_bars": interval.missing()}


def _distinct(log: LogView) -> Ints:
    """Return how many distinct bars of each symbol are visible; corrections of one bar count once."""
    return log.visible if log.ordered or not log.segments else current(log).count


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
        tables = [SQL_TABLES["indicators"].schema.empty_table()]
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
