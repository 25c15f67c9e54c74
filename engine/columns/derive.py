"""Derived bars: coarser intervals out of finer ones, all symbols of a session in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.bars import LOG_BAR_SCHEMA, TIMESTAMP
from mismartera.schemas.interval import Interval

from .buckets import BucketGrid, session_grid

Ints = NDArray[np.int64]


def derive(finer: Segment, grid: BucketGrid, base_us: int) -> Segment:
    """Return the bars of `grid` made of the rows of `finer`.

    Parameters
    ----------
    finer : Segment
        Bars with `LOG_BAR_SCHEMA`, sorted by timestamp within a symbol, of an interval that divides the grid's.
    grid : BucketGrid
        The coarser interval's buckets. Rows outside them are left out.
    base_us : int
        Length of a base bar in microseconds: what `n_expected` counts.

    Returns
    -------
    Segment
        One row per symbol and bucket that has at least one row of `finer`; a bucket without any yields none. A row
        is available when its bucket ends.

    Notes
    -----
    O(rows): sorted rows need no hashing, only the places where symbol or bucket change.
    """
    buckets = grid.locate(finer.column("timestamp"))
    if len(buckets) and buckets.min() < 0:
        finer, buckets = _inside(finer, buckets)
    first = _group_starts(finer, buckets)
    if not len(first):
        return Segment(empty_bars(), np.zeros_like(finer.start), np.zeros_like(finer.count))
    last = np.append(first[1:], finer.rows) - 1
    chosen = buckets[first]
    columns = (
        grid.starts[chosen],
        finer.column("open")[first],
        np.maximum.reduceat(finer.column("high"), first),
        np.minimum.reduceat(finer.column("low"), first),
        finer.column("close")[last],
        np.add.reduceat(finer.column("volume"), first),
        np.add.reduceat(finer.column("n_base"), first, dtype=np.int32),
        grid.possible(base_us)[chosen],
        np.zeros(len(first), dtype=np.int32),
        grid.ends[chosen],
    )
    start = np.searchsorted(first, finer.start)
    stop = np.searchsorted(first, finer.start + finer.count)
    return Segment(bar_batch(columns), start, stop - start)


def derive_all(
    base: Segment, session: TradingSession, base_interval: Interval, intervals: Sequence[Interval], *, extended: bool
) -> dict[Interval, tuple[Segment, BucketGrid]]:
    """Derive several intervals; each from the coarsest one at hand that divides it, so the base is read once.

    Returns
    -------
    dict
        For each interval its bars and its buckets.
    """
    derived: dict[Interval, tuple[Segment, BucketGrid]] = {}
    for interval in sorted(intervals):
        source = base
        for made in sorted(derived, reverse=True):
            if made.divides(interval) and not (extended and interval.is_daily):
                source = derived[made][0]
                break
        grid = session_grid(session, interval, extended=extended)
        derived[interval] = derive(source, grid, base_interval.us), grid
    return derived


def bar_batch(columns: Sequence[NDArray[Any]]) -> pa.RecordBatch:
    """Return a batch of `LOG_BAR_SCHEMA` over NumPy columns in the schema's order; nothing is copied."""
    arrays = [
        pa.array(values).view(TIMESTAMP) if field.type == TIMESTAMP else pa.array(values)
        for values, field in zip(columns, LOG_BAR_SCHEMA, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=LOG_BAR_SCHEMA)


def _group_starts(segment: Segment, buckets: NDArray[np.int32]) -> Ints:
    """Return the row numbers at which a new symbol or a new bucket begins."""
    if not len(buckets):
        return np.empty(0, dtype=np.int64)
    begins = np.empty(len(buckets), dtype=bool)
    begins[0] = True
    np.not_equal(buckets[1:], buckets[:-1], out=begins[1:])
    begins[segment.start[segment.count > 0]] = True
    return np.flatnonzero(begins)


def _inside(segment: Segment, buckets: NDArray[np.int32]) -> tuple[Segment, NDArray[np.int32]]:
    """Return the rows that fall into a bucket, and their buckets."""
    keep = buckets >= 0
    kept_before = np.concatenate([[0], np.cumsum(keep)])
    start = kept_before[segment.start]
    count = kept_before[segment.start + segment.count] - start
    return Segment(segment.batch.filter(pa.array(keep)), start, count), buckets[keep]


def empty_bars() -> pa.RecordBatch:
    """Return a batch of `LOG_BAR_SCHEMA` without rows."""
    return pa.RecordBatch.from_pylist([], schema=LOG_BAR_SCHEMA)
