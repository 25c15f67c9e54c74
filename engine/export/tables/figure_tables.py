"""The tables of an export beside its rows: gaps, quality, session metrics, history and indicators."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.export.consumers.filter import EVENTS
from mismartera.engine.log.view import held_offsets
from mismartera.engine.state.gap_log import ranges_of
from mismartera.engine.state.gap_rows import GapRows
from mismartera.engine.state.history import HistoryInterval
from mismartera.schemas.bars import TIMESTAMP

from .plan import Ints, TablePlan, constant
from .schemas import EXPORT_TABLES

SESSION, HISTORICAL = "session", "historical"


def gap_table(plan: TablePlan) -> pa.Table:
    """Return the gap ranges an export carries: all in a complete one; in a delta those new, changed or gone."""
    parts = [EXPORT_TABLES["gaps"].empty_table()]
    held = None if plan.held is None else plan.held.gaps
    for kind in plan.session_kinds:
        gaps = plan.snapshot.kinds[kind].gaps
        if gaps is not None:
            since = None if held is None else held_offsets(held, kind, gaps.visible)[plan.codes]
            parts.append(_ranges(plan, kind, SESSION, ranges_of(gaps, plan.codes, since)))
    for text, interval in plan.history_intervals.items() if plan.fresh_history.any() else ():
        past = interval.gaps
        if past is not None:
            places = plan.places()
            places[plan.codes[~plan.fresh_history]] = -1
            parts.append(_ranges(plan, text, HISTORICAL, past.rows()._replace(code=places[past.code])))
    return pa.concat_tables(parts)


def _ranges(plan: TablePlan, kind: str, part: str, rows: GapRows) -> pa.Table:
    """Return ranges as a table, by place; those without one are left out."""
    order = np.argsort(rows.code, kind="stable")
    order = order[rows.code[order] >= 0]
    count = len(order)
    columns = [
        plan.symbols(rows.code[order]), constant(kind, count), _moments(rows.start_us[order]),
        _moments(rows.end_us[order]), pa.array(rows.bar_count[order]), constant(part, count),
        pa.array(rows.retry_count[order].astype(np.int32)), rows.last_retry.take(pa.array(order)),
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=EXPORT_TABLES["gaps"])


def quality_table(plan: TablePlan) -> pa.Table:
    """Return one row per symbol, data type and scope that the export tells of."""
    parts = [_session_quality(plan, kind) for kind in plan.session_kinds]
    if plan.fresh_history.any():
        parts += [_past_quality(plan, text, interval) for text, interval in plan.history_intervals.items()]
    return pa.concat_tables([EXPORT_TABLES["quality"].empty_table(), *parts])


def _session_quality(plan: TablePlan, kind: str) -> pa.Table:
    state, codes = plan.snapshot.kinds[kind], plan.codes
    totals = state.distinct()[codes]
    places = np.arange(len(codes))
    if kind in EVENTS:
        places = np.flatnonzero(totals > 0)
        return _quality(plan, places, kind, SESSION, {"total_count": pa.array(totals[places])})
    searched = state.columns.searched
    unknown = np.full(len(codes), state.gaps is None) if searched is None else ~searched[codes]
    figures = {
        "quality": _floats(state.quality()[codes]),
        "total_count": pa.array(totals),
        "gap_count": pa.array(state.gap_count[codes], mask=unknown),
        "missing_bars": pa.array(state.missing[codes], mask=unknown),
        "generated": pa.repeat(pa.scalar(state.generated), len(codes)),
    }
    return _quality(plan, places, kind, SESSION, figures)


def _past_quality(plan: TablePlan, text: str, interval: HistoryInterval) -> pa.Table:
    places = np.flatnonzero(plan.fresh_history)
    codes = plan.codes[places]
    quality, missing, gaps = interval.quality, interval.missing, interval.gaps
    figures = {
        "total_count": pa.array(interval.count[codes]),
        "generated": pa.repeat(pa.scalar(interval.generated), len(codes)),
    }
    if quality is not None and missing is not None and gaps is not None:
        counts = np.bincount(gaps.code, minlength=plan.n_symbols)
        figures |= {
            "quality": _floats(quality[codes]),
            "gap_count": pa.array(counts[codes]),
            "missing_bars": pa.array(missing[codes]),
        }
    return _quality(plan, places, text, HISTORICAL, figures)


def _quality(plan: TablePlan, places: Ints, kind: str, part: str, figures: dict[str, pa.Array]) -> pa.Table:
    schema, count = EXPORT_TABLES["quality"], len(places)
    columns = {"symbol": plan.symbols(places), "interval": constant(kind, count), "scope": constant(part, count)}
    columns |= figures
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def metrics_table(plan: TablePlan) -> pa.Table:
    """Return volume, high, low and vwap of each symbol."""
    metrics, codes = plan.snapshot.metrics(), plan.codes
    prices = (_floats(values[codes]) for values in (metrics.high, metrics.low, metrics.vwap))
    columns = [plan.symbols(np.arange(len(codes))), pa.array(metrics.volume[codes]), *prices]
    return pa.Table.from_arrays(columns, schema=EXPORT_TABLES["session_metrics"])


def history_table(plan: TablePlan) -> pa.Table:
    """Return, for each symbol, which dates its history has data of, and whether this export carries it."""
    history, count = plan.snapshot.history, len(plan.codes)
    dates = sorted({day.date for interval in history.intervals.values() for day in interval.days})
    row_of = {date: row for row, date in enumerate(dates)}
    held = np.zeros((len(dates) + 1, plan.n_symbols), dtype=bool)
    for interval in history.intervals.values():
        for day in interval.days:
            held[row_of[day.date], : day.segment.n_symbols] |= day.segment.count > 0
    held = held[:-1, plan.codes]
    days = held.sum(axis=0).astype(np.int32)
    calendar = np.array([*dates, dt.date(1970, 1, 1)], dtype="datetime64[D]")
    some = days > 0
    first = np.argmax(held, axis=0) if len(dates) else np.zeros(count, dtype=np.int64)
    last = len(dates) - 1 - np.argmax(held[::-1], axis=0) if len(dates) else first
    columns = [
        plan.symbols(np.arange(count)),
        pa.repeat(pa.scalar(history.loaded), count),
        pa.array(plan.fresh_history),
        pa.array(calendar[first], mask=~some),
        pa.array(calendar[last], mask=~some),
        pa.array(days),
    ]
    return pa.Table.from_arrays(columns, schema=EXPORT_TABLES["history"])


def indicator_table(plan: TablePlan) -> pa.Table:
    """Return the indicators of the symbols whose history is carried: one row per figure."""
    places = np.flatnonzero(plan.fresh_history)
    parts = [EXPORT_TABLES["indicators"].empty_table()]
    indicators = plan.snapshot.history.indicators if plan.shows_history and len(places) else {}
    for name, values in indicators.items():
        chosen: NDArray[Any] = values[plan.codes[places]]
        width = 1 if chosen.ndim == 1 else chosen.shape[1]
        minutes = np.tile(np.arange(width, dtype=np.int32), len(places))
        columns = [
            plan.symbols(np.repeat(places, width)),
            constant(name, len(minutes)),
            pa.nulls(len(minutes), pa.int32()) if chosen.ndim == 1 else pa.array(minutes),
            _floats(chosen.ravel()),
        ]
        parts.append(pa.Table.from_arrays(columns, schema=EXPORT_TABLES["indicators"]))
    return pa.concat_tables(parts)


def _floats(values: NDArray[np.float64]) -> pa.Array:
    """Return doubles, those that are not finite as nulls."""
    return pa.array(values, mask=~np.isfinite(values))


def _moments(us: Ints) -> pa.Array:
    return pa.array(us).view(TIMESTAMP)
