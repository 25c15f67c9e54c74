"""`RowText`: the JSON text of a segment's rows, encoded once, with a byte offset per row."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mismartera.engine.log.segment import column
from mismartera.engine.time.zone import to_local_us
from mismartera.schemas.interval import Interval

Ints = NDArray[np.int64]
Letters = NDArray[np.uint8]
Lines = NDArray[Any]
"""One text a row, all equally long: an array of void, which NumPy moves without looking into it."""

TIME, DATETIME, DATE, EVENT = "time", "datetime", "date", "event"
"""Styles of a row's timestamp: in the session, in history, of daily bars, of ticks and quotes."""

BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
TICK_COLUMNS = ("timestamp", "price", "size", "exchange")
QUOTE_COLUMNS = ("timestamp", "bid", "ask", "bid_size", "ask_size")
TICKS, QUOTES = "ticks", "quotes"
SEPARATOR = b",\n"

_WIDTHS = {TIME: 14, DATETIME: 25, DATE: 16, EVENT: 21}
"""Letters a row begins with, by the style of its timestamp."""

_CHUNK_ROWS = 1 << 14  # what stays in a processor's cache is encoded faster
_EPOCH = dt.date(1970, 1, 1).toordinal()
_SECOND_US = 1_000_000
_DAY_S = 86_400
_DAY_US = _DAY_S * _SECOND_US


