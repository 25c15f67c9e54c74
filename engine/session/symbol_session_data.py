"""`SymbolSessionData`: one symbol of a session, read from whatever snapshot is current."""

from __future__ import annotations

import datetime as dt
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.gaps import GapInfo
from mismartera.schemas.interval import Interval


class Session(Protocol):
    """What a symbol's part of a session is read from: a `SessionData`."""

    base: str
    timezone: ZoneInfo
    intervals: tuple[str, ...]

    @property
    def snapshot(self) -> Snapshot:
        """The state as last published."""
        ...

    def get_bars(self, symbol: str, interval: Interval | int | str, *, part: str = "all") -> Any:
        """Return the visible bars of one symbol."""
        ...

    def get_quality(self, symbol: str, interval: Interval | int | str) -> float | None:
        """Return the quality of a symbol's session bars in percent."""
        ...

    def get_gaps(self, symbol: str, interval: Interval | int | str) -> list[GapInfo]:
        """Return the gap ranges of a symbol's bars."""
        ...

    def get_historical_indicator(self, name: str, symbol: str) -> Any:
        """Return a historical indicator of one symbol."""
        ...

    def to_json(self, complete: bool, debug: bool, *, symbol: str) -> dict[str, Any]:
        """Return the part of an export of one symbol."""
        ...


class SymbolSessionData:
    """A symbol's part of a session. It holds no data of its own: every figure is read from the current snapshot.

    Attributes
    ----------
    symbol : str
    base_interval : str
        The streamed interval, such as ``"1m"``.
    """

    __slots__ = ("_code", "_data", "base_interval", "symbol")

    def __init__(self, data: Session, symbol: str, code: int) -> None:
        self._data = data
        self._code = code
        self.symbol = symbol
        self.base_interval = data.base

    @property
    def session_volume(self) -> int:
        """Volume of the session's base bars by now."""
        return int(self._data.snapshot.metrics().volume[self._code])

    @property
    def session_high(self) -> float | None:
        """Highest price by now; None before the first bar."""
        return _number(self._data.snapshot.metrics().high[self._code])

    @property
    def session_low(self) -> float | None:
        """Lowest price by now; None before the first bar."""
        return _number(self._data.snapshot.metrics().low[self._code])

    @property
    def session_vwap(self) -> float | None:
        """Volume-weighted mean of the typical price, (high + low + close) / 3; None while the volume is 0."""
        return _number(self._data.snapshot.metrics().vwap[self._code])

    @property
    def last_update(self) -> dt.datetime | None:
        """When the latest base bar became available, in the exchange's zone; None before the first."""
        bars = self.bars_base
        latest = bars.column("available_at")[-1].as_py() if bars.num_rows else None
        return None if latest is None else latest.astimezone(self._data.timezone)

    @property
    def bars_base(self) -> pa.Table:
        """The session's base bars, as `SessionData.get_bars` returns them."""
        return self._session_bars(self.base_interval)

    @property
    def bars_derived(self) -> dict[str, pa.Table]:
        """The session's derived bars by interval."""
        return {interval: self._session_bars(interval) for interval in self._data.intervals[1:]}

    @property
    def historical_bars(self) -> dict[str, dict[dt.date, pa.Table]]:
        """Bars of past sessions by interval and date; dates without a bar are left out."""
        return {
            text: {
                day.date: pa.Table.from_batches([day.segment.slice(self._code, 0, int(day.segment.count[self._code]))])
                for day in interval.days
                if day.segment.count[self._code]
            }
            for text, interval in self._data.snapshot.history.intervals.items()
        }

    @property
    def historical_indicators(self) -> dict[str, Any]:
        """Indicators by name: a float, or a float64 array with one value per minute; NaN where there is none."""
        names = self._data.snapshot.history.indicators
        return {name: self._data.get_historical_indicator(name, self.symbol) for name in names}

    @property
    def bar_quality(self) -> dict[str, float | None]:
        """Quality of the session's bars by interval, in percent; None while nothing is expected."""
        return {interval: self._data.get_quality(self.symbol, interval) for interval in self._data.intervals}

    @property
    def bar_gaps(self) -> dict[str, list[GapInfo]]:
        """Gap ranges of the session's bars by interval."""
        return {interval: self._data.get_gaps(self.symbol, interval) for interval in self._data.intervals}

    def get_bars(self, interval: Interval | int | str, *, part: str = "all") -> pa.Table:
        """Return this symbol's bars; see `SessionData.get_bars`."""
        return self._data.get_bars(self.symbol, interval, part=part)

    def to_json(self, complete: bool = True, debug: bool = False) -> dict[str, Any]:
        """Return this symbol's part of an export as plain data; see `SessionData.to_json`."""
        exported: dict[str, Any] = self._data.to_json(complete, debug, symbol=self.symbol)["symbols"][self.symbol]
        return exported

    def _session_bars(self, interval: str) -> pa.Table:
        return self._data.get_bars(self.symbol, interval, part="session")


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
