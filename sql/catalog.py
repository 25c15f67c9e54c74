"""`open_catalog`: the tables as views over a catalog's Hive partitions; nothing is loaded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mismartera.engine.columns.buckets import session_grid
from mismartera.engine.data.catalog import Catalog
from mismartera.engine.time.calendar import ExchangeCalendar, TradingSession
from mismartera.schemas.bars import TIMESTAMP
from mismartera.schemas.errors import CalendarError, UnknownNameError
from mismartera.schemas.exchanges import EXCHANGE_GROUPS
from mismartera.schemas.interval import Interval

from .policy import PRIVATE_PREFIX
from .safe import Database, Limits, as_pattern, quoted
from .session import SqlSession
from .views import Source, part

_EVENTS = ("ticks", "quotes")
_EXPECTED = f"{PRIVATE_PREFIX}expected"
_DAY_US = 86_400_000_000


def open_catalog(
    root: str | Path | Catalog,
    *,
    session_date: dt.date | None = None,
    exchange_group: str = "US_EQUITY",
    limits: Limits | None = None,
) -> SqlSession:
    """Return a session over a catalog; it is closed by the caller.

    Parameters
    ----------
    root : str, Path or Catalog
    session_date : date, optional
        The session whose bars are ``session_bars``; those before it are ``historical_bars``, those after it are not
        shown. By default the last date that has bars.
    exchange_group : str
        Whose calendar says which bars are expected, and in whose zone times are shown.
    limits : Limits, optional

    Raises
    ------
    CatalogError
        If there is no catalog, or its folders cannot be listed.
    UnknownNameError
        If the exchange group does not exist.

    Notes
    -----
    Only files of the catalog's folder can be read, and only through the views. A query that names an interval or a
    session_date opens the partitions of those alone. Gaps and quality are those of the session; ``indicators``,
    ``exports``, ``threads`` and ``config`` are empty.
    """
    catalog = root if isinstance(root, Catalog) else Catalog(root)
    catalog.require()
    if exchange_group not in EXCHANGE_GROUPS:
        raise UnknownNameError("exchange group", exchange_group, sorted(EXCHANGE_GROUPS))
    intervals = [kind for kind in catalog.kinds() if kind not in _EVENTS]
    last = max((catalog.dates(kind)[-1] for kind in catalog.kinds()), default=dt.date.max)
    date = session_date or max((catalog.dates(kind)[-1] for kind in intervals), default=last)
    calendar = ExchangeCalendar(EXCHANGE_GROUPS[exchange_group], date, date)
    limits = limits or Limits()
    database = Database(limits, calendar.timezone.key, [catalog.root])
    views = _Views(catalog, intervals, date, _session(calendar, date), calendar.timezone.key)
    return SqlSession(database, limits, views.sources(), owns_database=True)


def _session(calendar: ExchangeCalendar, date: dt.date) -> TradingSession | None:
    try:
        return calendar.session(date)
    except CalendarError:
        return None


@dataclass(frozen=True, slots=True)
class _Views:
    """The views of one catalog and session date."""

    catalog: Catalog
    intervals: list[str]
    date: dt.date
    session: TradingSession | None
    timezone: str

    def sources(self) -> dict[str, Callable[[], Source]]:
        if not self.intervals:
            return {kind: lambda kind=kind: self._events(kind) for kind in _EVENTS}  # type: ignore[misc]
        day = f"DATE '{self.date}'"
        return {
            "session_bars": lambda: self._bars(f"session_date = {day} AND date BETWEEN {day} - 1 AND {day} + 1"),
            "historical_bars": lambda: self._bars(f"session_date < {day}"),
            "bars": lambda: self._bars(f"session_date <= {day}"),
            "ticks": lambda: self._events("ticks"),
            "quotes": lambda: self._events("quotes"),
            "gaps": self._gaps,
            "quality": lambda: Source(
                select=part("catalog_quality", expected=_EXPECTED), needs=("session_bars", "gaps")
            ),
            "session_metrics": self._metrics,
            "symbols": lambda: Source(select=part("symbols"), needs=("bars",)),
        }

    def _bars(self, which: str) -> Source:
        lengths = " ".join(f"WHEN '{kind}' THEN to_microseconds({Interval(kind).us})" for kind in self.intervals)
        date = self._session_date("interval = '1d'")
        files = self._files("bars", "interval=*", "date=*")
        # The condition speaks of the expression, not of its alias, so that partitions are ruled out by their date.
        which = which.replace("session_date", date)
        return Source(select=part("catalog_bars", files=files, session_date=date, lengths=lengths, which=which))

    def _events(self, kind: str) -> Source:
        if kind not in self.catalog.kinds():
            return Source()
        files = self._files(kind, "date=*")
        return Source(select=part("catalog_events", files=files, session_date=self._session_date("false")))

    def _gaps(self) -> Source:
        select = part("catalog_gaps", expected=_EXPECTED, session_date=self.date)
        return Source({_EXPECTED: self._expected()}, select, needs=("session_bars",))

    def _quality(self) -> Source:
        return Source(select=part("catalog_quality", expected=_EXPECTED), needs=("session_bars", "gaps"))

    def _metrics(self) -> Source:
        return Source(select=part("session_metrics", base=self.intervals[0]), needs=("session_bars",))

    def _session_date(self, is_label: str) -> str:
        """Return the expression of a row's session: its partition's date, where a session lies within one UTC date."""
        session = self.session
        if session is None or session.open_us // _DAY_US == (session.close_us - 1) // _DAY_US:
            return "date"
        return f"CASE WHEN {is_label} THEN date ELSE CAST(timezone({quoted(self.timezone)}, timestamp) AS DATE) END"

    def _files(self, *folders: str) -> str:
        root = as_pattern(str(self.catalog.root.resolve()))
        return quoted("/".join([root, *folders, "[!._]*.parquet"]))

    def _expected(self) -> pa.Table:
        """Return the bars the calendar expects in the session, of every interval stored."""
        schema = pa.schema(
            [("interval", pa.string()), ("timestamp", TIMESTAMP), ("number", pa.int64()), ("segment", pa.int64())]
        )
        tables = [schema.empty_table()]
        for kind in self.intervals if self.session is not None else ():
            assert self.session is not None
            grid = session_grid(self.session, Interval(kind))
            numbers = np.arange(grid.n_expected)
            columns = [
                pa.repeat(kind, grid.n_expected),
                pa.array(grid.expected_starts).cast(TIMESTAMP),
                pa.array(numbers),
                pa.array(np.searchsorted(np.array(grid.breaks, dtype=np.int64), numbers, side="right")),
            ]
            tables.append(pa.table(columns, schema=schema))
        return pa.concat_tables(tables)
