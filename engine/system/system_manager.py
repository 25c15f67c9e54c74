"""`SystemManager`: one session, from its configuration to its exports."""

from __future__ import annotations

import datetime as dt
import enum
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.data_manager import DataManager
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.session.signal import Signal
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.threads.analysis_engine import Analysis, AnalysisEngine, OnError
from mismartera.engine.threads.session_coordinator import SessionCoordinator
from mismartera.engine.threads.stages import Stages
from mismartera.engine.threads.worker import EngineThread
from mismartera.engine.time.time_manager import TimeManager
from mismartera.schemas.config import SessionConfig, load_config, parse_config
from mismartera.schemas.errors import DataError, StateError
from mismartera.schemas.interval import Interval

from .exports import SystemExports
from .run_id import checked_run_id, new_run_id
from .run_threads import RunThreads
from .sections import system_section, thread_sections
from .sql_access import SqlAccess, SystemFacts

_LOG = logging.getLogger(__name__)
_JOIN_S = 60.0
DEFAULT_CATALOG = Path("data/catalog")


class SystemState(enum.Enum):
    """Where a system is in its life."""

    INITIALIZED = "INITIALIZED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


class SystemManager(SystemExports):
    """Runs one session and answers for its state.

    Parameters
    ----------
    config : SessionConfig, dict, str or Path
        The configuration, the same as plain data, or the file that holds it.
    catalog : Catalog, str or Path
        Where the data lies.
    on_error : {"raise", "count"}
        What an exception in an analysis does: stop the run, or be counted.
    text_cache_bytes : int, optional
        Bound on the encoded row text that exports keep; by default none.
    run_id : str, optional
        The id of a run that is taken up again: of the same configuration over the same rows. By default a new one.

    Attributes
    ----------
    hooks : Stages
        Stages of your own that the run waits for.
    published : Signal
        What readers wait on for the next snapshot, on threads of their own.

    Raises
    ------
    ConfigError
        If the configuration is wrong.
    DataError
        If `run_id` is empty, longer than 64 characters, or has spaces or characters that cannot be printed.
    CalendarError
        If the window leaves the days the exchange's calendar knows.

    Notes
    -----
    Every method is safe to call from any thread. `stop` is idempotent; a system runs once.

    Examples
    --------
    ::

        system = SystemManager("session.json", "data/catalog")
        system.add_analysis(lambda context: context.record("bars", len(context.new_bars())))
        system.start()
        system.wait()
        system.export_status("state.json")
    """

    last: ClassVar[SystemManager | None] = None
    """The one this process made last; see `get_system_manager`."""

    def __init__(
        self,
        config: SessionConfig | dict[str, Any] | str | Path,
        catalog: Catalog | str | Path = DEFAULT_CATALOG,
        *,
        on_error: OnError = "raise",
        text_cache_bytes: int | None = None,
        run_id: str | None = None,
    ) -> None:
        super().__init__(new_run_id() if run_id is None else checked_run_id(run_id))
        _LOG.info("[SESSION_FLOW] 2.a: SystemManager - Loading configuration")
        self.config = load_config(config) if isinstance(config, str | Path) else parse_config(config)
        _LOG.info("[SESSION_FLOW] 2.a: Complete - Config loaded: %s", self.config.session_name)
        self._config_json = self.config.model_dump(mode="json")
        self.time_manager = TimeManager(self.config)
        self.data_manager = DataManager(
            catalog if isinstance(catalog, Catalog) else Catalog(catalog), self.time_manager
        )
        wanted = self.config.session_data_config
        self.session_data = SessionData(
            wanted.symbols,
            base_interval=wanted.base_interval,
            derived_intervals=wanted.generated_intervals,
            timezone=self.time_manager.get_market_timezone().key,
            text_cache_bytes=text_cache_bytes,
            extended_hours=wanted.extended_hours,
            finds_gaps=wanted.quality.enabled,
        )
        self.analysis_engine = AnalysisEngine(on_error)
        self.hooks = Stages()
        self.sql_facts = SystemFacts(
            lambda: self._config_json, lambda: thread_sections(self._by_section()), self.export_log.entries
        )
        self._sql = SqlAccess(self.sql_facts)
        self.analysis_engine.sql = self._sql.query
        self._state = SystemState.INITIALIZED
        self._started_at = self.time_manager.isoformat(self.time_manager.now_us)
        self.session_data.publish(self.time_manager.now_us)
        self._threads: RunThreads | None = None
        self._lock = threading.RLock()
        SystemManager.last = self

    # --- life ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> SystemState:
        """Where the system is in its life. A run that came to its end by itself is STOPPED, or FAILED by an error."""
        if self._state in (SystemState.RUNNING, SystemState.PAUSED) and self._coordinator is not None:
            if self._coordinator.error is not None:
                return SystemState.FAILED
            if not self._coordinator.is_alive():
                return SystemState.STOPPED
        return self._state

    @property
    def snapshot(self) -> Snapshot:
        """The session's state as last published."""
        return self.session_data.snapshot

    @property
    def published(self) -> Signal:
        """What readers wait on for the next snapshot; see `Signal.wait`."""
        return self.session_data.published

    def add_analysis(
        self, analysis: Analysis | type, *, every: Interval | int | str | None = None, name: str | None = None
    ) -> None:
        """Register an analysis before the start; see `AnalysisEngine.add`."""
        if self._state is not SystemState.INITIALIZED:
            raise StateError(f"the system is {self.state.value}: analyses are added before start")
        self.analysis_engine.add(analysis, every=every, name=name)

    def add_symbol(self, symbol: str) -> None:
        """Have a symbol of the catalog join: before the start, or a session that streams, with its bars so far.

        From a hook or an analysis, which the run itself waits for, it joins after the step, and the call returns.

        Raises
        ------
        DataError
            If it is no text.
        UnknownNameError
            If the catalog has no data of it; the message lists the symbols it has.
        StateError
            If the run has ended.
        """
        if not isinstance(symbol, str):
            raise DataError(f"symbol {symbol!r} is none: expected a text, such as 'AAPL'")
        with self._lock:
            state, coordinator = self.state, self._coordinator
            if symbol in self.session_data.symbols:
                return
            self.data_manager.require_symbols([symbol], [self.session_data.base])
            if state is SystemState.INITIALIZED:
                self.session_data.join(symbol)
                return
            if state not in (SystemState.RUNNING, SystemState.PAUSED) or coordinator is None:
                raise StateError(f"the system is {state.value}: a symbol joins before the start or while it runs")
            joined = coordinator.join_symbol(symbol)
        if threading.current_thread() in (coordinator, self.analysis_engine):
            return
        try:
            joined.result()
        except CancelledError:
            raise StateError(f"the run ended before {symbol!r} could join") from None

    def start(self, until: str | dt.datetime | None = None) -> None:
        """Check what the session needs, and start its four threads.

        Parameters
        ----------
        until : str or datetime, optional
            Where the run stops, local to the exchange, such as ``"2025-07-02T11:30"``; the state then stays as it
            is at that instant. By default it runs to the end of the window.

        Raises
        ------
        StateError
            If the system was started before, or the configuration's mode is live.
        CatalogError
            If there is no catalog, or it lacks the streamed interval.
        UnknownNameError
            If a symbol is in none of the catalog's data; the message lists those that are.
        CalendarError
            If the window holds no session, or `until` is no time of it.
        """
        with self._lock:
            if self._state is not SystemState.INITIALIZED:
                raise StateError(f"the system is {self.state.value}: it starts once", hint="make a new SystemManager")
            if self.config.mode == "live":
                raise StateError(
                    "mode is 'live', and this version has no live feed",
                    hint="set mode to 'backtest', or feed a SessionData with append_bars",
                )
            self._threads = RunThreads.of_backtest(
                self.config, self.time_manager, self.data_manager, self.session_data,
                self.analysis_engine, self.hooks, until,
            )  # fmt: skip
            self._threads.start()
            self._state = SystemState.RUNNING
            _LOG.info("[SESSION_FLOW] 2: Complete - SystemManager.start() finished")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the run to end; return whether it has. Raises what ended it early, with its own traceback."""
        coordinator = self._coordinator
        if coordinator is None:
            raise StateError("the system was not started: there is nothing to wait for")
        coordinator.join(timeout_s)
        if coordinator.is_alive():
            return False
        self._close()
        if coordinator.error is not None:
            raise coordinator.error
        return True

    def run(self, until: str | dt.datetime | None = None) -> None:
        """Start, and wait for the end."""
        self.start(until)
        self.wait()

    def pause(self) -> None:
        """Hold the run after the step it is in; readers and exports go on."""
        with self._lock:
            if self.state is not SystemState.RUNNING or self._coordinator is None:
                raise StateError(f"the system is {self.state.value}: only a running one can be paused")
            self._coordinator.pause()
            self._state = SystemState.PAUSED

    def resume(self) -> None:
        """Let a paused run go on."""
        with self._lock:
            if self.state is not SystemState.PAUSED or self._coordinator is None:
                raise StateError(f"the system is {self.state.value}: only a paused one can be resumed")
            self._state = SystemState.RUNNING
            self._coordinator.resume()

    def stop(self) -> None:
        """End the run after the step it is in, and all threads; the state stays readable. Further calls do nothing.

        From a hook or an analysis, which the run itself waits for, it asks for the end and returns; `wait` sees it.
        """
        coordinator = self._coordinator
        if coordinator is not None:
            coordinator.halt()
            if threading.current_thread() in (coordinator, self.analysis_engine):
                return
            self._close_workers()
            coordinator.join(_JOIN_S)
        self._close()

    # --- state ---------------------------------------------------------------------------------------------------

    def get_backtest_summary(self) -> dict[str, Any]:
        """Return what the run did by the state as last published.

        Returns
        -------
        dict
            run_id (no two runs share one), sessions (that ended), symbols, steps, bars (base bars that became visible),
            rows by data type, wall_seconds, bars_per_second, phase_seconds, rows_outside_session, rows_off_grid,
            rows_duplicate, rows_invalid (of values that can be no bar's or trade's), gap_ranges and missing_bars by
            interval, and under ``exports`` the count of delivered exports by mode, with p50 and p99 of milliseconds.
            Rows that were left out count when their session ends.
        """
        return self._summary(self.snapshot)

    def _summary(self, snapshot: Snapshot) -> dict[str, Any]:
        ran = {} if self._coordinator is None else self._coordinator.summary(snapshot)
        return {"run_id": self.run_id} | ran | {"exports": self.export_log.summary()}

    def quality_by_symbol(self) -> list[tuple[str, int, int | None, float | None]]:
        """Return symbol, base bars, missing ones and quality in percent over the run, worst first."""
        return [] if self._coordinator is None else self._coordinator.statistics.by_symbol()

    def sql(self, query: str) -> pa.Table:
        """Answer one SQL query over the state as last published.

        Parameters
        ----------
        query : str
            One statement that reads; ``mismartera sql --tables`` describes the tables.

        Returns
        -------
        pyarrow.Table

        Raises
        ------
        MismarteraError
            If it is wrong, would do more than read, or reaches a limit (1 GB, 30 s, 5,000,000 rows).

        Notes
        -----
        Bars are read where they lie, none is copied, and the stream goes on meanwhile.
        """
        return self._sql.query(query, self.snapshot)

    def _sections(self, snapshot: Snapshot, *, complete: bool, debug: bool) -> Mapping[str, Any]:
        sections: dict[str, Any] = {
            "system_manager": system_section(
                self.config, self.time_manager, self.state.value, self._started_at, debug=debug
            ),
            "performance_metrics": self._summary(snapshot),
            "time_manager": self.time_manager.to_json(complete, debug, at_us=snapshot.now_us),
            "threads": thread_sections(self._by_section(), snapshot, complete=complete, debug=debug),
        }
        return sections | ({"session_config": self._config_json} if complete else {})

    @property
    def _coordinator(self) -> SessionCoordinator | None:
        return None if self._threads is None else self._threads.coordinator

    def _by_section(self) -> dict[str, EngineThread]:
        return {} if self._threads is None else self._threads.by_section()

    def _close_workers(self) -> None:
        if self._threads is None:
            self.analysis_engine.close()
        else:
            self._threads.close_workers()

    def _close(self) -> None:
        with self._lock:
            self._close_workers()
            self.published.close()
            if self._state is SystemState.INITIALIZED:
                self._state = SystemState.STOPPED
            elif self._state in (SystemState.RUNNING, SystemState.PAUSED):
                failed = self._coordinator is not None and self._coordinator.error is not None
                self._state = SystemState.FAILED if failed else SystemState.STOPPED
