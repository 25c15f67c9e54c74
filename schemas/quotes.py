"""Arrow schema of quotes (best bid and offer)."""

from __future__ import annotations

import pyarrow as pa

from .bars import TIMESTAMP

QUOTE_SCHEMA = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("bid", pa.float64(), nullable=False),
        pa.field("ask", pa.float64(), nullable=False),
        pa.field("bid_size", pa.int64(), nullable=False),
        pa.field("ask_size", pa.int64(), nullable=False),
    ]
)
"""Best bid and offer; sorted by symbol and timestamp."""
