"""`AppliedRows`: a session fed a batch at a time: what the rows derive, miss and add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import session_grid
from mismartera.engine.columns.derive import derive
from mismartera.engine.columns.metrics import MetricSums, SessionMetrics
from mismartera.engine.columns.revisions import classify
from mismartera.engine.log.segment import Segment, column
from mismartera.engine.log.view import LogView, latest_revisions
from mismartera.engine.state.gap_log import GapLog
from mismartera.engine.state.gap_rows import GapRows
from mismartera.engine.state.kind_state import KindColumns
from mismartera.engine.state.staging import Dropped
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.bars import LOG_BAR_SCHEMA
from mismartera.schemas.errors import StateError
from mismartera.schemas.interval import Interval

from .by_hand import with_gaps_by_hand, with_quality_by_hand
from .fed_gaps import find_again, find_gaps
from .fed_interval import NO_NUMBER, FedInterval
from .incoming import NEVER, AppendResult, accept

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
        self._sums = self._shown = MetricSums.none(n_symbols)
        self._recount = np.zeros(n_symbols, dtype=bool)
        self._settled_us = NEVER
        self.dropped = Dropped()
        self._fed = {text: self._make(text, generated=text != base) for text in (base, *derived)}

    def _make(self, text: str, *, generated: bool) -> FedInterval:
        interval, n = Interval(text), self._n
        grid = None if self._session is None else session_grid(self._session, interval, extended=self._extended)
        found = self._finds_gaps and grid is not None
        columns = KindColumns(text, generated, grid, GapLog((), n) if found else None, scored=found)
        if not generated:
            columns = replace(columns, metrics=_constant(SessionMetrics.none(n)))
        zeros = np.zeros(n, dtype=np.int64)
        return FedInterval(
            interval, grid, LogView((), zeros, LOG_BAR_SCHEMA), columns, np.full(n, NEVER), np.zeros(n),
            np.zeros(n, dtype=bool), consumed=zeros, seen=zeros, last_missing=np.full(n, NO_NUMBER),
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
        is_derived = fed.columns.generated and self._session is not None and not fed.is_given
        if is_derived and self._fed[self._base].log.rows:
            raise StateError(
                f"{text} bars are derived from {self._base} bars in this session: expected {self._base} bars",
                hint=f"append {self._base} bars, or give {text} bars before any {self._base} bar",
            )
        log = fed.log
        accepted = accept(
            bars,
            codes,
            fed.interval,
            self._session,
            fed.grid,
            fed.latest,
            fed.volumes,
            lambda codes: latest_revisions(log, codes),
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
        """Work out what follows from the rows by `now_us`: derived bars, gaps, metrics. What is closed stays closed."""
        base, now_us = self._fed[self._base], max(now_us, self._settled_us)
        (again,) = self._recount.nonzero()
        if len(again):
            self._sums = self._sums.recounted(again, latest_revisions(base.log, again))
            self._recount[:] = False
        if self._sums is not self._shown:
            self._shown = self._sums
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
                find_gaps(fed, now_us)
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
                find_again(fed, fresh, fed.due, self._settled_us)
        self._sums = self._sums.widened(n_symbols)
        self._recount = np.concatenate([self._recount, np.zeros(n_symbols - len(self._recount), dtype=bool)])

    # --- derived bars --------------------------------------------------------------------------------------------

    def _came_after(self, base: FedInterval) -> Bools:
        """Mark the symbols with bars that came after the clock had passed their end."""
        marked = np.zeros(self._n, dtype=bool)
        if base.log.visible is base.seen:
            return marked
        rows, places = base.fresh()
        if len(places):
            marked[places[column(rows, "available_at") <= self._settled_us]] = True
        return marked

    def _derive(self, base: FedInterval, fed: FedInterval, now_us: int, dirty: Bools) -> None:
        """Derive the buckets that closed, and those that rows of later have changed."""
        assert fed.grid is not None
        closed = int(fed.grid.ends.searchsorted(now_us, side="right"))
        if closed == fed.closed and base.log.visible is base.seen:
            return
        moved = base.log.visible > base.seen
        again = (dirty | base.disordered) & (moved | (closed > fed.closed))
        if closed > fed.closed:
            (codes,) = (~(again | base.disordered)).nonzero()
            rows, places = base.fresh(codes, fed.consumed)
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

    def _add_derived(self, fed: FedInterval, bars: Segment, *, revised: bool) -> None:
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


def _constant(metrics: SessionMetrics) -> Any:
    return lambda _log: metrics


def _kept(bars: Segment, keep: Bools) -> Segment:
    return (
        bars if keep.all() else Segment.from_rows(bars.batch.filter(pa.array(keep)), bars.codes()[keep], bars.n_symbols)
    )
