"""`DataProcessor`: stages a day of the catalog and derives its coarser bars, all symbols in one go."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from mismartera.engine.columns.buckets import session_grid
from mismartera.engine.columns.derive import derive_all
from mismartera.engine.data.data_manager import DataManager
from mismartera.engine.state.staging import StagedDay, StagedKind, stage_bars, stage_events
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.config import SessionDataConfig

from .worker import Worker

_LOG = logging.getLogger(__name__)


class DataProcessor(Worker):
    """Turns sessions of the catalog into staged days, the next one while the present one streams.

    Parameters
    ----------
    data_manager : DataManager
    config : SessionDataConfig
    symbols : sequence of str
        In the order of their codes.
    events : sequence of str
        Which of ``"ticks"`` and ``"quotes"`` are streamed.
    """

    def __init__(
        self, data_manager: DataManager, config: SessionDataConfig, symbols: Sequence[str], events: Sequence[str] = ()
    ) -> None:
        super().__init__("DataProcessor")
        self._data = data_manager
        self._config = config
        self._symbols = list(symbols)
        self._codes = {symbol: code for code, symbol in enumerate(symbols)}
        self._events = tuple(events)
        self._derived = [interval.text for interval in config.generated_intervals]
        self._staged_days = 0

    def stage(self, session: TradingSession) -> Future[StagedDay]:
        """Queue the staging of a session."""
        return self.submit(lambda: self.load_queue(session))

    def add_symbol(self, symbol: str, day: StagedDay) -> StagedDay:
        """Return the staged day with one more symbol's rows, and stage that symbol from now on."""
        symbols, codes = self._symbols, self._codes
        self._symbols, self._codes = [*symbols, symbol], {**codes, symbol: len(codes)}
        try:
            return day.joined(self.load_queue(day.session, [symbol]))
        except Exception:
            self._symbols, self._codes = symbols, codes
            raise

    def load_queue(self, session: TradingSession, symbols: Sequence[str] | None = None) -> StagedDay:
        """Read a session, derive its coarser bars and schedule every row; nothing is visible yet.

        Parameters
        ----------
        session : TradingSession
        symbols : sequence of str, optional
            Whose rows to read; by default those of all symbols.

        Raises
        ------
        CatalogError
            If a file of the session cannot be read.
        """
        config, base = self._config, self._config.base_interval
        wanted = self._symbols if symbols is None else symbols
        table = self._data.read_session(base.text, session, wanted)
        grid = session_grid(session, base, extended=config.extended_hours)
        staged = stage_bars(table, self._codes, grid)
        segment, dropped = staged.segment, staged.dropped
        kinds = {base.text: StagedKind.of(base.text, segment, grid, staged.buckets, is_base=True)}
        derived = derive_all(segment, session, base, config.generated_intervals, extended=config.extended_hours)
        for interval, (bars, buckets) in derived.items():
            kinds[interval.text] = StagedKind.of(interval.text, bars, buckets, generated=True)
        for name in self._events:
            events = self._data.read_session(name, session, wanted)
            segment, left_out = stage_events(events, self._codes, session, extended=config.extended_hours)
            kinds[name] = StagedKind.of(name, segment)
            dropped = dropped + left_out
        if dropped.invalid:
            _LOG.warning(
                "%d rows of %s are left out: their values can be no bar's or trade's; 'mismartera data verify' names "
                "them", dropped.invalid, session.date,
            )  # fmt: skip
        self._staged_days += 1
        _LOG.debug(
            "[SESSION_FLOW] PHASE_3.1: Staged %s: %s", session.date, {k: kind.segment.rows for k, kind in kinds.items()}
        )
        return StagedDay(session, base.text, kinds, dropped)

    def to_json(self, complete: bool = True, debug: bool = False) -> dict[str, Any]:
        """Return the thread's section of an export; debug adds days staged, `complete` changes nothing."""
        derived = dict.fromkeys(self._symbols, self._derived)
        section = super().to_json(complete, debug) | {"_derived_intervals": derived}
        return section | ({"performance": {"staged_days": self._staged_days}} if debug else {})
