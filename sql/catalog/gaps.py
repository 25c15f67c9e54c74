"""`CatalogGaps`: what the calendar expects of a catalog's bars, and the views of what is missing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from mismartera.engine.columns.buckets import date_label_us
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.bars import TIMESTAMP
from mismartera.schemas.interval import Interval
from mismartera.sql.guard.policy import PRIVATE_PREFIX
from mismartera.sql.views import Source, part, union

from .files import CatalogFiles
from .sessions import CatalogSessions

_DUE = f"{PRIVATE_PREFIX}due"


@dataclass(frozen=True, slots=True)
class _Scope:
    """One interval in the session, or in those before it: who is expected in which segments."""

    name: str
    interval: Interval
    compared: str
    symbols: pa.Array
    segments: pa.Table

    def named(self, what: str) -> str:
        return f"{PRIVATE_PREFIX}{what}_{self.name}_{self.interval.text}"


class CatalogGaps:
    """The tables ``gaps`` and ``quality`` of a catalog.

    Parameters
    ----------
    files : CatalogFiles
    sessions : CatalogSessions
    intervals : sequence of str
        Those stored.
    date : date
        The session. Those before it are history, from the first on of which anything of the interval is stored.

    Notes
    -----
    As in a running session, each symbol is expected in every session of the window; one of which nothing is stored is
    missing as a whole. The symbols of an interval are those of its last stored session, so that a query for one session
    opens no other. What is expected is made up when a table is first asked for: O(sessions × intervals), and two
    columns of each interval's last partition.
    """

    def __init__(self, files: CatalogFiles, sessions: CatalogSessions, intervals: Sequence[str], date: dt.date) -> None:
        self._files = files
        self._sessions = sessions
        self._intervals = intervals
        self._date = date

    def gaps(self) -> Source:
        """Return the ranges of missing bars."""
        arrow, parts = {}, []
        for scope in self._scopes:
            arrow[scope.named("segments")] = scope.segments
            arrow[scope.named("symbols")] = pa.table({"symbol": scope.symbols})
            select = part(
                "catalog_gaps",
                interval=scope.interval.text,
                scope=scope.name,
                bars=self._bars(scope),
                segments=f'"{scope.named("segments")}"',
                symbols=f'"{scope.named("symbols")}"',
                length_us=scope.interval.us,
                most=max(scope.segments["bars"].to_pylist()),
            )
            parts.append(f"({select})")
        return Source(arrow, union(parts))

    def quality(self) -> Source:
        """Return the share of expected bars that are there."""
        tables = [
            pa.table(
                {
                    "symbol": scope.symbols,
                    "interval": pa.repeat(scope.interval.text, len(scope.symbols)),
                    "scope": pa.repeat(scope.name, len(scope.symbols)),
                    "due": pa.repeat(sum(scope.segments["bars"].to_pylist()), len(scope.symbols)),
                }
            )
            for scope in self._scopes
        ]
        if not tables:
            return Source()
        return Source({_DUE: pa.concat_tables(tables)}, part("catalog_quality", due=f'"{_DUE}"'), needs=("gaps",))

    def _bars(self, scope: _Scope) -> str:
        rows = self._files.rows([scope.interval.text])
        return union(
            part(
                "catalog_session",
                rows=rows,
                session_date=session_date,
                which=f"{which} AND {session_date} {scope.compared} DATE '{self._date}'",
            )
            for session_date, which in self._sessions.regular_parts(scope.interval.text)
        )

    @cached_property
    def _scopes(self) -> list[_Scope]:
        found = []
        for kind in self._intervals:
            stored = [one for one in self._sessions.stored(kind) if one.date <= self._date]
            if not stored:
                continue
            symbols = self._sessions.symbols(kind, stored[-1])
            if stored[-1].date == self._date:
                found.append(_Scope("session", Interval(kind), "=", symbols, _segments(kind, stored[-1:])))
            before = self._sessions.between(stored[0].date, self._date)
            if before:
                found.append(_Scope("historical", Interval(kind), "<", symbols, _segments(kind, before)))
        return found


def _segments(kind: str, sessions: Sequence[TradingSession]) -> pa.Table:
    """Return the trading segments of sessions, with how many bars of an interval each has.

    A daily bar is one of its session, in a segment that holds its label alone.
    """
    interval = Interval(kind)
    rows = []
    for session in sessions:
        label = date_label_us(session.date)
        for start, stop in ((label, label + 1),) if interval.is_daily else session.segments:
            rows.append((session.date, start, stop, -((start - stop) // interval.us)))
    dates, starts, stops, bars = zip(*rows, strict=True)
    columns = [pa.array(dates, pa.date32()), pa.array(starts, TIMESTAMP), pa.array(stops, TIMESTAMP)]
    return pa.table([*columns, pa.array(bars, pa.int64())], names=["session_date", "start", "stop", "bars"])
