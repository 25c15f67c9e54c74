"""`SessionData`: the current session of all symbols, published snapshot by snapshot."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.export.consumers.consumers import DEFAULT, Consumers
from mismartera.engine.export.consumers.filter import ExportFilter
from mismartera.engine.log.text_cache import TextCache
from mismartera.engine.log.view import LogView
from mismartera.engine.state.history import History
from mismartera.engine.state.kind_state import KindColumns
from mismartera.engine.state.reading import gap_infos, symbol_bars
from mismartera.engine.state.snapshot import Frame, Snapshot
from mismartera.engine.state.staging import Dropped, StagedDay
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.config import HISTORY_KEYS
from mismartera.schemas.errors import DataError, StateError, UnknownNameError
from mismartera.schemas.gaps import GapInfo
from mismartera.schemas.interval import Interval

from .applying import AppliedRows
from .by_hand import with_gaps_by_hand, with_quality_by_hand
from .fed_interval import padded
from .given_gaps import checked_gaps, gap_rows
from .incoming import AppendResult
from .queue import SessionQueue
from .signal import Signal
from .symbol_session_data import SymbolSessionData

Floats = NDArray[np.float64]
Part = str


@dataclass(slots=True)
class _State:
    """What the next snapshot is made of besides rows; the writer's own."""

    now_us: int = 0
    session: TradingSession | None = None
    active: bool = False
    ended: bool = False
    epoch: int = 0
    steps: int = 0


