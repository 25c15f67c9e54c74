"""A JSON export as the tables of an Arrow or Parquet one: columns made in few passes over all symbols."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from mismartera.engine.columns.buckets import BucketGrid, session_grid
from mismartera.engine.export.tables.schemas import EXPORT_TABLES
from mismartera.engine.time.calendar import ExchangeCalendar
from mismartera.schemas.bars import TIMESTAMP
from mismartera.schemas.errors import CalendarError
from mismartera.schemas.exchanges import EXCHANGE_GROUPS
from mismartera.schemas.interval import Interval

_EVENTS = {"ticks": ("price", "size", "exchange"), "quotes": ("bid", "ask", "bid_size", "ask_size")}
_VALUES = ("open", "high", "low", "close", "volume")
_NO_INDICATORS = {"loaded", "date_range", "data"}


@dataclass(slots=True)
class _Gathered:
    """Rows of one data type, of all symbols in turn."""

    symbols: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    generated: list[bool] = field(default_factory=list)
    columns: list[list[Any]] = field(default_factory=list)

    def add(self, symbol: str, section: Mapping[str, Any]) -> None:
        columns = list(zip(*section["data"], strict=True))
        if not self.columns:
            self.columns = [[] for _ in columns]
        for held, fresh in zip(self.columns, columns, strict=True):
            held.extend(fresh)
        self.symbols.append(symbol)
        self.counts.append(len(section["data"]))
        self.generated.append(bool(section.get("generated")))

    def repeated(self, values: Sequence[Any]) -> pa.Array:
        """Return one value per symbol, repeated for its rows."""
        places = np.repeat(np.arange(len(self.counts)), self.counts)
        return pa.array(values).take(pa.array(places))


def tables_of(document: Mapping[str, Any]) -> dict[str, pa.Table]:
    """Return the tables of a JSON export, by the names and columns of `engine.export.table_schemas`.

    Notes
    -----
    What JSON does not tell is worked out from the exchange's calendar (when a bar could first be known, and how many
    base bars one is made of without a gap) or NULL. Cost: 3 to 4 seconds for 100 MB, most of it making Python's rows
    into columns.
    """
    clock = _Clock(document)
    gathered: dict[tuple[str, str], _Gathered] = {}
    for symbol, data in document["session_data"]["symbols"].items():
        for part in ("session", "historical"):
            for kind, section in data.get(part, {}).get("data", {}).items():
                if section.get("data"):
                    gathered.setdefault((part, kind), _Gathered()).add(symbol, section)
    bars: dict[str, list[pa.Table]] = {"session": [], "historical": []}
    tables = {}
    for (part, kind), rows in gathered.items():
        if kind in _EVENTS:
            tables[kind] = _events(kind, rows, clock)
        else:
            bars[part].append(_bars(kind, rows, clock))
    for part, parts in bars.items():
        tables[f"{part}_bars"] = pa.concat_tables([_schema("session_bars").empty_table(), *parts])
    symbols = document["session_data"]["symbols"]
    complete = bool(document["_metadata"]["complete"])
    tables["gaps"] = _table("gaps", _gap_rows(symbols, clock))
    tables["quality"] = _table("quality", _quality_rows(symbols))
    tables["session_metrics"] = _table("session_metrics", _metric_rows(symbols))
    tables["indicators"] = _table("indicators", _indicator_rows(symbols))
    tables["history"] = _table("history", _history_rows(symbols, complete))
    return {name: tables.get(name, _schema(name).empty_table()) for name in (*tables, *_EVENTS)}


def _schema(name: str) -> pa.Schema:
    """Return a table's schema with plain texts and without what may not be NULL, since JSON does not tell all."""
    plain = [(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in EXPORT_TABLES[name]]
    return pa.schema(plain)


def _table(name: str, rows: Iterator[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=_schema(name))


class _Clock:
    """Turns the local times of one export into instants."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        system = document["system_manager"]
        self.timezone = str(system["timezone"])
        self.date = document["_metadata"].get("session_date")
        group = EXCHANGE_GROUPS.get(system.get("exchange_group"))
        day = dt.date.fromisoformat(self.date) if self.date else None
        self._calendar = None if group is None or day is None else ExchangeCalendar(group, day, day)
        sections = _sections(document["session_data"]["symbols"])
        stored = {kind for *_, kind, section in sections if kind not in _EVENTS and not section.get("generated")}
        self._base = min(map(Interval, stored), default=Interval("1m"))
        self._grids: dict[tuple[dt.date, str], BucketGrid | None] = {}

    def instants(self, texts: Sequence[str], kind: str = "") -> pl.Series:
        """Return local times, with their date or of the session, as ``Datetime("us", "UTC")``."""
        series = pl.Series(texts, dtype=pl.String)
        if kind.endswith("d"):
            return series.str.slice(0, 10).str.to_date("%Y-%m-%d").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        dated = pl.select(pl.when(series.str.len_chars() > 16).then(series).otherwise(f"{self.date}T" + series))
        local = dated.to_series().str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us")
        return local.dt.replace_time_zone(self.timezone, ambiguous="earliest").dt.convert_time_zone("UTC")

    def bars(self, texts: Sequence[str], kind: str) -> pl.DataFrame:
        """Return, for distinct bar starts, the instant, session date, when it could be known, and its base bars."""
        stamps = self.instants(texts, kind)
        labels = pl.Series(texts, dtype=pl.String).str.slice(0, 10)
        dated = labels.str.contains("-", literal=True) & (labels.str.len_chars() == 10)
        dates = pl.select(pl.when(dated).then(labels).otherwise(pl.lit(self.date))).to_series().str.to_date("%Y-%m-%d")
        starts = stamps.to_physical().to_numpy()
        ends, possible = starts + Interval(kind).us, np.zeros(len(starts), dtype=np.int32)
        for date in dates.unique().to_list():
            grid = self._grid(date, kind)
            mine = (dates == date).to_numpy()
            if grid is not None:
                at = np.zeros(mine.sum(), np.int32) if Interval(kind).is_daily else grid.locate(starts[mine])
                ends[mine] = np.where(at >= 0, grid.ends[at], ends[mine])
                possible[mine] = np.where(at >= 0, grid.possible(self._base.us)[at], 0)
        expected = pl.Series(possible).replace(0, None)
        known = pl.Series(ends).cast(pl.Datetime("us", "UTC"))
        return pl.DataFrame({"timestamp": stamps, "date": dates, "known": known, "expected": expected})

    def _grid(self, date: dt.date, kind: str) -> BucketGrid | None:
        if (date, kind) not in self._grids:
            self._grids[date, kind] = self._make_grid(date, kind)
        return self._grids[date, kind]

    def _make_grid(self, date: dt.date, kind: str) -> BucketGrid | None:
        if self._calendar is None:
            return None
        try:
            return session_grid(self._calendar.session(date), Interval(kind), extended=True)
        except CalendarError:
            return None


def _bars(kind: str, rows: _Gathered, clock: _Clock) -> pa.Table:
    distinct = list(dict.fromkeys(rows.columns[0]))
    place = {text: number for number, text in enumerate(distinct)}
    at = pa.array(np.fromiter(map(place.__getitem__, rows.columns[0]), dtype=np.int64, count=len(rows.columns[0])))
    told = clock.bars(distinct, kind).to_arrow().take(at)
    count = len(at)
    generated = rows.repeated(rows.generated)
    ones = pa.array(np.ones(count, dtype=np.int32))
    columns = {
        "symbol": rows.repeated(rows.symbols),
        "interval": pa.repeat(kind, count),
        "timestamp": told["timestamp"],
        "session_date": told["date"],
        **{
            name: np.array(values, dtype=np.float64)
            for name, values in zip(_VALUES[:4], rows.columns[1:5], strict=True)
        },
        "volume": pa.array(rows.columns[5]),
        "generated": generated,
        "n_base": pa.array(np.ones(count, dtype=np.int32), mask=generated.to_numpy(zero_copy_only=False)),
        "n_expected": pa.chunked_array([ones]) if not any(rows.generated) else told["expected"],
        "revision": pa.array(np.zeros(count, dtype=np.int32)),
        "available_at": told["known"],
    }
    table = pa.table({name: _cast(columns[name], kind_) for name, kind_ in _types("session_bars")})
    return _last_of_each(table)


def _types(name: str) -> list[tuple[str, pa.DataType]]:
    return [(f.name, f.type) for f in _schema(name)]


def _cast(values: Any, kind: pa.DataType) -> Any:
    return values.cast(kind) if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values).cast(kind)


def _last_of_each(table: pa.Table) -> pa.Table:
    """Keep the last row of each bar: a delta may carry a bar and its correction, in the order they came."""
    frame = pl.DataFrame(pl.from_arrow(table.select(["symbol", "timestamp"])))
    keep = frame.select(pl.struct("symbol", "timestamp").is_last_distinct()).to_series()
    return table if keep.all() else table.filter(keep.to_arrow())


def _events(kind: str, rows: _Gathered, clock: _Clock) -> pa.Table:
    columns: dict[str, Any] = {"symbol": rows.repeated(rows.symbols)}
    columns["timestamp"] = clock.instants(rows.columns[0]).to_arrow().cast(TIMESTAMP)
    columns |= dict(zip(_EVENTS[kind], rows.columns[1:], strict=True))
    return pa.table({name: _cast(columns[name], type_) for name, type_ in _types(kind)})


def _sections(symbols: Mapping[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for symbol, data in symbols.items():
        for part in ("session", "historical"):
            for kind, section in data.get(part, {}).get("data", {}).items():
                yield symbol, part, kind, section


def _gap_rows(symbols: Mapping[str, Any], clock: _Clock) -> Iterator[dict[str, Any]]:
    held = [
        (symbol, part, kind, one)
        for symbol, part, kind, section in _sections(symbols)
        for one in section.get("gaps", {}).get("ranges", [])
    ]
    ends: dict[str, set[str]] = {}
    for _, _, kind, one in held:
        ends.setdefault(kind, set()).update((one["start_time"], one["end_time"]))
    instants: dict[tuple[str, str], Any] = {}
    for kind, distinct in ends.items():
        texts = list(distinct)
        moments = clock.instants(texts, _daily(kind, texts))
        instants |= {(kind, text): moment for text, moment in zip(texts, moments, strict=True)}
    for symbol, part, kind, one in held:
        yield {
            "symbol": symbol,
            "interval": kind,
            "scope": part,
            "start_time": instants[kind, one["start_time"]],
            "end_time": instants[kind, one["end_time"]],
            "bar_count": one["bar_count"],
            "retry_count": one.get("retry_count", 0),
            "last_retry": _moment(one.get("last_retry")),
        }


def _daily(kind: str, texts: Sequence[str]) -> str:
    """Return `kind` where texts are dates, which a daily range's are."""
    return kind if kind.endswith("d") and all("-" in text for text in texts) else ""


def _moment(text: object) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if isinstance(text, str) else None


def _quality_rows(symbols: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for symbol, part, kind, section in _sections(symbols):
        gaps = section.get("gaps", {})
        total = section.get("total_count", section.get("count"))
        figures = {"quality": section.get("quality"), "generated": section.get("generated"), "total_count": total}
        counts = {name: gaps.get(name) for name in ("gap_count", "missing_bars")}
        yield {"symbol": symbol, "interval": kind, "scope": part, **figures, **counts}


def _metric_rows(symbols: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for symbol, data in symbols.items():
        session = data.get("session", {})
        yield {"symbol": symbol, **{name: session.get(name) for name in ("volume", "high", "low", "vwap")}}


def _history_rows(symbols: Mapping[str, Any], complete: bool) -> Iterator[dict[str, Any]]:
    for symbol, data in symbols.items():
        historical = data.get("historical", {})
        sent = bool(historical.get("data")) or (complete and "historical" in data)
        yield {"symbol": symbol, "loaded": historical.get("loaded", False), "sent": sent}


def _indicator_rows(symbols: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for symbol, data in symbols.items():
        for name, value in data.get("historical", {}).items():
            if name in _NO_INDICATORS:
                continue
            for minute, one in enumerate(value) if isinstance(value, list) else [(None, value)]:
                yield {"symbol": symbol, "name": name, "minute": minute, "value": one}
