"""Gaps and quality that were set by hand, as columns of the state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.state.gap_log import GapLog, ranges_of
from mismartera.engine.state.gap_rows import GapRows, changed_rows
from mismartera.engine.state.kind_state import KindColumns


def with_gaps_by_hand(columns: KindColumns, code: int, wanted: GapRows, now_us: int, n_symbols: int) -> KindColumns:
    """Return columns in whose gap log the ranges of one symbol are those set by hand at `now_us`."""
    gap_log, searched = _with_gaps_of(columns, code, n_symbols)
    view, codes = gap_log.at(now_us), np.array([code])
    standing = ranges_of(view, codes)
    rows = changed_rows(standing, wanted, codes, now_us, n_symbols, (view.gap_count[codes], view.missing[codes]))
    return replace(columns, gap_log=gap_log.set_by_hand(code, rows, now_us), searched=searched)


def with_quality_by_hand(columns: KindColumns, code: int, quality: float, n_symbols: int) -> KindColumns:
    """Return columns with the quality of one symbol set by hand; by this it has no gaps where they are not searched."""
    by_hand = np.full(n_symbols, np.nan) if columns.quality_by_hand is None else columns.quality_by_hand.copy()
    by_hand[code] = quality
    gap_log, searched = _with_gaps_of(columns, code, n_symbols)
    return replace(columns, quality_by_hand=by_hand, gap_log=gap_log, searched=searched)


def _with_gaps_of(columns: KindColumns, code: int, n_symbols: int) -> tuple[GapLog, NDArray[np.bool_] | None]:
    """Return the gap log, empty where gaps are not searched, and which symbols' gaps are known, that of `code` too."""
    if columns.gap_log is None:
        known = np.zeros(n_symbols, dtype=bool)
    elif columns.searched is None:
        return columns.gap_log, None
    else:
        known = columns.searched.copy()
    known[code] = True
    return columns.gap_log or GapLog((), n_symbols), known
