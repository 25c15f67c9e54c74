"""`LiveSql`: queries over the published state of a running session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial

import pyarrow as pa

from mismartera.engine.log.view import LogView
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.system.sql_access import SystemFacts
from mismartera.sql.database import Database, Limits
from mismartera.sql.guard.policy import PRIVATE_PREFIX
from mismartera.sql.session import SqlSession
from mismartera.sql.views import Source, part, union

from .figures import (
    config_table,
    exports_table,
    gaps_table,
    indicators_table,
    metrics_table,
    quality_table,
    symbols_table,
    threads_table,
)
from .rows import history_table, session_table

_EVENTS = ("ticks", "quotes")


class LiveSql:
    """Answers SQL over snapshots of a session.

    Parameters
    ----------
    facts : SystemFacts
        What the tables ``threads``, ``config`` and ``exports`` show; by default they are empty.
    limits : Limits

    Notes
    -----
    Each query reads one snapshot: every table of it belongs to one instant, and the stream goes on meanwhile. Bars,
    ticks and quotes are read where they lie in the engine; what is made anew is as long as there are symbols, gaps
    and indicators. Safe to use from any thread.

    Examples
    --------
    >>> from mismartera.engine.session.session_data import SessionData
    >>> data = SessionData(["RIVN"], timezone="America/New_York")
    >>> bar = {"timestamp": 1751463000000000, "open": 13.5, "high": 13.6, "low": 13.4, "close": 13.5, "volume": 100}
    >>> data.append_bar("RIVN", "1m", bar).accepted
    1
    >>> LiveSql().query("SELECT symbol, close, volume FROM bars", data.snapshot).to_pylist()
    [{'symbol': 'RIVN', 'close': 13.5, 'volume': 100}]
    """

    def __init__(self, facts: SystemFacts | None = None, limits: Limits | None = None) -> None:
        self._facts = facts or SystemFacts()
        self._limits = limits or Limits()
        self._databases: dict[str, Database] = {}
        self._lock = threading.Lock()

    def query(self, text: str, snapshot: Snapshot) -> pa.Table:
        """Return the answer of one query over one snapshot; see `SqlSession.query`."""
        with self.open(snapshot) as session:
            return session.query(text)

    def open(self, snapshot: Snapshot) -> SqlSession:
        """Return a session over one snapshot, for as many queries as are wanted; it is closed by the caller.

        Notes
        -----
        A table is made when a query first names it: bars in O(intervals + symbols), figures in O(symbols + gaps +
        indicator values), the first session metrics of a day in O(its rows). The first session of a process costs
        50 ms more.
        """
        facts = self._facts
        figures: Mapping[str, Callable[[], pa.Table]] = {
            "gaps": lambda: gaps_table(snapshot),
            "quality": lambda: quality_table(snapshot),
            "session_metrics": lambda: metrics_table(snapshot),
            "indicators": lambda: indicators_table(snapshot),
            "symbols": lambda: symbols_table(snapshot),
            "exports": lambda: exports_table(facts.exports()),
            "threads": lambda: threads_table(facts.threads()),
            "config": lambda: config_table(facts.config()),
        }
        sources: dict[str, Callable[[], Source]] = {
            "session_bars": lambda: _session_bars(snapshot),
            "historical_bars": lambda: _historical_bars(snapshot),
            "bars": lambda: _bars(snapshot),
            "ticks": lambda: _events(snapshot, "ticks"),
            "quotes": lambda: _events(snapshot, "quotes"),
        }
        sources |= {name: partial(_figure, name, make) for name, make in figures.items()}
        return SqlSession(self._database(snapshot.timezone.key), self._limits, sources)

    def close(self) -> None:
        """Give the databases back; a later query opens them again."""
        with self._lock:
            databases, self._databases = list(self._databases.values()), {}
        for database in databases:
            database.close()

    def _database(self, timezone: str) -> Database:
        with self._lock:
            database = self._databases.get(timezone)
            if database is None or database.is_broken:  # sessions that are open on a broken one keep it till they end
                database = self._databases[timezone] = Database(self._limits, timezone)
            return database


def visible_condition(log: LogView) -> str:
    """Return the condition that keeps the visible rows of a log.

    Where rows wait behind the visible ones, those are the ones available by the instant that was revealed last.
    """
    if log.until_us is None or log.rows == sum(segment.rows for segment in log.segments):
        return "true"
    return f"available_at <= make_timestamptz({log.until_us})"


def _figure(name: str, make: Callable[[], pa.Table]) -> Source:
    return Source({name: make()})


def _session_bars(snapshot: Snapshot) -> Source:
    arrow, parts = {}, []
    for kind, log in snapshot.logs.items():
        if kind not in _EVENTS and log.segments:
            name = f"{PRIVATE_PREFIX}session_{kind}"
            arrow[name] = session_table(snapshot, log)
            parts.append(_bars_part(name, kind, snapshot.kinds[kind].generated, visible_condition(log)))
    return Source(arrow, union(parts), is_exact=True)


def _historical_bars(snapshot: Snapshot) -> Source:
    arrow, parts = {}, []
    for kind, interval in snapshot.history.intervals.items():
        if interval.days:
            name = f"{PRIVATE_PREFIX}history_{kind}"
            arrow[name] = history_table(snapshot, interval)
            parts.append(_bars_part(name, kind, interval.generated, "true"))
    return Source(arrow, union(parts), is_exact=True)


def _bars_part(name: str, kind: str, generated: bool, visible: str) -> str:
    told = str(generated).lower()
    return part("live_bars", source=f'"{name}"', interval=kind, generated=told, visible=visible)


def _bars(snapshot: Snapshot) -> Source:
    session = "session_bars"
    if not all(log.ordered for kind, log in snapshot.logs.items() if kind not in _EVENTS):
        session = f"({part('latest_revision', source=session)})"
    select = part("bars", historical="historical_bars", session=session)
    return Source(select=select, needs=("session_bars", "historical_bars"), is_exact=True)


def _events(snapshot: Snapshot, kind: str) -> Source:
    log = snapshot.logs.get(kind)
    if log is None or not log.segments:
        return Source()
    name = f"{PRIVATE_PREFIX}session_{kind}"
    select = part("live_events", source=name, visible=visible_condition(log))
    return Source({name: session_table(snapshot, log)}, select)
