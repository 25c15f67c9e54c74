"""The machine's clocks: wall time, durations, the pace of a slowed-down backtest; and instants as integers."""

from __future__ import annotations

import datetime as dt
import threading
import time

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)

# The seam to the machine's steady clock: tests replace it.
_steady_s = time.perf_counter

# An event cannot be waited on for more than `threading.TIMEOUT_MAX`; a slow pace may ask for more.
_LONGEST_WAIT_S = 3600.0


def wall_us() -> int:
    """Return the wall clock in UTC microseconds since the epoch."""
    return time.time_ns() // 1000


def utc_us(moment: dt.datetime) -> int:
    """Return an aware datetime as UTC microseconds since the epoch, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def utc_datetime(us: int) -> dt.datetime:
    """Return UTC microseconds since the epoch as an aware datetime in UTC."""
    return _EPOCH + int(us) * _MICROSECOND


class Stopwatch:
    """Measures a duration from its construction on a steady clock, unmoved by changes of the wall clock.

    Examples
    --------
    >>> Stopwatch().elapsed_s >= 0.0
    True
    """

    __slots__ = ("_started_s",)

    def __init__(self) -> None:
        self._started_s = _steady_s()

    @property
    def elapsed_s(self) -> float:
        """Seconds since construction."""
        return _steady_s() - self._started_s


class Pacer:
    """Holds market time to a multiple of wall time.

    The pace is kept from an anchor, not from call to call, so the time steps take is made up for and does not add up.
    For one thread: the one that advances the clock.

    Parameters
    ----------
    speed_multiplier : float
        Market seconds per wall second; 0 never waits.
    start_market_us : int
        Market time of the anchor, UTC microseconds; its wall time is the moment of construction.
    """

    def __init__(self, speed_multiplier: float, start_market_us: int) -> None:
        self._speed = speed_multiplier
        self.rebase(start_market_us)

    def rebase(self, market_us: int) -> None:
        """Set the anchor to `market_us` and the present moment.

        Call it after a pause, and at the start of each session: else the pause is made up for in a rush, and the night
        before a session is waited for.
        """
        self._anchor_us = market_us
        self._since_anchor = Stopwatch()

    def wait(self, until_market_us: int, stop: threading.Event) -> None:
        """Return when market time reaches `until_market_us`, or as soon as `stop` is set."""
        if self._speed <= 0:
            return
        due_s = (until_market_us - self._anchor_us) / 1_000_000 / self._speed
        while (remaining_s := due_s - self._since_anchor.elapsed_s) > 0:
            if stop.wait(min(remaining_s, _LONGEST_WAIT_S)):
                return