@dataclass(frozen=True, slots=True, eq=False)
class RowText:
    """Encoded rows, in the order of their segment.

    Attributes
    ----------
    text : memoryview
        One JSON array a row, each after a comma and a newline; of other segments' rows too.
    offsets : int32 array, one entry more than rows
        Row i and what separates it from the one before are ``text[offsets[i] : offsets[i + 1]]``.
    """

    text: memoryview
    offsets: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Bytes of text and offsets."""
        return int(self.offsets[-1] - self.offsets[0]) + self.offsets.nbytes

    def rows(self, start: int, stop: int) -> memoryview:
        """Return rows ``[start, stop)``, separated by commas and newlines, without a copy."""
        if start == stop:
            return self.text[:0]
        return self.text[int(self.offsets[start]) + len(SEPARATOR) : int(self.offsets[stop])]


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
    total, size = columns.num_rows, 0
    offsets, text = np.zeros(total + 1, dtype=np.int32), np.empty(0, dtype=np.uint8)
    for start in range(0, total, _CHUNK_ROWS):
        chunk = columns.slice(start, _CHUNK_ROWS)
        stop = start + chunk.num_rows
        values = _value_texts(chunk.columns[1:])
        opened = _opened_rows(column(chunk, "timestamp"), _cut(spans, start, stop), timezone)
        joined = pc.binary_join_element_wise(opened, *values, "")
        _, ends, letters = joined.buffers()
        np.add(np.frombuffer(ends, dtype=np.int32)[1 : chunk.num_rows + 1], size, out=offsets[start + 1 : stop + 1])
        fresh = np.frombuffer(letters, dtype=np.uint8)[: int(offsets[stop]) - size]
        text = fresh if chunk.num_rows == total else _appended(text, size, fresh, stop / total)
        size = int(offsets[stop])
    return RowText(text.data[:size], offsets)


def _appended(text: Letters, size: int, fresh: Letters, share: float) -> Letters:
    """Return `text` with `fresh` after its first `size` letters; where it is too short, one as long as all will be.

    Memory new to a process costs more to touch than to fill: NumPy asks for huge pages, and pieces reuse one another's.
    """
    needed = size + len(fresh)
    if needed > len(text):
        longer = np.empty(int(1.02 * needed / share) + 64, dtype=np.uint8)
        longer[:size] = text[:size]
        text = longer
    text[size:needed] = fresh
    return text


def _value_texts(columns: Sequence[pa.Array]) -> list[pa.Array]:
    """Return the rest of each row after its timestamp in a few texts: columns of one type side by side are one."""
    groups = [list(group) for _, group in itertools.groupby(columns, key=lambda values: values.type)]
    closings = [","] * (len(groups) - 1) + ["]"]
    return [
        _string_texts(group, closing) if pa.types.is_string(group[0].type) else _number_texts(group, closing)
        for group, closing in zip(groups, closings, strict=True)
    ]


def _number_texts(columns: Sequence[pa.Array], closing: str) -> pa.Array:
    """Return the numbers of each row with commas between and one letter after, as the shortest texts that read back.

    They are written as one list, ``[1,2,3,4,0]``; its commas that end a row become that letter, and the 0 after the
    last one is there for its comma.
    """
    rows, width = len(columns[0]), len(columns)
    numbers = np.zeros(rows * width + 1, dtype=columns[0].type.to_pandas_dtype())
    matrix = numbers[:-1].reshape(rows, width)
    for place, values in enumerate(columns):
        matrix[:, place] = values.to_numpy()
    text: bytes | bytearray = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)
    (commas,) = (np.frombuffer(text, dtype=np.uint8) == ord(",")).nonzero()
    ends = commas[width - 1 :: width]
    if closing != ",":
        text = bytearray(text)
        np.frombuffer(text, dtype=np.uint8)[ends] = ord(closing)
    offsets = np.ones(rows + 1, dtype=np.int32)
    np.add(ends, 1, out=offsets[1:], casting="same_kind")
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))


def _string_texts(columns: Sequence[pa.Array], closing: str) -> pa.Array:
    """Return the texts of each row as JSON, commas between and one letter after."""
    quoted = []
    for values in columns:
        encoded = values.dictionary_encode()
        texts = [orjson.dumps(text).decode() for text in encoded.dictionary.to_pylist()]
        quoted.append(pa.array([*texts, "null"]).take(encoded.indices.fill_null(len(texts))))
    return pc.binary_join_element_wise(pc.binary_join_element_wise(*quoted, ","), "", closing)


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
    """Return the beginning of each row as Arrow strings: a separator, a bracket, the quoted timestamp and a comma."""
    offsets = np.zeros(len(stamps) + 1, dtype=np.int32)
    letters = np.empty(sum(count * _WIDTHS[style] for count, style in spans), dtype=np.uint8)
    passed, size = 0, 0
    for count, style in spans:
        width = _WIDTHS[style]
        row, end = passed + count, size + count * width
        offsets[passed + 1 : row + 1] = np.arange(size + width, end + 1, width)
        _write_opened(letters[size:end], stamps[passed:row], style, timezone)
        passed, size = row, end
    return pa.StringArray.from_buffers(passed, pa.py_buffer(offsets), pa.py_buffer(letters))


def _write_opened(letters: Letters, stamps: Ints, style: str, timezone: ZoneInfo) -> None:
    """Write one line of letters a row; all of a style are equally long.

    Rows have few distinct dates, and of times of day there are 86,400: they pick theirs from tables.
    """
    days, seconds, rest = _parts(stamps, style, timezone)
    if style == DATE:
        parts = [_dates(days, ',\n["{}",')]
    elif style == TIME:
        parts = [_times(',\n["', '",').take(seconds)]
    elif style == DATETIME:
        parts = [_dates(days, ',\n["{}T'), _times("", '",').take(seconds)]
    else:
        millis, micros = np.divmod(rest, 1000)
        parts = [_times(',\n["', ".").take(seconds), _thousand("").take(millis), _thousand('",').take(micros)]
    lines = letters.view([(f"part{place}", part.dtype) for place, part in enumerate(parts)])
    for place, part in enumerate(parts):
        lines[f"part{place}"] = part


def stamp_texts(stamps: Ints, style: str, timezone: ZoneInfo) -> list[str]:
    """Return bar starts as text, without quotes."""
    days, seconds, _ = _parts(stamps, style, timezone)
    texts = _clock()
    if style == TIME:
        return [texts[second] for second in seconds.tolist()]
    dates = map(_date, days.tolist())
    if style == DATE:
        return list(dates)
    return [f"{date}T{texts[second]}" for date, second in zip(dates, seconds.tolist(), strict=True)]


def _parts(stamps: Ints, style: str, timezone: ZoneInfo) -> tuple[Ints, Ints, Ints]:
    """Return local day since the epoch, second of the day, and microseconds; a daily bar's day is its label's."""
    local = stamps if style == DATE else to_local_us(stamps, timezone)
    days = local // _DAY_US
    within = local - days * _DAY_US
    seconds = within // _SECOND_US
    return days, seconds, within - seconds * _SECOND_US if style == EVENT else within[:0]


def _dates(days: Ints, form: str) -> Lines:
    first = int(days.min())
    return _calendar(first, int(days.max()), form).take(days - first)


@lru_cache
def _calendar(first: int, last: int, form: str) -> Lines:
    """Return every date from one day to another in a text."""
    return _lines([form.format(_date(day)) for day in range(first, last + 1)])


@lru_cache(maxsize=1 << 16)
def _date(day: int) -> str:
    return dt.date.fromordinal(day + _EPOCH).isoformat()


@lru_cache
def _clock() -> list[str]:
    """Return the 86,400 times of day as text."""
    return [f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" for second in range(_DAY_S)]


@lru_cache
def _times(before: str, after: str) -> Lines:
    """Return the times of day between two texts."""
    return _lines([f"{before}{time}{after}" for time in _clock()])


@lru_cache
def _thousand(after: str) -> Lines:
    """Return the numbers of three digits with a text after each."""
    return _lines([f"{number:03d}{after}" for number in range(1000)])


def _lines(texts: Sequence[str]) -> Lines:
    """Return texts of one length as lines."""
    return np.frombuffer("".join(texts).encode(), dtype=np.dtype((np.void, len(texts[0]))))
