"""Gaps: runs of consecutive bars that were expected and are not there, of all symbols in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment

from .buckets import BucketGrid

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class GapColumns:
    """All gap ranges a session will show by its close, sorted by symbol and start.

    A range becomes visible when its first bar is due, and grows until its last one is: `missing` and `ends_at` cut
    it at what is expected, so nothing of the future shows.

    Attributes
    ----------
    code, first, last : int64 arrays, one entry per range
        Symbol code, and numbers of the first and last missing bar among the expected ones.
    missing_before : int64 array
        Bars missing in the symbol's earlier ranges.
    start, count : int64 arrays, one entry per symbol code
        A symbol's ranges are ``[start, start + count)``.
    """

    code: Ints
    first: Ints
    last: Ints
    missing_before: Ints
    start: Ints
    count: Ints

    def ends_at(self, expected: int) -> Ints:
        """Return the last missing bar of each range while `expected` bars are due; int64, one entry per range."""
        return np.minimum(self.last, expected - 1)

    def visible_at(self, expected: int) -> Ints:
        """Return how many ranges of each symbol show while `expected` bars are due; int64, one entry per symbol."""
        if not len(self.first):
            return np.zeros_like(self.count)
        shown = np.concatenate([[0], np.cumsum(self.first < expected)])
        visible: Ints = shown[self.start + self.count] - shown[self.start]
        return visible

    def missing(self, visible: Ints, expected: int) -> Ints:
        """Return the number of bars each symbol misses.

        Parameters
        ----------
        visible : int64 array, one entry per symbol code
            Ranges that show, as `visible_at` gives them.
        expected : int
            Bars that are due.

        Returns
        -------
        int64 array, one entry per symbol code
            Cost: O(symbols), however many ranges there are.
        """
        if not len(self.first):
            return np.zeros_like(self.count)
        at = np.maximum(self.start + visible - 1, 0)
        total = self.missing_before[at] + np.minimum(self.last[at], expected - 1) - self.first[at] + 1
        return np.where(visible > 0, total, 0)


def find_gaps(bars: Segment, grid: BucketGrid) -> GapColumns:
    """Find every range of expected bars that `bars` lacks.

    Parameters
    ----------
    bars : Segment
        Bars with timestamps ascending within a symbol. Those outside the expected ones (extended hours) are ignored,
        two bars in one bucket count once.
    grid : BucketGrid

    Returns
    -------
    GapColumns
        A range never spans a break. A symbol without rows misses every bar.

    Notes
    -----
    O(rows) plus O(ranges log ranges): neighbours within a symbol are compared, no grid of symbols × bars is made.
    """
    numbers = grid.locate(bars.column("timestamp")).astype(np.int64) - grid.first_expected
    codes = bars.codes().astype(np.int64)
    regular = (numbers >= 0) & (numbers < grid.n_expected)
    if not regular.all():
        numbers, codes = numbers[regular], codes[regular]
    n_symbols, n_expected = bars.n_symbols, grid.n_expected
    new_symbol = codes[1:] != codes[:-1]
    before = np.concatenate([[-1], np.where(new_symbol, -1, numbers[:-1])]) if len(numbers) else numbers
    inner = np.flatnonzero(numbers - before > 1)
    tail = np.append(np.flatnonzero(new_symbol), len(numbers) - 1) if len(numbers) else np.empty(0, dtype=np.int64)
    tail = tail[numbers[tail] < n_expected - 1]
    absent = np.setdiff1d(np.arange(n_symbols), codes)
    code = np.concatenate([codes[inner], codes[tail], absent])
    first = np.concatenate([before[inner] + 1, numbers[tail] + 1, np.zeros(len(absent), dtype=np.int64)])
    last = np.concatenate([numbers[inner] - 1, np.full(len(tail) + len(absent), n_expected - 1, dtype=np.int64)])
    for border in grid.breaks:
        code, first, last = _split(code, first, last, border)
    return _indexed(code, first, last, n_symbols)


def _split(code: Ints, first: Ints, last: Ints, border: int) -> tuple[Ints, Ints, Ints]:
    """Cut the ranges that reach across `border` in two."""
    across = np.flatnonzero((first < border) & (last >= border))
    ends = last.copy()
    ends[across] = border - 1
    return (
        np.concatenate([code, code[across]]),
        np.concatenate([first, np.full(len(across), border, dtype=np.int64)]),
        np.concatenate([ends, last[across]]),
    )


def _indexed(code: Ints, first: Ints, last: Ints, n_symbols: int) -> GapColumns:
    order = np.lexsort((first, code))
    code, first, last = code[order], first[order], last[order]
    count = np.bincount(code, minlength=n_symbols).astype(np.int64)
    start = np.cumsum(count) - count
    passed = np.concatenate([[0], np.cumsum(last - first + 1)])
    return GapColumns(code, first, last, passed[:-1] - passed[start][code], start, count)
