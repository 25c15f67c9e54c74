"""The ``historical`` part of each symbol in an export."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mismartera.engine.export.consumers.cursor import Cursor
from mismartera.engine.export.consumers.filter import ExportFilter
from mismartera.engine.state.history import HistoryInterval
from mismartera.engine.state.snapshot import Snapshot

from .kind_section import before_rows, number_texts
from .ranges import gap_text, range_texts
from .row_texts import RowTexts
from .rows import SEPARATOR, stamp_texts, style_of

Piece = bytes | memoryview


class HistorySection:
    """History of all symbols: always what it spans, and its rows and indicators where the consumer lacks them.

    Parameters
    ----------
    snapshot : Snapshot
    codes : int64 array
        Codes of the export's symbols, in its order.
    since : Cursor or None
        What the consumer holds.
    texts : RowTexts
        Where the text of its rows comes from.
    only : ExportFilter

    Attributes
    ----------
    rows : int
        Rows it carries.
    """

    def __init__(
        self, snapshot: Snapshot, codes: NDArray[np.int64], since: Cursor | None, texts: RowTexts, only: ExportFilter
    ) -> None:
        self._snapshot = snapshot
        self._history = snapshot.history
        self._codes: list[int] = codes.tolist()
        shown = self._history.intervals.items() if only.passes_part("historical") else ()
        self._intervals = {text: interval for text, interval in shown if only.passes_kind(text)}
        self._indicators = self._history.indicators if only.passes_part("historical") else {}
        if since is None or not len(self._history.changed):
            self._new = [since is None] * len(codes)
        else:
            self._new = (self._history.changed[codes] > since.history).tolist()
        self._texts = texts
        self.rows = 0
        if any(self._new):
            fresh = codes if all(self._new) else codes[np.array(self._new, dtype=bool)]
            for text, interval in self._intervals.items():
                texts.expect([day.segment for day in interval.days], style_of(text, past=True))
                self.rows += int(np.add.reduce(interval.count[fresh]))

    def with_news(self) -> list[tuple[str, int]]:
        """Return interval and place of the sections that carry rows or gap ranges."""
        if not any(self._new):
            return []
        found = []
        for text, interval in self._intervals.items():
            some = ((interval.count > 0) | (_missing(interval) > 0)).tolist()
            found += [(text, at) for at, code in enumerate(self._codes) if self._new[at] and some[code]]
        return found

    def parts(self, at: int) -> list[Piece]:
        """Return the members of a symbol's ``historical`` object in pieces; row text is referred to, not copied."""
        code = self._codes[at]
        loaded = b"true" if self._history.loaded else b"false"
        head = b'"loaded":%b,"date_range":%b,"data":{' % (loaded, self._date_ranges()[code])
        if not self._new[at]:
            return [head, b"}"]
        parts: list[Piece] = [head]
        for place, (text, interval) in enumerate(self._intervals.items()):
            if place:
                parts.append(b",")
            parts += self._interval(text, interval, code)
        parts.append(b"}")
        parts += [
            b",%b:%b" % (orjson.dumps(name), _indicator(values[code])) for name, values in self._indicators.items()
        ]
        return parts

    def _interval(self, text: str, interval: HistoryInterval, code: int) -> list[Piece]:
        style = style_of(text, past=True)
        head = self._heads(text, interval, style)[code]
        if not interval.count[code]:
            return [head, b"}"]
        parts: list[Piece] = [head, before_rows(text)]
        for day in interval.days:
            start, count = day.segment.span(code)
            if count:
                parts += (self._texts.rows(day.segment, style, start, start + count), SEPARATOR)
        parts[-1] = b"\n]}"
        return parts

    def _heads(self, text: str, interval: HistoryInterval, style: str) -> list[bytes]:
        """Return what stands before the rows, of every symbol; a window of history never changes, so it is kept."""
        if "heads" not in interval.texts:
            interval.texts["heads"] = self._make_heads(text, interval, style)
        heads: list[bytes] = interval.texts["heads"]
        return heads

    def _make_heads(self, text: str, interval: HistoryInterval, style: str) -> list[bytes]:
        n_symbols = len(self._snapshot.symbols)
        quality = interval.quality
        percent = [b"null"] * n_symbols if quality is None else number_texts(quality)
        gaps = [b""] * n_symbols if quality is None else self._gap_texts(interval, style)
        generated = b"true" if interval.generated else b"false"
        start = b'"%b":{"count":%%d,"date_range":%%b,"dates":%%b,"quality":%%b%%b,"generated":%b'
        start %= text.encode(), generated
        rows = zip(interval.count.tolist(), interval.dates, percent, gaps, strict=True)
        return [start % (count, _range(dates), _list(dates), score, gap) for count, dates, score, gap in rows]

    def _gap_texts(self, interval: HistoryInterval, style: str) -> list[bytes]:
        gaps, n_symbols = interval.gaps, len(self._snapshot.symbols)
        if gaps is None:
            return [b""] * n_symbols
        labels = partial(stamp_texts, style=style, timezone=self._snapshot.timezone)
        texts = range_texts(gaps.rows(), labels, labels)
        counts = np.bincount(gaps.code, minlength=n_symbols).tolist()
        figures = enumerate(zip(counts, _missing(interval).tolist(), strict=True))
        return [gap_text(count, missing, texts.get(code, b"")) for code, (count, missing) in figures]

    def _date_ranges(self) -> list[bytes]:
        """Return the dates each symbol has data of, over all intervals, as text; kept with the history."""
        texts = self._history.texts
        if "date_ranges" not in texts:
            held = [interval.dates for interval in self._history.intervals.values()]
            by_symbol = zip(*held, strict=True) if held else [()] * len(self._snapshot.symbols)
            texts["date_ranges"] = [_range(_union(dates)) for dates in by_symbol]
        ranges: list[bytes] = texts["date_ranges"]
        return ranges


def _union(dates: Sequence[tuple[dt.date, ...]]) -> tuple[dt.date, ...]:
    return dates[0] if len(dates) == 1 else tuple(sorted({date for held in dates for date in held}))


@lru_cache
def _range(dates: tuple[dt.date, ...]) -> bytes:
    first, last = (dates[0], dates[-1]) if dates else (None, None)
    return orjson.dumps({"start_date": first, "end_date": last, "days": len(dates)})


@lru_cache
def _list(dates: tuple[dt.date, ...]) -> bytes:
    return orjson.dumps(dates)


def _missing(interval: HistoryInterval) -> NDArray[np.int64]:
    missing = interval.missing
    return np.zeros_like(interval.count) if missing is None else missing


def _indicator(value: Any) -> bytes:
    """Return a figure, or one per minute, as JSON; NaN is null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
