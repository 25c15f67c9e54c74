"""`SessionCoordinator`: owns the clock and takes each session through its six phases."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mismartera.engine.session.history_window import HistoryWindow
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.state.staging import StagedDay
from mismartera.engine.time.calendar import TradingSession, local_us
from mismartera.engine.time.clock import Stopwatch
from mismartera.engine.time.time_manager import TimeManager
from mismartera.schemas.config import SessionConfig
from mismartera.schemas.errors import StateError

from .analysis_engine import AnalysisEngine
from .data_processor import DataProcessor
from .data_quality_manager import DataQualityManager
from .driver import Driver
from .run_statistics import RunStatistics
from .stages import Stages
from .worker import EngineThread, perform

_LOG = logging.getLogger(__name__)

PHASES = ("initialization", "historical_management", "queue_loading", "activation", "streaming", "end")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the coordinator works with."""

    config: SessionConfig
    time: TimeManager
    data: SessionData
    history: HistoryWindow
    processor: DataProcessor
    quality: DataQualityManager
    analyses: AnalysisEngine
    marks: Mapping[str, Mapping[str, str]]


class SessionCoordinator(EngineThread):
    """Runs the sessions of a backtest, one after another.

    Parameters
    ----------
    parts : Parts
    sessions : sequence of TradingSession
        The window.
    hooks : Stages
    driver : Driver
        What moves the clock. Where it stops within a session, the state stays as it is at that instant.

    Attributes
    ----------
    statistics : RunStatistics
    error : BaseException or None
        What ended the run before its end.
    """

    def __init__(self, parts: Parts, sessions: Sequence[TradingSession], hooks: Stages, driver: Driver) -> None:
        super().__init__("SessionCoordinator")
        self._parts = parts
        self._sessions = list(sessions)
        self._driver = driver
        # Set whenever the run is asked for something: looking at it is all that a step pays for.
        self._wake = threading.Event()
        self._halted = False
        self._paused = False
        self._calls_lock = threading.Lock()
        self._closed = False
        self._calls: deque[tuple[Future[None], Callable[[], None]]] = deque()
        self._ahead: deque[Future[StagedDay]] = deque()
        self._requested = 0
        self._day: StagedDay | None = None
        self._past: Snapshot | None = None
        backtest = parts.config.backtest_config
        self._prefetch_days = backtest.prefetch_days if backtest else 0
        self.statistics = RunStatistics(parts.data.symbols, PHASES)
        self.hooks = hooks
        self.error: BaseException | None = None
        self._watch: Stopwatch | None = None
        self._wall_s: float | None = None

    def summary(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return what the run did by the instant of `snapshot`; see `SystemManager.get_backtest_summary`."""
        running_s = 0.0 if self._watch is None else self._watch.elapsed_s
        return self.statistics.summary(snapshot, running_s if self._wall_s is None else self._wall_s)

    def work(self) -> None:
        """Take every session of the window through its phases, until the end, a stop, or an error."""
        self._running = True
        _LOG.info("[SESSION_FLOW] 3: SessionCoordinator.run() - Thread started")
        self._watch = self._parts.time.stopwatch()
        try:
            for session in self._sessions:
                if self._halted or not self._run_session(session):
                    break
        except BaseException as error:  # noqa: BLE001 - kept for whoever waits for the run, with its traceback
            # A stop closes the workers, which cancels what the run was waiting for.
            if not (isinstance(error, CancelledError) and self._halted):
                self.error = error
                _LOG.info("[SESSION_FLOW] 3: SessionCoordinator stopped by %s: %s", type(error).__name__, error)
        finally:
            for future in self._ahead:
                future.cancel()
            with self._calls_lock:
                self._closed = True
                for call, _ in self._calls:
                    call.cancel()
            self._wall_s = self._watch.elapsed_s
            self._running = False
            self._parts.data.published.close()
        _LOG.info("[SESSION_FLOW] 3: Complete - %d sessions in %.3fs", self.statistics.sessions, self._wall_s)

    def halt(self) -> None:
        """Ask the run to stop after the step it is in."""
        self._halted = True
        self._wake.set()

    def join_symbol(self, symbol: str) -> Future[None]:
        """Have a symbol join the session after the step the run is in."""
        future: Future[None] = Future()
        with self._calls_lock:
            if self._closed:
                future.cancel()
            self._calls.append((future, lambda: self._join(symbol)))
        self._wake.set()
        return future

    def pause(self) -> None:
        """Hold the run after the step it is in."""
        self._paused = True
        self._wake.set()

    def resume(self) -> None:
        """Let a held run go on."""
        self._paused = False
        self._wake.set()

    def to_json(self, complete: bool = True, debug: bool = False) -> dict[str, Any]:
        """Return the thread's section of an export; debug adds phase times, marks and what waits in the queue.

        `complete` changes nothing.
        """
        section = super().to_json(complete, debug) | {"_session_active": self._parts.data.snapshot.active}
        if debug:
            queue = self._parts.data.queue
            section["performance"] = {"phase_seconds": self.statistics.phase_seconds()}
            section["queue_depth"] = {} if queue is None else queue.waiting()
            section["marks"] = {symbol: dict(marks) for symbol, marks in self._parts.marks.items()}
        return section

    def _run_session(self, session: TradingSession) -> bool:
        """Run one session; return whether the run goes on."""
        parts = self._parts
        starts_us = session.day_start_us if parts.config.session_data_config.extended_hours else session.open_us
        until_us = self._driver.until_us
        if until_us is not None and until_us < starts_us:
            self._stop_at(until_us)
            return False
        with self._phase("initialization", session):
            # On the session's own date, or an export meanwhile would tell it with a time of the one before.
            midnight_us = local_us(session.date, dt.time(), parts.time.get_market_timezone())
            parts.time.advance_to(max(parts.time.now_us, min(midnight_us, starts_us)))
            parts.data.begin_session(session, parts.time.now_us)
            self._log_marks()
        with self._phase("historical_management", session):
            parts.data.load_history(parts.history.roll(session, self._past))
            self._past = None  # else a third day would be held while the next one is staged
        with self._phase("queue_loading", session):
            day = self._next_day()
            parts.data.load_queue(day)
            self._day = day
        with self._phase("activation", session):
            parts.time.advance_to(starts_us)
            parts.data.set_session_active(True)
            parts.data.publish(starts_us)
            self._driver.resume(starts_us)
            for stage in self.hooks.activated:
                stage()
        with self._phase("streaming", session):
            finished = self._stream()
        with self._phase("end", session):
            if finished:
                parts.data.set_session_active(False)
            self._day, self._past = None, parts.data.snapshot
            self.statistics.add_session(self._past, ended=finished)
            if finished:
                for stage in self.hooks.ended:
                    stage()
        return finished

    def _stream(self) -> bool:
        """Step the clock as the driver says; return whether it reached the session's end."""
        parts, stages = self._parts, self.hooks.stepped
        next_us, wake, asked = self._driver.next_us, self._wake, self._wake.is_set
        advance, consume = parts.time.advance_to, parts.data.consume_queue
        analyse = None if parts.analyses.idle else parts.analyses.step
        last_us = parts.time.now_us - 1  # a trade may be stamped at the very open
        while not asked() or self._attend():
            us = next_us(last_us, wake)
            if us is not None:
                advance(us)
                snapshot = consume(us)
                if analyse is not None:
                    analyse(snapshot)
                for stage in stages:
                    stage(us)
                last_us = us
            elif not asked():
                return not self._stopped_early()
        return False

    def _stopped_early(self) -> bool:
        """Where the run stops before the session does, set the clock there, publish, and return True."""
        until_us = self._driver.until_us
        if until_us is None or not self._driver.stops_in_session():
            return False
        self._stop_at(until_us)
        return True

    def _attend(self) -> bool:
        """Do what was asked for between two steps, and wait while the run is paused; return whether it goes on."""
        held = False
        while True:
            self._wake.clear()
            while self._calls:
                perform(*self._calls.popleft())
            if self._halted:
                return False
            if not self._paused:
                break
            held = True
            self._wake.wait()
        if held:
            self._driver.resume(self._parts.time.now_us)
        return True

    def _join(self, symbol: str) -> None:
        """Take one more symbol into the session, and have the days ahead staged with it."""
        parts, session, present = self._parts, self._parts.data.snapshot.session, self._day
        if session is None or present is None:
            raise StateError("a symbol joins a session that streams; none does now")
        day = parts.quality.find(parts.processor.add_symbol(symbol, present))
        parts.data.join(symbol, day, parts.history.join(symbol, session))
        self._day = day
        while self._ahead:
            self._ahead.popleft().cancel()
        self._requested = self.statistics.sessions + 1
        self._prefetch()

    def _stop_at(self, us: int) -> None:
        """Set the clock to where the run was told to stop, and publish the state there."""
        self._parts.time.advance_to(us)
        self._parts.data.publish(us)

    def _next_day(self) -> StagedDay:
        """Return the staged day whose turn it is, and have the next ones staged meanwhile."""
        self._prefetch()
        return self._ahead.popleft().result()

    def _prefetch(self) -> None:
        """Have the day whose turn it is, and as many after it as are wanted, staged."""
        wanted = min(self.statistics.sessions + 1 + self._prefetch_days, len(self._sessions))
        while self._requested < wanted:
            staged = self._parts.processor.stage(self._sessions[self._requested])
            self._ahead.append(self._parts.quality.score(staged))
            self._requested += 1

    def _log_marks(self) -> None:
        if self.statistics.sessions:
            return
        _LOG.info("[SESSION_FLOW] PHASE_1.1: First session - marking STREAMED/GENERATED/IGNORED")
        for symbol, marks in self._parts.marks.items():
            _LOG.debug("[SESSION_FLOW] PHASE_1.1: %s %s", symbol, dict(marks))

    @contextmanager
    def _phase(self, name: str, session: TradingSession) -> Iterator[None]:
        number = PHASES.index(name) + 1
        _LOG.info(
            "[SESSION_FLOW] 3.b.2.PHASE_%d: %s phase starting for %s", number, name.replace("_", " "), session.date
        )
        watch = self._parts.time.stopwatch()
        yield
        self.statistics.add_phase(name, watch.elapsed_s)
        _LOG.info("[SESSION_FLOW] PHASE_%d: Complete in %.3fs", number, watch.elapsed_s)
