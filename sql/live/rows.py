"""Rows of the engine as Arrow tables over the very same memory: what repeats is run-end encoded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa

from mismartera.engine.log.segment import Segment
from mismartera.engine.log.view import LogView
from mismartera.engine.state.history import HistoryInterval
from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.bars import LOG_BAR_SCHEMA

_SLICE_ROWS = 1 << 15
"""Rows DuckDB's threads take at a time: one large batch would be scanned by one thread."""


def session_table(snapshot: Snapshot, log: LogView) -> pa.Table:
    """Return all rows of a log, staged ones too, with their symbols and the session's date.

    Notes
    -----
    Every column of the segments is referred to, none copied; the two that are added hold one value per run of rows,
    so the table costs O(symbols) whatever it holds.
    """
    date = None if snapshot.session is None else snapshot.session.date
    return _joined(snapshot, [(segment, date) for segment in log.segments], log.schema)


def history_table(snapshot: Snapshot, interval: HistoryInterval) -> pa.Table:
    """Return all rows of an interval's trailing sessions; see `session_table`."""
    return _joined(snapshot, [(day.segment, day.date) for day in interval.days], LOG_BAR_SCHEMA)


def symbol_runs(segment: Segment, symbols: pa.Array) -> pa.RunEndEncodedArray:
    """Return the symbol of each row of a segment, one value per symbol that has rows. Cost: O(symbols)."""
    order = np.argsort(segment.start, kind="stable")
    order = order[segment.count[order] > 0]
    ends = np.cumsum(segment.count[order])
    return _runs(ends, symbols.take(pa.array(order)))


def _joined(snapshot: Snapshot, days: Sequence[tuple[Segment, dt.date | None]], schema: pa.Schema) -> pa.Table:
    symbols = symbol_array(snapshot)
    batches = []
    for segment, date in days:
        if segment.rows:
            dates = _runs(np.array([segment.rows]), pa.array([date], type=pa.date32()))
            columns = [symbol_runs(segment, symbols), dates, *segment.batch.columns]
            names = ["symbol", "session_date", *segment.batch.schema.names]
            whole = pa.RecordBatch.from_arrays(columns, names=names)
            batches += [whole.slice(start, _SLICE_ROWS) for start in range(0, segment.rows, _SLICE_ROWS)]
    if batches:
        return pa.Table.from_batches(batches)
    fields = [pa.field("symbol", pa.string()), pa.field("session_date", pa.date32()), *schema]
    return pa.schema(fields).empty_table()


def symbol_array(snapshot: Snapshot) -> pa.Array:
    """Return the registered symbols."""
    return _strings(snapshot.symbols)


@lru_cache(maxsize=8)
def _strings(texts: tuple[str, ...]) -> pa.Array:
    return pa.array(texts, type=pa.string())


def _runs(ends: np.ndarray[tuple[int], np.dtype[np.int64]], values: pa.Array) -> pa.RunEndEncodedArray:
    kind = pa.int32() if ends[-1] < 2**31 else pa.int64()
    return pa.RunEndEncodedArray.from_arrays(pa.array(ends).cast(kind), values)
