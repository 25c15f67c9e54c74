"""`DataManager`: the catalog as a session asks for it, by session and symbol."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from mismartera.engine.time.calendar import TradingSession, local_us
from mismartera.engine.time.clock import utc_datetime
from mismartera.engine.time.time_manager import TimeManager
from mismartera.schemas.errors import CatalogError, UnknownNameError
from mismartera.schemas.interval import Interval

from .catalog import Catalog

_DAY = dt.timedelta(days=1)


class DataManager:
    """Reads the catalog in the terms of an exchange: sessions, local days, symbols.

    Parameters
    ----------
    catalog : Catalog
    time_manager : TimeManager
        Gives the exchange's zone.
    """

    def __init__(self, catalog: Catalog, time_manager: TimeManager) -> None:
        self.catalog = catalog
        self._time = time_manager

    def read_session(self, kind: str, session: TradingSession, symbols: Sequence[str]) -> pa.Table:
        """Return what the catalog holds of `symbols` on the local day of `session`.

        Parameters
        ----------
        kind : str
            A bar interval such as ``"1m"``, ``"ticks"`` or ``"quotes"``.
        session : TradingSession
        symbols : sequence of str

        Returns
        -------
        pyarrow.Table
            Sorted by symbol and timestamp, extended hours included.

        Raises
        ------
        CatalogError
            If a file of that day cannot be read.
        """
        return self.catalog.read(kind, *self._local_day(kind, session.date, session.date), symbols)

    def get_bars(
        self, symbol: str, interval: Interval | int | str, start: dt.date | dt.datetime, end: dt.date | dt.datetime
    ) -> pa.Table:
        """Return stored bars of one symbol.

        Parameters
        ----------
        symbol : str
        interval : Interval, int or str
        start, end : date or datetime
            Dates are local days of the exchange, both included; datetimes are a half-open range, naive ones in the
            exchange's zone.

        Returns
        -------
        pyarrow.Table
            `BAR_SCHEMA`, sorted by timestamp, extended hours included; empty where nothing is stored.

        Raises
        ------
        UnknownNameError
            If the catalog holds no bar of that interval, or none of that symbol.
        CatalogError
            If there is no catalog, or a file of it cannot be read.
        """
        kind = Interval(interval).text
        self.catalog.require()
        if kind not in self.catalog.kinds():
            raise UnknownNameError("interval", kind, self.catalog.kinds())
        if isinstance(start, dt.datetime) and isinstance(end, dt.datetime):
            bounds = self._instant(start), self._instant(end)
        else:
            bounds = self._local_day(kind, start, end)
        table = self.catalog.read(kind, *bounds, [symbol])
        if not table.num_rows:
            self.require_symbols([symbol], [kind])
        if pa.types.is_dictionary(table.schema.field("symbol").type):
            table = table.set_column(0, "symbol", pc.cast(table.column("symbol"), pa.string()))
        return table

    def require_symbols(self, symbols: Sequence[str], kinds: Sequence[str]) -> None:
        """Raise `UnknownNameError` for the first of `symbols` that none of `kinds` holds; it lists those that exist."""
        found = self.catalog.find_symbols(symbols, kinds)
        for symbol in symbols:
            if symbol not in found:
                existing = sorted({name for kind in kinds for name in self.catalog.symbols(kind)})
                hint = f"import its bars into {self.catalog.root}, or take it out of session_data_config.symbols"
                raise UnknownNameError("symbol", symbol, existing, hint=hint)

    def require_kind(self, kind: str) -> None:
        """Raise `CatalogError` unless the catalog exists and holds `kind`; it lists what there is."""
        self.catalog.require()
        kinds = self.catalog.kinds()
        if kind not in kinds:
            raise CatalogError(
                f"catalog {self.catalog.root} holds no {kind} bars; it holds {', '.join(kinds)}",
                path=self.catalog.root,
                hint=f"import some with 'mismartera data import FILE --interval {kind}', or stream what it holds",
            )

    def require_rows(self, kinds: Sequence[str], start: dt.date, end: dt.date) -> None:
        """Raise `CatalogError` if the catalog has nothing of `kinds` from `start` to `end`, local days; bars first."""
        self.require_kind(kinds[0])
        for kind in kinds:
            since_us, until_us = self._local_day(kind, start, end)
            if self.catalog.has(kind, utc_datetime(since_us).date(), utc_datetime(until_us - 1).date() + _DAY):
                return
        dates = self.catalog.dates(kinds[0])
        raise CatalogError(
            f"catalog {self.catalog.root} holds no {kinds[0]} bars from {start} to {end}; "
            f"it holds some from {dates[0]} to {dates[-1]}",
            path=self.catalog.root,
            hint="change start_date and end_date in backtest_config, or import the bars of those days",
        )

    def _local_day(self, kind: str, start: dt.date, end: dt.date) -> tuple[int, int]:
        """Return the instants from the first moment of `start` to the last of `end`, local days."""
        zone = self._time.get_market_timezone()
        if kind not in ("ticks", "quotes") and Interval(kind).is_daily:
            zone = ZoneInfo("UTC")
        return local_us(start, dt.time(), zone), local_us(end + _DAY, dt.time(), zone)

    def _instant(self, moment: dt.datetime) -> int:
        return self._time.parse_local(moment.isoformat())
