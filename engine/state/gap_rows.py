"""Rows of the gap log: each says how one range of missing bars stands from then on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.columns.gaps import GapRanges
from mismartera.engine.log.segment import Segment
from mismartera.schemas.bars import TIMESTAMP
from mismartera.schemas.gaps import GAP_LOG_SCHEMA

Ints = NDArray[np.int64]


class GapRows(NamedTuple):
    """Gap ranges of many symbols, as arrays with one entry per range.

    Attributes
    ----------
    code : int64 array
        Symbol codes, ascending.
    start_us, end_us : int64 arrays
        First and last missing bar starts, UTC microseconds.
    bar_count : int64 array
        Missing bars; 0 for a range that is gone.
    retry_count : int64 array
    last_retry : pyarrow.Array
        `TIMESTAMP`, null where there was no retry.
    """

    code: Ints
    start_us: Ints
    end_us: Ints
    bar_count: Ints
    retry_count: Ints
    last_retry: pa.Array


class MissingBars(NamedTuple):
    """Missing bars of many symbols, one entry per bar, sorted by symbol and number.

    Attributes
    ----------
    code, number, first : int64 arrays
        Symbol code, number of the missing bar among the expected ones, and number of the first bar of its range.
    """

    code: Ints
    number: Ints
    first: Ints


def missing_bars(ranges: GapRanges) -> MissingBars:
    """Return every missing bar of the ranges. Cost: O(missing bars)."""
    counts = ranges.bar_count
    first = np.repeat(ranges.first, counts)
    ends = np.cumsum(counts)
    number = first + np.arange(len(first)) - np.repeat(ends - counts, counts)
    return MissingBars(np.repeat(ranges.code, counts), number, first)


def gap_segment(
    missing: MissingBars,
    grid: BucketGrid,
    n_symbols: int,
    gap_count: Ints | None = None,
    missing_count: Ints | None = None,
) -> Segment:
    """Return the log rows of missing bars: each makes the next row of its range.

    Parameters
    ----------
    missing : MissingBars
    grid : BucketGrid
    n_symbols : int
    gap_count, missing_count : int64 arrays, one entry per symbol code, optional
        Ranges and missing bars of each symbol before these rows; by default none.
    """
    code, number, first = missing
    count = np.bincount(code, minlength=n_symbols).astype(np.int64)
    start = np.cumsum(count) - count
    begins = np.cumsum(number == first)
    before = np.concatenate([[0], begins])[start]
    ranges, missed = begins - before[code], np.arange(1, len(code) + 1) - start[code]
    if gap_count is not None and missing_count is not None:
        ranges, missed = ranges + gap_count[code], missed + missing_count[code]
    starts, ends = grid.expected_starts, grid.expected_ends
    rows = len(code)
    batch = gap_batch(
        start_time=starts[first], end_time=starts[number], bar_count=number - first + 1,
        retry_count=np.zeros(rows, dtype=np.int32), last_retry=pa.nulls(rows, TIMESTAMP),
        gap_count=ranges, missing_bars=missed, available_at=ends[number],
    )  # fmt: skip
    return Segment(batch, start, count)


def gap_batch(**columns: Any) -> pa.RecordBatch:
    """Return a batch of `GAP_LOG_SCHEMA` from NumPy or Arrow columns."""
    arrays = []
    for field in GAP_LOG_SCHEMA:
        values = columns[field.name]
        if isinstance(values, pa.Array):
            arrays.append(values)
        elif field.type == TIMESTAMP:
            arrays.append(pa.array(values).view(TIMESTAMP))
        else:
            arrays.append(pa.array(values.astype(field.type.to_pandas_dtype(), copy=False)))
    return pa.RecordBatch.from_arrays(arrays, schema=GAP_LOG_SCHEMA)


def empty_gap_batch() -> pa.RecordBatch:
    """Return a batch of `GAP_LOG_SCHEMA` without rows."""
    return pa.RecordBatch.from_pylist([], schema=GAP_LOG_SCHEMA)


def changed_rows(
    standing: GapRows, wanted: GapRows, codes: Ints, now_us: int, n_symbols: int, figures: tuple[Ints, Ints]
) -> Segment:
    """Return the log rows that turn the ranges that stand into others: first those that go, then new and changed ones.

    Parameters
    ----------
    standing, wanted : GapRows
        By place in `codes`, then by start.
    codes : int64 array
    now_us : int
        When the rows are known.
    n_symbols : int
    figures : tuple of int64 arrays
        Gap count and missing bars of each place in `codes` before the rows.
    """
    held = {(place, start): at for at, (place, start) in enumerate(_keys(standing))}
    keys = _keys(wanted)
    there = set(keys)
    gone = [at for key, at in held.items() if key not in there]
    fresh = [at for at, key in enumerate(keys) if key not in held or not _same(standing, held[key], wanted, at)]
    before = np.array([standing.bar_count[held[keys[at]]] if keys[at] in held else 0 for at in fresh], dtype=np.int64)
    is_new = np.array([keys[at] not in held for at in fresh], dtype=np.int64)
    place = np.concatenate([standing.code[gone], wanted.code[fresh]])
    order = np.argsort(place, kind="stable")
    place = place[order]
    nothing = np.zeros(len(gone), dtype=np.int64)
    ranges = np.concatenate([nothing - 1, is_new])[order]
    missed = np.concatenate([-standing.bar_count[gone], wanted.bar_count[fresh] - before])[order]

    def column(name: str, of_gone: Ints) -> Ints:
        values: Ints = np.concatenate([of_gone, getattr(wanted, name)[fresh]])[order]
        return values

    retries = pa.concat_arrays([pa.nulls(len(gone), TIMESTAMP), wanted.last_retry.take(pa.array(fresh, pa.int64()))])
    batch = gap_batch(
        start_time=column("start_us", standing.start_us[gone]), end_time=column("end_us", standing.end_us[gone]),
        bar_count=column("bar_count", nothing), retry_count=column("retry_count", nothing),
        last_retry=retries.take(pa.array(order)),
        gap_count=_running(ranges, place) + figures[0][place], missing_bars=_running(missed, place) + figures[1][place],
        available_at=np.full(len(place), now_us, dtype=np.int64),
    )  # fmt: skip
    return Segment.from_rows(batch, codes[place], n_symbols)


def _keys(rows: GapRows) -> list[tuple[int, int]]:
    return list(zip(rows.code.tolist(), rows.start_us.tolist(), strict=True))


def _same(one: GapRows, at: int, other: GapRows, there: int) -> bool:
    """Return whether two ranges of one start are the same."""
    numbers = all(
        getattr(one, name)[at] == getattr(other, name)[there] for name in ("end_us", "bar_count", "retry_count")
    )
    return numbers and one.last_retry[at].as_py() == other.last_retry[there].as_py()


def _running(changes: Ints, places: Ints) -> Ints:
    """Return the running sums of changes within each place; places ascend."""
    sums = np.concatenate([[0], np.cumsum(changes)])
    running: Ints = sums[1:] - sums[np.searchsorted(places, places, side="left")]
    return running
