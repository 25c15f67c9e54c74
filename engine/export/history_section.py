"""The ``historical`` part of each symbol in an export."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mismartera.engine.state.history import HistoryInterval
from mismartera.engine.state.snapshot import GapView, Snapshot

from .kind_section import gap_text, percent_texts, range_texts
from .rows import BAR_COLUMNS, DATE, DATETIME, SEPARATOR, row_text, stamp_texts

Piece = bytes | memoryview


class HistorySection:
    """History of all symbols: always what it spans, and its rows and indicators where the consumer lacks them.

    Parameters
    ----------
    snapshot : Snapshot
    with_rows : bool
    """

    def __init__(self, snapshot: Snapshot, *, with_rows: bool) -> None:
        self._snapshot = snapshot
        self._history = snapshot.history
        self._with_rows = with_rows

    def rows(self, codes: Sequence[int]) -> int:
        """Return how many rows this carries for `codes`."""
        if not self._with_rows:
            return 0
        return sum(int(interval.count()[list(codes)].sum()) for interval in self._history.intervals.values())

    def with_news(self, code: int) -> list[str]:
        """Return the intervals that carry rows or gap ranges of a symbol."""
        if not self._with_rows:
            return []
        intervals = self._history.intervals.items()
        return [text for text, interval in intervals if interval.count()[code] or _missing(interval)[code]]

    def pieces(self, code: int) -> Iterator[Piece]:
        """Yield the members of a symbol's ``historical`` object."""
        loaded = b"true" if self._history.loaded else b"false"
        yield b'"loaded":%b,"date_range":%b,"data":{' % (loaded, self._date_range(code))
        if self._with_rows:
            for place, (text, interval) in enumerate(self._history.intervals.items()):
                yield b"," if place else b""
                yield from self._interval(text, interval, code)
        yield b"}"
        if self._with_rows:
            for name, values in self._history.indicators.items():
                yield b",%b:%b" % (orjson.dumps(name), _indicator(values[code]))

    def _interval(self, text: str, interval: HistoryInterval, code: int) -> Iterator[Piece]:
        style = DATE if interval.interval.is_daily else DATETIME
        yield self._heads(text, interval, style)[code]
        if interval.count()[code]:
            yield b',"columns":%b,"data":[\n' % orjson.dumps(BAR_COLUMNS)
            begun = False
            for day in interval.days:
                start, count = int(day.segment.start[code]), int(day.segment.count[code])
                if count:
                    if begun:
                        yield SEPARATOR
                    encoded = row_text(day.segment, text, style, self._snapshot.timezone)
                    yield encoded.rows(start, start + count)
                    begun = True
            yield b"\n]"
        yield b"}"

    def _heads(self, text: str, interval: HistoryInterval, style: str) -> list[bytes]:
        """Return what stands before the rows, of every symbol; a window of history never changes, so it is kept."""
        if "heads" not in interval.memo:
            interval.memo["heads"] = self._make_heads(text, interval, style)
        heads: list[bytes] = interval.memo["heads"]
        return heads

    def _make_heads(self, text: str, interval: HistoryInterval, style: str) -> list[bytes]:
        n_symbols = len(self._snapshot.symbols)
        quality = interval.quality()
        percent = [b"null"] * n_symbols if quality is None else percent_texts(quality)
        gaps = [b""] * n_symbols if quality is None else self._gap_texts(interval, style)
        generated = b"true" if interval.generated else b"false"
        heads = []
        for code, count in enumerate(interval.count().tolist()):
            dates = [day.date for day in interval.days if day.segment.count[code]]
            heads.append(
                b'"%b":{"count":%d,"date_range":%b,"dates":%b,"quality":%b%b,"generated":%b'
                % (text.encode(), count, _range(dates), orjson.dumps(dates), percent[code], gaps[code], generated)
            )
        return heads

    def _gap_texts(self, interval: HistoryInterval, style: str) -> list[bytes]:
        n_symbols = len(self._snapshot.symbols)
        ranges: list[list[bytes]] = [[] for _ in range(n_symbols)]
        counts = np.zeros(n_symbols, dtype=np.int64)
        for day in interval.days:
            if day.gaps is None:
                continue
            view = GapView(day.gaps, day.grid, day.grid.n_expected, day.gaps.count, day.gaps.count)
            labels = stamp_texts(day.grid.expected_starts, style, self._snapshot.timezone)
            for code, part in range_texts(view, 0, labels).items():
                ranges[code].append(part)
            counts += day.gaps.count
        rows = zip(counts.tolist(), _missing(interval).tolist(), ranges, strict=True)
        return [gap_text(count, missing, b",".join(parts)) for count, missing, parts in rows]

    def _date_range(self, code: int) -> bytes:
        memo = self._history.memo
        if "date_ranges" not in memo:
            intervals = self._history.intervals.values()
            dates: list[set[dt.date]] = [set() for _ in self._snapshot.symbols]
            for interval in intervals:
                for day in interval.days:
                    for some in np.flatnonzero(day.segment.count).tolist():
                        dates[some].add(day.date)
            memo["date_ranges"] = [_range(sorted(held)) for held in dates]
        ranges: list[bytes] = memo["date_ranges"]
        return ranges[code]


def _range(dates: list[dt.date]) -> bytes:
    first, last = (dates[0], dates[-1]) if dates else (None, None)
    return orjson.dumps({"start_date": first, "end_date": last, "days": len(dates)})


def _missing(interval: HistoryInterval) -> NDArray[np.int64]:
    missing = interval.missing()
    return np.zeros_like(interval.count()) if missing is None else missing


def _indicator(value: Any) -> bytes:
    """Return a figure, or one per minute, as JSON; NaN is null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
