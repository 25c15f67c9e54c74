"""Synthetic trades and quotes, made to fit synthetic bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .frames import SessionBars, table_of

_EXCHANGES = np.array(["N", "P", "Q", "Z"])
_QUOTES_PER_BAR = 2


def make_ticks(bars: SessionBars, names: Sequence[str], rng: np.random.Generator) -> pa.Table:
    """Return two to six trades per bar: the first at its open, the last at its close, the others in its range."""
    codes, places = np.nonzero(bars.present)
    counts = rng.integers(2, 7, len(codes))
    bar, stamps = _stamps(bars, places, counts, rng)
    ends = np.cumsum(counts)
    low, high = bars.low[bars.present], bars.high[bars.present]
    prices = np.round(low[bar] + rng.random(len(bar)) * (high - low)[bar], 2)
    prices[ends - counts] = bars.open[bars.present]
    prices[ends - 1] = bars.close[bars.present]
    sizes = np.maximum(bars.volume[bars.present] // counts, 1)
    exchange = pa.array(_EXCHANGES[rng.integers(0, len(_EXCHANGES), len(bar))])
    return table_of("ticks", names, codes[bar], [stamps, prices, sizes[bar], exchange])


def make_quotes(bars: SessionBars, names: Sequence[str], rng: np.random.Generator) -> pa.Table:
    """Return two quotes per bar around its open and its close, one to four cents wide."""
    codes, places = np.nonzero(bars.present)
    counts = np.full(len(codes), _QUOTES_PER_BAR)
    bar, stamps = _stamps(bars, places, counts, rng)
    price = np.stack([bars.open[bars.present], bars.close[bars.present]], axis=1).ravel()
    width = rng.integers(1, 5, len(bar))
    bid = np.maximum(np.round(price - 0.01 * (width // 2), 2), 0.01)
    sizes = rng.integers(1, 50, (2, len(bar))) * 100
    return table_of("quotes", names, codes[bar], [stamps, bid, np.round(bid + 0.01 * width, 2), sizes[0], sizes[1]])


def _stamps(
    bars: SessionBars, places: NDArray[Any], counts: NDArray[Any], rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return for each event the bar it belongs to and a time in it, ascending within the bar."""
    bar = np.repeat(np.arange(len(counts)), counts)
    lengths_ms = (bars.ends - bars.starts)[places][bar] // 1000
    whole_ms = bars.interval_us // 1000
    offsets = rng.integers(0, whole_ms, len(bar)) * lengths_ms // whole_ms * 1000
    order = np.lexsort((offsets, bar))
    return bar, bars.starts[places][bar] + offsets[order]
