"""Historical indicators: figures over the sessions before the current one, of all symbols at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment

from .buckets import BucketGrid

Floats = NDArray[np.float64]

_WITHIN_A_DAY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "open": lambda values, first, last: values[first],
    "high": lambda values, first, last: np.maximum.reduceat(values, first),
    "low": lambda values, first, last: np.minimum.reduceat(values, first),
    "close": lambda values, first, last: values[last],
    "volume": lambda values, first, last: np.add.reduceat(values, first),
}


def daily_average(days: Sequence[Segment], field: str, n_symbols: int) -> Floats:
    """Return the mean over sessions of each one's value: first open, highest high, lowest low, last close, Σ volume.

    Parameters
    ----------
    days : sequence of Segment
        Bars of one session each, sorted by time within a symbol.
    field : str
        One of open, high, low, close, volume.
    n_symbols : int

    Returns
    -------
    float64 array, shape (n_symbols,)
        Sessions in which a symbol has no bar do not count; NaN where it has none at all.
    """
    total, counted = np.zeros(n_symbols), np.zeros(n_symbols)
    for day in days:
        some = np.flatnonzero(day.count)
        if not len(some):
            continue
        some = some[np.argsort(day.start[some])]
        first = day.start[some]
        total[some] += _WITHIN_A_DAY[field](day.column(field), first, first + day.count[some] - 1)
        counted[some] += 1
    return _mean(total, counted)


def intraday_average(days: Sequence[tuple[Segment, BucketGrid]], minutes: int, field: str, n_symbols: int) -> Floats:
    """Return, for each minute of the session, the mean of that minute's bars over the sessions.

    Parameters
    ----------
    days : sequence of (Segment, BucketGrid)
        One-minute bars of a session with the session's one-minute buckets.
    minutes : int
        Expected one-minute bars of the current session: the length of the answer. Minutes are counted over trading
        segments, so a lunch break has none; those an early close cut off count only on the days that have them.
    field : str
    n_symbols : int

    Returns
    -------
    float64 array, shape (n_symbols, minutes)
        NaN where no session has a bar.
    """
    total, counted = np.zeros((n_symbols, minutes)), np.zeros((n_symbols, minutes))
    for day, grid in days:
        minute = grid.locate(day.column("timestamp")) - grid.first_expected
        keep = (minute >= 0) & (minute < min(minutes, grid.n_expected))
        at = day.codes()[keep], minute[keep]
        np.add.at(total, at, day.column(field)[keep])
        np.add.at(counted, at, 1.0)
    return _mean(total, counted)


def field_extreme(days: Sequence[Segment], field: str, n_symbols: int, *, highest: bool) -> Floats:
    """Return the maximum (or minimum) of a column over all bars of the sessions; NaN where a symbol has none.

    Returns
    -------
    float64 array, shape (n_symbols,)
    """
    pick = np.fmax if highest else np.fmin
    extreme = np.full(n_symbols, np.nan)
    for day in days:
        some = np.flatnonzero(day.count)
        if not len(some):
            continue
        some = some[np.argsort(day.start[some])]
        within = (np.maximum if highest else np.minimum).reduceat(day.column(field), day.start[some])
        extreme[some] = pick(extreme[some], within)
    return extreme


def _mean(total: Floats, counted: Floats) -> Floats:
    return np.divide(total, counted, out=np.full_like(total, np.nan), where=counted > 0)
