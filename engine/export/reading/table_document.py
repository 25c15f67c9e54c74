"""`document_of`: the JSON document of an export, made from its tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from mismartera.engine.export.consumers.filter import EVENTS
from mismartera.engine.export.document.rows import BAR_COLUMNS, DATE, DATETIME, EVENT, TIME, columns_of, style_of

Rows = list[list[Any]]

_FORMS = {TIME: "%H:%M:%S", DATETIME: "%Y-%m-%dT%H:%M:%S", DATE: "%Y-%m-%d", EVENT: "%H:%M:%S%.6f"}


def document_of(
    tables: Mapping[str, pa.Table], metadata: Mapping[str, Any], *, with_rows: bool = True
) -> dict[str, Any]:
    """Return an export as plain data, equal to its JSON.

    Parameters
    ----------
    tables : mapping of str to pyarrow.Table
        As `export_tables` makes them.
    metadata : mapping
        Content of ``metadata.json``.
    with_rows : bool
        Whether sections hold their rows, or only how many there are.

    Notes
    -----
    Cost: O(rows), with no Python per row but the list each one becomes.
    """
    zone = metadata["system_manager"]["timezone"]
    frames = {name: pl.DataFrame(pl.from_arrow(table)) for name, table in tables.items()}
    symbols: dict[str, dict[str, Any]] = {}
    for symbol, volume, high, low, vwap in frames["session_metrics"].iter_rows():
        symbols[symbol] = {"session": {"volume": volume, "high": high, "low": low, "vwap": vwap, "data": {}}}
    indicators = {str(symbol): part for (symbol,), part in frames["indicators"].group_by("symbol", maintain_order=True)}
    for symbol, loaded, _, *span in frames["history"].iter_rows():
        past = {"loaded": loaded, "date_range": _span(*span), "data": {}}
        symbols[symbol]["historical"] = past | (_indicators(indicators[symbol]) if symbol in indicators else {})
    counts = _row_counts(frames)
    rows = _all_rows(frames, zone) if with_rows else {}
    gaps = _all_gaps(frames["gaps"], zone)
    latest = {(kind, row[0]): row[1] for kind in EVENTS for row in _latest(frames[f"latest_{kind}"], kind, zone)}
    for figures in frames["quality"].iter_rows(named=True):
        symbol, kind, scope = (str(figures[name]) for name in ("symbol", "interval", "scope"))
        place = scope, kind, symbol
        section = _section(figures, counts.get(place, 0), rows.get(place, []), gaps.get(place, []))
        if scope == "historical":
            section = _past(section)
        elif kind in EVENTS:
            section["latest"] = latest[kind, symbol]
        symbols[symbol][scope]["data"][kind] = section
    document = {name: value for name, value in metadata.items() if name not in ("session_data", "tables")}
    return document | {"session_data": dict(metadata["session_data"]) | {"symbols": symbols}}


def _section(figures: Mapping[str, Any], count: int, rows: Rows, gaps: list[dict[str, Any]]) -> dict[str, Any]:
    kind = figures["interval"]
    section: dict[str, Any] = {"count": count, "total_count": figures["total_count"]}
    if kind not in EVENTS:
        section |= {"generated": figures["generated"], "quality": figures["quality"]}
        if figures["gap_count"] is not None:
            counts = {"gap_count": figures["gap_count"], "missing_bars": figures["missing_bars"]}
            section["gaps"] = counts | {"ranges": gaps}
    return section | ({"columns": list(columns_of(kind)), "data": rows} if rows else {})


def _past(section: dict[str, Any]) -> dict[str, Any]:
    """Return a section as history has it: with its dates, and without a total beside its count."""
    dates = sorted({row[0][:10] for row in section.get("data", [])})
    del section["total_count"]
    first, last = (dates[0], dates[-1]) if dates else (None, None)
    return section | {"date_range": {"start_date": first, "end_date": last, "days": len(dates)}, "dates": dates}


def _span(start: dt.date | None, end: dt.date | None, days: int) -> dict[str, Any]:
    first, last = (None if date is None else date.isoformat() for date in (start, end))
    return {"start_date": first, "end_date": last, "days": days}


def _indicators(frame: pl.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (name,), part in frame.group_by("name", maintain_order=True):
        values = part.get_column("value").to_list()
        found[str(name)] = values[0] if part.get_column("minute").null_count() else values
    return found


def _all_rows(frames: Mapping[str, pl.DataFrame], zone: str) -> dict[tuple[str, str, str], Rows]:
    """Return rows by scope, data type and symbol."""
    found: dict[tuple[str, str, str], Rows] = {}
    for scope, name in (("session", "session_bars"), ("historical", "historical_bars")):
        for (kind,), frame in frames[name].group_by("interval", maintain_order=True):
            texts = frame.with_columns(_texts("timestamp", style_of(str(kind), past=scope == "historical"), zone))
            found |= {(scope, str(kind), symbol): rows for symbol, rows in _by_symbol(texts, BAR_COLUMNS)}
    for kind in EVENTS:
        texts = frames[kind].with_columns(_texts("timestamp", EVENT, zone))
        found |= {("session", kind, symbol): rows for symbol, rows in _by_symbol(texts, columns_of(kind))}
    return found


def _row_counts(frames: Mapping[str, pl.DataFrame]) -> dict[tuple[str, str, str], int]:
    """Return how many rows there are by part, data type and symbol."""
    found: dict[tuple[str, str, str], int] = {}
    for part, name in (("session", "session_bars"), ("historical", "historical_bars")):
        counts = frames[name].group_by("interval", "symbol").len()
        found |= {(part, str(kind), str(symbol)): count for kind, symbol, count in counts.iter_rows()}
    for kind in EVENTS:
        counts = frames[kind].group_by("symbol").len()
        found |= {("session", kind, str(symbol)): count for symbol, count in counts.iter_rows()}
    return found


def _by_symbol(frame: pl.DataFrame, columns: tuple[str, ...]) -> Iterator[tuple[str, Rows]]:
    for (symbol,), part in frame.group_by("symbol", maintain_order=True):
        yield str(symbol), list(map(list, part.select(columns).iter_rows()))


def _latest(frame: pl.DataFrame, kind: str, zone: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in frame.with_columns(_texts("timestamp", EVENT, zone)).iter_rows(named=True):
        yield row["symbol"], {name: row[name] for name in columns_of(kind)}


def _all_gaps(frame: pl.DataFrame, zone: str) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for (kind, scope), part in frame.group_by("interval", "scope", maintain_order=True):
        style = style_of(str(kind), past=scope == "historical")
        retried = _texts("last_retry", style_of(str(kind), past=True), zone)
        texts = part.with_columns(_texts("start_time", style, zone), _texts("end_time", style, zone), retried)
        for gap in texts.iter_rows(named=True):
            told = {name: gap[name] for name in ("start_time", "end_time", "bar_count")}
            if gap["retry_count"]:
                told |= {name: gap[name] for name in ("retry_count", "last_retry")}
            found.setdefault((str(scope), str(kind), gap["symbol"]), []).append(told)
    return found


def _texts(name: str, style: str, zone: str) -> pl.Expr:
    local = pl.col(name).dt.convert_time_zone("UTC" if style == DATE else zone)
    return local.dt.strftime(_FORMS[style])
