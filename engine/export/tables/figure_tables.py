"""The tables of an export beside its rows: gaps, quality, session metrics, history and indicators."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.export.consumers.filter import EVENTS
from mismartera.engine.export.document.ranges import GapRange, fresh_ranges, ranges_by_hand
from mismartera.engine.state.history import HistoryInterval
from mismartera.engine.state.snapshot import current
from mismartera.schemas.bars import TIMESTAMP

from .plan import Ints, TablePlan, constant
from .schemas import EXPORT_TABLES

SESSION, HISTORICAL = "session", "historical"


def gap_table(plan: TablePlan) -> pa.Table:
    """Return the gap ranges an export carries: all in a complete one; in a delta those new, changed or gone."""
    parts = [EXPORT_TABLES["gaps"].empty_table()]
    for kind in plan.session_kinds:
        if kind not in EVENTS:
            by_hand = ranges_by_hand(plan.snapshot, plan.held, kind)
            parts += [_computed(plan, kind, list(by_hand)), _by_hand(plan, kind, by_hand)]
    for text, interval in plan.history_intervals.items() if plan.fresh_history.any() else ():
        parts += _past(plan, text, interval)
    return pa.concat_tables(parts)


def _computed(plan: TablePlan, kind: str, besides: list[int]) -> pa.Table:
    """Return the computed ranges of all symbols but those whose codes are `besides`."""
    view, held = plan.snapshot.gaps(kind), plan.held
    if view is None or not len(view.columns.first):
        return EXPORT_TABLES["gaps"].empty_table()
    told = 0 if held is None else view.grid.expected_at(held.now_us)
    codes, first, last = fresh_ranges(view, told, plan.n_symbols if held is None else held.n_symbols)
    places = plan.places()
    places[besides] = -1
    starts = view.grid.expected_starts
    return _ranges(plan, kind, SESSION, places[codes], starts[first], starts[last], last - first + 1)


def _past(plan: TablePlan, text: str, interval: HistoryInterval) -> Iterable[pa.Table]:
    places = plan.places()
    places[plan.codes[~plan.fresh_history]] = -1
    gaps = interval.gaps()
    if gaps is not None:
        yield _ranges(plan, text, HISTORICAL, places[gaps.code], gaps.start_us, gaps.end_us, gaps.bar_count)


def _ranges(plan: TablePlan, kind: str, scope: str, places: Ints, start: Ints, end: Ints, bars: Ints) -> pa.Table:
    order = np.argsort(places, kind="stable")
    order = order[places[order] >= 0]
    count = len(order)
    columns = [
        plan.symbols(places[order]), constant(kind, count), _moments(start[order]), _moments(end[order]),
        pa.array(bars[order]), constant(scope, count), pa.array(np.zeros(count, dtype=np.int32)),
        pa.nulls(count, TIMESTAMP),
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=EXPORT_TABLES["gaps"])


def _by_hand(plan: TablePlan, kind: str, by_hand: Mapping[int, Sequence[GapRange]]) -> pa.Table:
    place_of = plan.places().tolist()
    held = [(place_of[code], gap) for code, gaps in by_hand.items() if place_of[code] >= 0 for gap in gaps]
    held.sort(key=lambda pair: pair[0])
    gaps = [gap for _, gap in held]
    columns = [
        plan.symbols(np.array([place for place, _ in held], dtype=np.int64)),
        constant(kind, len(held)),
        _moments(np.array([gap.start_us for gap in gaps], dtype=np.int64)),
        _moments(np.array([gap.end_us for gap in gaps], dtype=np.int64)),
        pa.array([gap.bar_count for gap in gaps], pa.int64()),
        constant(SESSION, len(held)),
        pa.array([gap.retry_count for gap in gaps], pa.int32()),
        pa.array([gap.last_retry_us for gap in gaps], TIMESTAMP),
    ]
    return pa.Table.from_arrays(columns, schema=EXPORT_TABLES["gaps"])


def quality_table(plan: TablePlan) -> pa.Table:
    """Return one row per symbol, data type and scope that the export tells of."""
    parts = [_session_quality(plan, kind) for kind in plan.session_kinds]
    if plan.fresh_history.any():
        parts += [_past_quality(plan, text, interval) for text, interval in plan.history_intervals.items()]
    return pa.concat_tables([EXPORT_TABLES["quality"].empty_table(), *parts])


def _session_quality(plan: TablePlan, kind: str) -> pa.Table:
    log, codes = plan.snapshot.logs[kind], plan.codes
    totals = (log.visible if log.ordered else current(log).count)[codes]
    places = np.arange(len(codes))
    if kind in EVENTS:
        places = np.flatnonzero(totals > 0)
        return _quality(plan, places, kind, SESSION, {"total_count": pa.array(totals[places])})
    view = plan.snapshot.gaps(kind)
    known = np.full(len(codes), view is not None)
    counts = np.zeros(len(codes), dtype=np.int64) if view is None else view.visible[codes]
    missing = np.zeros(len(codes), dtype=np.int64) if view is None else view.missing[codes]
    place_of = plan.places()
    for (interval, code), gaps in plan.snapshot.set_gaps.items():
        if interval == kind and (at := place_of[code]) >= 0:
            known[at], counts[at], missing[at] = True, len(gaps), sum(gap.bar_count for gap in gaps)
    figures = {
        "quality": _floats(plan.snapshot.quality(kind)[codes]),
        "total_count": pa.array(totals),
        "gap_count": pa.array(counts, mask=~known),
        "missing_bars": pa.array(missing, mask=~known),
        "generated": pa.repeat(pa.scalar(kind in plan.snapshot.generated), len(codes)),
    }
    return _quality(plan, places, kind, SESSION, figures)


def _past_quality(plan: TablePlan, text: str, interval: HistoryInterval) -> pa.Table:
    places = np.flatnonzero(plan.fresh_history)
    codes = plan.codes[places]
    quality, missing, gaps = interval.quality(), interval.missing(), interval.gaps()
    figures = {
        "total_count": pa.array(interval.count()[codes]),
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


def _quality(plan: TablePlan, places: Ints, kind: str, scope: str, figures: dict[str, pa.Array]) -> pa.Table:
    schema, count = EXPORT_TABLES["quality"], len(places)
    columns = {"symbol": plan.symbols(places), "interval": constant(kind, count), "scope": constant(scope, count)}
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
