"""Gaps given to a session by hand: checked against one another and the session's grid, and put in order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.state.gap_rows import GapRows
from mismartera.engine.time.clock import utc_us
from mismartera.schemas.bars import TIMESTAMP
from mismartera.schemas.errors import DataError
from mismartera.schemas.gaps import GapInfo
from mismartera.schemas.interval import Interval

_MOST = 2**31 - 1  # GAP_SCHEMA counts in int32


def checked_gaps(
    gaps: Sequence[GapInfo], symbol: str, interval: Interval, zone: dt.tzinfo, grid: BucketGrid | None, now_us: int
) -> tuple[GapInfo, ...]:
    """Return gap ranges sorted by start, their moments with a zone.

    Parameters
    ----------
    gaps : sequence of GapInfo
        Moments without a zone are the exchange's; of a daily bar, midnight UTC of its date.
    symbol : str
        Whose they must be.
    interval : Interval
    zone : tzinfo
        The exchange's.
    grid : BucketGrid or None
        The interval's buckets in the session; None where no session has begun.
    now_us : int
        The session's instant: a bar that ends after it is not missing yet.

    Raises
    ------
    DataError
        If it is no list of `GapInfo`, or a field of one has another type; if a range is another symbol's, ends before
        it starts, has no bars or is off the whole seconds; if two share a bar; or, with a grid, if a range is not a run
        of expected bars that are due, all of one trading segment.
    """
    if not isinstance(gaps, Iterable):
        raise DataError(f"gaps of {symbol} {interval}: expected a list of GapInfo, [] for none; it was {gaps!r}")
    typed = [_typed(gap, f"gap of {symbol} {interval}") for gap in gaps]
    placed = sorted((_with_zone(gap, interval, zone) for gap in typed), key=lambda gap: gap.start_time)
    for gap in placed:
        wrong = _wrong(gap, symbol) or ("" if grid is None else _off_grid(gap, interval, grid, now_us, zone))
        if wrong:
            raise DataError(f"gap of {symbol} {interval} from {_text(gap)} is none: {wrong}")
    for earlier, later in pairwise(placed):
        if later.start_time <= earlier.end_time:
            raise DataError(
                f"gaps of {symbol} {interval} overlap: expected ranges without a bar in common, got {_text(earlier)} "
                f"and {_text(later)}"
            )
    return tuple(placed)


def gap_rows(gaps: Sequence[GapInfo]) -> GapRows:
    """Return checked gap ranges of one symbol as arrays; their code is 0."""
    return GapRows(
        np.zeros(len(gaps), dtype=np.int64),
        np.array([utc_us(gap.start_time) for gap in gaps], dtype=np.int64),
        np.array([utc_us(gap.end_time) for gap in gaps], dtype=np.int64),
        np.array([gap.bar_count for gap in gaps], dtype=np.int64),
        np.array([gap.retry_count for gap in gaps], dtype=np.int64),
        pa.array([gap.last_retry for gap in gaps], TIMESTAMP),
    )


def _typed(gap: Any, what: str) -> GapInfo:
    """Return a gap whose fields are of their types, integers of numpy as those of Python."""
    if not isinstance(gap, GapInfo):
        raise DataError(f"{what}: expected a GapInfo, it was {gap!r}")
    moments: list[Any] = [gap.start_time, gap.end_time, *([] if gap.last_retry is None else [gap.last_retry])]
    for moment in moments:
        if not isinstance(moment, dt.datetime) or not dt.MINYEAR < moment.year < dt.MAXYEAR:  # any zone can show it
            raise DataError(
                f"{what}: expected datetimes of the years 2 to 9998 as start_time, end_time and last_retry, "
                f"got {moment!r}"
            )
    return replace(gap, bar_count=_count(gap.bar_count, what), retry_count=_count(gap.retry_count, what))


def _count(value: Any, what: str) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool | np.timedelta64) or value > _MOST:
        raise DataError(f"{what}: expected whole numbers up to {_MOST:,} as bar_count and retry_count, got {value!r}")
    return int(value)


def _with_zone(gap: GapInfo, interval: Interval, zone: dt.tzinfo) -> GapInfo:
    of_bar = dt.UTC if interval.is_daily else zone
    start, end = (each if each.tzinfo else each.replace(tzinfo=of_bar) for each in (gap.start_time, gap.end_time))
    retry = gap.last_retry
    if retry is not None and retry.tzinfo is None:
        retry = retry.replace(tzinfo=zone)
    return replace(gap, start_time=start, end_time=end, last_retry=retry)


def _wrong(gap: GapInfo, symbol: str) -> str:
    """Say what is wrong with a range by itself; empty where nothing is."""
    if gap.symbol != symbol:
        return f"expected a gap of {symbol}, it is one of {gap.symbol}"
    if gap.end_time < gap.start_time:
        return "it ends before it starts; expected its first and last missing bar"
    if gap.bar_count < 1 or gap.retry_count < 0:
        return f"expected bar_count of 1 or more and no negative retry_count, got {gap.bar_count} and {gap.retry_count}"
    if gap.start_time.microsecond or gap.end_time.microsecond:
        return "expected starts of bars, on whole seconds"
    return ""


def _off_grid(gap: GapInfo, interval: Interval, grid: BucketGrid, now_us: int, zone: dt.tzinfo) -> str:
    """Say what of a range the session does not expect; empty where it expects all."""
    starts = grid.expected_starts
    ends_us = np.array([utc_us(gap.start_time), utc_us(gap.end_time)])
    first, last = np.minimum(np.searchsorted(starts, ends_us), len(starts) - 1).tolist()
    if [int(starts[first]), int(starts[last])] != ends_us.tolist():
        shown = dt.UTC if interval.is_daily else zone
        hours = " to ".join(dt.datetime.fromtimestamp(int(us) / 1e6, shown).isoformat() for us in starts[[0, -1]])
        return f"expected starts of the session's {interval} bars, {hours}"
    if last >= grid.expected_at(now_us):
        return "its last bar is not due yet; expected bars that have ended"
    if any(first < border <= last for border in grid.breaks):
        return "it spans a break; expected a range for each side"
    if gap.bar_count != last - first + 1:
        return f"expected a bar_count of {last - first + 1}, got {gap.bar_count}"
    return ""


def _text(gap: GapInfo) -> str:
    return f"{gap.start_time.isoformat()} to {gap.end_time.isoformat()}"
