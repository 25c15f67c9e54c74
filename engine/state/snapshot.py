"""`Snapshot`: the whole state at one instant, as references to immutable columns and row counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid, session_grid
from mismartera.engine.columns.gaps import GapColumns
from mismartera.engine.columns.metrics import RunningMetrics, SessionMetrics
from mismartera.engine.columns.quality import quality_percent
from mismartera.engine.log.segment import Segment, column, merge
from mismartera.engine.log.text_cache import TextCache
from mismartera.engine.log.view import LogView
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.gaps import GapInfo
from mismartera.schemas.interval import Interval

from .gap_view import GapView
from .history import History
from .staging import StagedDay

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The state at one instant of the engine's clock, consistent across symbols and intervals.

    Attributes
    ----------
    now_us : int
        The instant, UTC microseconds.
    symbols : tuple of str
        Registered symbols; their place is their code.
    session : TradingSession or None
    active, ended : bool
    base : str
        The streamed interval.
    generated : frozenset of str
        Intervals that are derived.
    logs : mapping
        Visible rows of the session by data type, ascending interval first.
    grids, gap_columns : mapping
        Of each bar interval, where known.
    history : History
    timezone : ZoneInfo
        The exchange's zone.
    text_cache : TextCache
        Bounds the encoded text kept with the segments.
    epoch : int
        Grows whenever the session's rows start over.
    day : StagedDay or None
    set_quality, set_gaps : mapping
        Values that were set by hand, by interval, and by interval and symbol code; they win over computed ones.
    memo : dict
        Figures computed from this snapshot on first use.

    Notes
    -----
    Safe to read from any thread, at any time; nothing in it changes but the memo, whose entries are idempotent.
    """

    now_us: int
    symbols: tuple[str, ...]
    session: TradingSession | None
    active: bool
    ended: bool
    base: str
    generated: frozenset[str]
    logs: Mapping[str, LogView]
    grids: Mapping[str, BucketGrid]
    gap_columns: Mapping[str, GapColumns]
    history: History
    timezone: ZoneInfo
    text_cache: TextCache
    epoch: int = 0
    day: StagedDay | None = None
    set_quality: Mapping[str, Floats] = field(default_factory=dict)
    set_gaps: Mapping[tuple[str, int], tuple[GapInfo, ...]] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def shared_memo(self) -> dict[str, Any]:
        """Figures kept for all snapshots of the day; of this one alone where no day is staged."""
        return self.memo if self.day is None else self.day.memo

    def gaps(self, interval: str) -> GapView | None:
        """Return the gaps of an interval by now; None where they are not searched."""
        columns = self.gap_columns.get(interval)
        if columns is None:
            return None
        memo = self.shared_memo
        # Between two closings of the interval every snapshot of the day has the same view.
        held: GapView | None = memo.get(interval)
        if held is None or held.columns is not columns or not held.from_us <= self.now_us < held.until_us:
            held = memo[interval] = GapView.at(columns, self.grids[interval], self.now_us)
        return held

    def grid(self, interval: str) -> BucketGrid | None:
        """Return the buckets of an interval in the session; None where no session has begun."""
        if self.session is None or interval in self.grids:
            return self.grids.get(interval)
        key = f"grid {interval}"
        if key not in self.memo:
            self.memo[key] = session_grid(self.session, Interval(interval))
        grid: BucketGrid = self.memo[key]
        return grid

    def quality(self, interval: str) -> Floats:
        """Return the quality of each symbol in percent, float64; NaN where it is unknown or nothing is expected.

        Notes
        -----
        Gaps set by hand count as computed ones do, but where the day's gaps are not searched: quality is off there.
        A quality set by hand wins, but 100 where bars are missing: that says that none is.
        """
        gaps = self.gaps(interval)
        quality = np.full(len(self.symbols), np.nan) if gaps is None else gaps.quality()
        if not self.set_gaps and not self.set_quality:
            return quality
        absent = np.zeros(len(self.symbols), dtype=np.int64) if gaps is None else gaps.missing.copy()
        told = {
            code: sum(gap.bar_count for gap in ranges)
            for (kind, code), ranges in self.set_gaps.items()
            if kind == interval
        }
        if told:
            codes = list(told)
            absent[codes] = list(told.values())
            grid = self.grid(interval)
            if grid is not None and (gaps is not None or self.day is None):
                expected = grid.expected_at(self.now_us)
                quality[codes] = quality_percent(np.minimum(absent[codes], expected), expected)
        by_hand = self.set_quality.get(interval)
        if by_hand is None:
            return quality
        computed = np.isnan(by_hand) | ((by_hand == 100.0) & (absent > 0))
        return np.where(computed, quality, by_hand)

    def metrics(self) -> SessionMetrics:
        """Return volume, high, low and vwap of each symbol by now.

        Notes
        -----
        The running figures of a staged day are made once, in O(its rows); after that a call costs O(symbols).
        """
        if "metrics" not in self.memo:
            self.memo["metrics"] = self._metrics()
        metrics: SessionMetrics = self.memo["metrics"]
        return metrics

    def _metrics(self) -> SessionMetrics:
        log = self.logs.get(self.base)
        if log is None or not log.segments:
            none = np.full(len(self.symbols), np.nan)
            return SessionMetrics(np.zeros(len(self.symbols), dtype=np.int64), none, none, none)
        if self.day is not None:
            segment = self.day.logs[self.base].segment
            if "metrics" not in self.day.memo:
                self.day.memo["metrics"] = RunningMetrics.of(segment)
            running: RunningMetrics = self.day.memo["metrics"]
            return running.at(segment.start, log.visible)
        segment = current(log)
        return RunningMetrics.of(segment).at(segment.start, segment.count)


def current(log: LogView) -> Segment:
    """Return the current rows of all symbols: sorted by timestamp, the highest revision of each. Cost: O(rows)."""
    segment = log.segments[0]
    for newer in log.segments[1:]:
        segment = merge(segment, newer)
    codes = segment.codes()
    order = np.lexsort((segment.column("revision"), segment.column("timestamp"), codes))
    stamps, codes = segment.column("timestamp")[order], codes[order]
    latest = np.ones(len(order), dtype=bool)
    latest[:-1] = (stamps[1:] != stamps[:-1]) | (codes[1:] != codes[:-1])
    return Segment.from_rows(segment.batch.take(pa.array(order[latest])), codes[latest], segment.n_symbols)


def current_rows(table: pa.Table) -> pa.Table:
    """Return one symbol's rows sorted by timestamp with the highest revision of each; `table` itself if it is so."""
    batch = table.combine_chunks().to_batches()
    if not batch or not np.any(np.diff(column(batch[0], "timestamp")) <= 0):
        return table
    order = np.lexsort((column(batch[0], "revision"), column(batch[0], "timestamp")))
    ordered = table.take(pa.array(order))
    stamps = ordered.column("timestamp")
    latest = pc.not_equal(stamps[:-1], stamps[1:])
    return ordered.filter(pa.chunked_array([latest.combine_chunks(), pa.array([True])]))
