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
from mismartera.engine.data.partition import EVENT_KINDS
from mismartera.schemas.bars import TIMESTAMP
from mismartera.schemas.errors import UnknownNameError
from mismartera.schemas.exchanges import EXCHANGE_GROUPS
from mismartera.schemas.interval import Interval

from .catalog_sessions import CatalogSessions
from .policy import PRIVATE_PREFIX
from .safe import Database, Limits, as_pattern, quoted
from .session import SqlSession
from .views import Source, part, union

_EXPECTED = f"{PRIVATE_PREFIX}expected"


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
    intervals = [kind for kind in catalog.kinds() if kind not in EVENT_KINDS]
    sessions = CatalogSessions(catalog, EXCHANGE_GROUPS[exchange_group])
    date = session_date or sessions.last_date(intervals or catalog.kinds())
    limits = limits or Limits()
    database = Database(limits, sessions.timezone, [catalog.root])
    return SqlSession(database, limits, _Views(catalog, intervals, date, sessions).sources(), owns_database=True)


@dataclass(frozen=True, slots=True)
class _Views:
    """The views of one catalog and session date."""

    catalog: Catalog
    intervals: list[str]
    date: dt.date
    sessions: CatalogSessions

    def sources(self) -> dict[str, Callable[[], Source]]:
        if not self.intervals:
            return {kind: lambda kind=kind: self._events(kind) for kind in EVENT_KINDS}  # type: ignore[misc]
        return {
            "session_bars": lambda: self._bars("="),
            "historical_bars": lambda: self._bars("<"),
            "bars": lambda: self._bars("<="),
            "ticks": lambda: self._events("ticks"),
            "quotes": lambda: self._events("quotes"),
            "gaps": self._gaps,
            "quality": lambda: Source(
                select=part("catalog_quality", expected=_EXPECTED), needs=("session_bars", "gaps")
            ),
            "session_metrics": self._metrics,
            "symbols": lambda: Source(select=part("symbols"), needs=("bars",)),
        }

    def _bars(self, compared: str) -> Source:
        """Return the bars whose session date compares so with the session's."""
        files = self._files("bars", "interval=*", "date=*")
        parts = []
        for session_date, which in self.sessions.parts(self.intervals):
            available_at = self.sessions.available_at(self.intervals, session_date)
            # The condition speaks of the expression, not of its alias, so that partitions are ruled out by their date.
            which = f"{which} AND {session_date} {compared} DATE '{self.date}'"
            places = {"session_date": session_date, "available_at": available_at, "which": which}
            parts.append(part("catalog_bars", files=files, **places))
        return Source(select=union(parts), variables=self.sessions.closes)

    def _events(self, kind: str) -> Source:
        if kind not in self.catalog.kinds():
            return Source()
        files = self._files(kind, "date=*")
        return Source(
            select=union(
                part("catalog_events", files=files, session_date=session_date, which=which)
                for session_date, which in self.sessions.parts([kind])
            )
        )

    def _gaps(self) -> Source:
        select = part("catalog_gaps", expected=_EXPECTED, session_date=self.date)
        return Source({_EXPECTED: self._expected()}, select, needs=("session_bars",))

    def _quality(self) -> Source:
        return Source(select=part("catalog_quality", expected=_EXPECTED), needs=("session_bars", "gaps"))

    def _metrics(self) -> Source:
        return Source(select=part("session_metrics", base=self.intervals[0]), needs=("session_bars",))

    def _files(self, *folders: str) -> str:
        root = as_pattern(str(self.catalog.root.resolve()))
        return quoted("/".join([root, *folders, "[!._]*.parquet"]))

    def _expected(self) -> pa.Table:
        """Return the bars the calendar expects in the session, of every interval stored."""
        schema = pa.schema(
            [("interval", pa.string()), ("timestamp", TIMESTAMP), ("number", pa.int64()), ("segment", pa.int64())]
        )
        tables = [schema.empty_table()]
        session = self.sessions.session(self.date)
        for kind in self.intervals if session is not None else ():
            assert session is not None
            grid = session_grid(session, Interval(kind))
            numbers = np.arange(grid.n_expected)
            columns = [
                pa.repeat(kind, grid.n_expected),
                pa.array(grid.expected_starts).cast(TIMESTAMP),
                pa.array(numbers),
                pa.array(np.searchsorted(np.array(grid.breaks, dtype=np.int64), numbers, side="right")),
            ]
            tables.append(pa.table(columns, schema=schema))
        return pa.concat_tables(tables)
