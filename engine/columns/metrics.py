"""Session metrics: volume, high, low and vwap as running figures, so that those of any prefix are one look-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
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
        """Accumulate the rows of `bars` within each symbol, in order. Cost: O(rows), once per segment.

        Notes
        -----
        vwap = Σ((high + low + close) / 3 × volume) / Σ volume, summed in the order of the rows.
        """
        high, low, close, volume = (bars.column(name) for name in ("high", "low", "close", "volume"))
        # NumPy divides; Polars would multiply by the inverse of 3, which differs in the last digit.
        with np.errstate(over="ignore"):
            turnover = (high + low + close) / 3.0 * volume
        frame = pl.DataFrame({"code": bars.codes(), "high": high, "low": low, "volume": volume, "turnover": turnover})
        running = frame.select(
            pl.col("volume").cum_sum().over("code"),
            pl.col("high").cum_max().over("code"),
            pl.col("low").cum_min().over("code"),
            pl.col("turnover").cum_sum().over("code"),
        )
        return cls(*(running[name].to_numpy() for name in ("volume", "high", "low", "turnover")))

    def at(self, start: Ints, visible: Ints) -> SessionMetrics:
        """Return the metrics while the first `visible` rows of each symbol show. Cost: O(symbols)."""
        some = visible > 0
        if not len(self.volume) or not some.any():
            nothing = np.full(len(visible), np.nan)
            return SessionMetrics(np.zeros(len(visible), dtype=np.int64), nothing, nothing, nothing)
        at = np.where(some, start + visible - 1, 0)
        volume = np.where(some, self.volume[at], 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            vwap = self.turnover[at] / volume
        vwap = np.where((volume > 0) & np.isfinite(vwap), vwap, np.nan)  # prices near the largest double overflow
        high = np.where(some, self.high[at], np.nan)
        return SessionMetrics(volume, high, np.where(some, self.low[at], np.nan), vwap)
