"""`GapLog`: the gaps of one interval in one session, as rows that say how a range stands from then on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.columns.gaps import GapRanges
from mismartera.engine.log.gather import gather, spans
from mismartera.engine.log.segment import Segment, merge
from mismartera.engine.log.timetable import Timetable
from mismartera.engine.log.view import LogView, appended
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


class GapLog:
    """The gap log of one interval: all its rows, and which of them are visible at an instant.

    Parameters
    ----------
    segments : sequence of Segment
        Of `GAP_LOG_SCHEMA`.
    n_symbols : int

    Attributes
    ----------
    n_symbols : int
    ranges : GapRanges or None
        All ranges the session will show by its close, where the log is made of them.

    Notes
    -----
    Immutable. Between two rows every instant has the same view, so views are kept and can be compared by identity.
    """

    def __init__(self, segments: Sequence[Segment], n_symbols: int) -> None:
        self.n_symbols = n_symbols
        self.ranges: GapRanges | None = None
        self._segments = tuple(segment for segment in segments if segment.rows)
        count = np.zeros(n_symbols, dtype=np.int64)
        for segment in self._segments:
            count = count + segment.widened(n_symbols).count
        self._whole = LogView(self._segments, count, GAP_LOG_SCHEMA)

    def at(self, now_us: int) -> LogView:
        """Return the rows visible at `now_us`: here all, for every row was known when it was added."""
        return self._whole

    def added(self, rows: Segment) -> GapLog:
        """Return the log with more rows, which are known by now."""
        return GapLog(appended(self._segments, rows), self.n_symbols) if rows.rows else self

    def set_by_hand(self, code: int, rows: Segment, now_us: int) -> GapLog:
        """Return the log with rows of one symbol that were set by hand at `now_us`."""
        return self.added(rows)

    def widened(self, n_symbols: int) -> GapLog:
        """Return the same rows with room for `n_symbols` codes; later codes have none."""
        return GapLog(self._segments, n_symbols)

    def carried(self, older: GapLog, code: int, now_us: int) -> GapLog:
        """Return the log with the rows that `older` shows of one symbol, in place of its own."""
        view = older.at(now_us)
        codes = np.array([code])
        rows, _ = gather(view.segments, codes, np.zeros(1, dtype=np.int64), view.visible[codes], GAP_LOG_SCHEMA)
        if not rows.num_rows:
            return self._with(code, None, 0)
        count = np.zeros(self.n_symbols, dtype=np.int64)
        count[code] = rows.num_rows
        return self._with(code, Segment(rows.combine_chunks().to_batches()[0], np.zeros_like(count), count), 0)

    def _with(self, code: int, rows: Segment | None, kept: int) -> GapLog:
        """Return the log with `rows` behind the first `kept` ones of a symbol; its others are gone."""
        segment = cut(self._merged(), code, kept)
        return GapLog([segment if rows is None else merge(segment, rows)], self.n_symbols)

    def _merged(self) -> Segment:
        merged = Segment.from_rows(empty_gap_batch(), np.zeros(0, dtype=np.int64), self.n_symbols)
        for segment in self._segments:
            merged = merge(merged, segment)
        return merged


class StagedGapLog(GapLog):
    """The gap log of a staged day, made on first use: a row becomes visible when the bar it misses is due.

    Parameters
    ----------
    make : callable
        Returns all rows the session will show by its close.
    n_symbols : int
    ranges : GapRanges, optional
        What the rows were made of.
    """

    def __init__(self, make: Callable[[], Segment], n_symbols: int, ranges: GapRanges | None = None) -> None:
        self._make = make
        self.n_symbols = n_symbols
        self.ranges = ranges
        self._timetable: Timetable | None = None
        self._view: tuple[int, LogView] | None = None

    @classmethod
    def of(cls, ranges: GapRanges, grid: BucketGrid, n_symbols: int) -> StagedGapLog:
        """Return the log of a session's ranges; nothing is made yet."""
        return cls(lambda: gap_segment(missing_bars(ranges), grid, n_symbols), n_symbols, ranges)

    def at(self, now_us: int) -> LogView:
        """Return the rows visible at `now_us`. Cost: O(symbols + rows since the last call), the first time O(rows)."""
        timetable = self._staged()
        stop = int(timetable.bounds[timetable.times.searchsorted(now_us, side="right")])
        kept = self._view
        if kept is not None and kept[0] == stop:
            return kept[1]
        start, visible = 0, np.zeros(self.n_symbols, dtype=np.int64)
        if kept is not None and kept[0] < stop:
            start, visible = kept[0], kept[1].visible
        view = LogView(self._segments, timetable.advance(visible, start, stop), GAP_LOG_SCHEMA)
        self._view = stop, view
        return view

    def set_by_hand(self, code: int, rows: Segment, now_us: int) -> GapLog:
        """Return the log with rows of one symbol in place of those that wait."""
        return self._with(code, rows, int(self.at(now_us).visible[code]))

    def _with(self, code: int, rows: Segment | None, kept: int) -> GapLog:
        self._staged()
        segment = cut(self._merged(), code, kept)
        return StagedGapLog(lambda: segment if rows is None else merge(segment, rows), self.n_symbols)

    def _staged(self) -> Timetable:
        if self._timetable is None:
            segment = self._make()
            self._segments = (segment,)
            self._timetable = Timetable.of(segment)
        return self._timetable


