"""`HistoryWindow`: keeps the trailing sessions of each interval, and rolls them on at every new session."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid, session_grid
from mismartera.engine.columns.derive import derive
from mismartera.engine.columns.gaps import detect_gaps
from mismartera.engine.columns.indicators.past import Past, compute_indicator
from mismartera.engine.data.data_manager import DataManager
from mismartera.engine.log.segment import Segment
from mismartera.engine.state.history import History, HistoryDay, HistoryInterval
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.state.staging import stage_bars
from mismartera.engine.time.calendar import ExchangeCalendar, TradingSession
from mismartera.schemas.config import IndicatorConfig, SessionDataConfig
from mismartera.schemas.interval import Interval

_LOG = logging.getLogger(__name__)
_MINUTE = Interval("1m")


class HistoryWindow:
    """The sessions before the current one, per interval.

    Parameters
    ----------
    data_manager : DataManager
    calendar : ExchangeCalendar
    config : SessionDataConfig
    symbols : sequence of str
        In the order of their codes.

    Notes
    -----
    A session that was just streamed becomes history as the segments it was streamed in: nothing is read or copied.
    The window is the same whether a run rolled into it or began with it.
    """

    def __init__(
        self, data_manager: DataManager, calendar: ExchangeCalendar, config: SessionDataConfig, symbols: Sequence[str]
    ) -> None:
        self._data = data_manager
        self._calendar = calendar
        self._config = config
        self._codes: Mapping[str, int] = {symbol: code for code, symbol in enumerate(symbols)}
        self._sources = self._find_sources()
        self._held: dict[tuple[Interval, dt.date], HistoryDay] = {}

    def join(self, symbol: str, session: TradingSession) -> History:
        """Return the history of `session` with one more symbol's, and keep that symbol from now on."""
        self._codes = {**self._codes, symbol: len(self._codes)}
        for (interval, date), day in self._held.items():
            extra = self._load(interval, self._calendar.session(date), [symbol])
            self._held[interval, date] = day.joined(extra.segment)
        return self.roll(session)

    def roll(self, session: TradingSession, ended: Snapshot | None = None) -> History:
        """Return the history of `session`.

        Parameters
        ----------
        session : TradingSession
            The one about to start.
        ended : Snapshot, optional
            The last one of the session that ended; where it belongs into the window its segments are taken over.
        """
        if not self._config.historical.enabled:
            return History()
        held: dict[tuple[Interval, dt.date], HistoryDay] = {}
        intervals = {}
        for entry in sorted(self._config.historical.data, key=lambda entry: entry.interval):
            source = self._sources.get(entry.interval)
            if source is None:
                continue
            days = []
            for past in self._calendar.trailing_sessions(session.date, entry.trailing_days):
                key = entry.interval, past.date
                day = (
                    self._held.get(key)
                    or self._taken_over(entry.interval, past, ended)
                    or self._load(entry.interval, past, list(self._codes))
                )
                held[key] = day
                days.append(day)
            intervals[entry.interval.text] = HistoryInterval(entry.interval, tuple(days), source != entry.interval)
        self._held = held
        indicators = {
            name: values
            for name, indicator in self._config.historical.indicators.items()
            if (values := self._indicator(indicator, intervals, session)) is not None
        }
        return History(intervals, indicators, loaded=True)

    def _find_sources(self) -> dict[Interval, Interval]:
        """Return, for each interval wanted, the stored one it is read or derived from."""
        kinds = [kind for kind in self._data.catalog.kinds() if kind not in ("ticks", "quotes")]
        stored = {Interval(kind) for kind in kinds}
        sources = {}
        for entry in self._config.historical.data:
            interval = entry.interval
            finer = {candidate for candidate in stored if candidate < interval and candidate.divides(interval)}
            if interval in stored:
                sources[interval] = interval
            elif finer:
                base = self._config.base_interval
                sources[interval] = base if base in finer else max(finer)
            else:
                _LOG.warning(
                    "history of %s is left out: the catalog %s holds %s, from which it cannot be derived",
                    interval, self._data.catalog.root, ", ".join(kinds) or "no bars",
                )  # fmt: skip
        return sources

    def _taken_over(self, interval: Interval, past: TradingSession, ended: Snapshot | None) -> HistoryDay | None:
        """Return the session that ended as history, if it was made of the same rows the catalog would give."""
        if ended is None or ended.session is None or ended.session.date != past.date:
            return None
        kind = ended.kinds.get(interval.text)
        if kind is None or kind.columns.grid is None or self._sources[interval] != self._config.base_interval:
            return None
        segments = kind.served().segments
        segment = segments[0] if len(segments) == 1 else kind.current()
        gaps = None
        if self._config.quality.enabled:
            known = None if kind.columns.gap_log is None else kind.columns.gap_log.ranges
            gaps = known or detect_gaps(segment, kind.columns.grid)
        return HistoryDay(past.date, segment, kind.columns.grid, gaps)

    def _load(self, interval: Interval, past: TradingSession, symbols: Sequence[str]) -> HistoryDay:
        source = self._sources[interval]
        extended = self._config.extended_hours
        table = self._data.read_session(source.text, past, symbols)
        grid = session_grid(past, source, extended=extended)
        staged = stage_bars(table, self._codes, grid)
        segment = staged.segment
        if staged.dropped.invalid:
            _LOG.warning(
                "history: %d rows of %s on %s are left out: their values can be no bar's; 'mismartera data verify' "
                "names them", staged.dropped.invalid, source, past.date,
            )  # fmt: skip
        if source != interval:
            grid = session_grid(past, interval, extended=extended)
            segment = derive(segment, grid, source.us)
        _LOG.debug("[SESSION_FLOW] PHASE_2.1: Loaded %d bars of %s for %s", segment.rows, interval, past.date)
        gaps = detect_gaps(segment, grid) if self._config.quality.enabled else None
        return HistoryDay(past.date, segment, grid, gaps)

    def _indicator(
        self, indicator: IndicatorConfig, intervals: Mapping[str, HistoryInterval], session: TradingSession
    ) -> NDArray[np.float64] | None:
        interval = self._config.historical.interval_for(indicator)
        if interval is None or interval.text not in intervals:
            return None
        days = intervals[interval.text].days[-indicator.trailing_days :]

        def minutes() -> list[tuple[Segment, BucketGrid]]:
            grids = [session_grid(self._calendar.session(day.date), _MINUTE) for day in days]
            return [(derive(day.segment, grid, interval.us), grid) for day, grid in zip(days, grids, strict=True)]

        past = Past(
            [day.segment for day in days],
            indicator.field,
            len(self._codes),
            minutes,
            session_grid(session, _MINUTE).n_expected,
        )
        return compute_indicator(indicator.type, past)
