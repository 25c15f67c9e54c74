"""Arrow schemas of bars: as the catalog stores them, and as the log holds them."""

from __future__ import annotations

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", "UTC")
"""Every instant the package stores: microseconds since 1970-01-01, UTC."""

BAR_SCHEMA = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),  # start of the bar; of a daily bar: its date at 00:00 UTC
        pa.field("open", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("close", pa.float64(), nullable=False),
        pa.field("volume", pa.int64(), nullable=False),
    ]
)
"""Bars in the catalog and in imports; sorted by symbol and timestamp, unique by both."""

LOG_BAR_SCHEMA = pa.schema(
    [
        *list(BAR_SCHEMA)[1:],
        pa.field("n_base", pa.int32(), nullable=False),  # base bars this row is made of
        pa.field("n_expected", pa.int32(), nullable=False),  # base bars a row without a gap is made of
        pa.field("revision", pa.int32(), nullable=False),  # 0, then 1, 2, … for later values of one timestamp
        pa.field("available_at", TIMESTAMP, nullable=False),  # when the row could first be known: the end of its bar
    ]
)
"""Bars of one symbol in the log. The symbol is the slice, not a column."""
