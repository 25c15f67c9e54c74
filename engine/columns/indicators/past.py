"""`Past`: what an indicator is computed from, and the arithmetic several of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.log.segment import Segment
from mismartera.schemas.indicators import INDICATOR_TYPES

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Past:
    """The sessions an indicator looks back over.

    Attributes
    ----------
    days : sequence of Segment
        Bars of one session each, sorted by time within a symbol.
    field : str
        The column: open, high, low, close or volume.
    n_symbols : int
    minutes : callable
        Returns the one-minute bars of each session with the session's one-minute buckets; made when asked for.
    n_minutes : int
        Expected one-minute bars of the current session.
    """

    days: Sequence[Segment]
    field: str
    n_symbols: int
    minutes: Callable[[], Sequence[tuple[Segment, BucketGrid]]] = tuple
    n_minutes: int = 0


def compute_indicator(name: str, past: Past) -> Floats:
    """Return an indicator of a type in `INDICATOR_TYPES`.

    Returns
    -------
    float64 array, shape (n_symbols,) or (n_symbols, n_minutes)
        NaN where a symbol has no value.
    """
    if name not in INDICATOR_TYPES:
        raise KeyError(name)
    values: Floats = import_module(f"{__package__}.{name}").compute(past)
    return values


def reduced(ufunc: np.ufunc, day: Segment, field: str) -> tuple[NDArray[np.intp], Any]:
    """Return the codes of the symbols that have bars on a day, and each one's bars reduced to a value."""
    some, first = with_bars(day)
    return some, ufunc.reduceat(day.column(field), first) if len(some) else np.empty(0)


def with_bars(day: Segment) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the codes of the symbols that have bars on a day, and where each one's first bar is, ascending."""
    some = np.flatnonzero(day.count)
    some = some[np.argsort(day.start[some])]
    return some, day.start[some]


def extreme(past: Past, pick: np.ufunc, within: np.ufunc) -> Floats:
    """Return the extreme of a column over all bars of the sessions, shape (n_symbols,)."""
    values = np.full(past.n_symbols, np.nan)
    for day in past.days:
        some, found = reduced(within, day, past.field)
        values[some] = pick(values[some], found)
    return values


def mean(total: Floats, counted: Floats) -> Floats:
    """Return ``total / counted``, NaN where nothing was counted."""
    return np.divide(total, counted, out=np.full_like(total, np.nan), where=counted > 0)
