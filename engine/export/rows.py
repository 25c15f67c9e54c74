"""`RowText`: the JSON text of a segment's rows, encoded once, with a byte offset per row."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment
from mismartera.engine.state.snapshot import Snapshot

Ints = NDArray[np.int64]

TIME, DATETIME, DATE, EVENT = "time", "datetime", "date", "event"
"""Styles of a row's timestamp: in the session, in history, of daily bars, of ticks and quotes."""

BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
TICK_COLUMNS = ("timestamp", "price", "size", "exchange")
QUOTE_COLUMNS = ("timestamp", "bid", "ask", "bid_size", "ask_size")
SEPARATOR = b",\n"

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND_US = 1_000_000
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, eq=False)
class RowText:
    """Encoded rows, in the order of their segment.

    Attributes
    ----------
    text : memoryview
        One JSON array a row, each followed by a comma and a newline.
    offsets : int64 array, one entry more than rows
        Row i is ``text[offsets[i] : offsets[i + 1]]``.
    """

    text: memoryview
    offsets: Ints

    @property
    def nbytes(self) -> int:
        """Bytes of text and offsets."""
        return self.text.nbytes + self.offsets.nbytes

    def rows(self, start: int, stop: int) -> memoryview:
        """Return rows ``[start, stop)``, separated by commas and newlines, without a copy."""
        if start == stop:
            return self.text[:0]
        return self.text[int(self.offsets[start]) : int(self.offsets[stop]) - len(SEPARATOR)]


def columns_of(kind: str) -> tuple[str, ...]:
    """Return the exported columns of a data type."""
    return {"ticks": TICK_COLUMNS, "quotes": QUOTE_COLUMNS}.get(kind, BAR_COLUMNS)


def row_text(snapshot: Snapshot, segment: Segment, kind: str, style: str) -> RowText:
    """Return the text of all rows of `segment`; made on first use and kept with it, as the snapshot's cache allows.

    Notes
    -----
    Prices are the shortest text that reads back to the same double. First use costs one vectorised pass over the
    rows; after that the text is at hand.
    """
    return snapshot.text_cache.get(segment, style, lambda: _encode(segment, kind, style, snapshot.timezone))


def _encode(segment: Segment, kind: str, style: str, timezone: ZoneInfo) -> RowText:
    if not segment.rows:
        return RowText(memoryview(b""), np.zeros(1, dtype=np.int64))
    names = columns_of(kind)
    frame = pl.DataFrame(pl.from_arrow(segment.batch.select(names)))
    stamps = opened_stamps(segment.column("timestamp"), style, timezone)
    frame = frame.with_columns(stamps.alias("timestamp"))
    if "exchange" in names:
        frame = frame.with_columns(_quoted(frame.get_column("exchange")))
    sink = io.BytesIO()
    frame.write_csv(sink, include_header=False, quote_style="never", line_terminator="],\n", null_value="null")
    text = sink.getbuffer()
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
    return RowText(text, np.concatenate([[0], ends]))


def opened_stamps(stamps: Ints, style: str, timezone: ZoneInfo) -> pl.Series:
    """Return the first piece of each row: an opening bracket and the quoted timestamp.

    A day has few distinct bar starts, so those are formatted, and the rows pick theirs.
    """
    local = stamps + utc_offsets(stamps, timezone) if style != DATE else stamps
    if style == EVENT:
        return _moments(local).dt.strftime('["%H:%M:%S%.6f"')
    seconds = local // _SECOND_US
    low = int(seconds.min()) // _DAY_S * _DAY_S
    seconds = seconds - low
    used = np.flatnonzero(np.bincount(seconds))
    place = np.zeros(int(used[-1]) + 1, dtype=np.int32)
    place[used] = np.arange(len(used), dtype=np.int32)
    pattern = {TIME: '["%H:%M:%S"', DATETIME: '["%Y-%m-%dT%H:%M:%S"', DATE: '["%Y-%m-%d"'}[style]
    return _moments((used + low) * _SECOND_US).dt.strftime(pattern).gather(pl.Series(place[seconds]))


def stamp_texts(stamps: Ints, style: str, timezone: ZoneInfo) -> list[str]:
    """Return bar starts as text, without quotes."""
    local = stamps + utc_offsets(stamps, timezone) if style != DATE else stamps
    pattern = {TIME: "%H:%M:%S", DATETIME: "%Y-%m-%dT%H:%M:%S", DATE: "%Y-%m-%d"}[style]
    return _moments(local).dt.strftime(pattern).to_list()


def utc_offsets(stamps: Ints, timezone: ZoneInfo) -> Ints | int:
    """Return the zone's offset at each instant in microseconds; one number where it is the same for all."""
    if not len(stamps):
        return 0
    low, high = (_offset(int(edge), timezone) for edge in (stamps.min(), stamps.max()))
    if low == high and int(stamps.max() - stamps.min()) < 7 * _DAY_S * _SECOND_US:
        return low
    moments = pl.Series(stamps).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(timezone.key)
    offsets = moments.dt.base_utc_offset() + moments.dt.dst_offset()
    return offsets.dt.total_microseconds().to_numpy()


def _offset(us: int, timezone: ZoneInfo) -> int:
    offset = (_EPOCH + dt.timedelta(microseconds=us)).astimezone(timezone).utcoffset()
    return 0 if offset is None else offset // dt.timedelta(microseconds=1)


def _moments(local_us: Ints) -> pl.Series:
    return pl.Series(local_us).cast(pl.Datetime("us"))


def _quoted(values: pl.Series) -> pl.Series:
    """Return strings as JSON strings; each distinct one is escaped once."""
    distinct: list[Any] = values.drop_nulls().unique().to_list()
    return values.replace_strict(
        distinct, [orjson.dumps(text).decode() for text in distinct], default=None, return_dtype=pl.String
    )
