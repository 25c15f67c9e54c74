"""Arrow schema of ticks (trades)."""

from __future__ import annotations

import pyarrow as pa

from .bars import TIMESTAMP

TICK_SCHEMA = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("price", pa.float64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("exchange", pa.string(), nullable=True),
    ]
)
"""Trades; sorted by symbol and timestamp. Several trades of one instant keep the order they arrived in."""
