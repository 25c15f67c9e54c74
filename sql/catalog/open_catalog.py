"""`open_catalog`: the tables as views over a catalog's Hive partitions; nothing is loaded."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.partition import EVENT_KINDS
from mismartera.schemas.errors import CatalogError, UnknownNameError
from mismartera.schemas.exchanges import EXCHANGE_GROUPS
from mismartera.sql.database import Database, Limits
from mismartera.sql.errors import QueryError
from mismartera.sql.messages import one_line
from mismartera.sql.session import SqlSession
from mismartera.sql.views import Source, part, union

from .files import CatalogFiles
from .gaps import CatalogGaps
from .reads import FileReads
from .sessions import CatalogSessions

_MOVE_OUT = (
    "move the file out of the catalog, or delete it and import its source again; 'mismartera data verify' finds every "
    "damaged file"
)


def open_catalog(
    root: str | Path | Catalog,
    *,
    session_date: dt.date | None = None,
    exchange_group: str = "US_EQUITY",
    limits: Limits | None = None,
) -> CatalogSession:
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
    session_date opens the partitions of those alone. Scope ``historical`` of ``gaps`` and ``quality`` is every session
    of the calendar before the current one, from the first on of which anything of the interval is stored. The symbols
    expected are those of the interval's last stored session. ``indicators``, ``exports``, ``threads`` and ``config``
    are empty.
    """
    catalog = root if isinstance(root, Catalog) else Catalog(root)
    catalog.require()
    if exchange_group not in EXCHANGE_GROUPS:
        raise UnknownNameError("exchange group", exchange_group, sorted(EXCHANGE_GROUPS))
    files = CatalogFiles(catalog)
    intervals = [kind for kind in files.dates if kind not in EVENT_KINDS]
    sessions = CatalogSessions(files, EXCHANGE_GROUPS[exchange_group])
    date = session_date or sessions.last_date(intervals or list(files.dates))
    limits = limits or Limits()
    database = Database(limits, sessions.timezone, [catalog.root], logs_reads=True)
    return CatalogSession(database, limits, _Views(files, intervals, date, sessions))


class CatalogSession(SqlSession):
    """A session over a catalog, which tells which file a query failed of."""

    def __init__(self, database: Database, limits: Limits, views: _Views) -> None:
        super().__init__(database, limits, views.sources(), owns_database=True)
        self._views = views
        self._files = views.files
        self._reads = FileReads(database)

    def require_stored(self) -> None:
        """Raise unless anything of the current session is stored.

        Raises
        ------
        CatalogError
            It names the nearest sessions that are. Cost: the footers of the files between.
        """
        date, kinds = self._views.date, self._views.intervals or list(self._files.dates)
        if self._views.sessions.is_stored(kinds, date):
            return
        root = self._files.catalog.root
        nearest = " and ".join(map(str, self._views.sessions.nearest_stored(kinds, date))) or "none"
        raise CatalogError(
            f"session {date} ({date:%A}): expected one that is stored in {root}, the nearest: {nearest}",
            path=root,
            hint="name a session that is stored; 'mismartera data list' shows what is",
        )

    def query(self, text: str) -> pa.Table:
        """Return the answer of a query as `SqlSession.query` does; raises `CatalogError` for a damaged file."""
        damage: CatalogError | None = None
        try:
            try:
                answer = super().query(text)
            finally:
                damage = self._reads.take_problem()
        except QueryError as error:
            problem = damage or self._problem(error.__cause__)
            if problem is None:
                raise
            raise problem from error
        if damage is not None:
            raise damage
        return answer

    def _problem(self, cause: BaseException | None) -> CatalogError | None:
        if cause is None or isinstance(cause, CatalogError):
            return cause
        known = self._files.problem_told(str(cause))
        named = re.search(re.escape(str(self._files.catalog.root.resolve())) + r"[^'\"*]*?\.parquet", str(cause))
        if known is not None or named is None:
            return known
        return CatalogError(f"{named[0]}: cannot be read: {one_line(Exception(cause))}", path=named[0], hint=_MOVE_OUT)


@dataclass(frozen=True, slots=True)
class _Views:
    """The views of one catalog and session date."""

    files: CatalogFiles
    intervals: list[str]
    date: dt.date
    sessions: CatalogSessions

    def sources(self) -> dict[str, Callable[[], Source]]:
        if not self.intervals:
            return {kind: lambda kind=kind: self._events(kind) for kind in EVENT_KINDS}  # type: ignore[misc]
        gaps = CatalogGaps(self.files, self.sessions, self.intervals, self.date)
        return {
            "session_bars": lambda: self._bars("="),
            "historical_bars": lambda: self._bars("<"),
            "bars": lambda: self._bars("<="),
            "ticks": lambda: self._events("ticks"),
            "quotes": lambda: self._events("quotes"),
            "gaps": gaps.gaps,
            "quality": gaps.quality,
            "session_metrics": self._metrics,
            "symbols": lambda: Source(select=part("symbols"), needs=("bars",)),
        }

    def _bars(self, compared: str) -> Source:
        """Return the bars whose session date compares so with the session's."""
        rows = self.files.rows(self.intervals)
        parts = []
        for session_date, which in self.sessions.parts(self.intervals):
            available_at = self.sessions.available_at(self.intervals, session_date)
            # The condition speaks of the expression, not of its alias, so that partitions are ruled out by their date.
            which = f"{which} AND {session_date} {compared} DATE '{self.date}'"
            places = {"session_date": session_date, "available_at": available_at, "which": which}
            parts.append(part("catalog_bars", rows=rows, **places))
        return Source(select=union(parts), variables=self.sessions.closes)

    def _events(self, kind: str) -> Source:
        if kind not in self.files.dates:
            return Source()
        rows = self.files.rows([kind])
        return Source(
            select=union(
                part("catalog_events", rows=rows, session_date=session_date, which=which)
                for session_date, which in self.sessions.parts([kind])
            )
        )

    def _metrics(self) -> Source:
        return Source(select=part("session_metrics", finest_first=self.intervals), needs=("session_bars",))
