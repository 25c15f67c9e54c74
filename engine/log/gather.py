"""`gather`: ranges of rows of many symbols, out of the segments they lie in, in a few array operations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .segment import Segment

Ints = NDArray[np.int64]


def gather(
    segments: Sequence[Segment], codes: Ints, starts: Ints, stops: Ints, schema: pa.Schema
) -> tuple[pa.Table, Ints]:
    """Return rows ``[starts, stops)`` of the symbols, one symbol after another.

    Parameters
    ----------
    segments : sequence of Segment
    codes : int64 array
        Symbol codes; a code that a segment does not cover has no rows in it.
    starts, stops : int64 arrays, one entry per code
        Row offsets, counted through the segments in turn.
    schema : pyarrow.Schema
        Of the rows, for when there are none.

    Returns
    -------
    (pyarrow.Table, int64 array)
        The rows, in arrival order within a symbol, and the place in `codes` of each row's symbol.

    Notes
    -----
    O(symbols × segments + rows); no Python per symbol or row. Rows that adjoin in one segment are a slice of it.
    """
    parts: list[pa.RecordBatch] = []
    owners: list[Ints] = []
    passed = np.zeros(len(codes), dtype=np.int64)
    for segment in segments:
        begin, count = spans(segment, codes)
        low = np.clip(starts - passed, 0, count)
        length = np.clip(stops - passed, low, count) - low
        passed = passed + count
        if length.any():
            parts.append(_taken(segment.batch, begin + low, length))
            owners.append(np.repeat(np.arange(len(codes)), length))
    if not parts:
        return schema.empty_table(), np.zeros(0, dtype=np.int64)
    rows, places = pa.Table.from_batches(parts), np.concatenate(owners)
    if len(parts) > 1:
        order = np.argsort(places, kind="stable")
        rows, places = rows.take(pa.array(order)), places[order]
    return rows, places


def spans(segment: Segment, codes: Ints) -> tuple[Ints, Ints]:
    """Return where the rows of each code begin in a segment, and how many there are."""
    if not segment.n_symbols:
        return np.zeros_like(codes), np.zeros_like(codes)
    covered = codes < segment.n_symbols
    if covered.all():
        return segment.start[codes], segment.count[codes]
    known = np.where(covered, codes, 0)
    return segment.start[known], np.where(covered, segment.count[known], 0)


def _taken(batch: pa.RecordBatch, begins: Ints, lengths: Ints) -> pa.RecordBatch:
    """Return ranges of rows one after another; where they adjoin, as a slice."""
    some = lengths > 0
    begins, lengths = begins[some], lengths[some]
    if np.array_equal(begins[1:], begins[:-1] + lengths[:-1]):
        return batch.slice(int(begins[0]), int(lengths.sum()))
    ends = np.cumsum(lengths)
    return batch.take(pa.array(np.repeat(begins - (ends - lengths), lengths) + np.arange(int(ends[-1]))))
