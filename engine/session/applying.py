"""`AppliedRows`: a session fed a batch at a time: what the rows derive, miss and add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid, session_grid
from mismartera.engine.columns.derive import derive
from mismartera.engine.columns.gaps import detect_gaps
from mismartera.engine.columns.metrics import MetricSums, SessionMetrics
from mismartera.engine.columns.revisions import classify
from mismartera.engine.log.gather import gather
from mismartera.engine.log.segment import Segment, column
from mismartera.engine.log.view import LogView, appended, latest_revisions
from mismartera.engine.state.gap_log import (
    GapLog,
    GapRows,
    MissingBars,
    changed_rows,
    gap_segment,
    last_figures,
    ranges_of,
)
from mismartera.engine.state.kind_state import KindColumns
from mismartera.engine.state.staging import Dropped
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.bars import LOG_BAR_SCHEMA, TIMESTAMP
from mismartera.schemas.errors import StateError
from mismartera.schemas.interval import Interval

from .incoming import NEVER, AppendResult, accept

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_NO_NUMBER = -2
_OF_NOTHING = {
    "latest": NEVER, "volumes": 0.0, "disordered": False, "by_hand": False, "consumed": 0, "seen": 0,
    "last_missing": _NO_NUMBER, "open_first": 0,
}  # fmt: skip
"""What is known of a symbol without a row."""


@dataclass(slots=True)
class _Fed:
    """One interval: its rows, and how far each of its figures has come."""

    interval: Interval
    grid: BucketGrid | None
    log: LogView
    columns: KindColumns
    latest: Ints  # timestamp of each symbol's last bar
    volumes: NDArray[np.float64]
    disordered: Bools  # symbols with late or corrected rows
    is_given: bool = False  # a derived interval whose rows are given
    closed: int = 0  # buckets derived
    consumed: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # base rows derived, by symbol
    due: int = 0  # expected bars that were looked for
    seen: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # rows that were looked at
    last_missing: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    open_first: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    by_hand: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))  # symbols whose gaps were set by hand

    @property
    def text(self) -> str:
        return self.interval.text

    def add(self, segment: Segment, *, ordered: bool) -> None:
        """Append rows to the log."""
        log = self.log
        segments = appended(log.segments, segment)
        self.log = LogView(segments, log.visible + segment.count, log.schema, log.ordered and ordered)

    def widen(self, n_symbols: int) -> None:
        """Make room for `n_symbols` codes; later codes have no rows."""
        self.log = self.log.widened(n_symbols)
        for name, value in _OF_NOTHING.items():
            setattr(self, name, padded(getattr(self, name), n_symbols, value))
        columns = self.columns
        self.columns = replace(
            columns,
            gap_log=None if columns.gap_log is None else columns.gap_log.widened(n_symbols),
            searched=padded(columns.searched, n_symbols, value=False),
            quality_by_hand=padded(columns.quality_by_hand, n_symbols, np.nan),
        )


class AppliedRows:
    """The rows of a session that were given a batch at a time.

    Parameters
    ----------
    n_symbols : int
    base : str
        The streamed interval.
    derived : sequence of str
        Those derived from it.
    session : TradingSession or None
        None before one has begun: nothing is derived, expected or missed then.
    extended : bool
        Whether hours before the open and after the close belong to it.
    finds_gaps : bool

    Attributes
    ----------
    dropped : Dropped
        Rows that were left out.

    Notes
    -----
    A batch is accepted at once; what follows from it is worked out by `settle`, when the state is published. In order,
    that costs the rows since the last time and O(symbols) per interval that closes a bucket; the symbols of late
    and corrected rows are worked out anew.
    """

    def __init__(
        self, n_symbols: int, base: str, derived: tuple[str, ...], session: TradingSession | None, *,
        extended: bool, finds_gaps: bool,
    ) -> None:  # fmt: skip
        self._n = n_symbols
        self._base = base
        self._session = session
        self._extended = extended
        self._finds_gaps = finds_gaps
        self._sums = MetricSums.none(n_symbols)
        self._recount = np.zeros(n_symbols, dtype=bool)
        self._settled_us = NEVER
        self.dropped = Dropped()
        self._fed = {text: self._make(text, generated=text != base) for text in (base, *derived)}

    def _make(self, text: str, *, generated: bool) -> _Fed:
        interval, n = Interval(text), self._n
        grid = None if self._session is None else session_grid(self._session, interval, extended=self._extended)
        found = self._finds_gaps and grid is not None
        columns = KindColumns(text, generated, grid, GapLog((), n) if found else None, scored=found)
        if not generated:
            columns = replace(columns, metrics=_constant(SessionMetrics.none(n)))
        zeros = np.zeros(n, dtype=np.int64)
        return _Fed(
            interval, grid, LogView((), zeros, LOG_BAR_SCHEMA), columns, np.full(n, NEVER), np.zeros(n),
            np.zeros(n, dtype=bool), consumed=zeros, seen=zeros, last_missing=np.full(n, _NO_NUMBER),
            open_first=zeros.copy(), by_hand=np.zeros(n, dtype=bool),
        )  # fmt: skip

    @property
    def logs(self) -> dict[str, LogView]:
        """The visible rows by interval, as last settled."""
        return {text: fed.log for text, fed in self._fed.items()}

    @property
    def columns(self) -> dict[str, KindColumns]:
        """The columns by interval, as last settled."""
        return {text: fed.columns for text, fed in self._fed.items()}

    def append(self, text: str, bars: pa.Table, codes: Mapping[str, int]) -> AppendResult:
        """Accept a batch; see `SessionData.append_bars`."""
        fed = self._fed[text]
        if fed.columns.generated and self._session is not None and not fed.is_given and fed.log.rows:
            raise StateError(
                f"{text} bars are derived from {self._base} bars in this session: expected {self._base} bars",
                hint=f"append {self._base} bars, or give {text} bars from the session's start",
            )
        log = fed.log
        accepted = accept(
            bars, codes, fed.interval, self._session, fed.grid, fed.latest, fed.volumes, lambda: latest_revisions(log)
        )
        result = accepted.result
        self.dropped += Dropped(result.outside_session, result.off_grid, result.identical)
        segment = accepted.segment
        if segment is None:
            return result
        fed.is_given = fed.columns.generated
        fed.add(segment, ordered=not (result.revised or result.late))
        fed.disordered[accepted.disordered] = True
        if text == self._base:
            if len(accepted.disordered):
                self._recount[np.flatnonzero(segment.count)] = True
            else:
                self._sums = self._sums.added(segment)
        return result

    def settle(self, now_us: int) -> None:
        """Work out what follows from the rows by `now_us`: derived bars, gaps, metrics."""
        base = self._fed[self._base]
        (again,) = self._recount.nonzero()
        if len(again):
            self._sums = self._sums.recounted(again, latest_revisions(base.log, again))
            self._recount[:] = False
        base.columns = replace(base.columns, metrics=_constant(self._sums.metrics()))
        if self._session is None:
            return
        # Bars that came after their instant was settled: what was derived and missed by then is worked out anew.
        dirty = self._came_after(base)
        for fed in self._fed.values():
            if fed.columns.generated and not fed.is_given:
                self._derive(base, fed, now_us, dirty)
        for fed in self._fed.values():
            if fed.columns.scored:
                self._find_gaps(fed, now_us)
            else:
                fed.seen = fed.log.visible
        self._settled_us = now_us

    def set_gaps(self, text: str, code: int, rows: GapRows, now_us: int) -> None:
        """Replace the gap ranges of one symbol by ranges set by hand; the computed ones count no more."""
        fed = self._fed[text]
        fed.by_hand[code] = True
        fed.columns = with_gaps_by_hand(fed.columns, code, rows, now_us, self._n)

    def set_quality(self, text: str, code: int, quality: float) -> None:
        """Set the quality of one symbol by hand."""
        fed = self._fed[text]
        fed.columns = with_quality_by_hand(fed.columns, code, quality, self._n)

    def widen(self, n_symbols: int) -> None:
        """Make room for `n_symbols` codes; a new symbol misses every bar that was due."""
        fresh = np.arange(self._n, n_symbols)
        self._n = n_symbols
        for fed in self._fed.values():
            fed.widen(n_symbols)
            if fed.columns.scored and fed.due:
                self._find_again(fed, fresh, fed.due, self._settled_us)
        self._sums = self._sums.widened(n_symbols)
        self._recount = np.concatenate([self._recount, np.zeros(n_symbols - len(self._recount), dtype=bool)])

    # --- derived bars --------------------------------------------------------------------------------------------

    def _came_after(self, base: _Fed) -> Bools:
        """Mark the symbols with bars that came after the clock had passed their end."""
        marked = np.zeros(self._n, dtype=bool)
        rows, places = self._fresh(base)
        if len(places):
            marked[places[column(rows, "available_at") <= self._settled_us]] = True
        return marked

    def _fresh(self, fed: _Fed, codes: Ints | None = None, since: Ints | None = None) -> tuple[pa.RecordBatch, Ints]:
        """Return rows past `since`, by default those not looked at yet, and the place of each one's symbol."""
        codes = np.arange(self._n) if codes is None else codes
        since = fed.seen if since is None else since
        rows, places = gather(fed.log.segments, codes, since[codes], fed.log.visible[codes], LOG_BAR_SCHEMA)
        return _one_batch(rows), places

    def _derive(self, base: _Fed, fed: _Fed, now_us: int, dirty: Bools) -> None:
        """Derive the buckets that closed, and those that rows of later have changed."""
        assert fed.grid is not None
        closed = int(fed.grid.ends.searchsorted(now_us, side="right"))
        moved = base.log.visible > base.seen
        again = (dirty | base.disordered) & (moved | (closed > fed.closed))
        if closed > fed.closed:
            (codes,) = (~(again | base.disordered)).nonzero()
            rows, places = self._fresh(base, codes, fed.consumed)
            done = fed.grid.locate(column(rows, "timestamp")) < closed
            fresh = Segment.from_rows(rows.filter(pa.array(done)), codes[places[done]], self._n)
            consumed = fed.consumed.copy()
            consumed[codes] += np.bincount(places[done], minlength=len(codes))
            fed.consumed = consumed
            self._add_derived(fed, derive(fresh, fed.grid, base.interval.us), revised=False)
        fed.closed = closed
        (codes,) = again.nonzero()
        if len(codes):
            bars = latest_revisions(base.log, codes)
            derived = derive(bars, fed.grid, base.interval.us)
            self._add_derived(fed, _kept(derived, fed.grid.number(derived.column("timestamp")) < closed), revised=True)
            consumed = fed.consumed.copy()
            done = fed.grid.locate(bars.column("timestamp")) < closed
            consumed[codes] = np.bincount(bars.codes()[done], minlength=self._n)[codes]
            fed.consumed = consumed

    def _add_derived(self, fed: _Fed, bars: Segment, *, revised: bool) -> None:
        """Append derived bars; where some may be there already, only those that are new or different."""
        if not bars.rows:
            return
        codes = bars.codes().astype(np.int64)
        stamps = bars.column("timestamp")
        if revised:
            (some,) = (bars.count > 0).nonzero()
            columns = {
                name: bars.column(name) for name in ("timestamp", "open", "high", "low", "close", "volume", "n_base")
            }
            found = classify(latest_revisions(fed.log, some), columns, codes, besides=("n_base",))
            late = found.keep & (stamps <= fed.latest[codes])
            fed.disordered[codes[late]] = True
            batch = bars.batch.set_column(
                bars.batch.schema.get_field_index("revision"),
                LOG_BAR_SCHEMA.field("revision"),
                pa.array(found.revision),
            )
            bars = Segment.from_rows(batch.filter(pa.array(found.keep)), codes[found.keep], self._n)
            if bars.rows:
                fed.add(bars, ordered=not late.any())
        else:
            fed.add(bars, ordered=True)
        np.maximum.at(fed.latest, codes, stamps)

    # --- gaps ----------------------------------------------------------------------------------------------------

    def _find_gaps(self, fed: _Fed, now_us: int) -> None:
        """Add the log rows of expected bars that became due and are missing, and of ranges that were filled."""
        grid = fed.grid
        assert grid is not None
        assert fed.columns.gap_log is not None
        due, before = grid.expected_at(now_us), fed.due
        rows, places = self._fresh(fed)
        number = grid.number(column(rows, "timestamp")).astype(np.int64) - grid.first_expected
        filled = np.zeros(self._n, dtype=bool)
        filled[places[(number >= 0) & (number < before)]] = True
        again = (filled | (fed.disordered & ((due > before) | (fed.log.visible > fed.seen)))) & ~fed.by_hand
        there = np.zeros((self._n, max(due - before, 0)), dtype=bool)
        within = (number >= before) & (number < due)
        there[places[within], number[within] - before] = True
        there[again | fed.by_hand] = True
        self._add_missing(fed, ~there, before)
        (codes,) = again.nonzero()
        if len(codes):
            self._find_again(fed, codes, due, now_us)
        fed.due, fed.seen = due, fed.log.visible

    def _add_missing(self, fed: _Fed, missing: Bools, before: int) -> None:
        code, number = missing.nonzero()
        if not len(code):
            return
        assert fed.grid is not None
        assert fed.columns.gap_log is not None
        number = number + before
        is_head = np.append(True, code[1:] != code[:-1])
        follows = np.append(False, number[1:] == number[:-1] + 1) & ~is_head
        follows |= is_head & (fed.last_missing[code] == number - 1)
        follows &= ~np.isin(number, fed.grid.breaks)
        places = np.arange(len(code))
        begun = np.maximum.accumulate(np.where(follows, -1, places))
        own = begun >= np.maximum.accumulate(np.where(is_head, places, 0))  # the range began among these bars
        first = np.where(own, number[begun], fed.open_first[code])
        figures = last_figures(fed.columns.gap_log.at(0))
        segment = gap_segment(MissingBars(code, number, first), fed.grid, self._n, *figures)
        fed.columns = replace(fed.columns, gap_log=fed.columns.gap_log.added(segment))
        fed.last_missing[code], fed.open_first[code] = number, first  # the last of a symbol wins

    def _find_again(self, fed: _Fed, codes: Ints, due: int, now_us: int) -> None:
        """Find the ranges of some symbols anew, and add log rows for what is different."""
        grid = fed.grid
        assert grid is not None
        assert fed.columns.gap_log is not None
        bars = latest_revisions(fed.log, codes)
        compact = Segment(bars.batch, bars.start[codes], bars.count[codes])
        ranges = detect_gaps(compact, grid, due)
        starts = grid.expected_starts
        count = len(ranges.code)
        wanted = GapRows(
            ranges.code, starts[ranges.first], starts[ranges.last], ranges.bar_count,
            np.zeros(count, dtype=np.int64), pa.nulls(count, TIMESTAMP),
        )  # fmt: skip
        view = fed.columns.gap_log.at(now_us)
        figures = tuple(values[codes] for values in last_figures(view))
        rows = changed_rows(ranges_of(view, codes), wanted, codes, now_us, self._n, (figures[0], figures[1]))
        fed.columns = replace(fed.columns, gap_log=fed.columns.gap_log.added(rows))
        fed.last_missing[codes] = _NO_NUMBER
        fed.last_missing[codes[ranges.code]], fed.open_first[codes[ranges.code]] = ranges.last, ranges.first


