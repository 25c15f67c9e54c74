"""`GapLog`: the gaps of one interval in one session, as rows that say how a range stands from then on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

from .gap_rows import GapRows, empty_gap_batch, gap_segment, missing_bars

Ints = NDArray[np.int64]


class GapView(LogView):
    """The visible rows of a gap log, and what they add up to.

    Attributes
    ----------
    gap_count, missing : int64 arrays, one entry per symbol code
        Ranges that stand, and the bars they miss together: the running figures at the last visible rows.
    totals : (int, int)
        Those of all symbols together.
    """

    __slots__ = ("_figures", "_totals")
    _figures: tuple[Ints, Ints] | None
    _totals: tuple[int, int] | None

    def __init__(self, segments: tuple[Segment, ...], visible: Ints) -> None:
        super().__init__(segments, visible, GAP_LOG_SCHEMA)
        object.__setattr__(self, "_figures", None)
        object.__setattr__(self, "_totals", None)

    @property
    def gap_count(self) -> Ints:
        """Ranges of each symbol."""
        return self._at_last_rows()[0]

    @property
    def missing(self) -> Ints:
        """Bars each symbol misses."""
        return self._at_last_rows()[1]

    @property
    def totals(self) -> tuple[int, int]:
        """Ranges of all symbols, and the bars they miss."""
        totals = self._totals
        if totals is None:
            totals = int(np.add.reduce(self.gap_count)), int(np.add.reduce(self.missing))
            object.__setattr__(self, "_totals", totals)
        return totals

    def _at_last_rows(self) -> tuple[Ints, Ints]:
        figures = self._figures
        if figures is None:
            figures = self._find_figures()
            object.__setattr__(self, "_figures", figures)
        return figures

    def _find_figures(self) -> tuple[Ints, Ints]:
        """Return the running figures at the last visible rows. Cost: O(symbols × segments)."""
        codes = np.arange(len(self.visible))
        gap_count, missing = np.zeros((2, len(codes)), dtype=np.int64)
        row = self.visible - 1
        for segment in self.segments:
            begin, count = spans(segment, codes)
            (here,) = ((row >= 0) & (row < count)).nonzero()
            if len(here):
                at = begin[here] + row[here]
                gap_count[here] = segment.column("gap_count")[at]
                missing[here] = segment.column("missing_bars")[at]
            row = row - count
        return gap_count, missing


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
        self._whole = GapView(self._segments, count)

    def at(self, now_us: int) -> GapView:
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
        self._view: tuple[int, GapView] | None = None

    @classmethod
    def of(cls, ranges: GapRanges, grid: BucketGrid, n_symbols: int) -> StagedGapLog:
        """Return the log of a session's ranges; nothing is made yet."""
        return cls(lambda: gap_segment(missing_bars(ranges), grid, n_symbols), n_symbols, ranges)

    def at(self, now_us: int) -> GapView:
        """Return the rows visible at `now_us`. Cost: O(symbols + rows since the last call), the first time O(rows)."""
        timetable = self._staged()
        stop = int(timetable.bounds[timetable.times.searchsorted(now_us, side="right")])
        kept = self._view
        if kept is not None and kept[0] == stop:
            return kept[1]
        start, visible = 0, np.zeros(self.n_symbols, dtype=np.int64)
        if kept is not None and kept[0] < stop:
            start, visible = kept[0], kept[1].visible
        view = GapView(self._segments, timetable.advance(visible, start, stop))
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
    if (places[1:] > places[:-1]).all():  # one row a symbol, as a step of the clock adds
        chosen = np.arange(len(places))
    else:
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
