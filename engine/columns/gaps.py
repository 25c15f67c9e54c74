"""Gap ranges: runs of consecutive bars that were expected and are missing, of all symbols in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment

from .buckets import BucketGrid

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class GapRanges:
    """The gap ranges of some bars, sorted by symbol and start; a range never spans a break.

    Attributes
    ----------
    code, first, last : int64 arrays, one entry per range
        Symbol code, and numbers of the first and last missing bar among the expected ones.
    """

    code: Ints
    first: Ints
    last: Ints

    @property
    def bar_count(self) -> Ints:
        """Missing bars of each range, int64."""
        return self.last - self.first + 1


def detect_gaps(bars: Segment, grid: BucketGrid, expected: int | None = None) -> GapRanges:
    """Find every range of expected bars that `bars` lacks.

    Parameters
    ----------
    bars : Segment
        Bars with timestamps ascending within a symbol. Those outside the expected ones (extended hours) are ignored,
        two bars in one bucket count once.
    grid : BucketGrid
    expected : int, optional
        Search the first so many expected bars; by default all.

    Returns
    -------
    GapRanges
        A symbol without rows misses every bar.

    Notes
    -----
    O(rows) plus O(ranges log ranges): neighbors within a symbol are compared, no grid of symbols × bars is made.
    """
    due = grid.n_expected if expected is None else expected
    if not due:
        empty = np.zeros(0, dtype=np.int64)
        return GapRanges(empty, empty, empty)
    numbers = grid.number(bars.column("timestamp"))
    start, count = bars.start, bars.count
    if grid.first_expected or (len(numbers) and numbers.min() < 0) or due < len(grid.starts):
        numbers, start, count = _regular(numbers, start, count, grid.first_expected, due)
    some = np.flatnonzero(count)
    some = some[np.argsort(start[some], kind="stable")]
    heads, tails = start[some], start[some] + count[some] - 1
    jumps = np.flatnonzero(numbers[1:] - numbers[:-1] > 1)
    owner = np.searchsorted(heads, jumps, side="right") - 1
    within = jumps != tails[owner]
    jumps, owner = jumps[within], owner[within]
    late, early = numbers[heads] > 0, numbers[tails] < due - 1
    absent = np.flatnonzero(count == 0)
    zeros, ends = np.zeros_like, due - 1
    code = np.concatenate([some[owner], some[late], some[early], absent])
    first = np.concatenate([numbers[jumps] + 1, zeros(heads[late]), numbers[tails[early]] + 1, zeros(absent)])
    last = np.concatenate(
        [numbers[jumps + 1] - 1, numbers[heads[late]] - 1, zeros(tails[early]) + ends, zeros(absent) + ends]
    )
    for border in grid.breaks:
        code, first, last = _split(code, first, last, border)
    order = np.lexsort((first, code))
    return GapRanges(code[order], first[order].astype(np.int64), last[order].astype(np.int64))


def _regular(
    numbers: NDArray[np.int32], start: Ints, count: Ints, first_expected: int, due: int
) -> tuple[NDArray[np.int32], Ints, Ints]:
    """Return the expected-bar numbers of the rows among the `due` first ones, and where each symbol's lie."""
    numbers = numbers - np.int32(first_expected)
    keep = (numbers >= 0) & (numbers < due)
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
