"""`BucketGrid`: the bars one interval has in one session, as the calendar expects them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.interval import Interval

DAY_US = 86_400_000_000


def date_label_us(date: dt.date) -> int:
    """Return the timestamp of a daily bar: its session's date at 00:00 UTC, in microseconds."""
    return (date - dt.date(1970, 1, 1)).days * DAY_US


@dataclass(frozen=True, slots=True)
class BucketGrid:
    """Buckets of one interval over one session, anchored at the open of each trading segment.

    A bucket is numbered in time order. The last one of a segment is cut at the segment's close. The expected ones,
    those of the regular session, are numbers `first_expected` to `first_expected + n_expected`; the others belong
    to extended hours.

    Attributes
    ----------
    interval_us : int
        Length of a full bucket.
    opens, closes, firsts : int64 arrays, one entry per segment
        Start and end of the segment, and the number of its first bucket.
    starts, ends : int64 arrays, one entry per bucket
        The bar's timestamp, and when it can first be known. A daily bar's timestamp is its date's label.
    first_expected, n_expected : int
    breaks : tuple of int
        Expected-bucket numbers (counted from the first expected one) at which a later trading segment begins.
    """

    interval_us: int
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    firsts: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    first_expected: int
    n_expected: int
    breaks: tuple[int, ...]

    @property
    def expected_starts(self) -> NDArray[np.int64]:
        """Starts of the expected bars, ascending."""
        return self.starts[self.first_expected : self.first_expected + self.n_expected]

    @property
    def expected_ends(self) -> NDArray[np.int64]:
        """Ends of the expected bars, ascending: when each is due."""
        return self.ends[self.first_expected : self.first_expected + self.n_expected]

    def expected_at(self, now_us: int) -> int:
        """Return how many bars are expected to exist at `now_us`: those whose end is at or before it."""
        return int(self.expected_ends.searchsorted(now_us, side="right"))

    def locate(self, timestamps: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the bucket number of each timestamp, -1 where it falls into none.

        Parameters
        ----------
        timestamps : int64 array, shape (rows,)
            Bar starts in UTC microseconds, in any order.

        Returns
        -------
        int32 array, shape (rows,)

        Notes
        -----
        O(rows × segments); a session has one to four segments.
        """
        numbers = np.full(len(timestamps), -1, dtype=np.int32)
        for opened, closed, first in zip(self.opens.tolist(), self.closes.tolist(), self.firsts.tolist(), strict=True):
            offsets = timestamps - opened
            inside = (offsets >= 0) & (timestamps < closed)
            if inside.all():
                numbers[:] = offsets // self.interval_us + first
                return numbers
            np.copyto(numbers, offsets // self.interval_us + first, where=inside, casting="same_kind")
        return numbers

    def number(self, timestamps: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the bucket number of each bar of this very interval by its timestamp, -1 where it is none's.

        The same as `locate` but for daily bars, whose timestamp is their date's label and no instant of the session.
        """
        if self.interval_us < DAY_US:
            return self.locate(timestamps)
        return np.where(timestamps == self.starts[0], 0, -1).astype(np.int32)

    def possible(self, base_us: int) -> NDArray[np.int32]:
        """Return how many bars of `base_us` fit into each bucket, int32, one entry per bucket."""
        if self.interval_us >= DAY_US:
            total = np.sum(-(-(self.closes - self.opens) // base_us))
            return np.array([total], dtype=np.int32)
        return (-(-(self.ends - self.starts) // base_us)).astype(np.int32)


def session_grid(session: TradingSession, interval: Interval, *, extended: bool = False) -> BucketGrid:
    """Return the buckets of `interval` in `session`.

    Parameters
    ----------
    session : TradingSession
    interval : Interval
        At most one day; a daily bar is made of the regular session alone and is known at its close.
    extended : bool
        Whether hours before the open and after the close have buckets too (never expected ones).
    """
    if interval.is_daily:
        opens, closes = _ends_of(session.segments)
        label = np.array([date_label_us(session.date)], dtype=np.int64)
        zeros = np.zeros(len(opens), dtype=np.int64)
        return BucketGrid(10 * DAY_US, opens, closes, zeros, label, closes[-1:], 0, 1, ())
    segments = sorted(session.segments + session.extended) if extended else list(session.segments)
    regular = set(session.segments)
    starts, ends, firsts, count = [], [], [], 0
    first_expected, n_expected, breaks = -1, 0, []
    for opened, closed in segments:
        begin = np.arange(opened, closed, interval.us, dtype=np.int64)
        starts.append(begin)
        ends.append(np.minimum(begin + interval.us, closed))
        firsts.append(count)
        if (opened, closed) in regular:
            if first_expected < 0:
                first_expected = count
            else:
                breaks.append(n_expected)
            n_expected += len(begin)
        count += len(begin)
    opens, closes = _ends_of(tuple(segments))
    return BucketGrid(
        interval.us,
        opens,
        closes,
        np.array(firsts, dtype=np.int64),
        np.concatenate(starts),
        np.concatenate(ends),
        first_expected,
        n_expected,
        tuple(breaks),
    )


def _ends_of(segments: tuple[tuple[int, int], ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pairs = np.array(segments, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy()
