"""`ImportOptions`, and how a source's columns are matched with ours."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import polars as pl

from mismartera.schemas.errors import ImportDataError, UnknownNameError
from mismartera.schemas.interval import Interval

from .partition import schema_of
from .sources import source_of

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
    format : str
        One of `SOURCES`: ``"csv"``, ``"parquet"``, ``"lean"``.
    interval : Interval or str
        Of the bars; ignored for ticks and quotes.
    kind : {"bars", "ticks", "quotes"}
    symbol : str, optional
        Whose rows they are, where the source has no symbol column; a column that says otherwise is an error. Of a
        LEAN folder, the only symbol to import.
    tz : str, optional
        Zone of stamps that carry none. By default UTC, for LEAN ``"America/New_York"``.
    stamp : {"start", "end"}
        What a bar's stamp marks.
    delimiter : str, optional
        Of CSV; detected by default.
    columns : str, optional
        ``"time=timestamp,o=open"`` (theirs=ours), or ``"timestamp,open,high,low,close,volume"``: ours by position.
        In either, ``-`` in place of ours ignores a column.
    date_format : str, optional
        Of stamps that are texts, such as ``"%d/%m/%Y %H:%M"``; by default the formats in `stamps.FORMATS` are tried.
    """

    format: str
    interval: Interval | str = "1m"
    kind: Kind = "bars"
    symbol: str | None = None
    tz: str | None = None
    stamp: Literal["start", "end"] = "start"
    delimiter: str | None = None
    columns: str | None = None
    date_format: str | None = None

    @cached_property
    def stored_kind(self) -> str:
        """The catalog's name of what is imported: ``"ticks"``, ``"quotes"`` or the interval's text."""
        return Interval(self.interval).text if self.kind == "bars" else self.kind

    @cached_property
    def zone(self) -> str:
        """The zone of naive stamps; raises `ImportDataError` if there is none of that name."""
        name = self.tz or source_of(self.format).ZONE
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            near = _near_zone(name)
            raise ImportDataError(
                f"time zone {name!r} does not exist{f'; did you mean {near!r}?' if near else ''}",
                hint="zones are named by place, such as America/New_York or Europe/London; or UTC",
            ) from None

    @cached_property
    def fields(self) -> list[str]:
        """Our columns, without the symbol."""
        return list(schema_of(self.stored_kind).names[1:])

    @cached_property
    def names(self) -> dict[str, str]:
        """Names of the source's columns by ours, as `columns` gives them; empty where it gives positions."""
        named = {ours: theirs for theirs, ours in self._pairs if ours != "-"}
        self._check(list(named))
        return named

    @cached_property
    def ignored(self) -> frozenset[str]:
        """Names of the source's columns that `columns` sets aside, ``"code=-"``."""
        return frozenset(theirs for theirs, ours in self._pairs if ours == "-")

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        if not self.columns or "=" not in self.columns:
            return []
        parts = [part.partition("=") for part in self.columns.split(",")]
        return [(theirs.strip(), ours.strip()) for theirs, _, ours in parts]

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
    for theirs in (*options.names.values(), *sorted(options.ignored)):
        if theirs not in found:
            raise ImportDataError(
                f"{path}: --columns names {theirs!r}, which is no column; found {', '.join(found)}", path=path
            )
    free = [name for name in reversed(found) if name not in options.ignored]
    lower = {name.strip().lower().replace(" ", "_"): name for name in free}
    matched = dict(options.names)
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


def require_own(symbols: pl.Series, options: ImportOptions, path: object, column: str | Mapping[str, int]) -> None:
    """Raise `ImportDataError` where a source's symbols are others than `options.symbol` says.

    Parameters
    ----------
    symbols : polars.Series
        Of rows of the source; null and blank ones contradict nothing: such rows are quarantined.
    options : ImportOptions
    path : object
        Of the source, for the message.
    column : str or mapping of str to int
        Name of the column they are from; where columns are told by position, the place of each of ours.
    """
    if options.symbol is None:
        return
    names = symbols.cast(pl.String).str.strip_chars().unique().drop_nulls().sort()
    others = [name for name in names if name not in ("", options.symbol)]
    if others:
        more = ", …" if len(others) > 3 else ""
        told = repr(column) if isinstance(column, str) else column["symbol"] + 1
        raise ImportDataError(
            f"{path}: --symbol is {options.symbol!r}, but the column {told} says "
            f"{', '.join(map(repr, others[:3]))}{more}",
            path=path,
            hint="leave --symbol out to import each row as its own, or ignore the column: "
            f'--columns "{",".join(_without_symbol(options, column))}"',
        )


def _without_symbol(options: ImportOptions, column: str | Mapping[str, int]) -> list[str]:
    """Return the parts of --columns that set the symbol column aside, and leave the others what they are."""
    if isinstance(column, str):
        named = [f"{theirs}={ours}" for ours, theirs in options.names.items() if ours != "symbol"]
        return [*named, *(f"{theirs}=-" for theirs in (*sorted(options.ignored), column))]
    ours = {place: name for name, place in column.items() if name != "symbol"}
    return [ours.get(place, "-") for place in range(max(column.values()) + 1)]


def _near_zone(name: str) -> str | None:
    """Return the zone whose name, or the place in it, is most like `name`; None if none is."""
    zones = sorted(available_timezones())
    by_text = {zone.rpartition("/")[2].lower(): zone for zone in zones}
    by_text |= {zone.lower(): zone for zone in zones}
    close = difflib.get_close_matches(name.strip().lower().replace(" ", "_"), by_text, n=1, cutoff=0.8)
    return by_text[close[0]] if close else None