def with_gaps_by_hand(columns: KindColumns, code: int, wanted: GapRows, now_us: int, n_symbols: int) -> KindColumns:
    """Return columns in whose gap log the ranges of one symbol are those set by hand at `now_us`."""
    gap_log, searched = columns.gap_log, columns.searched
    if gap_log is None:
        gap_log, searched = GapLog((), n_symbols), np.zeros(n_symbols, dtype=bool)
    if searched is not None:
        searched = searched.copy()
        searched[code] = True
    view, codes = gap_log.at(now_us), np.array([code])
    figures = last_figures(view)
    standing = ranges_of(view, codes)
    rows = changed_rows(standing, wanted, codes, now_us, n_symbols, (figures[0][codes], figures[1][codes]))
    return replace(columns, gap_log=gap_log.set_by_hand(code, rows, now_us), searched=searched)


def with_quality_by_hand(columns: KindColumns, code: int, quality: float, n_symbols: int) -> KindColumns:
    """Return columns with the quality of one symbol set by hand; by this it has no gaps where they are not searched."""
    by_hand = np.full(n_symbols, np.nan) if columns.quality_by_hand is None else columns.quality_by_hand.copy()
    by_hand[code] = quality
    gap_log, searched = columns.gap_log, columns.searched
    if gap_log is None:
        gap_log, searched = GapLog((), n_symbols), np.zeros(n_symbols, dtype=bool)
    if searched is not None:
        searched = searched.copy()
        searched[code] = True
    return replace(columns, quality_by_hand=by_hand, gap_log=gap_log, searched=searched)


def padded(values: NDArray[Any] | None, length: int, value: Any) -> Any:
    """Return values with `value` behind them up to a length; None stays None."""
    if values is None:
        return None
    return np.concatenate([values, np.full(length - len(values), value, dtype=values.dtype)])


def _constant(metrics: SessionMetrics) -> Any:
    return lambda _log: metrics


def _one_batch(rows: pa.Table) -> pa.RecordBatch:
    if not rows.num_rows:
        return pa.RecordBatch.from_pylist([], schema=rows.schema)
    return rows.combine_chunks().to_batches()[0]


def _kept(bars: Segment, keep: Bools) -> Segment:
    return (
        bars if keep.all() else Segment.from_rows(bars.batch.filter(pa.array(keep)), bars.codes()[keep], bars.n_symbols)
    )
