"""The columns of an exchange's sessions, built by `exchange_calendars`: the only module that imports it."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

_MARGIN_DAYS = 30
# Where a calendar names no bounds of its own, pandas' nanosecond timestamps set them.
_FLOOR, _CEILING = dt.date(1678, 1, 1), dt.date(2261, 12, 31)
_building = threading.RLock()


@dataclass(frozen=True, slots=True, eq=False)
class SessionColumns:
    """The sessions of the days `start` to `stop`, both included, as read-only columns in ascending order.

    Attributes
    ----------
    start, stop : datetime.date
        First and last day looked at.
    timezone : ZoneInfo
        The exchange's zone.
    dates : array of datetime64[D]
        The sessions' dates.
    open_us, close_us : array of int64
        UTC microseconds.
    break_us : array of int64, two columns
        Start and stop of the lunch break, UTC microseconds; both 0 where there is none.
    early : array of bool
        Whether the close is an early one.
    """

    start: dt.date
    stop: dt.date
    timezone: ZoneInfo
    dates: NDArray[np.datetime64]
    open_us: NDArray[np.int64]
    close_us: NDArray[np.int64]
    break_us: NDArray[np.int64]
    early: NDArray[np.bool_]

    def rows_before(self, date: dt.date) -> int:
        """Return the number of sessions before `date`."""
        return int(np.searchsorted(self.dates, np.datetime64(date), side="left"))

    def rows_through(self, date: dt.date) -> int:
        """Return the number of sessions up to `date`, included."""
        return int(np.searchsorted(self.dates, np.datetime64(date), side="right"))


@functools.cache
def bounds(calendar: str) -> tuple[dt.date, dt.date]:
    """Return the first and last day that `calendar`, such as ``"XNYS"``, can be built for."""
    found = _calendar_class(calendar)
    floor, ceiling = found.bound_min(), found.bound_max()
    return (_FLOOR if floor is None else floor.date(), _CEILING if ceiling is None else ceiling.date())


@functools.lru_cache(maxsize=32)
def load_columns(calendar: str, start: dt.date, stop: dt.date) -> SessionColumns:
    """Build the schedule of the days `start` to `stop`, both included, which must lie within `bounds`.

    Notes
    -----
    Costs 0.1 to 0.4 s for one year as for thirty; free when asked again.
    """
    with _quietly():
        # The class, not `get_calendar`, which would keep the pandas frame alive: the columns are all we use of it.
        built = _calendar_class(calendar)(start=start.isoformat(), end=stop.isoformat())
        columns = {name: _instants(built.schedule[name]) for name in ("open", "close", "break_start", "break_end")}
        dates = built.schedule.index.to_numpy().astype("datetime64[D]")
        early = np.isin(dates, built.early_closes.to_numpy().astype("datetime64[D]"))
    breaks = np.column_stack([columns["break_start"], columns["break_end"]])
    breaks[np.isnat(breaks)] = np.datetime64(0, "us")
    opens, closes, pauses = (column.astype(np.int64) for column in (columns["open"], columns["close"], breaks))
    for array in (dates, opens, closes, pauses, early):
        array.flags.writeable = False
    return SessionColumns(start, stop, ZoneInfo(str(built.tz)), dates, opens, closes, pauses, early)


def whole_years(start: dt.date, end: dt.date, floor: dt.date, ceiling: dt.date) -> tuple[dt.date, dt.date]:
    """Return the years that hold the range and a margin, cut at `floor` and `ceiling`.

    A year costs what a week does, and ranges that are alike come to share one schedule.
    """
    first = shift_date(start, -_MARGIN_DAYS).replace(month=1, day=1)
    last = shift_date(end, _MARGIN_DAYS).replace(month=12, day=31)
    return max(first, floor), min(last, ceiling)


def shift_date(date: dt.date, days: int) -> dt.date:
    """Return `date` moved by `days`, held within the dates Python can name."""
    return dt.date.fromordinal(min(max(date.toordinal() + days, 1), dt.date.max.toordinal()))


def _calendar_class(calendar: str) -> Any:
    # The import brings pandas, which takes a second: whoever needs no calendar must not pay for it.
    with _quietly():
        from exchange_calendars import calendar_utils

    return getattr(calendar_utils, f"{calendar}ExchangeCalendar")


def _instants(column: Any) -> NDArray[np.datetime64]:
    # The unit is said, not assumed: which one pandas stores depends on its version and on what the column came from.
    instants: NDArray[np.datetime64] = column.dt.tz_localize(None).to_numpy("datetime64[us]")
    return instants


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence what exchange_calendars 4.13 does that pandas 3 deprecates: nobody who runs the engine can act on it.

    Python's list of warning filters belongs to the process, so one thread at a time may set it aside.
    """
    with _building, warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        yield
