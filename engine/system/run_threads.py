"""`RunThreads`: the four threads of a run, made together and ended together."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mismartera.engine.data.data_manager import DataManager
from mismartera.engine.session.history_window import HistoryWindow
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.threads.analysis_engine import AnalysisEngine
from mismartera.engine.threads.data_processor import DataProcessor
from mismartera.engine.threads.data_quality_manager import DataQualityManager
from mismartera.engine.threads.driver import StagedDriver
from mismartera.engine.threads.session_coordinator import Parts, SessionCoordinator
from mismartera.engine.threads.stages import Stages
from mismartera.engine.threads.worker import EngineThread
from mismartera.engine.time.calendar import TradingSession
from mismartera.engine.time.time_manager import TimeManager
from mismartera.schemas.config import SessionConfig
from mismartera.schemas.errors import CalendarError

from .marks import mark_streams

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunThreads:
    """The threads of one run; each is one because it waits for something of its own.

    Attributes
    ----------
    coordinator : SessionCoordinator
    processor : DataProcessor
    quality : DataQualityManager
    analyses : AnalysisEngine
    """

    coordinator: SessionCoordinator
    processor: DataProcessor
    quality: DataQualityManager
    analyses: AnalysisEngine

    @classmethod
    def of_backtest(
        cls,
        config: SessionConfig,
        time: TimeManager,
        data_manager: DataManager,
        session_data: SessionData,
        analyses: AnalysisEngine,
        hooks: Stages,
        until: str | dt.datetime | None,
    ) -> RunThreads:
        """Return the threads of a backtest, not started yet; raises what `SystemManager.start` says."""
        sessions = time.window_sessions()
        wanted, window = config.session_data_config, config.backtest_config
        until_us = None if until is None else _until_us(time, sessions, until, extended=wanted.extended_hours)
        symbols = session_data.symbols
        marks, events = mark_streams(data_manager, wanted, symbols)
        _LOG.info("[SESSION_FLOW] 2.b: SystemManager - Initializing managers")
        processor = DataProcessor(data_manager, wanted, symbols, events)
        quality = DataQualityManager(enabled=wanted.quality.enabled)
        history = HistoryWindow(data_manager, time.calendar, wanted, symbols)
        parts = Parts(config, time, session_data, history, processor, quality, analyses, marks)
        driver = StagedDriver(session_data, window.speed_multiplier if window else 0.0, until_us)
        return cls(SessionCoordinator(parts, sessions, hooks, driver), processor, quality, analyses)

    def start(self) -> None:
        """Start all four, the coordinator last: it needs the others."""
        for thread in (self.processor, self.quality, self.analyses, self.coordinator):
            thread.start()

    def close_workers(self) -> None:
        """End all but the coordinator, which ends by itself."""
        for worker in (self.processor, self.quality, self.analyses):
            worker.close()

    def by_section(self) -> dict[str, EngineThread]:
        """Return the threads by the names of their sections in an export."""
        return {
            "session_coordinator": self.coordinator,
            "data_processor": self.processor,
            "data_quality_manager": self.quality,
            "analysis_engine": self.analyses,
        }


def _until_us(
    time: TimeManager, sessions: Sequence[TradingSession], until: str | dt.datetime, *, extended: bool
) -> int:
    """Return where the run stops, UTC microseconds; raises `CalendarError` if that is not within the run."""
    us = time.parse_local(until if isinstance(until, str) else until.isoformat())
    first, last = sessions[0], sessions[-1]
    opens = first.day_start_us if extended else first.open_us
    closes = last.day_stop_us if extended else last.close_us
    if not opens <= us <= closes:
        raise CalendarError(
            f"until {time.isoformat(us)} is not within the run: expected a time from {time.isoformat(opens)} to "
            f"{time.isoformat(closes)}",
            hint="leave it out to run to the end, or change the window in backtest_config",
        )
    return us