class SessionData:
    """The state of a trading session: rows of all symbols, history, quality and gaps.

    Parameters
    ----------
    symbols : sequence of str
        In the order they are registered, which is their order everywhere.
    base_interval : Interval, int or str
        The interval that is streamed.
    derived_intervals : sequence of Interval, int or str
        Those derived from it.
    timezone : str
        The exchange's zone.
    text_cache_bytes : int, optional
        Bound on the encoded row text that exports keep; by default none. See `TextCache`.
    extended_hours : bool
        Whether bars before the open and after the close belong to the session.
    finds_gaps : bool
        Whether missing bars are searched, which quality follows from.

    Attributes
    ----------
    published : Signal
        What readers wait on for the next snapshot.

    Notes
    -----
    A session is streamed from a staged day (`load_queue`), or fed batch by batch (`append_bars`): what readers see is
    the same.

    One thread writes (the coordinator, or whoever feeds it by hand); any thread reads, without a lock, through
    `snapshot`: a reference to immutable columns and row counts, replaced in one assignment.

    Examples
    --------
    >>> data = SessionData(["RIVN"], timezone="America/New_York")
    >>> bar = {"timestamp": 1751463000000000, "open": 13.5, "high": 13.6, "low": 13.4, "close": 13.5, "volume": 100}
    >>> data.append_bar("RIVN", "1m", bar).accepted
    1
    >>> data.get_bars("RIVN", "1m").num_rows
    1
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        base_interval: Interval | int | str = "1m",
        derived_intervals: Sequence[Interval | int | str] = (),
        timezone: str = "UTC",
        text_cache_bytes: int | None = None,
        extended_hours: bool = True,
        finds_gaps: bool = True,
    ) -> None:
        self.symbols = tuple(symbols)
        self.timezone = ZoneInfo(timezone)
        self.text_cache = TextCache(text_cache_bytes)
        self.base = Interval(base_interval).text
        derived = sorted(Interval(interval) for interval in derived_intervals)
        self.generated = frozenset(interval.text for interval in derived)
        self.intervals = (self.base, *(interval.text for interval in derived))
        self._codes = {symbol: code for code, symbol in enumerate(self.symbols)}
        self._lock = threading.RLock()
        self._consumers = Consumers()
        self._state = _State()
        self._history = History(changed=np.zeros(len(self.symbols), dtype=np.int64))
        self._extended, self._finds_gaps = extended_hours, finds_gaps
        self._queue: SessionQueue | None = None
        self._applied: AppliedRows | None = None
        self._logs: dict[str, LogView] = {}
        self._columns: dict[str, KindColumns] = {}
        self._dropped = Dropped()
        self._frame: Frame | None = None
        self._by_hand: set[tuple[str, int]] = set()
        self._is_settled = True
        self._clear_logs()
        self._snapshot = self._build()
        self.published = Signal(lambda: self.snapshot, self._differs)

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """The state as last published; safe to keep and read from any thread.

        What follows from batches that were appended since (derived bars, gaps, figures) is worked out by the first
        reader: an instant is complete when somebody looks at it, or when the clock has moved on.
        """
        if not self._is_settled:
            with self._lock:
                if not self._is_settled:
                    self._publish()
        return self._snapshot

    def _differs(self, snapshot: Snapshot) -> bool:
        """Return whether there is a newer snapshot than this one, without working it out."""
        return self._snapshot is not snapshot or not self._is_settled

    @property
    def queue(self) -> SessionQueue | None:
        """The staged tail of the current day; None where nothing is staged."""
        return self._queue

    def code(self, symbol: str) -> int:
        """Return a symbol's code, its place in the order of registration; raises `UnknownNameError`."""
        try:
            return self._codes[symbol]
        except KeyError:
            raise UnknownNameError("symbol", symbol, sorted(self.symbols)) from None

    def interval(self, interval: Interval | int | str) -> str:
        """Return the text of an interval this session holds; raises `UnknownNameError` for another."""
        text = Interval(interval).text
        if text not in self.intervals and text not in self._history.intervals:
            raise UnknownNameError("interval", text, sorted({*self.intervals, *self._history.intervals}))
        return text

    def get_symbol_data(self, symbol: str) -> SymbolSessionData:
        """Return the view of one symbol; it always shows the snapshot last published."""
        return SymbolSessionData(self, symbol, self.code(symbol))

    def get_bars(
        self, symbol: str, interval: Interval | int | str, *, part: Part = "all", as_polars: bool = False
    ) -> pa.Table | pl.DataFrame:
        """Return the visible bars of one symbol.

        Parameters
        ----------
        symbol : str
        interval : Interval, int or str
        part : {"all", "session", "historical"}
            All: history, then the current session.
        as_polars : bool
            Return a `polars.DataFrame` over the same memory.

        Returns
        -------
        pyarrow.Table or polars.DataFrame
            `LOG_BAR_SCHEMA`, sorted by timestamp, the latest revision of each bar.

        Raises
        ------
        UnknownNameError
            If the symbol or interval is none of this session's.

        Notes
        -----
        No row is copied; only a symbol that received late or corrected rows is put in order first.
        """
        table = symbol_bars(self.snapshot, self.interval(interval), self.code(symbol), part)
        if as_polars:
            return pl.DataFrame(pl.from_arrow(table, rechunk=False))
        return table

    def get_quality(self, symbol: str, interval: Interval | int | str) -> float | None:
        """Return the quality of a symbol's session bars in percent; None while nothing is expected."""
        kind = self.snapshot.kinds.get(self.interval(interval))
        quality = np.nan if kind is None else kind.quality()[self.code(symbol)]
        return None if np.isnan(quality) else float(quality)

    def get_gaps(self, symbol: str, interval: Interval | int | str, *, part: Part = "session") -> list[GapInfo]:
        """Return the gap ranges of a symbol's bars, ascending.

        Parameters
        ----------
        symbol : str
        interval : Interval, int or str
        part : {"session", "historical", "all"}
            Those of the session by now, those of the sessions before it, or both.
        """
        return gap_infos(self.snapshot, self.interval(interval), self.code(symbol), part)

    def get_historical_indicator(self, name: str, symbol: str | None = None) -> Any:
        """Return a historical indicator.

        Parameters
        ----------
        name : str
        symbol : str, optional
            Of one symbol: a float, or a float64 array with one value per minute of the session. By default of all
            symbols: a float64 array of shape (symbols,) or (symbols, minutes). NaN where there is no value.
        """
        indicators = self._history.indicators
        if name not in indicators:
            raise UnknownNameError("indicator", name, sorted(indicators))
        values = indicators[name]
        if symbol is None:
            return values
        value = values[self.code(symbol)]
        return float(value) if values.ndim == 1 else value

    def peek_queue_timestamp(
        self, symbol: str | None = None, interval: Interval | int | str | None = None
    ) -> int | None:
        """Return when the next staged row becomes visible, UTC microseconds; None where nothing waits."""
        if self._queue is None:
            return None
        code = None if symbol is None else self.code(symbol)
        return self._queue.peek_queue_timestamp(code, None if interval is None else self.interval(interval))

    def to_json(self, complete: bool = True, debug: bool = False, *, symbol: str | None = None) -> dict[str, Any]:
        """Return the ``session_data`` section of an export as plain data.

        Parameters
        ----------
        complete : bool
            Everything, or the rows that are new since the last call, complete or not, for the same `symbol`.
        debug : bool
            Accepted as in every section's `to_json`; this one is the same either way.
        symbol : str, optional
            Of one symbol; by default of all.
        """
        consumer = DEFAULT if symbol is None else repr(symbol)
        if symbol is not None:
            self.code(symbol)
            self._consumers.register(consumer, ExportFilter(symbols=frozenset((symbol,))))
        with self._consumers.delivering(consumer):
            export = self._consumers.export(
                consumer, self.snapshot, dict, complete=complete, debug=debug, generated_at=""
            )
            section: dict[str, Any] = orjson.loads(b"".join(export.session.pieces()))
            self._consumers.acknowledge(export)
        return section

    # --- writing: the session's life -----------------------------------------------------------------------------

    def begin_session(self, session: TradingSession, now_us: int) -> None:
        """Start a session with no rows: initialization, the first of the six phases."""
        with self._lock:
            self._state.session, self._state.now_us = session, now_us
            self._state.active = self._state.ended = False
            self.reset_session_metrics()

    def load_history(self, history: History) -> None:
        """Replace the history of all symbols; indicators that were set by hand have no value in it.

        They stay by name, for a delta can say that a value is gone, not that a name is.
        """
        with self._lock:
            history = history.with_names_of(self._history)
            version = self._history.version + 1
            changed = np.full(len(self.symbols), version, dtype=np.int64)
            self._history = replace(history, version=version, changed=changed, texts={})
            self._frame = None
            self.publish()

    def load_queue(self, day: StagedDay) -> None:
        """Take a staged day: its rows are in memory from now on, and none is visible."""
        with self._lock:
            self._applied = None
            self._stage(day, -1)
            self.publish()

    def consume_queue(self, until_us: int) -> Snapshot:
        """Move the visible end of every staged log to `until_us`, set the clock there, and publish."""
        with self._lock:
            if self._queue is not None:
                self._logs = self._queue.consume_queue(until_us)
                self._state.steps = self._queue.step
            return self.publish(until_us)

    def set_session_active(self, active: bool) -> None:
        """Open or close the session for readers."""
        with self._lock:
            self._state.ended = self._state.active and not active
            self._state.active = active
            self._frame = None
            self.publish()

    def publish(self, now_us: int | None = None) -> Snapshot:
        """Publish what was written as the next snapshot, in one reference assignment.

        Parameters
        ----------
        now_us : int, optional
            Where the clock stands from now on. All rows up to it were given: buckets that end by then are closed.
        """
        with self._lock:
            if now_us is not None:
                # What was closed stays closed: the clock of a session that is fed does not go back.
                self._state.now_us = now_us if self._applied is None else max(now_us, self._state.now_us)
            return self._publish()

    def _publish(self) -> Snapshot:
        applied = self._applied
        if applied is not None:
            applied.settle(self._state.now_us)
            self._logs, self._columns = applied.logs, applied.columns
            self._dropped = applied.dropped
            self._frame = None
        self._snapshot = self._build()
        self._is_settled = True  # and not before: whoever reads meanwhile waits for the snapshot
        if self.published.awaited:
            self.published.send()
        return self._snapshot

    def clear_session_bars(self) -> None:
        """Drop all rows of the current session, staged ones too, and begin a new epoch: what consumers hold is gone."""
        with self._lock:
            self._state.epoch += 1
            self._state.steps = 0
            self._clear_logs()
            self.publish()

    def clear_historical_bars(self) -> None:
        """Drop the rows of the history, and the values of its indicators."""
        with self._lock:
            self.load_history(self._history.emptied())

    def reset_session_metrics(self) -> None:
        """Start the session's figures over: rows, volume, high, low, vwap, quality and gaps; begins a new epoch.

        Every consumer's cursor goes back to zero with it, and its next delta says so.
        """
        with self._lock:
            self.clear_session_bars()

    def join(self, symbol: str, day: StagedDay | None = None, history: History | None = None) -> int:
        """Register one more symbol and return its code; a registered one keeps its code and nothing changes.

        Parameters
        ----------
        symbol : str
        day : StagedDay, optional
            The present day with the symbol's rows as well; those due by now are visible at once.
        history : History, optional
            The present history with the symbol's as well.

        Raises
        ------
        StateError
            If a day is staged and `day` is not given.
        """
        with self._lock:
            if symbol in self._codes:
                return self._codes[symbol]
            if self._queue is not None and day is None:
                raise StateError(f"symbol {symbol!r} cannot join a streaming session without its rows of the day")
            code = len(self.symbols)
            self.symbols = (*self.symbols, symbol)
            self._codes = self._codes | {symbol: code}
            if self._applied is not None:
                self._applied.widen(code + 1)
            elif day is not None:
                older = self._columns
                self._stage(day, self._state.now_us)
                self._columns = {kind: self._carried(columns, older[kind]) for kind, columns in self._columns.items()}
            self._frame = None
            version = self._history.version + 1
            changed = np.append(self._history.changed, version)
            self._history = replace(self._history.joined(history, code + 1), version=version, changed=changed, texts={})
            self.publish()
            return code

    # --- writing: rows and figures by hand -----------------------------------------------------------------------

    def append_bar(self, symbol: str, interval: Interval | int | str, bar: Mapping[str, Any]) -> AppendResult:
        """Append one bar: a mapping with ``timestamp`` (its start), ``open high low close volume``.

        For more than a few, `append_bars` takes a batch in one pass.
        """
        missing = [name for name in BAR_SCHEMA.names[1:] if bar.get(name) is None]
        if missing:
            raise DataError(f"bar of {symbol} lacks {', '.join(missing)}: expected {', '.join(BAR_SCHEMA.names[1:])}")
        row = {"symbol": [symbol]} | {name: [bar[name]] for name in BAR_SCHEMA.names[1:]}
        try:
            table = pa.table(row, schema=BAR_SCHEMA)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(f"bar of {symbol} does not fit the schema of bars: {error}") from None
        return self.append_bars(interval, table)

    def append_bars(self, interval: Interval | int | str, bars: pa.Table) -> AppendResult:
        """Append a batch of bars; they are visible at once.

        Parameters
        ----------
        interval : Interval, int or str
            One of the session's. A derived one may be given instead, before any row of the base interval: it is not
            derived in this session then, for no symbol.
        bars : pyarrow.Table
            `BAR_SCHEMA`, any number of symbols, in order of arrival.

        Returns
        -------
        AppendResult
            How many rows were accepted, how many repeated what is held (dropped), corrected it (a new revision) or
            came late (after a later bar of their symbol), and how many were left out because they lie outside the
            session or start no bar of the interval, with the reason.

        Raises
        ------
        UnknownNameError
            If a symbol is not registered, or the interval not of this session. Nothing is appended then.
        DataError
            If a row is no bar: not finite, high below low, negative volume; or if the volumes of a symbol would add
            up to more than 2**62. Nothing is appended then.
        StateError
            If a staged day streams this interval.

        Notes
        -----
        No Python per row or symbol; the batch becomes one segment, and segments of like size merge.
        """
        with self._lock:
            text = self._own_interval(interval)
            if self._applied is None:
                raise StateError(
                    f"interval {text} streams from the catalog now: rows cannot be appended behind its staged ones",
                    hint="feed a SessionData of your own, or import the rows into the catalog",
                )
            result = self._applied.append(text, bars, self._codes)
            if result.latest_us > self._state.now_us:
                self._state.now_us = result.latest_us
                self._state.steps += 1
            self._is_settled = False
            if self.published.awaited:
                self.published.send()
            return result

    def set_quality(self, symbol: str, interval: Interval | int | str, quality: float) -> None:
        """Set the quality of a symbol's session bars by hand, in percent; it wins over the computed one.

        100 says that no bar is missing: it does not hold while gaps say otherwise. Where gaps are not searched, the
        symbol has none by this, until `set_gaps` tells them.
        """
        if not isinstance(quality, Real) or not 0.0 <= quality <= 100.0:
            raise DataError(f"quality {quality!r} of {symbol} is none: expected percent, a number from 0 to 100")
        with self._lock:
            text, code = self._own_interval(interval), self.code(symbol)
            if self._applied is not None:
                self._applied.set_quality(text, code, float(quality))
            else:
                columns = with_quality_by_hand(self._columns[text], code, float(quality), len(self.symbols))
                self._columns = {**self._columns, text: columns}
            self._frame = None
            self.publish()

    def set_gaps(self, symbol: str, interval: Interval | int | str, gaps: Sequence[GapInfo]) -> None:
        """Set the gap ranges of a symbol's session bars by hand; they win over the computed ones, in quality too.

        Parameters
        ----------
        symbol : str
        interval : Interval, int or str
        gaps : sequence of GapInfo
            In any order. Moments without a zone are the exchange's.

        Raises
        ------
        DataError
            If a range cannot be one, as `checked_gaps` says; the gaps stay as they are then.
        """
        with self._lock:
            text, code = self._own_interval(interval), self.code(symbol)
            now_us, grid = self._state.now_us, self.snapshot.kinds[text].columns.grid
            placed = gap_rows(checked_gaps(gaps, symbol, Interval(text), self.timezone, grid, now_us))
            if self._applied is not None:
                self._applied.set_gaps(text, code, placed, now_us)
            else:
                self._by_hand.add((text, code))
                columns = with_gaps_by_hand(self._columns[text], code, placed, now_us, len(self.symbols))
                self._columns = {**self._columns, text: columns}
            self._frame = None
            self.publish()

    def set_historical_indicator(self, name: str, value: Floats) -> None:
        """Set an indicator of all symbols: float64 of shape (symbols,) or (symbols, minutes), NaN for none."""
        if not isinstance(name, str) or name in HISTORY_KEYS or not name.strip() or not name.isprintable():
            others = ", ".join(HISTORY_KEYS)
            raise DataError(f"{name!r}: expected a name for the indicator other than {others}, a text that can be read")
        values = np.asarray(value, dtype=np.float64)
        if values.ndim not in (1, 2) or len(values) != len(self.symbols) or 0 in values.shape[1:]:
            raise DataError(
                f"indicator {name!r} has shape {values.shape}: expected ({len(self.symbols)},) or "
                f"({len(self.symbols)}, minutes), one entry per registered symbol"
            )
        with self._lock:
            history = self._history
            self.load_history(replace(history, indicators={**history.indicators, name: values}))

    def _own_interval(self, interval: Interval | int | str) -> str:
        """Return the text of an interval of the session itself; raises `UnknownNameError` for one of history alone."""
        text = self.interval(interval)
        if text not in self._columns:
            raise UnknownNameError("interval", text, list(self._columns), hint="the session's history alone has it")
        return text

    def _stage(self, day: StagedDay, now_us: int) -> None:
        self._queue = SessionQueue(day, len(self.symbols))
        self._logs = self._queue.consume_queue(now_us)
        self._columns = {name: kind.columns for name, kind in day.kinds.items()}
        self._dropped = day.dropped
        self._frame = None

    def _carried(self, columns: KindColumns, older: KindColumns) -> KindColumns:
        """Return the columns of a day that one more symbol joined, with what was set by hand before."""
        n_symbols, now_us = len(self.symbols), self._state.now_us
        gap_log = columns.gap_log
        for kind, code in self._by_hand:
            if kind == columns.kind and gap_log is not None and older.gap_log is not None:
                gap_log = gap_log.carried(older.gap_log, code, now_us)
        if gap_log is None and older.gap_log is not None:
            gap_log = older.gap_log.widened(n_symbols)
        searched = padded(older.searched, n_symbols, value=False)
        by_hand = padded(older.quality_by_hand, n_symbols, np.nan)
        return replace(columns, gap_log=gap_log, searched=searched, quality_by_hand=by_hand)

    def _clear_logs(self) -> None:
        self._queue = None
        self._by_hand = set()
        self._applied = AppliedRows(
            len(self.symbols), self.base, self.intervals[1:], self._state.session,
            extended=self._extended, finds_gaps=self._finds_gaps,
        )  # fmt: skip
        self._applied.settle(self._state.now_us)
        self._logs, self._columns, self._dropped = self._applied.logs, self._applied.columns, Dropped()
        self._frame = None

    def _build(self) -> Snapshot:
        frame = self._frame
        if frame is None:
            state = self._state
            frame = self._frame = Frame(
                self.symbols, state.session, state.active, state.ended, self.base, self._columns, self._history,
                self.timezone, self.text_cache, state.epoch, self._dropped,
            )  # fmt: skip
        return Snapshot(frame, self._state.now_us, self._logs, self._state.steps)
