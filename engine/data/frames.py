"""`SessionBars`, the arrays one synthetic session is made of, and the Arrow tables made of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .partition import read_schema

Floats = NDArray[np.float64]
_DAY_US = 86_400_000_000
_EPOCH = dt.date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, eq=False)
class SessionBars:
    """Bars of one session as arrays.

    Attributes
    ----------
    date : date
    starts, ends : int64 arrays, shape (bars,)
        Start of each bar and its end, the close where that cuts it short; UTC microseconds.
    regular : bool array, shape (bars,)
        Whether a bar lies in the regular session.
    interval_us : int
    open, high, low, close : float64 arrays, shape (symbols, bars)
    volume : int64 array, shape (symbols, bars)
    present : bool array, shape (symbols, bars)
        False where a bar is left out.
    """

    date: dt.date
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    regular: NDArray[np.bool_]
    interval_us: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: NDArray[np.int64]
    present: NDArray[np.bool_]


def table_of(kind: str, names: Sequence[str], codes: NDArray[Any], columns: Sequence[Any]) -> pa.Table:
    """Return a table of `kind`, its symbols given as places in `names` and its other columns in order."""
    symbol = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(list(names), pa.string()))
    schema = read_schema(kind)
    arrays = [pa.array(values, type=schema.field(place + 1).type) for place, values in enumerate(columns)]
    return pa.Table.from_arrays([symbol, *arrays], schema=schema)


def bar_table(bars: SessionBars, names: Sequence[str]) -> pa.Table:
    """Return the bars that are present."""
    codes, places = np.nonzero(bars.present)
    values = [values[bars.present] for values in (bars.open, bars.high, bars.low, bars.close, bars.volume)]
    return table_of("1m", names, codes, [bars.starts[places], *values])


def daily_table(bars: SessionBars, names: Sequence[str]) -> pa.Table:
    """Return one bar per symbol, made of its regular bars that are present; none for a symbol without any."""
    present = bars.present[:, bars.regular]
    codes = np.flatnonzero(present.any(axis=1))
    present = present[codes]
    first, last = present.argmax(axis=1), present.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
    each = np.arange(len(codes))
    open_, high, low, close, volume = (
        values[:, bars.regular][codes] for values in (bars.open, bars.high, bars.low, bars.close, bars.volume)
    )
    label = np.full(len(codes), (bars.date.toordinal() - _EPOCH) * _DAY_US)
    columns = [
        label,
        open_[each, first],
        np.where(present, high, -np.inf).max(axis=1),
        np.where(present, low, np.inf).min(axis=1),
        close[each, last],
        np.where(present, volume, 0).sum(axis=1),
    ]
    return table_of("1d", names, codes, columns)
