"""Arrow schemas of the tables of one export: the columns of an Arrow or Parquet folder."""

from __future__ import annotations

import pyarrow as pa

from mismartera.schemas.bars import TIMESTAMP

NAME = pa.dictionary(pa.int32(), pa.string())
"""Symbols, intervals and other names that repeat."""

_BARS = pa.schema(
    [
        pa.field("symbol", NAME, nullable=False),
        pa.field("interval", NAME, nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),  # start of the bar; of a daily bar: its date at 00:00 UTC
        pa.field("session_date", pa.date32(), nullable=True),  # null for rows given to no session
        *(pa.field(name, pa.float64(), nullable=False) for name in ("open", "high", "low", "close")),
        pa.field("volume", pa.int64(), nullable=False),
        pa.field("generated", pa.bool_(), nullable=False),  # derived from a finer interval
        pa.field("n_base", pa.int32(), nullable=False),  # base bars the row is made of
        pa.field("n_expected", pa.int32(), nullable=False),  # base bars it would be made of without a gap
        pa.field("revision", pa.int32(), nullable=False),
        pa.field("available_at", TIMESTAMP, nullable=False),
    ]
)
_TICKS = pa.schema(
    [
        pa.field("symbol", NAME, nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("price", pa.float64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("exchange", pa.string(), nullable=True),
    ]
)
_QUOTES = pa.schema(
    [
        pa.field("symbol", NAME, nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("bid", pa.float64(), nullable=False),
        pa.field("ask", pa.float64(), nullable=False),
        pa.field("bid_size", pa.int64(), nullable=False),
        pa.field("ask_size", pa.int64(), nullable=False),
    ]
)
_GAPS = pa.schema(
    [
        pa.field("symbol", NAME, nullable=False),
        pa.field("interval", NAME, nullable=False),
        pa.field("start_time", TIMESTAMP, nullable=False),  # first missing bar start
        pa.field("end_time", TIMESTAMP, nullable=False),  # last missing bar start
        pa.field("bar_count", pa.int64(), nullable=False),  # 0 in a delta: the range was filled
        pa.field("scope", NAME, nullable=False),  # "session" or "historical"
        pa.field("retry_count", pa.int32(), nullable=False),
        pa.field("last_retry", TIMESTAMP, nullable=True),
    ]
)
_QUALITY = pa.schema(
    [
        pa.field("symbol", NAME, nullable=False),
        pa.field("interval", NAME, nullable=False),  # also "ticks" and "quotes", whose figures are null
        pa.field("scope", NAME, nullable=False),
        pa.field("quality", pa.float64(), nullable=True),  # percent
        pa.field("total_count", pa.int64(), nullable=False),  # rows visible, sent now or before
        pa.field("gap_count", pa.int64(), nullable=True),  # null where gaps are not searched
        pa.field("missing_bars", pa.int64(), nullable=True),
        pa.field("generated", pa.bool_(), nullable=True),
    ]
)
_METRICS = pa.schema(
    [
        pa.field("symbol", NAME, nullable=False),
        pa.field("volume", pa.int64(), nullable=False),
        pa.field("high", pa.float64(), nullable=True),
        pa.field("low", pa.float64(), nullable=True),
        pa.field("vwap", pa.float64(), nullable=True),
    ]
)
_HISTORY = pa.schema(
    [
        pa.field("symbol", NAME, nullable=False),
        pa.field("loaded", pa.bool_(), nullable=False),
        pa.field("sent", pa.bool_(), nullable=False),  # whether this export carries the symbol's history
        pa.field("start_date", pa.date32(), nullable=True),
        pa.field("end_date", pa.date32(), nullable=True),
        pa.field("days", pa.int32(), nullable=False),  # dates that have data
    ]
)
_INDICATORS = pa.schema(
    [
        pa.field("symbol", NAME, nullable=False),
        pa.field("name", NAME, nullable=False),
        pa.field("minute", pa.int32(), nullable=True),  # of the session, from 0; null for one figure
        pa.field("value", pa.float64(), nullable=True),
    ]
)

EXPORT_TABLES: dict[str, pa.Schema] = {
    "session_bars": _BARS,
    "historical_bars": _BARS,
    "ticks": _TICKS,
    "quotes": _QUOTES,
    "latest_ticks": _TICKS,
    "latest_quotes": _QUOTES,
    "gaps": _GAPS,
    "quality": _QUALITY,
    "session_metrics": _METRICS,
    "history": _HISTORY,
    "indicators": _INDICATORS,
}
"""Every table of an export by name, in the order they are written."""
