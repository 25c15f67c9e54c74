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
    by_first : int64 array
        Numbers of the ranges in the order they become visible.
    start, count : int64 arrays, one entry per symbol code
        A symbol's ranges are ``[start, start + count)``.
    """

    code: Ints
    first: Ints
    last: Ints
    missing_before: Ints
    by_first: Ints
    start: Ints
    count: Ints

    def ends_at(self, expected: int) -> Ints:
        """Return the last missing bar of each range while `expected` bars are due; int64, one entry per range."""
        return np.minimum(self.last, expected - 1)

    def visible_at(self, expected: int) -> Ints:
        """Return how many ranges of each symbol show while `expected` bars are due; int64, one entry per symbol."""
        shown = int(self.first.searchsorted(expected, sorter=self.by_first))
        return np.bincount(self.code[self.by_first[:shown]], minlength=len(self.count))

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


def detect_gaps(bars: Segment, grid: BucketGrid) -> GapColumns:
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
    numbers = grid.number(bars.column("timestamp"))
    start, count = bars.start, bars.count
    if grid.first_expected or (len(numbers) and numbers.min() < 0) or grid.n_expected < len(grid.starts):
        numbers, start, count = _regular(numbers, start, count, grid)
    some = np.flatnonzero(count)
    some = some[np.argsort(start[some], kind="stable")]
    heads, tails = start[some], start[some] + count[some] - 1
    jumps = np.flatnonzero(numbers[1:] - numbers[:-1] > 1)
    owner = np.searchsorted(heads, jumps, side="right") - 1
    within = jumps != tails[owner]
    jumps, owner = jumps[within], owner[within]
    late, early = numbers[heads] > 0, numbers[tails] < grid.n_expected - 1
    absent = np.flatnonzero(count == 0)
    zeros, ends = np.zeros_like, grid.n_expected - 1
    code = np.concatenate([some[owner], some[late], some[early], absent])
    first = np.concatenate([numbers[jumps] + 1, zeros(heads[late]), numbers[tails[early]] + 1, zeros(absent)])
    last = np.concatenate(
        [numbers[jumps + 1] - 1, numbers[heads[late]] - 1, zeros(tails[early]) + ends, zeros(absent) + ends]
    )
    for border in grid.breaks:
        code, first, last = _split(code, first, last, border)
    return _indexed(code, first.astype(np.int64), last.astype(np.int64), bars.n_symbols)


def _regular(
    numbers: NDArray[np.int32], start: Ints, count: Ints, grid: BucketGrid
) -> tuple[NDArray[np.int32], Ints, Ints]:
    """Return the expected-bar numbers of the rows inside the regular session, and where each symbol's lie."""
    numbers = numbers - np.int32(grid.first_expected)
    keep = (numbers >= 0) & (numbers < grid.n_expected)
    before = np.concatenate([[0], np.cumsum(keep)])
    begin = before[start]
    return numbers[keep], begin, before[start + count] - begin


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
    by_first = np.argsort(first, kind="stable")
    return GapColumns(code, first, last, passed[:-1] - passed[start][code], by_first, start, count)