def cut(segment: Segment, code: int, kept: int) -> Segment:
    """Return the rows of a segment without those of one symbol after its first `kept` ones."""
    start, count = segment.span(code)
    keep = np.ones(segment.rows, dtype=bool)
    keep[start + kept : start + count] = False
    return Segment.from_rows(segment.batch.filter(pa.array(keep)), segment.codes()[keep], segment.n_symbols)


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


def last_figures(view: LogView) -> tuple[Ints, Ints]:
    """Return the gap count and the missing bars of each symbol at its last visible row. Cost: O(symbols × segments)."""
    codes = np.arange(len(view.visible))
    figures = np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes), dtype=np.int64)
    row = view.visible - 1
    for segment in view.segments:
        begin, count = spans(segment, codes)
        (here,) = ((row >= 0) & (row < count)).nonzero()
        at = begin[here] + row[here]
        for figure, name in zip(figures, ("gap_count", "missing_bars"), strict=True):
            figure[here] = segment.column(name)[at]
        row = row - count
    return figures


def ranges_of(view: LogView, codes: Ints, since: Ints | None = None) -> GapRows:
    """Return the ranges of some symbols, by symbol in the order of `codes`, then by start.

    Parameters
    ----------
    view : LogView
    codes : int64 array
    since : int64 array, one entry per code, optional
        Row offsets: only ranges with rows past them, those that are gone included. By default all ranges that stand.

    Returns
    -------
    GapRows
        Its `code` holds places in `codes`.

    Notes
    -----
    O(rows past the offsets), sorted once.
    """
    starts = np.zeros(len(codes), dtype=np.int64) if since is None else since
    rows, places = gather(view.segments, codes, starts, view.visible[codes], GAP_LOG_SCHEMA)
    batch = rows.combine_chunks().to_batches()[0] if rows.num_rows else None
    if batch is None:
        none = np.zeros(0, dtype=np.int64)
        return GapRows(none, none, none, none, none, pa.nulls(0, TIMESTAMP))
    whole = Segment(batch, none := np.zeros(0, dtype=np.int64), none)
    start_us, counts = whole.column("start_time"), whole.column("bar_count")
    order = np.lexsort((start_us, places))  # stable: rows of one start stay in arrival order
    sorted_starts, sorted_places = start_us[order], places[order]
    latest = np.ones(len(order), dtype=bool)
    latest[:-1] = (sorted_starts[1:] != sorted_starts[:-1]) | (sorted_places[1:] != sorted_places[:-1])
    chosen = order[latest]
    if since is None:
        chosen = chosen[counts[chosen] > 0]
    return GapRows(
        places[chosen],
        start_us[chosen],
        whole.column("end_time")[chosen],
        counts[chosen].astype(np.int64),
        whole.column("retry_count")[chosen].astype(np.int64),
        batch.column("last_retry").take(pa.array(chosen)),
    )
