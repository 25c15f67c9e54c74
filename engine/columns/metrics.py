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
            turnover = (high + low + close) / 3.0 * volume
            sources = ((np.add, volume), (np.maximum, high), (np.minimum, low), (np.add, turnover))
            running: list[Any] = [np.empty_like(values) for _, values in sources]
            for (step, values), made in zip(sources, running, strict=True):
                for span in spans:
                    step.accumulate(values[span], out=made[span])
        return cls(*running)

    def at(self, start: Ints, visible: Ints) -> SessionMetrics:
        """Return the metrics while the first `visible` rows of each symbol show. Cost: O(symbols)."""
        some = visible > 0
        if some.all() and len(visible):
            at = start + visible - 1
            return SessionMetrics(self.volume[at], self.high[at], self.low[at], self._vwap(at))
        if not len(self.volume) or not some.any():
            nothing = np.full(len(visible), np.nan)
            return SessionMetrics(np.zeros(len(visible), dtype=np.int64), nothing, nothing, nothing)
        at = np.where(some, start + visible - 1, 0)
        high, low, vwap = (np.where(some, values, np.nan) for values in (self.high[at], self.low[at], self._vwap(at)))
        return SessionMetrics(np.where(some, self.volume[at], 0), high, low, vwap)

    def _vwap(self, at: Ints) -> Floats:
        """Return the vwap after the given rows; NaN while the volume is 0, and where prices overflow a double."""
        volume = self.volume[at]
        if volume.all():
            vwap = self.turnover[at] / volume
        else:
            vwap = np.divide(self.turnover[at], volume, out=np.full(len(at), np.nan), where=volume > 0)
        return vwap if np.isfinite(vwap).all() else np.where(np.isfinite(vwap), vwap, np.nan)
