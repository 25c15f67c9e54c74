"""`RowText`: the JSON text of a segment's rows, encoded once, with a byte offset per row."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mismartera.engine.log.segment import column
from mismartera.schemas.interval import Interval

Ints = NDArray[np.int64]
Letters = NDArray[np.uint8]

TIME, DATETIME, DATE, EVENT = "time", "datetime", "date", "event"
"""Styles of a row's timestamp: in the session, in history, of daily bars, of ticks and quotes."""

BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
TICK_COLUMNS = ("timestamp", "price", "size", "exchange")
QUOTE_COLUMNS = ("timestamp", "bid", "ask", "bid_size", "ask_size")
TICKS, QUOTES = "ticks", "quotes"
SEPARATOR = b",\n"

_CHUNK_ROWS = 1 << 14  # what stays in a processor's cache is encoded faster
_ROW_END = "],\n"
_EPOCH = dt.date(1970, 1, 1).toordinal()
_SECOND_US = 1_000_000
_HOUR_US = 3_600 * _SECOND_US
_DAY_US = 24 * _HOUR_US
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, eq=False)
class RowText:
    """Encoded rows, in the order of their segment.

    Attributes
    ----------
    text : memoryview
        One JSON array a row, each followed by a comma and a newline.
    offsets : int32 array, one entry more than rows
        Row i is ``text[offsets[i] : offsets[i + 1]]``.
    """

    text: memoryview
    offsets: NDArray[np.int32]

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


@lru_cache
def style_of(kind: str, *, past: bool = False) -> str:
    """Return the style of a data type's timestamps, in the session or in history."""
    if kind in (TICKS, QUOTES):
        return EVENT
    return DATE if Interval(kind).is_daily else DATETIME if past else TIME


def encode(
    rows: pa.Table | pa.RecordBatch, names: tuple[str, ...], spans: Sequence[tuple[int, str]], timezone: ZoneInfo
) -> RowText:
    """Return the text of rows: prices as the shortest text that reads back to the same double.

    Parameters
    ----------
    rows : pyarrow.Table or RecordBatch
    names : tuple of str
        Columns to export.
    spans : sequence of (int, str)
        How many rows in turn have their timestamps in which style.
    timezone : ZoneInfo
    """
    if not rows.num_rows:
        return RowText(memoryview(b""), np.zeros(1, dtype=np.int32))
    columns = rows.select(names)
    if isinstance(columns, pa.Table):
        columns = columns.combine_chunks().to_batches()[0]
    texts, offsets, size = [], np.zeros(columns.num_rows + 1, dtype=np.int32), 0
    for start in range(0, columns.num_rows, _CHUNK_ROWS):
        chunk = columns.slice(start, _CHUNK_ROWS)
        stop = start + chunk.num_rows
        opened = _opened_rows(column(chunk, "timestamp"), _cut(spans, start, stop), timezone)
        values = [_value_texts(array) for array in chunk.columns[1:]]
        joined = pc.binary_join_element_wise(opened, *values, _ROW_END, "")
        _, ends, letters = joined.buffers()
        offsets[start + 1 : stop + 1] = np.frombuffer(ends, dtype=np.int32)[1 : chunk.num_rows + 1]
        offsets[start + 1 : stop + 1] += size
        texts.append(memoryview(letters)[: int(offsets[stop]) - size])
        size = int(offsets[stop])
    return RowText(texts[0] if len(texts) == 1 else memoryview(b"".join(texts)), offsets)


