"""`AnalysisContext`: what a user's analysis sees of one step."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.log.gather import gather
from mismartera.engine.log.view import held_offsets
from mismartera.engine.state.reading import gap_infos, symbol_bars
from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.errors import DataError, StateError, UnknownNameError
from mismartera.schemas.gaps import GapInfo
from mismartera.schemas.interval import Interval

AskSql = Callable[[str, Snapshot], pa.Table]
"""Answers a SQL query over a snapshot."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@lru_cache(maxsize=8)
def symbol_series(symbols: tuple[str, ...]) -> pl.Series:
    """Return the registered symbols as an Enum series, in the order of their codes."""
    return pl.Series("symbol", symbols, dtype=pl.Enum(symbols))


class Seen(NamedTuple):
    """What an analysis has seen: the row offsets of each data type, and the epoch they belong to."""

    epoch: int = -1
    rows: Mapping[str, NDArray[np.int64]] = {}

    @classmethod
    def of(cls, snapshot: Snapshot) -> Seen:
        """Return what a snapshot shows."""
        return cls(snapshot.epoch, {kind: log.visible for kind, log in snapshot.logs.items()})


def is_name(name: object) -> bool:
    """Return whether something can name an analysis or a figure: a text without control characters and surrogates."""
    return isinstance(name, str) and bool(name.strip()) and name.isprintable()


class AnalysisContext:
    """One step of a session, as an analysis sees it: what is known at `now`, and nothing later.

    Attributes
    ----------
    snapshot : Snapshot
        The published state.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        seen: Seen,
        record: Callable[[int, str, float], None],
        sql: AskSql | None = None,
    ) -> None:
        self.snapshot = snapshot
        self._seen = seen
        self._record = record
        self._sql = sql

    @property
    def now(self) -> dt.datetime:
        """The engine's clock, in the exchange's zone."""
        return (_EPOCH + dt.timedelta(microseconds=self.snapshot.now_us)).astimezone(self.snapshot.timezone)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Registered symbols, in order."""
        return self.snapshot.symbols

    def new_bars(self, interval: Interval | int | str | None = None) -> pl.DataFrame:
        """Return the bars that became visible since this analysis was last called.

        Parameters
        ----------
        interval : Interval, int or str, optional
            By default the streamed one.

        Returns
        -------
        polars.DataFrame
            ``symbol`` (Enum of the registered symbols) and `LOG_BAR_SCHEMA`, ordered by time, then registration.
            Cost: O(new rows).
        """
        kind = self._kind(self.snapshot.base if interval is None else interval)
        log = self.snapshot.logs.get(kind)
        if log is None:
            raise UnknownNameError("interval", kind, sorted(self.snapshot.logs))
        held = held_offsets(self._seen.rows if self._seen.epoch == self.snapshot.epoch else None, kind, log.visible)
        rows, codes = gather(log.segments, np.arange(len(log.visible)), held, log.visible, log.schema)
        order = np.lexsort((codes, rows.column("available_at").cast(pa.int64()).to_numpy()))
        frame = pl.DataFrame(pl.from_arrow(rows.take(pa.array(order))))
        return frame.insert_column(0, symbol_series(self.snapshot.symbols).gather(codes[order].astype(np.uint32)))

    def window(
        self, symbol: str, interval: Interval | int | str | None = None, bars: int | None = None
    ) -> pl.DataFrame:
        """Return the last `bars` bars of a symbol, history included, as a frame over the engine's own memory.

        Parameters
        ----------
        symbol : str
        interval : Interval, int or str, optional
            By default the streamed one.
        bars : int, optional
            By default all there are.

        Returns
        -------
        polars.DataFrame
            `LOG_BAR_SCHEMA`, sorted by timestamp. Nothing is copied.
        """
        kind = self._kind(self.snapshot.base if interval is None else interval)
        table = symbol_bars(self.snapshot, kind, self._code(symbol), "all", bars)
        return pl.DataFrame(pl.from_arrow(table, rechunk=False))

    def quality(self, symbol: str, interval: Interval | int | str | None = None) -> float | None:
        """Return the quality of a symbol's session bars in percent; None while nothing is expected."""
        kind = self._kind(self.snapshot.base if interval is None else interval)
        state, code = self.snapshot.kinds.get(kind), self._code(symbol)
        value = np.nan if state is None else state.quality()[code]
        return None if np.isnan(value) else float(value)

    def gaps(self, symbol: str, interval: Interval | int | str | None = None) -> list[GapInfo]:
        """Return the gap ranges of a symbol's session bars by now."""
        kind = self._kind(self.snapshot.base if interval is None else interval)
        return gap_infos(self.snapshot, kind, self._code(symbol))

    def indicator(self, name: str, symbol: str) -> float | NDArray[np.float64]:
        """Return a historical indicator of a symbol: a number, or one per minute of the session."""
        indicators = self.snapshot.history.indicators
        if name not in indicators:
            raise UnknownNameError("indicator", name, sorted(indicators))
        value: Any = indicators[name][self._code(symbol)]
        return float(value) if np.ndim(value) == 0 else value

    def sql(self, query: str) -> pa.Table:
        """Answer one SQL query over this step's snapshot; see `SystemManager.sql`.

        Raises
        ------
        StateError
            If the analysis runs without a system.
        """
        if self._sql is None:
            raise StateError("SQL needs a system: this analysis runs without one", hint="run it with a SystemManager")
        return self._sql(query, self.snapshot)

    def record(self, name: str, value: float) -> None:
        """Keep a figure of this step under `name`; `AnalysisEngine.get_records` returns the series.

        Raises
        ------
        DataError
            If `name` is no text that can be read.
        """
        if not is_name(name):
            raise DataError(f"{name!r}: expected a name for the figure, a text that can be read, such as 'spread'")
        self._record(self.snapshot.now_us, name, float(value))

    def _code(self, symbol: str) -> int:
        try:
            return self.snapshot.symbols.index(symbol)
        except ValueError:
            raise UnknownNameError("symbol", symbol, sorted(self.snapshot.symbols)) from None

    def _kind(self, interval: Interval | int | str) -> str:
        kind = Interval(interval).text
        if kind not in self.snapshot.logs and kind not in self.snapshot.history.intervals:
            raise UnknownNameError("interval", kind, sorted({*self.snapshot.logs, *self.snapshot.history.intervals}))
        return kind
