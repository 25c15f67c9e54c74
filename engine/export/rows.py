"""`RowText`: the JSON text of a segment's rows, encoded once, with a byte offset per row."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment
from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.interval import Interval

Ints = NDArray[np.int64]

TIME, DATETIME, DATE, EVENT = "time", "datetime", "date", "event"
"""Styles of a row's timestamp: in the session, in history, of daily bars, of ticks and quotes."""

BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
TICK_COLUMNS = ("timestamp", "price", "size", "exchange")
QUOTE_COLUMNS = ("timestamp", "bid", "ask", "bid_size", "ask_size")
TICKS, QUOTES = "ticks", "quotes"
SEPARATOR = b",\n"
_ROW_BYTES = 72  # text and offset of a typical row
_SMALL_ROWS = 20_000
_PASS_ROWS = 200_000

_EPOCH = dt.date(1970, 1, 1).toordinal()
_SECOND_US = 1_000_000
_HOUR_US = 3_600 * _SECOND_US
_DAY_US = 24 * _HOUR_US


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


class RowTexts:
    """The text of rows for one export: at hand, or encoded as it is asked for.

    Parameters
    ----------
    snapshot : Snapshot
    kind : str
        Data type of the rows, or one that has the same columns and style.
    segments : sequence of Segment
        Those whose rows may be asked for, of one data type or of several that are encoded alike.
    past : bool
        Whether they are history.

    Notes
    -----
    The text of whole segments is made on first use and kept with them, in few vectorised passes. Where the cache's
    bound could not hold it, only the rows asked for are encoded, and nothing is kept.
    """

    def __init__(self, snapshot: Snapshot, kind: str, segments: Sequence[Segment], *, past: bool = False) -> None:
        self._kind = kind
        self._style = style_of(kind, past=past)
        self._timezone = snapshot.timezone
        self._cache = snapshot.text_cache
        self._segments = segments
        limit = self._cache.limit_bytes
        self._keeps = limit is None or sum(segment.rows for segment in segments) * _ROW_BYTES <= limit
        self._prepared = False

    def rows(self, segment: Segment, start: int, stop: int) -> memoryview:
        """Return rows ``[start, stop)`` of a segment, separated by commas and newlines."""
        if not self._keeps:
            batch = segment.batch.slice(start, stop - start)
            return encode(batch, self._kind, self._style, self._timezone).rows(0, stop - start)
        return self.whole(segment).rows(start, stop)

    def pieces(self, segment: Segment, starts: Ints, stops: Ints) -> list[memoryview]:
        """Return rows ``[start, stop)`` of a segment for each pair, none of them empty, as `rows` does."""
        if not self._keeps:
            return [
                self.rows(segment, start, stop) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
            ]
        whole = self.whole(segment)
        text = whole.text
        begins, ends = whole.offsets[starts].tolist(), (whole.offsets[stops] - len(SEPARATOR)).tolist()
        return [text[begin:end] for begin, end in zip(begins, ends, strict=True)]

    def whole(self, segment: Segment) -> RowText:
        """Return the text of all rows of a segment."""
        if not self._prepared:
            self._prepare()
        return self._cache.get(segment, self._style, lambda: self._encoded([segment])[0])

    def _prepare(self) -> None:
        """Encode the small segments that have no text yet, many in one pass: a pass costs more than a few rows do."""
        self._prepared = True
        group: list[Segment] = []
        size = 0
        for segment in [*self._segments, None]:
            if segment is not None and (self._style in segment.texts or segment.rows > _SMALL_ROWS):
                continue
            if segment is None or size + segment.rows > _PASS_ROWS:
                for held, text in zip(group, self._encoded(group) if len(group) > 1 else (), strict=False):
                    self._cache.get(held, self._style, lambda text=text: text)  # type: ignore[misc]
                group, size = [], 0
            if segment is not None:
                group.append(segment)
                size += segment.rows

    def _encoded(self, segments: Sequence[Segment]) -> list[RowText]:
        """Encode segments in one pass, and return each one's part of the text."""
        table = pa.Table.from_batches([segment.batch for segment in segments])
        whole = encode(table, self._kind, self._style, self._timezone)
        texts, passed = [], 0
        for segment in segments:
            offsets = whole.offsets[passed : passed + segment.rows + 1]
            begin = int(offsets[0])
            texts.append(RowText(whole.text[begin : int(offsets[-1])], offsets - begin))
            passed += segment.rows
        return texts