def _value_texts(values: pa.Array) -> pa.Array:
    """Return each value as JSON with a comma before it: numbers as the shortest text that reads back the same."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        encoded = values.dictionary_encode()
        texts = ["," + orjson.dumps(text).decode() for text in encoded.dictionary.to_pylist()]
        return pa.array([*texts, ",null"]).take(encoded.indices.fill_null(len(texts)))
    text = bytearray(orjson.dumps(values.to_numpy(), option=orjson.OPT_SERIALIZE_NUMPY))
    text[0] = ord(",")  # [1,2,3] becomes ,1,2,3 and the end: every value lies behind its comma
    starts = np.empty(len(values) + 1, dtype=np.int32)
    starts[:-1] = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord(","))
    starts[-1] = len(text) - 1
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(starts), pa.py_buffer(text))


def _cut(spans: Sequence[tuple[int, str]], start: int, stop: int) -> list[tuple[int, str]]:
    """Return the parts of spans that lie in rows ``[start, stop)``."""
    parts, passed = [], 0
    for rows, style in spans:
        low, high = max(passed, start), min(passed + rows, stop)
        if low < high:
            parts.append((high - low, style))
        passed += rows
    return parts


def _opened_rows(stamps: Ints, spans: Sequence[tuple[int, str]], timezone: ZoneInfo) -> pa.Array:
    """Return the first piece of each row, an opening bracket and the quoted timestamp, as Arrow strings."""
    parts, lengths, passed = [], [], 0
    for style, group in itertools.groupby(spans, key=lambda span: span[1]):
        count = sum(rows for rows, _ in group)
        part = _opened_stamps(stamps[passed : passed + count], style, timezone)
        parts.append(part.reshape(-1))
        lengths.append(np.full(count, part.shape[1], dtype=np.int32))
        passed += count
    offsets = np.zeros(passed + 1, dtype=np.int32)
    np.cumsum(lengths[0] if len(lengths) == 1 else np.concatenate(lengths), out=offsets[1:])
    letters = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return pa.StringArray.from_buffers(passed, pa.py_buffer(offsets), pa.py_buffer(letters))


def _opened_stamps(stamps: Ints, style: str, timezone: ZoneInfo) -> Letters:
    """Return one line of letters a row; all of a style are equally long.

    Rows have few distinct dates, and of times of day there are 86,400: they pick theirs from tables.
    """
    days, seconds, rest = _parts(stamps, style, timezone)
    if style == DATE:
        return _dates(days, '["{}"')
    if style == TIME:
        return _times('["', '"').take(seconds, axis=0)
    if style == DATETIME:
        dates, times = _dates(days, '["{}T'), _times("", '"').take(seconds, axis=0)
        return np.concatenate([dates, times], axis=1)
    fraction = rest[:, None] // 10 ** np.arange(5, -1, -1) % 10 + ord("0")
    closing = np.full((len(rest), 1), ord('"'))
    return np.hstack([_times('["', ".")[seconds], fraction.astype(np.uint8), closing.astype(np.uint8)])


def stamp_texts(stamps: Ints, style: str, timezone: ZoneInfo) -> list[str]:
    """Return bar starts as text, without quotes."""
    days, seconds, _ = _parts(stamps, style, timezone)
    dates = {day: dt.date.fromordinal(day + _EPOCH).isoformat() for day in np.unique(days).tolist()}
    if style == DATE:
        return [dates[day] for day in days.tolist()]
    texts = _clock()
    clock = [texts[second] for second in seconds.tolist()]
    if style == TIME:
        return clock
    return [f"{dates[day]}T{time}" for day, time in zip(days.tolist(), clock, strict=True)]


def _parts(stamps: Ints, style: str, timezone: ZoneInfo) -> tuple[Ints, Ints, Ints]:
    """Return local day since the epoch, second of the day, and microseconds; a daily bar's day is its label's."""
    local = stamps if style == DATE or not len(stamps) else stamps + _utc_offsets(stamps, timezone)
    days = local // _DAY_US
    within = local - days * _DAY_US
    seconds = within // _SECOND_US
    return days, seconds, within - seconds * _SECOND_US if style == EVENT else within[:0]


def _dates(days: Ints, form: str) -> Letters:
    distinct, place = _distinct(days)
    texts = [form.format(dt.date.fromordinal(day + _EPOCH).isoformat()).encode() for day in distinct.tolist()]
    return _letters(texts).take(place, axis=0)


@lru_cache
def _clock() -> list[str]:
    """Return the 86,400 times of day as text."""
    return [f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" for second in range(_DAY_S)]


@lru_cache
def _times(before: str, after: str) -> Letters:
    """Return the times of day between two texts, a line of letters each."""
    return _letters([f"{before}{time}{after}".encode() for time in _clock()])


def _letters(texts: Sequence[bytes]) -> Letters:
    """Return texts of one length as a matrix of their bytes."""
    return np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(len(texts), -1)


def _distinct(numbers: Ints) -> tuple[Ints, NDArray[np.int32]]:
    """Return the distinct numbers, ascending, and which each row has. O(rows + their span): no sort."""
    low = int(numbers.min())
    used = np.flatnonzero(np.bincount(numbers - low))
    place = np.zeros(int(used[-1]) + 1, dtype=np.int32)
    place[used] = np.arange(len(used), dtype=np.int32)
    return used + low, place[numbers - low]


def _utc_offsets(stamps: Ints, timezone: ZoneInfo) -> Ints:
    """Return the zone's offset at each instant in microseconds; clocks change on the hour, so an hour has one."""
    hours, place = _distinct(stamps // _HOUR_US)
    offsets = (_offset_us(hour, timezone) for hour in hours.tolist())
    return np.fromiter(offsets, dtype=np.int64, count=len(hours))[place]


@lru_cache(maxsize=1 << 16)
def _offset_us(hour: int, timezone: ZoneInfo) -> int:
    offset = dt.datetime.fromtimestamp(hour * 3600, timezone).utcoffset()
    return 0 if offset is None else offset // dt.timedelta(microseconds=1)
