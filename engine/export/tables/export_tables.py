"""`export_tables`: an export as Arrow tables, the same rows as its JSON."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa

from mismartera.engine.export.consumers.filter import EVENTS
from mismartera.engine.export.document.document import Export
from mismartera.engine.export.document.rows import columns_of
from mismartera.engine.log.gather import gather
from mismartera.engine.log.view import LogView
from mismartera.schemas.bars import LOG_BAR_SCHEMA

from .figure_tables import gap_table, history_table, indicator_table, metrics_table, quality_table
from .plan import Ints, TablePlan, constant, null_dates
from .schemas import EXPORT_TABLES


def export_tables(export: Export) -> dict[str, pa.Table]:
    """Return the tables of an export, by the names of `EXPORT_TABLES`; each is there, if need be without rows.

    Parameters
    ----------
    export : Export
        Complete or delta: the tables carry the rows, gap ranges and figures that its JSON carries.

    Returns
    -------
    dict of str to pyarrow.Table
        Rows by interval, then symbol by name, then in the order of the JSON: of time in a complete export, of arrival
        in a delta. Timestamps are UTC.

    Notes
    -----
    No Python per row or symbol. A session's segment that is sent whole is referred to, not copied.
    """
    plan = TablePlan.of(export.session)
    tables = {
        "session_bars": _session_bars(plan),
        "historical_bars": _historical_bars(plan),
        "gaps": gap_table(plan),
        "quality": quality_table(plan),
        "session_metrics": metrics_table(plan),
        "history": history_table(plan),
        "indicators": indicator_table(plan),
    }
    for kind in EVENTS:
        tables[kind], tables[f"latest_{kind}"] = _events(plan, kind)
    return {name: tables[name].unify_dictionaries() for name in EXPORT_TABLES}


def _session_bars(plan: TablePlan) -> pa.Table:
    date = None if plan.snapshot.session is None else plan.snapshot.session.date
    parts = []
    for kind in plan.session_kinds:
        if kind not in EVENTS:
            log, stops = _visible(plan, kind)
            rows, places = gather(log.segments, plan.codes, plan.starts(kind), stops, log.schema)
            parts.append(_bars(plan, kind, rows, places, date, generated=plan.snapshot.kinds[kind].generated))
    return pa.concat_tables([EXPORT_TABLES["session_bars"].empty_table(), *parts])


def _historical_bars(plan: TablePlan) -> pa.Table:
    parts = []
    fresh = plan.codes[plan.fresh_history]
    for text, interval in plan.history_intervals.items() if len(fresh) else ():
        segments = [day.segment for day in interval.days]
        counts = [np.pad(segment.count, (0, max(plan.n_symbols - segment.n_symbols, 0)))[fresh] for segment in segments]
        stops = np.sum(counts, axis=0) if counts else np.zeros(len(fresh), dtype=np.int64)
        rows, places = gather(segments, fresh, np.zeros_like(stops), stops, LOG_BAR_SCHEMA)
        days = np.array([day.date for day in interval.days], dtype="datetime64[D]")
        # A symbol's rows lie day after day, as its counts do.
        dates = np.repeat(np.tile(days, len(fresh)), np.stack(counts, axis=1).ravel()) if counts else days
        own = np.flatnonzero(plan.fresh_history)[places]
        parts.append(_bars(plan, text, rows, own, pa.array(dates), generated=interval.generated))
    return pa.concat_tables([EXPORT_TABLES["historical_bars"].empty_table(), *parts])


def _bars(
    plan: TablePlan, kind: str, rows: pa.Table, places: Ints, date: dt.date | pa.Array | None, *, generated: bool
) -> pa.Table:
    count = rows.num_rows
    if not isinstance(date, pa.Array):
        date = null_dates(count) if date is None else pa.repeat(pa.scalar(date, pa.date32()), count)
    columns: dict[str, Any] = {name: rows.column(name) for name in rows.schema.names}
    columns |= {
        "symbol": plan.symbols(places),
        "interval": constant(kind, count),
        "session_date": date,
        "generated": pa.repeat(pa.scalar(generated), count),
    }
    schema = EXPORT_TABLES["session_bars"]
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _events(plan: TablePlan, kind: str) -> tuple[pa.Table, pa.Table]:
    """Return the new ticks or quotes, and the last one of each symbol that has any."""
    schema = EXPORT_TABLES[kind]
    if kind not in plan.session_kinds:
        return schema.empty_table(), schema.empty_table()
    log, stops = _visible(plan, kind)
    rows, places = gather(log.segments, plan.codes, plan.starts(kind), stops, log.schema)
    last, holders = gather(log.segments, plan.codes, np.maximum(stops - 1, 0), stops, log.schema)
    return _event_table(plan, kind, rows, places), _event_table(plan, kind, last, holders)


def _event_table(plan: TablePlan, kind: str, rows: pa.Table, places: Ints) -> pa.Table:
    if not rows.num_rows:
        return EXPORT_TABLES[kind].empty_table()
    columns = [plan.symbols(places), *(rows.column(name) for name in columns_of(kind))]
    return pa.Table.from_arrays(columns, schema=EXPORT_TABLES[kind])


def _visible(plan: TablePlan, kind: str) -> tuple[LogView, Ints]:
    """Return a log as the export shows it, and where its symbols' rows end."""
    state = plan.snapshot.kinds[kind]
    log = state.served() if plan.complete else state.log
    return log, log.visible[plan.codes]
