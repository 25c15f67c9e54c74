"""`Timetable`: when each staged row becomes visible, made once when a day is staged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .segment import Segment

Ints = NDArray[np.int64]
_MANY_SYMBOLS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """The rows of one segment in the order of time.

    Attributes
    ----------
    times : int64 array
        Distinct instants at which rows become visible, ascending.
    bounds : int64 array, one entry more than `times`
        Rows that become visible at ``times[i]`` are ``rows[bounds[i] : bounds[i + 1]]``.
    rows : int32 array
        Row numbers of the segment.
    codes : uint16 or int32 array
        Symbol code of each entry of `rows`.
    present : bool array of shape (instants, symbols), or None
        Which symbols have a row at each instant, where there are many and most do: adding its line is a third of the
        cost of counting codes (3 against 8 microseconds for 5,000 symbols).

    Notes
    -----
    Six to ten bytes per row. Moving the visible end over k rows of n symbols costs O(n + k) in two array
    operations, whatever is held already.
    """

    times: Ints
    bounds: Ints
    rows: NDArray[np.int32]
    codes: NDArray[Any]
    present: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, segment: Segment, places: NDArray[np.int32] | None = None) -> Timetable:
        """Order the rows of `segment` by when they become available; rows of one instant keep the segment's order.

        Parameters
        ----------
        segment : Segment
        places : int32 array, optional
            Numbers of the rows that order them as their instants do, such as buckets; sorting small numbers is faster.
        """
        at = segment.column("available_at")
        codes = segment.codes()
        if segment.n_symbols <= 1 << 16:
            codes = codes.astype(np.uint16)
        if not len(at):
            return cls(np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0, np.int32), codes)
        if places is not None and segment.rows and int(places.max()) < 1 << 16:
            order = np.argsort(places.astype(np.uint16), kind="stable")
        else:
            order = _stable_order(at)
        ordered = at[order]
        changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        bounds = np.concatenate([[0], changes, [len(at)]])
        codes = codes[order]
        present = _present(codes, bounds, segment.n_symbols)
        return cls(ordered[bounds[:-1]], bounds, order.astype(np.int32), codes, present)

    def positions(self, instants: Ints) -> Ints:
        """Return, for each instant, the number of entries of `rows` visible at it, int64."""
        return self.bounds[np.searchsorted(self.times, instants, side="right")]

    def advance(self, visible: Ints, start: int, stop: int) -> Ints:
        """Return `visible` after entries ``[start, stop)`` of `rows` became visible; a new array, or the same one."""
        if start == stop:
            return visible
        if self.present is not None:
            at = int(np.searchsorted(self.bounds, start))
            if self.bounds[at] == start and self.bounds[at + 1] == stop:
                shown: Ints = visible + self.present[at]
                return shown
        moved: Ints = visible + np.bincount(self.codes[start:stop], minlength=len(visible))
        return moved


def _present(codes: NDArray[Any], bounds: Ints, n_symbols: int) -> NDArray[np.bool_] | None:
    instants = len(bounds) - 1
    if n_symbols < _MANY_SYMBOLS or len(codes) * 2 < instants * n_symbols:
        return None
    present = np.zeros((instants, n_symbols), dtype=bool)
    present[np.repeat(np.arange(instants), np.diff(bounds)), codes] = True
    return present if int(np.count_nonzero(present)) == len(codes) else None


def _stable_order(at: Ints) -> Ints:
    """Sort instants stably; those on a coarse grid as 16-bit numbers, which NumPy sorts in linear time."""
    low = int(at.min())
    offsets = at - low
    step = int(np.gcd.reduce(offsets[: 1 << 12])) or 1
    spans = int(offsets.max()) // step
    if spans < 1 << 16 and not np.any(offsets % step):
        return np.argsort((offsets // step).astype(np.uint16), kind="stable")
    return np.argsort(at, kind="stable")
