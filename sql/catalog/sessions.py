"""`CatalogSessions`: which session a stored row belongs to, and when a stored bar could first be known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import cached_property

import pyarrow as pa

from mismartera.engine.columns.buckets import DAY_US, date_label_us
from mismartera.engine.data.partition import EVENT_KINDS
from mismartera.engine.time.calendar import ExchangeCalendar, TradingSession
from mismartera.schemas.bars import TIMESTAMP
from mismartera.schemas.exchanges import ExchangeGroup
from mismartera.schemas.interval import Interval

from .files import CatalogFiles


class CatalogSessions:
    """The calendar's sessions beside a catalog's partitions, which are cut at midnight UTC.

    Parameters
    ----------
    files : CatalogFiles
    group : ExchangeGroup

    Raises
    ------
    CalendarError
        If the calendar knows none of the dates stored.

    Notes
    -----
    A session may reach over midnight UTC: New York's after-hours do in winter, Sydney's opening does in summer. The
    rows beyond it lie in a partition of another date; the footers of the files tell which partitions hold any.
    """

    def __init__(self, files: CatalogFiles, group: ExchangeGroup) -> None:
        self._files = files
        first, last = files.window
        self._calendar = ExchangeCalendar(group, first, last)
        known = self._calendar.known
        day = dt.timedelta(days=1)
        # A session reaches at most one date further than its own.
        start, end = max(first, known[0] + day) - day, min(last, known[1] - day) + day
        self._sessions = self._calendar.sessions(start, end)
        self._beyond, self._cut_us = _beyond_midnight(self._sessions)

    @property
    def timezone(self) -> str:
        """The exchange's zone, as in the tz database."""
        return self._calendar.timezone.key

    def session(self, date: dt.date) -> TradingSession | None:
        """Return the session of a date; None where the exchange does not trade or the calendar knows no answer."""
        return next((session for session in self._sessions if session.date == date), None)

    def stored(self, kind: str) -> list[TradingSession]:
        """Return the sessions of which any row of a kind is stored, ascending."""
        return [session for session in self._sessions if any(self._holding(kind, session.date))]

    def is_stored(self, kinds: Sequence[str], date: dt.date) -> bool:
        """Return whether any row of some kinds is stored of the session of a date."""
        return any(next(self._holding(kind, date), None) is not None for kind in kinds)

    def nearest_stored(self, kinds: Sequence[str], date: dt.date) -> list[dt.date]:
        """Return the dates of the last stored session before a date and of the first one after it, where there are."""
        before = (session.date for session in reversed(self._sessions) if session.date < date)
        after = (session.date for session in self._sessions if session.date > date)
        found = (next((day for day in days if self.is_stored(kinds, day)), None) for days in (before, after))
        return [day for day in found if day is not None]

    def between(self, start: dt.date, stop: dt.date) -> list[TradingSession]:
        """Return the sessions of dates in ``[start, stop)`` as far as the catalog reaches, ascending."""
        return [session for session in self._sessions if start <= session.date < stop]

    def symbols(self, kind: str, session: TradingSession) -> pa.Array:
        """Return the symbols that have rows of a kind in a session, each once."""
        start_us, stop_us = session.day_start_us, session.day_stop_us
        if kind not in EVENT_KINDS and Interval(kind).is_daily:
            start_us, stop_us = date_label_us(session.date), date_label_us(session.date) + 1
        return self._files.symbols(kind, list(self._holding(kind, session.date)), start_us, stop_us)

    def last_date(self, kinds: Sequence[str]) -> dt.date:
        """Return the date of the last session that has rows of one of `kinds`; without kinds, the last folder's."""
        return max((self._last_date(kind) for kind in kinds), default=self._files.window[1])

    def parts(self, kinds: Sequence[str]) -> list[tuple[str, str]]:
        """Return the SQL of a row's session date and the condition under which it holds, for each part of the rows.

        Parameters
        ----------
        kinds : sequence of str
            What a scan reads: intervals, or one kind of events.

        Notes
        -----
        Each part tells its partitions by their date, so that a query for one session opens no others. O(files of
        `kinds`), and only where sessions reach over midnight.
        """
        spilled = {date for kind in kinds if self._may_reach_beyond(kind) for date in self._spilled(kind)}
        if not spilled:
            return [("date", "true")]
        time = f"epoch_us(timestamp) % {DAY_US}"
        beyond = f"{time} < {self._cut_us}" if self._beyond < 0 else f"{time} >= {self._cut_us}"
        if kinds[0] not in EVENT_KINDS:
            beyond = f"interval NOT LIKE '%d' AND {beyond}"
        dates = ", ".join(f"DATE '{date}'" for date in sorted(spilled))
        return [("date", f"NOT ({beyond})"), (f"date + {self._beyond}", f"date IN ({dates}) AND {beyond}")]

    def regular_parts(self, kind: str) -> list[tuple[str, str]]:
        """Return the same of one interval where only regular hours matter, which seldom reach over midnight."""
        starts = ((date_label_us(session.date), session) for session in self._sessions)
        if all(start <= session.open_us and session.close_us <= start + DAY_US for start, session in starts):
            return [("date", "true")]
        return self.parts([kind])

    def available_at(self, intervals: Sequence[str], session_date: str) -> str:
        """Return the SQL of when a bar could first be known: its end, or the close where that comes earlier.

        Parameters
        ----------
        intervals : sequence of str
        session_date : str
            The SQL of the bar's session date.

        Notes
        -----
        The variables `closes` must be set. Only of intervals that a close can cut short is one looked up.
        """
        row = f"greatest(datediff('day', DATE '{self._first}', {session_date}) + 1, 0)"
        closes = [f"getvariable('{name}')[{row}]" for name in self.closes.column_names]
        nearest = " ".join(f"WHEN timestamp < {close} THEN {close}" for close in closes[1:])
        cases = []
        for kind in intervals:
            end = f"timestamp + to_microseconds({Interval(kind).us})"
            if Interval(kind).is_daily:
                end = f"coalesce({closes[0]}, {end})"
            elif nearest and self._is_cut(Interval(kind)):
                end = f"least({end}, CASE {nearest} END)"
            cases.append(f"WHEN '{kind}' THEN {end}")
        return f"CASE interval {' '.join(cases)} END"

    @cached_property
    def closes(self) -> pa.Table:
        """One row of lists with an entry per date: the close of the day, and that of each of its trading segments."""
        days = (self._sessions[-1].date - self._first).days + 1 if self._sessions else 0
        lists: dict[str, list[int | None]] = {name: [None] * days for name in ("day_close", *self._segment_names)}
        for session in self._sessions:
            row = (session.date - self._first).days
            lists["day_close"][row] = session.close_us
            for name, (_, close_us) in zip(self._segment_names, _segments(session), strict=False):
                lists[name][row] = close_us
        kind = pa.list_(TIMESTAMP)
        return pa.table({name: pa.array([pa.array(values, TIMESTAMP)], kind) for name, values in lists.items()})

    @property
    def _first(self) -> dt.date:
        return self._sessions[0].date if self._sessions else dt.date.min

    @cached_property
    def _segment_names(self) -> list[str]:
        most = max((len(_segments(session)) for session in self._sessions), default=0)
        return [f"close_{place}" for place in range(most)]

    def _is_cut(self, interval: Interval) -> bool:
        return any((stop - start) % interval.us for session in self._sessions for start, stop in _segments(session))

    def _may_reach_beyond(self, kind: str) -> bool:
        return self._beyond != 0 and (kind in EVENT_KINDS or not Interval(kind).is_daily)

    def _is_beyond(self, instant_us: int, date: dt.date) -> bool:
        """Return whether a row of a partition belongs to another date's session."""
        time_us = instant_us - date_label_us(date)
        return time_us < self._cut_us if self._beyond < 0 else time_us >= self._cut_us

    def _last_date(self, kind: str) -> dt.date:
        dates = self._files.dates[kind]
        if self._may_reach_beyond(kind):
            for date in reversed(dates):
                span = self._files.span(kind, date)
                if self._files.problem(kind, date):
                    return date
                if span is not None:
                    return date + dt.timedelta(days=self._beyond * self._is_beyond(span[1], date))
        return dates[-1]

    def _holding(self, kind: str, date: dt.date) -> Iterator[dt.date]:
        """Yield the dates whose partitions hold rows of a session."""
        if not self._may_reach_beyond(kind):
            held = date in self._files.dates[kind] and self._files.has_rows(kind, date)
            yield from [date] if held else []
            return
        # A partition's own rows lie towards the middle of its date: behind those of the session before, which are its
        # first ones, or before those of the session after, which are its last ones.
        own, spilled = (1, 0) if self._beyond < 0 else (0, 1)
        for day, edge in ((date, own), (date - dt.timedelta(days=self._beyond), spilled)):
            span = self._files.span(kind, day) if day in self._files.dates[kind] else None
            if span is not None and self._is_beyond(span[edge], day) is (day != date):
                yield day

    def _spilled(self, kind: str) -> list[dt.date]:
        """Return the dates whose partitions hold rows of another date's session."""
        found = []
        for date in self._files.dates[kind]:
            span = self._files.span(kind, date)
            if span is not None and self._is_beyond(span[0 if self._beyond < 0 else 1], date):
                found.append(date)
        return found


def _segments(session: TradingSession) -> list[tuple[int, int]]:
    return sorted(session.segments + session.extended)


def _beyond_midnight(sessions: Sequence[TradingSession]) -> tuple[int, int]:
    """Return which way sessions reach over midnight UTC, and the time of day that parts one session from the next.

    -1 where rows before that time belong to the date before, 1 where those from it on belong to the date after, 0
    where every session lies within its date. The time is the middle of the pause, in microseconds.
    """
    start = min((session.day_start_us - date_label_us(session.date) for session in sessions), default=0)
    stop = max((session.day_stop_us - date_label_us(session.date) for session in sessions), default=0)
    if stop > DAY_US:
        return -1, (stop - DAY_US + start) // 2
    if start < 0:
        return 1, (stop + DAY_US + start) // 2
    return 0, 0
