"""Session metrics: volume, high, low and vwap as running figures, so that those of any prefix are one look-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SessionMetrics:
    """Metrics of each symbol at one instant; high, low and vwap are NaN where there is none.

    Attributes
    ----------
    volume : int64 array, one entry per symbol code
    high, low, vwap : float64 arrays, one entry per symbol code
    """

    volume: Ints
    high: Floats
    low: Floats
    vwap: Floats

    @classmethod
    def none(cls, n_symbols: int) -> SessionMetrics:
        """Return the metrics before the first row."""
        unknown = np.full(n_symbols, np.nan)
        return cls(np.zeros(n_symbols, dtype=np.int64), unknown, unknown, unknown)


@dataclass(frozen=True, slots=True, eq=False)
class RunningMetrics:
    """The metrics after each row of a segment, one entry per row."""

    volume: Ints
    high: Floats
    low: Floats
    turnover: Floats

    @classmethod
    def of(cls, bars: Segment) -> RunningMetrics:
        """Accumulate the rows of `bars` within each symbol, in order.

        Notes
        -----
        O(rows) and four NumPy calls per symbol, once per day: a running sum over all symbols at once would carry the
        rounding of one into the next.
        vwap = Σ((high + low + close) / 3 × volume) / Σ volume, summed in the order of the rows.
        """
        high, low, close, volume = (bars.column(name) for name in ("high", "low", "close", "volume"))
        spans = [
            slice(start, start + count) for start, count in zip(bars.start.tolist(), bars.count.tolist(), strict=True)
        ]
        # A turnover beyond all doubles is infinite, and the sum of two such is none: neither is an error, nor shown.
        with np.errstate(over="ignore", invalid="ignore"):
            turnover = _turnover(high, low, close, volume)
            sources = ((np.add, volume), (np.maximum, high), (np.minimum, low), (np.add, turnover))
            running: list[Any] = [np.empty_like(values) for _, values in sources]
            for (step, values), made in zip(sources, running, strict=True):
                for span in spans:
                    step.accumulate(values[span], out=made[span])
        return cls(*running)

    def at(self, start: Ints, visible: Ints) -> SessionMetrics:
        """Return the metrics while the first `visible` rows of each symbol show. Cost: O(symbols)."""
        some = visible > 0
        if not len(self.volume) or not some.any():
            return SessionMetrics.none(len(visible))
        at = np.where(some, start + visible - 1, 0)
        return _metrics(some, self.volume[at], self.high[at], self.low[at], self.turnover[at])


@dataclass(frozen=True, slots=True, eq=False)
class MetricSums:
    """The metrics of each symbol after the rows it was given so far, one entry per symbol code; grows by batches."""

    rows: Ints
    volume: Ints
    high: Floats
    low: Floats
    turnover: Floats

    @classmethod
    def none(cls, n_symbols: int) -> MetricSums:
        """Return the sums before the first row."""
        counts, sums = np.zeros((2, n_symbols), dtype=np.int64), np.zeros(n_symbols)
        return cls(counts[0], counts[1], np.full(n_symbols, -np.inf), np.full(n_symbols, np.inf), sums)

    def added(self, bars: Segment) -> MetricSums:
        """Return the sums after more rows, each symbol's in order.

        Notes
        -----
        O(symbols + rows). The additions are those of `RunningMetrics`, one row after another, so the last digit of
        vwap is the same.
        """
        codes = bars.codes()
        made = MetricSums(self.rows.copy(), self.volume.copy(), self.high.copy(), self.low.copy(), self.turnover.copy())
        high, low, close, volume = (bars.column(name) for name in ("high", "low", "close", "volume"))
        with np.errstate(over="ignore", invalid="ignore"):
            np.add.at(made.turnover, codes, _turnover(high, low, close, volume))
        np.add.at(made.rows, codes, 1)
        np.add.at(made.volume, codes, volume)
        np.maximum.at(made.high, codes, high)
        np.minimum.at(made.low, codes, low)
        return made

    def recounted(self, codes: Ints, bars: Segment) -> MetricSums:
        """Return the sums with those of some symbols made anew, of all the current rows they have."""
        made = MetricSums(self.rows.copy(), self.volume.copy(), self.high.copy(), self.low.copy(), self.turnover.copy())
        fresh = MetricSums.none(len(self.rows)).added(bars)
        for name in ("rows", "volume", "high", "low", "turnover"):
            getattr(made, name)[codes] = getattr(fresh, name)[codes]
        return made

    def widened(self, n_symbols: int) -> MetricSums:
        """Return the same sums with room for `n_symbols` codes; later codes have no row."""
        none = MetricSums.none(n_symbols)
        for name in ("rows", "volume", "high", "low", "turnover"):
            getattr(none, name)[: len(self.rows)] = getattr(self, name)
        return none

    def metrics(self) -> SessionMetrics:
        """Return the metrics."""
        return _metrics(self.rows > 0, self.volume, self.high, self.low, self.turnover)


def _turnover(high: Floats, low: Floats, close: Floats, volume: Ints) -> Floats:
    turnover: Floats = (high + low + close) / 3.0 * volume
    return turnover


def _metrics(some: NDArray[np.bool_], volume: Ints, high: Floats, low: Floats, turnover: Floats) -> SessionMetrics:
    """Return metrics of symbols, of which `some` have rows; vwap is NaN where the volume is 0 or prices overflow."""
    if some.all() and volume.all():
        vwap = turnover / volume
    else:
        vwap = np.divide(turnover, volume, out=np.full(len(volume), np.nan), where=some & (volume > 0))
    if not np.isfinite(vwap).all():
        vwap = np.where(np.isfinite(vwap), vwap, np.nan)
    if some.all():
        return SessionMetrics(volume, high, low, vwap)
    high, low = np.where(some, high, np.nan), np.where(some, low, np.nan)
    return SessionMetrics(np.where(some, volume, 0), high, low, vwap)
