"""`GapView`: the gaps of one interval in one session, as they show at an instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.columns.gaps import GapColumns
from mismartera.engine.columns.quality import quality_percent

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_ALWAYS = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class GapView:
    """The gaps of one interval at one instant.

    Attributes
    ----------
    columns : GapColumns
        All ranges of the day.
    grid : BucketGrid
    expected : int
        Bars due by now.
    visible : int64 array, one entry per symbol code
        Ranges that show by now.
    missing : int64 array, one entry per symbol code
        Bars missing by now.
    all_ranges, all_missing : int
        Those of all symbols together.
    from_us, until_us : int
        The instants the view holds for: from one bar's end to the next's, which is excluded.
    """

    columns: GapColumns
    grid: BucketGrid
    expected: int
    visible: Ints
    missing: Ints
    all_ranges: int
    all_missing: int
    from_us: int
    until_us: int

    @classmethod
    def at(cls, columns: GapColumns, grid: BucketGrid, now_us: int) -> GapView:
        """Return the view at `now_us`. Cost: O(ranges of the day)."""
        expected = grid.expected_at(now_us)
        visible = columns.visible_at(expected)
        missing = columns.missing(visible, expected)
        totals = int(np.add.reduce(visible)), int(np.add.reduce(missing))
        ends = grid.expected_ends
        from_us = int(ends[expected - 1]) if expected else _ALWAYS.min
        until_us = int(ends[expected]) if expected < grid.n_expected else _ALWAYS.max
        return cls(columns, grid, expected, visible, missing, *totals, from_us, until_us)

    def quality(self) -> Floats:
        """Return the quality of each symbol in percent, NaN while nothing is expected."""
        return quality_percent(self.missing, self.expected)

    def ranges(self, code: int) -> tuple[Ints, Ints, Ints]:
        """Return a symbol's ranges: first and last missing bar starts (UTC microseconds) and bar counts."""
        at = slice(int(self.columns.start[code]), int(self.columns.start[code] + self.visible[code]))
        first = self.columns.first[at]
        last = np.minimum(self.columns.last[at], self.expected - 1)
        starts = self.grid.expected_starts
        return starts[first], starts[last], last - first + 1

    @classmethod
    def whole(cls, columns: GapColumns, grid: BucketGrid) -> GapView:
        """Return the view at the session's close. Cost: O(ranges)."""
        return cls.at(columns, grid, int(grid.expected_ends[-1]))
