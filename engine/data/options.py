"""`ImportOptions`, and how a source's columns are matched with ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mismartera.schemas.errors import ImportDataError, UnknownNameError
from mismartera.schemas.interval import Interval

from .partition import schema_of

Format = Literal["csv", "parquet", "lean"]
Kind = Literal["bars", "ticks", "quotes"]

_ALIASES = {
    "symbol": ("symbol", "ticker", "sym", "instrument", "code"),
    "timestamp": ("timestamp", "datetime", "date_time", "time", "ts", "date"),
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price"),
    "volume": ("volume", "v", "vol"),
    "price": ("price", "p", "trade_price", "last"),
    "size": ("size", "quantity", "qty", "volume", "s"),
    "exchange": ("exchange", "venue", "x"),
    "bid": ("bid", "bid_price", "bidprice", "bp"),
    "ask": ("ask", "ask_price", "askprice", "ap"),
    "bid_size": ("bid_size", "bidsize", "bs"),
    "ask_size": ("ask_size", "asksize", "as"),
}
OPTIONAL = ("exchange",)
"""Columns a source need not have."""


@dataclass(frozen=True)
class ImportOptions:
    """What a source holds and how it is written.

    Attributes
    ----------
    format : {"csv", "parquet", "lean"}
    interval : Interval or str
        Of the bars; ignored for ticks and quotes.
    kind : {"bars", "ticks", "quotes"}
    symbol : str, optional
        Whose rows they are, where the source has no symbol column. Of a LEAN folder, the only symbol to import.
    tz : str, optional
        Zone of stamps that carry none. By default UTC, for LEAN ``"America/New_York"``.
    stamp : {"start", "end"}
        What a bar's stamp marks.
    delimiter : str, optional
        Of CSV; by default found out.
    columns : str, optional
        ``"time=timestamp,o=open"`` (theirs=ours), or ``"timestamp,open,high,low,close,volume"``: ours by position,
        with ``-`` for one to ignore.
    """

    format: Format
    interval: Interval | str = "1m"
    kind: Kind = "bars"
    symbol: str | None = None
    tz: str | None = None
    stamp: Literal["start", "end"] = "start"
    delimiter: str | None = None
    columns: str | None = None

    @cached_property
    def stored_kind(self) -> str:
        """The catalog's name of what is imported: ``"ticks"``, ``"quotes"`` or the interval's text."""
        return Interval(self.interval).text if self.kind == "bars" else self.kind

    @cached_property
    def zone(self) -> str:
        """The zone of naive stamps; raises `UnknownNameError` if there is none of that name."""
        name = self.tz or ("America/New_York" if self.format == "lean" else "UTC")
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            from zoneinfo import available_timezones

            raise UnknownNameError("time zone", name, sorted(available_timezones())) from None

    @cached_property
    def fields(self) -> list[str]:
        """Our columns, without the symbol."""
        return list(schema_of(self.stored_kind).names[1:])

    @cached_property
    def names(self) -> dict[str, str]:
        """Names of the source's columns by ours, as `columns` gives them; empty where it gives positions."""
        if not self.columns or "=" not in self.columns:
            return {}
        pairs = [part.partition("=") for part in self.columns.split(",")]
        named = {ours.strip(): theirs.strip() for theirs, _, ours in pairs}
        self._check(list(named))
        return named

    @cached_property
    def positions(self) -> list[str]:
        """Our columns by position, as `columns` gives them; empty where it gives names."""
        if not self.columns or "=" in self.columns:
            return []
        places = [part.strip() for part in self.columns.split(",")]
        self._check([place for place in places if place != "-"])
        return places

    def _check(self, ours: Sequence[str]) -> None:
        allowed = ["symbol", *self.fields, "date", "time"]
        for name in ours:
            if name not in allowed:
                raise UnknownNameError(
                    f"column of {self.kind}", name, allowed, hint="write --columns as theirs=ours, comma-separated"
                )


def match_columns(found: Sequence[str], options: ImportOptions, path: object) -> dict[str, str]:
    """Match a source's column names with ours.

    Returns
    -------
    dict of str to str
        Our name to theirs. ``date`` and ``time`` stand for a stamp in two columns; ``symbol`` is left out where
        `options.symbol` says whose rows they are and the source does not.

    Raises
    ------
    ImportDataError
        If a column is missing; says which were found and which are needed.
    """
    lower = {name.strip().lower().replace(" ", "_"): name for name in reversed(found)}
    matched: dict[str, str] = {}
    for ours, theirs in options.names.items():
        if theirs not in found:
            raise ImportDataError(
                f"{path}: --columns names {theirs!r}, which is no column; found {', '.join(found)}", path=path
            )
        matched[ours] = theirs
    split = not options.names and "date" in lower and "time" in lower and "timestamp" not in lower
    if split:
        matched |= {"date": lower["date"], "time": lower["time"]}
    for ours in ["symbol", *options.fields]:
        if ours in matched or (ours == "timestamp" and ("date" in matched or split)):
            continue
        theirs = next((lower[alias] for alias in _ALIASES[ours] if alias in lower), "")
        if theirs and theirs not in matched.values():
            matched[ours] = theirs
    require_columns(matched, options, path, found)
    return matched


def require_columns(matched: dict[str, str], options: ImportOptions, path: object, found: Sequence[str]) -> None:
    """Raise `ImportDataError` unless every column needed is matched and it is known whose rows they are."""
    missing = [name for name in options.fields if name not in matched and name not in OPTIONAL]
    if "date" in matched and "timestamp" in missing:
        missing.remove("timestamp")
    if missing:
        raise ImportDataError(
            f"{path}: no column for {', '.join(missing)}; found {', '.join(found) or 'none'}",
            path=path,
            hint='name them with --columns "theirs=ours,…", or by position: --columns "'
            + ",".join(options.fields)
            + '"',
        )
    if "symbol" not in matched and not options.symbol:
        raise ImportDataError(
            f"{path}: no symbol column, and no symbol given; found {', '.join(found)}",
            path=path,
            hint="say whose rows they are with --symbol, such as --symbol SPY",
        )
