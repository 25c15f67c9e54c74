"""`ExchangeCalendar`: the sessions of an exchange, read from `exchange_calendars` once and looked up in arrays."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mismartera.schemas.errors import CalendarError
from mismartera.schemas.exchanges import ExchangeGroup

from .clock import utc_us
from .session_columns import SessionColumns, bounds, load_columns, shift_date, whole_years

Segment = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TradingSession:
    """One session of an exchange. Every instant is UTC microseconds since the epoch, every range half-open.

    Attributes
    ----------
    date : datetime.date
        The session's date at the exchange.
    segments : tuple of (open_us, close_us)
        Regular trading, ascending; a lunch break makes two.
    extended : tuple of (start_us, stop_us)
        Pre-market and after-hours trading, ascending, outside the regular open and close; empty where there is none.
        After an early close they end at `ExchangeGroup.early_extended_stop`.
    is_early_close : bool
        Whether the exchange closes before its regular time.
    timezone : str
        The exchange's zone, as in the tz database.
    """

    date: dt.date
    segments: tuple[Segment, ...]
    extended: tuple[Segment, ...]
    is_early_close: bool
    timezone: str

    @property
    def open_us(self) -> int:
        """Open of the first regular segment."""
        return self.segments[0][0]

    @property
    def close_us(self) -> int:
        """Close of the last regular segment; the early one on an early close."""
        return self.segments[-1][1]

    @property
    def day_start_us(self) -> int:
        """First instant of trading, extended hours included."""
        return min(start for start, _ in self.segments + self.extended)

    @property
    def day_stop_us(self) -> int:
        """End of trading, extended hours included."""
        return max(stop for _, stop in self.segments + self.extended)

    def breaks(self) -> tuple[Segment, ...]:
        """Return the pauses between regular segments as (start_us, stop_us)."""
        return tuple((self.segments[i][1], self.segments[i + 1][0]) for i in range(len(self.segments) - 1))


class ExchangeCalendar:
    """The sessions of an exchange group.

    The calendar is built for whole years around the range given and grows by itself when a date outside is asked for.

    Parameters
    ----------
    group : ExchangeGroup
        Whose calendar, and whose extended hours.
    start, end : datetime.date
        Range to be ready for, both included.

    Raises
    ------
    CalendarError
        If `exchange_calendars` knows no day of the range.

    Notes
    -----
    A calendar costs about 0.2 s to build for one year as for thirty, and a second more for the first import; it is kept
    for the life of the process. A lookup is a binary search. Safe to use from several threads.
    """

    def __init__(self, group: ExchangeGroup, start: dt.date, end: dt.date) -> None:
        self.group = group
        floor, ceiling = bounds(group.calendar)
        if end < floor or start > ceiling:
            raise self._outside(start if start > ceiling else end)
        self._schedule = load_columns(group.calendar, *whole_years(start, end, floor, ceiling))

    @property
    def name(self) -> str:
        """Group and calendar, as messages say them: ``"US_EQUITY (XNYS)"``."""
        return f"{self.group.name} ({self.group.calendar})"

    @property
    def timezone(self) -> ZoneInfo:
        """The exchange's time zone."""
        return self._schedule.timezone

    @property
    def known(self) -> tuple[dt.date, dt.date]:
        """First and last day the calendar can answer for."""
        return bounds(self.group.calendar)

    def is_session(self, date: dt.date) -> bool:
        """Return whether the exchange trades on `date`; raises `CalendarError` for a date the calendar cannot know."""
        schedule = self._covering(date, date)
        return schedule.rows_before(date) < schedule.rows_through(date)

    def session(self, date: dt.date) -> TradingSession:
        """Return the session of `date`.

        Raises
        ------
        CalendarError
            If the exchange does not trade on `date`; names the sessions around it.
        """
        if self.is_session(date):
            return self.sessions(date, date)[0]
        raise CalendarError(f"{date} ({date:%A}) is no session of {self.name}: {self.around(date, date)}")

    def sessions(self, start: dt.date, end: dt.date) -> list[TradingSession]:
        """Return the sessions from `start` to `end`, both included, ascending; none if `end` is before `start`."""
        if end < start:
            return []
        schedule = self._covering(start, end)
        return self._build(schedule, schedule.rows_before(start), schedule.rows_through(end))

    def next_session(self, date: dt.date) -> TradingSession:
        """Return the first session after `date`; raises `CalendarError` past the calendar's end."""
        schedule = self._covering(date, date)
        while (row := schedule.rows_through(date)) == len(schedule.dates):
            schedule = self._covering(date, shift_date(schedule.stop, 1))
        return self._build(schedule, row, row + 1)[0]

    def previous_session(self, date: dt.date) -> TradingSession:
        """Return the last session before `date`; raises `CalendarError` past the calendar's start."""
        return self.trailing_sessions(date, 1)[0]

    def trailing_sessions(self, date: dt.date, count: int) -> list[TradingSession]:
        """Return the `count` sessions before `date`, ascending; raises `CalendarError` if the calendar knows fewer."""
        schedule = self._covering(date, date)
        while (row := schedule.rows_before(date)) < count:
            # Seven days hold five sessions, less the holidays; the last step goes no further than the first day known.
            first = max(shift_date(schedule.start, (row - count) * 7 // 5 - 1), bounds(self.group.calendar)[0])
            if first == schedule.start:
                raise CalendarError(
                    f"{count} sessions of {self.name} before {date} were asked for, but its calendar "
                    f"knows {row}: it starts on {schedule.start}",
                    hint="choose a later date or fewer trailing_days",
                )
            schedule = self._covering(first, date)
        return self._build(schedule, max(row - count, 0), row) if count > 0 else []

    def around(self, start: dt.date, end: dt.date) -> str:
        """Return as text for a message which sessions come before `start` and after `end`."""
        texts = []
        for side, find, date in (("previous", self.previous_session, start), ("next", self.next_session, end)):
            try:
                texts.append(f"{side} session is {find(date).date}")
            except CalendarError:
                texts.append(f"no {side} session is known")
        return ", ".join(texts)

    def _covering(self, start: dt.date, end: dt.date) -> SessionColumns:
        """Return a schedule that holds `start` to `end`, growing the present one if it must."""
        schedule = self._schedule
        if schedule.start <= start and end <= schedule.stop:
            return schedule
        floor, ceiling = bounds(self.group.calendar)
        for date in (start, end):
            if not floor <= date <= ceiling:
                raise self._outside(date)
        years = whole_years(min(start, schedule.start), max(end, schedule.stop), floor, ceiling)
        # Two threads may both grow it: either result answers either thread, and the next question grows it again.
        self._schedule = schedule = load_columns(self.group.calendar, *years)
        return schedule

    def _outside(self, date: dt.date) -> CalendarError:
        floor, ceiling = bounds(self.group.calendar)
        return CalendarError(
            f"{date} is outside the calendar of {self.name}, which is known from {floor} to {ceiling}",
            hint="choose dates inside, or update the package exchange_calendars",
        )

    def _build(self, schedule: SessionColumns, first: int, stop: int) -> list[TradingSession]:
        zone, hours, late = schedule.timezone, self.group.extended, self.group.early_extended_stop
        rows = slice(first, stop)
        sessions = []
        for date, open_us, close_us, (pause_us, resume_us), is_early in zip(
            schedule.dates[rows].tolist(),
            schedule.open_us[rows].tolist(),
            schedule.close_us[rows].tolist(),
            schedule.break_us[rows].tolist(),
            schedule.early[rows].tolist(),
            strict=True,
        ):
            has_break = pause_us < resume_us
            segments = ((open_us, pause_us), (resume_us, close_us)) if has_break else ((open_us, close_us),)
            extended: tuple[Segment, ...] = ()
            if hours is not None:
                ends = late if is_early and late is not None else hours[1]
                around = ((local_us(date, hours[0], zone), open_us), (close_us, local_us(date, ends, zone)))
                extended = tuple(segment for segment in around if segment[0] < segment[1])
            sessions.append(TradingSession(date, segments, extended, is_early, zone.key))
        return sessions


def local_us(date: dt.date, time: dt.time, zone: ZoneInfo) -> int:
    """Return the instant of a local date and time, UTC microseconds."""
    return utc_us(dt.datetime.combine(date, time, zone))
