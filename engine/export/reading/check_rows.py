"""`row_problems` and `figure_problems`: what is wrong with the rows of an export's tables, in few passes over all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from mismartera.engine.columns.buckets import session_grid
from mismartera.engine.export.consumers.filter import EVENTS
from mismartera.engine.export.tables.schemas import EXPORT_TABLES
from mismartera.engine.time.calendar import ExchangeCalendar
from mismartera.schemas.errors import CalendarError
from mismartera.schemas.exchanges import EXCHANGE_GROUPS
from mismartera.schemas.interval import Interval

_SECTION = ["symbol", "interval"]
_PRICES = ("open", "high", "low", "close")
_PART_OF = {"session_bars": "session", "historical_bars": "historical"}
_TOLERANCE = 1e-9  # the order in which a vwap is summed is not told


def row_problems(tables: Mapping[str, pa.Table], *, complete: bool) -> Iterator[str]:
    """Yield what is wrong with the rows of a folder's tables, a line for each kind of problem and table.

    Parameters
    ----------
    tables : mapping of str to pyarrow.Table
    complete : bool
        Whether rows must be in the order of time, one per timestamp.

    Notes
    -----
    The conditions of `check_export`, over columns: cost O(rows) without Python per row.
    """
    quality = _frame(tables["quality"], ["symbol", "interval", "scope"])
    for name, schema in EXPORT_TABLES.items():
        table = tables[name]
        nulls = [one.name for one in schema if not one.nullable and table.column(one.name).null_count]
        if nulls:
            yield f"{name}: {nulls[0]}: expected a value in each row"
            return
    for name, part in _PART_OF.items():
        bars = _frame(tables[name], [*_SECTION, "timestamp", *_PRICES, "volume"])
        yield from _wrong_rows(bars, part, quality, complete=complete)
        low, high = pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close")
        sound = (pl.col("low") <= low) & (pl.col("high") >= high) & (pl.col("volume") >= 0)
        text = "rows cannot be bars: low above or high below another price, or negative volume"
        yield from _named(bars.filter(~sound), part, text)
        finite = pl.all_horizontal(pl.col(price).is_finite() for price in _PRICES)
        yield from _named(bars.filter(~finite), part, "rows have a value that is not a finite number")
    for kind in EVENTS:
        events = _frame(tables[kind], ["symbol", "timestamp"]).with_columns(interval=pl.lit(kind))
        yield from _wrong_rows(events, "session", quality, complete=complete)
    gaps = _frame(tables["gaps"], [*_SECTION, "scope"])
    stray = gaps.join(quality, on=[*_SECTION, "scope"], how="anti")
    if stray.height:
        yield f"gaps: {stray.height} ranges of {stray.row(0)}, which the table quality does not have"


def _wrong_rows(rows: pl.DataFrame, part: str, quality: pl.DataFrame, *, complete: bool) -> Iterator[str]:
    known = quality.filter(pl.col("scope") == part).select(_SECTION)
    yield from _named(rows.join(known, on=_SECTION, how="anti"), part, "rows which the table quality does not have")
    if not complete:
        return
    runs = pl.any_horizontal(pl.col(name) != pl.col(name).shift() for name in _SECTION).fill_null(True)
    if rows.select(runs.sum()).item() > rows.select(pl.struct(_SECTION).n_unique()).item():
        rows = rows.sort(_SECTION, maintain_order=True)
    before = pl.col("timestamp").shift()
    yield from _named(rows.filter(~runs & (pl.col("timestamp") < before)), part, "rows are not in the order of time")
    if rows.height and rows.get_column("interval").is_in(list(EVENTS)).any():
        return
    yield from _named(rows.filter(~runs & (pl.col("timestamp") == before)), part, "rows have the timestamp of another")


def _named(wrong: pl.DataFrame, part: str, text: str) -> Iterator[str]:
    if wrong.height:
        symbol, kind = wrong.select(_SECTION).row(0)
        count = wrong.filter(pl.col("symbol") == symbol, pl.col("interval") == kind).height
        yield f"{symbol}.{part}.{kind}: {count} {text}"


def figure_problems(tables: Mapping[str, pa.Table], sections: Mapping[str, Any]) -> Iterator[str]:
    """Yield where volume, high, low, vwap or quality of a complete export contradict its rows.

    Parameters
    ----------
    tables : mapping of str to pyarrow.Table
    sections : mapping
        The export's sections beside ``session_data``.

    Notes
    -----
    Some figures do not follow from the rows, and are left out: all of a delta, which carries a part of the rows; those
    of a session without bars of the interval that is streamed, as a consumer's filter leaves them out; quality with
    extended hours, since the rows of them are not expected ones, of intervals whose session has no calendar, and where
    no gaps are told, as without a search for gaps.
    """
    if not sections["_metadata"]["complete"]:
        return
    bars = _frame(tables["session_bars"], [*_SECTION, "timestamp", *_PRICES, "volume", "generated", "session_date"])
    streamed = bars.filter(~pl.col("generated"))
    kinds = sorted(streamed.get_column("interval").unique().to_list(), key=Interval)
    if kinds:
        yield from _wrong_metrics(streamed.filter(pl.col("interval") == kinds[0]), tables["session_metrics"])
    config = sections.get("session_config", {}).get("session_data_config", {})
    if not config.get("extended_hours"):
        yield from _wrong_quality(bars, tables["quality"], sections)


def _wrong_metrics(bars: pl.DataFrame, metrics: pa.Table) -> Iterator[str]:
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) / 3 * pl.col("volume")
    volume = pl.col("volume").sum()
    sums = {"volume": volume, "high": pl.col("high").max(), "low": pl.col("low").min()}
    found = bars.group_by("symbol").agg(**sums, vwap=pl.when(volume > 0).then(typical.sum() / volume))
    told = _frame(metrics, ["symbol", *sums, "vwap"])
    both = told.join(found, on="symbol", how="inner", suffix="_of_rows")
    for name in (*sums, "vwap"):
        one, other = pl.col(name), pl.col(f"{name}_of_rows")
        close = (one - other).abs() <= _TOLERANCE * other.abs() if name == "vwap" else one == other
        for row in both.filter(~(close | (one.is_null() & other.is_null())).fill_null(False)).iter_rows(named=True):
            yield f"{row['symbol']}.session.{name}: expected {row[f'{name}_of_rows']!r} by its rows, got {row[name]!r}"


def _wrong_quality(bars: pl.DataFrame, table: pa.Table, sections: Mapping[str, Any]) -> Iterator[str]:
    told = _frame(table, ["symbol", "interval", "scope", "quality", "missing_bars"])
    told = told.filter(pl.col("scope") == "session").drop_nulls()
    for (kind,), part in told.group_by("interval", maintain_order=True):
        due = _due(str(kind), sections)
        if due is None or not len(due):
            continue
        mine = bars.filter(pl.col("interval") == kind, pl.col("timestamp").dt.timestamp("us").is_in(due))
        there = dict(mine.group_by("symbol").agg(pl.col("timestamp").n_unique()).iter_rows())
        for symbol, quality, missing in part.select("symbol", "quality", "missing_bars").iter_rows():
            present = there.get(symbol, 0)
            if missing != len(due) - present:  # gaps that were set by hand: quality follows from them
                present = len(due) - missing
            wanted = present * 10_000 // len(due) / 100
            if quality != wanted:
                yield f"{symbol}.session.{kind}.quality: expected {wanted} by its rows and gaps, got {quality}"


def _due(kind: str, sections: Mapping[str, Any]) -> Any:
    """Return the starts of the bars expected by the instant of the export; None where no calendar knows them."""
    metadata = sections["_metadata"]
    group = EXCHANGE_GROUPS.get(sections["system_manager"].get("exchange_group"))
    if group is None or not metadata["session_date"]:
        return None
    date = dt.date.fromisoformat(metadata["session_date"])
    try:
        grid = session_grid(ExchangeCalendar(group, date, date).session(date), Interval(kind))
    except CalendarError:
        return None
    now = dt.datetime.fromisoformat(metadata["generated_at"])
    starts = grid.expected_starts[: grid.expected_at(round(now.timestamp() * 1e6))]
    return np.asarray(starts)


def _frame(table: pa.Table, names: list[str]) -> pl.DataFrame:
    """Return columns of a table, with names as plain text."""
    frame = pl.DataFrame(pl.from_arrow(table.select(names)))
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))
