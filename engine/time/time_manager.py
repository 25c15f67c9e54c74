"""`TimeManager`: what time it is for the engine, and where that lies in the exchange's calendar."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from zoneinfo import ZoneInfo

from mismartera.schemas.config import SessionConfig
from mismartera.schemas.errors import CalendarError, StateError
from mismartera.schemas.exchanges import EXCHANGE_GROUPS

from . import clock
from .calendar import ExchangeCalendar, TradingSession, local_us
from .clock import Stopwatch, utc_datetime, utc_us
from .session_columns import shift_date

# `fromisoformat` alone also takes dates without a time and dates by week number.
_LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


class TimeManager:
    """The engine's clock, its calendar and the window of a backtest.

    In a backtest the time is what the coordinator last advanced to; in live mode it is the wall clock.

    Parameters
    ----------
    config : SessionConfig
        Gives mode, exchange group and window.

    Raises
    ------
    CalendarError
        If the exchange's calendar knows no day of the window.

    Notes
    -----
    One thread advances the clock, any may read it: the instant is one integer, replaced in one assignment.
    """

    def __init__(self, config: SessionConfig) -> None:
        self.mode: str = config.mode
        self._window = config.backtest_config if config.mode == "backtest" else None
        self._uptime = Stopwatch()
        if self._window is None:
            start = end = utc_datetime(clock.wall_us()).date()
        else:
            start, end = self._window.start_date, self._window.end_date
        # Three days for two sessions hold the holidays of any year of any exchange.
        earliest = shift_date(start, -(_longest_history(config) * 3 // 2))
        self.calendar = ExchangeCalendar(EXCHANGE_GROUPS[config.exchange_group], earliest, end)
        # What `to_json` told of the date asked for last: exports ask for the same one all day.
        self._described: tuple[dt.date, TradingSession | None, dict[str, Any]] | None = None
        self._now_us = local_us(start, dt.time(), self.calendar.timezone)

    @property
    def backtest_start_date(self) -> dt.date | None:
        """First day of the backtest window; None in live mode."""
        return None if self._window is None else self._window.start_date

    @property
    def backtest_end_date(self) -> dt.date | None:
        """Last day of the backtest window, included; None in live mode."""
        return None if self._window is None else self._window.end_date

    @property
    def now_us(self) -> int:
        """Current instant, UTC microseconds; in a backtest not yet advanced, local midnight of the first day."""
        return clock.wall_us() if self._window is None else self._now_us

    @property
    def uptime_s(self) -> float:
        """Wall-clock seconds since construction."""
        return self._uptime.elapsed_s

    def get_current_time(self) -> dt.datetime:
        """Return the current instant as an aware datetime in the exchange's zone."""
        return self.to_local(self.now_us)

    def get_market_timezone(self) -> ZoneInfo:
        """Return the exchange's time zone."""
        return self.calendar.timezone

    def wall_us(self) -> int:
        """Return the wall clock in either mode, UTC microseconds; it names files, and dates nothing in the engine."""
        return clock.wall_us()

    def stopwatch(self) -> Stopwatch:
        """Return a stopwatch that starts now."""
        return Stopwatch()

    def advance_to(self, us: int) -> None:
        """Set a backtest's clock to `us`, UTC microseconds. Only the coordinator calls it.

        Raises
        ------
        StateError
            If that would turn the clock back, or in live mode.
        """
        if self._window is None:
            raise StateError("the clock of a live session is the wall clock: only a backtest's can be advanced")
        if us < self._now_us:
            raise StateError(
                f"the clock is at {self.isoformat(self._now_us)} and cannot go back to {self.isoformat(us)}",
                hint="rows must be consumed in the order of their time; another run needs another TimeManager",
            )
        self._now_us = int(us)

    def get_session(self, date: dt.date | None = None) -> TradingSession | None:
        """Return the session of `date`, by default of the current local date; None where that is no session."""
        if date is None:
            date = self.get_current_time().date()
        found = self.calendar.sessions(date, date)
        return found[0] if found else None

    def window_sessions(self) -> list[TradingSession]:
        """Return the sessions of the backtest window, ascending; at least one.

        Raises
        ------
        CalendarError
            If the window holds no session, or leaves the days the calendar knows.
        StateError
            In live mode, which has no window.
        """
        if self._window is None:
            raise StateError("a live session has no backtest window")
        start, end = self._window.start_date, self._window.end_date
        found = self.calendar.sessions(start, end)
        if not found:
            raise CalendarError(
                f"window {start} to {end} holds no session of {self.calendar.name}: {self.calendar.around(start, end)}",
                hint="widen the window with start_date or end_date in backtest_config",
            )
        return found

    def to_local(self, us: int) -> dt.datetime:
        """Return an instant in UTC microseconds as an aware datetime in the exchange's zone."""
        return utc_datetime(us).astimezone(self.calendar.timezone)

    def isoformat(self, us: int) -> str:
        """Return an instant as ``"2025-07-02T11:22:00-04:00"``, exchange zone; with microseconds if they are not 0."""
        return self.to_local(us).isoformat()

    def parse_local(self, text: str) -> int:
        """Return the instant `text` names, UTC microseconds.

        Parameters
        ----------
        text : str
            Such as ``"2025-07-02T11:30"``, with or without seconds, in the exchange's zone; or with an offset of its
            own. An hour that the clocks run through twice means the first time.

        Raises
        ------
        CalendarError
            If `text` is not of that form, or names a time that the clocks skip.
        """
        expected = f"expected a time at the exchange ({self.calendar.timezone.key}) such as 2025-07-02T11:30"
        if not _LOCAL_TIME.fullmatch(text.strip()):
            raise CalendarError(f"time {text!r} is not one: {expected}")
        try:
            named = dt.datetime.fromisoformat(text.strip())
            local = named if named.tzinfo else named.replace(tzinfo=self.calendar.timezone)
            us = utc_us(local)
            back = self.to_local(us)
        except (ValueError, OverflowError) as error:
            raise CalendarError(f"time {text!r} is not one ({error}): {expected}") from None
        if named.tzinfo is None and back.replace(tzinfo=None) != named:
            raise CalendarError(
                f"time {text!r} does not exist in {self.calendar.timezone.key}, where the clocks skip it; "
                f"did you mean {back.isoformat()}?"
            )
        return us

    def phase(self, us: int, session: TradingSession | None) -> str:
        """Return where `us` lies in the day of `session`.

        Returns
        -------
        str
            ``"pre_market"`` before the open, ``"open"`` in a regular segment, ``"break"`` between two,
            ``"after_hours"`` from the close on; ``"closed"`` without a session, or on another local date than its own.
        """
        if session is None or self.to_local(us).date() != session.date:
            return "closed"
        return _phase(us, session)

    def to_json(self, complete: bool = True, debug: bool = False, *, at_us: int | None = None) -> dict[str, Any]:
        """Return the ``time_manager`` section of an export.

        Parameters
        ----------
        complete, debug : bool
            Taken as every section's `to_json` does; this one is the same in all modes.
        at_us : int, optional
            The instant to describe, UTC microseconds: that of the snapshot an export reads. Default: now.

        Returns
        -------
        dict
            ``current_time``, and ``current_session``: null on a date without a session; ``breaks`` where it has any.
        """
        us = self.now_us if at_us is None else at_us
        local = self.to_local(us)
        known = self._described
        if known is None or known[0] != local.date():
            session = self.get_session(local.date())
            known = self._described = local.date(), session, {} if session is None else self._describe(session)
        _, session, described = known
        return {
            "current_time": local.isoformat(),
            "current_session": None if session is None else described | {"phase": _phase(us, session)},
        }

    def _describe(self, session: TradingSession) -> dict[str, Any]:
        breaks = [[self.isoformat(start), self.isoformat(stop)] for start, stop in session.breaks()]
        described = {
            "date": session.date.isoformat(),
            "open": self.isoformat(session.open_us),
            "close": self.isoformat(session.close_us),
            "is_early_close": session.is_early_close,
            "timezone": session.timezone,
            "phase": "",
        }
        return described | ({"breaks": breaks} if breaks else {})


def _longest_history(config: SessionConfig) -> int:
    """Return the most sessions of history the configuration asks for."""
    historical = config.session_data_config.historical
    if not historical.enabled:
        return 0
    lengths = [entry.trailing_days for entry in historical.data]
    lengths += [indicator.trailing_days for indicator in historical.indicators.values()]
    return max(lengths, default=0)


def _phase(us: int, session: TradingSession) -> str:
    """Return where `us`, an instant of the session's local date, lies in its day."""
    if us < session.open_us:
        return "pre_market"
    if us >= session.close_us:
        return "after_hours"
    return "open" if any(start <= us < stop for start, stop in session.segments) else "break"