def encode(rows: pa.Table | pa.RecordBatch, kind: str, style: str, timezone: ZoneInfo) -> RowText:
    """Return the text of rows: prices as the shortest text that reads back to the same double."""
    if not rows.num_rows:
        return RowText(memoryview(b""), np.zeros(1, dtype=np.int32))
    names = columns_of(kind)
    columns = rows.select(names)
    frame = pl.DataFrame(pl.from_arrow(columns.combine_chunks() if isinstance(columns, pa.Table) else columns))
    stamps = frame.get_column("timestamp").to_physical().to_numpy()
    frame = frame.select(_opened_stamps(stamps, style, timezone).alias("timestamp"), *names[1:])
    if "exchange" in names:
        frame = frame.with_columns(_quoted(frame.get_column("exchange")))
    sink = io.BytesIO()
    frame.write_csv(sink, include_header=False, quote_style="never", line_terminator="],\n", null_value="null")
    text = sink.getbuffer()
    offsets = np.zeros(rows.num_rows + 1, dtype=np.int32)
    offsets[1:] = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
    return RowText(text, offsets)


def _opened_stamps(stamps: Ints, style: str, timezone: ZoneInfo) -> pl.Expr:
    """Return the first piece of each row: an opening bracket and the quoted timestamp.

    Rows have few distinct dates, and of times of day there are 86,400: they pick theirs from tables.
    """
    days, seconds, rest = _parts(stamps, style, timezone)
    if style == DATE:
        return _dates(days, '["{}"')
    if style == DATETIME:
        return _dates(days, '["{}T') + pl.lit(_times("", '"')).gather(pl.lit(pl.Series(seconds)))
    if style == TIME:
        return pl.lit(_times('["', '"')).gather(pl.lit(pl.Series(seconds)))
    fraction = pl.lit(pl.Series(rest)).cast(pl.String).str.zfill(6)
    return pl.lit(_times('["', ".")).gather(pl.lit(pl.Series(seconds))) + fraction + '"'


def stamp_texts(stamps: Ints, style: str, timezone: ZoneInfo) -> list[str]:
    """Return bar starts as text, without quotes."""
    days, seconds, _ = _parts(stamps, style, timezone)
    dates = {day: dt.date.fromordinal(day + _EPOCH).isoformat() for day in np.unique(days).tolist()}
    if style == DATE:
        return [dates[day] for day in days.tolist()]
    clock = [f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" for second in seconds.tolist()]
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


def _dates(days: Ints, form: str) -> pl.Expr:
    distinct, place = _distinct(days)
    texts = [form.format(dt.date.fromordinal(day + _EPOCH).isoformat()) for day in distinct.tolist()]
    return pl.lit(pl.Series(texts)).gather(pl.lit(pl.Series(place)))


@lru_cache
def _times(before: str, after: str) -> pl.Series:
    """Return the 86,400 times of day as text."""
    seconds = pl.Series(np.arange(_DAY_US // _SECOND_US) * _SECOND_US).cast(pl.Datetime("us"))
    return seconds.dt.strftime(f"{before}%H:%M:%S{after}")


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


def _quoted(values: pl.Series) -> pl.Series:
    """Return strings as JSON strings; each distinct one is escaped once."""
    distinct: list[Any] = values.drop_nulls().unique().to_list()
    return values.replace_strict(
        distinct, [orjson.dumps(text).decode() for text in distinct], default=None, return_dtype=pl.String
    )
