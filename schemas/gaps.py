"""`GapInfo` and the Arrow schema of gaps: runs of consecutive bars that were expected and are not there."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pyarrow as pa

from .bars import TIMESTAMP

GAP_SCHEMA = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("interval", pa.string(), nullable=False),
        pa.field("start_time", TIMESTAMP, nullable=False),  # first missing bar start
        pa.field("end_time", TIMESTAMP, nullable=False),  # last missing bar start
        pa.field("bar_count", pa.int32(), nullable=False),
        pa.field("retry_count", pa.int32(), nullable=False),
        pa.field("last_retry", TIMESTAMP, nullable=True),
    ]
)
"""One row per gap range."""

GAP_LOG_SCHEMA = pa.schema(
    [
        pa.field("start_time", TIMESTAMP, nullable=False),  # first missing bar start: what names the range
        pa.field("end_time", TIMESTAMP, nullable=False),  # last missing bar start by now
        pa.field("bar_count", pa.int32(), nullable=False),  # 0: the range is gone
        pa.field("retry_count", pa.int32(), nullable=False),
        pa.field("last_retry", TIMESTAMP, nullable=True),
        pa.field("gap_count", pa.int32(), nullable=False),  # ranges of the symbol after this row
        pa.field("missing_bars", pa.int64(), nullable=False),  # bars they miss together
        pa.field("available_at", TIMESTAMP, nullable=False),  # when the row could first be known
    ]
)
"""Rows of the gap log: each says how one range of a symbol stands from then on. The last row of a start holds."""


@dataclass(frozen=True, slots=True)
class GapInfo:
    """A run of consecutive missing bars of one symbol and interval; it never spans a break or two sessions.

    Attributes
    ----------
    symbol : str
    start_time, end_time : datetime
        First and last missing bar start, in the exchange's zone. For daily bars, the session dates at midnight UTC.
    bar_count : int
        Number of missing bars.
    retry_count : int
        Attempts made to fill the gap (live mode).
    last_retry : datetime or None
        When the last attempt was made.
    """

    symbol: str
    start_time: dt.datetime
    end_time: dt.datetime
    bar_count: int
    retry_count: int = 0
    last_retry: dt.datetime | None = None
