"""One data type of a session in an export: counts, quality, gaps and the new rows of each symbol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment
from mismartera.engine.log.view import LogView
from mismartera.engine.state.snapshot import GapView, Snapshot, current
from mismartera.schemas.gaps import GapInfo

from .cursor import Cursor
from .filter import EVENTS
from .rows import SEPARATOR, RowTexts, columns_of, stamp_texts, style_of

Ints = NDArray[np.int64]
Piece = bytes | memoryview


class KindSection:
    """One data type of the symbols of an export. Symbols are named by their place in the export.

    Parameters
    ----------
    snapshot : Snapshot
    kind : str
        An interval's text, ``"ticks"`` or ``"quotes"``.
    codes : int64 array
        Codes of the export's symbols, in its order.
    since : Cursor or None
        What the consumer holds of this session.
    complete : bool
        Whether rows are put in the order of time.

    Attributes
    ----------
    rows : int
        Rows it carries.
    texts : RowTexts
        Where the text of its rows comes from; `share_texts` makes it one for several sections.
    """

    def __init__(self, snapshot: Snapshot, kind: str, codes: Ints, since: Cursor | None, *, complete: bool) -> None:
        self.kind = kind
        self._snapshot = snapshot
        self._is_event = kind in EVENTS
        log = snapshot.logs[kind]
        totals = log.visible
        if not log.ordered:
            merged = current(log)
            totals = merged.count
            if complete:
                log = LogView((merged,), merged.count, log.schema)
        self._log = log
        self._codes: list[int] = codes.tolist()
        self._stop: list[int] = log.visible[codes].tolist()
        self._start = self._held(since, codes)
        self._totals: list[int] = totals[codes].tolist()
        self._ranges = self._new_ranges(since)
        self.rows = sum(self._stop) - sum(self._start)
        self._heads = self._all_heads(codes)
        self._before_rows = before_rows(kind)
        self.texts = RowTexts(snapshot, kind, log.segments)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Segments its rows lie in."""
        return self._log.segments

    def shows(self, at: int) -> bool:
        """Return whether a symbol has this section: bars always, ticks and quotes where any exist."""
        return not self._is_event or self._totals[at] > 0

    def with_news(self) -> list[int]:
        """Return the places of the symbols whose section carries rows or gap ranges."""
        ranges, codes = self._ranges, self._codes
        pairs = enumerate(zip(self._start, self._stop, strict=True))
        return [at for at, (start, stop) in pairs if stop > start or codes[at] in ranges]

    def pieces(self, at: int, before: bytes) -> Iterator[Piece]:
        """Yield `before`, then a symbol's ``"1m": {…}``."""
        start, stop = self._start[at], self._stop[at]
        if start == stop and not self._is_event:
            yield b"%b%b}" % (before, self._heads[at])
            return
        yield before + self._heads[at]
        if start < stop:
            yield self._before_rows
            yield from self._rows(self._codes[at], start, stop)
            yield b"\n]"
        if self._is_event:
            yield b',"latest":' + self._latest(at)
        yield b"}"

    def _held(self, since: Cursor | None, codes: Ints) -> list[int]:
        held = None if since is None else since.offsets.get(self.kind)
        if held is None:
            return [0] * len(codes)
        if len(held) < len(self._log.visible):
            held = np.concatenate([held, np.zeros(len(self._log.visible) - len(held), dtype=np.int64)])
        places: list[int] = held[codes].tolist()
        return places

    def _rows(self, code: int, start: int, stop: int) -> Iterator[Piece]:
        passed, separator = 0, b""
        for segment in self._log.segments:
            count = int(segment.count[code]) if code < segment.n_symbols else 0
            low, high = max(start - passed, 0), min(stop - passed, count)
            if low < high:
                if separator:
                    yield separator
                begin = int(segment.start[code])
                yield self.texts.rows(segment, begin + low, begin + high)
                separator = SEPARATOR
            passed += count

    def _latest(self, at: int) -> bytes:
        *_, last = self._rows(self._codes[at], self._stop[at] - 1, self._stop[at])
        return orjson.dumps(dict(zip(columns_of(self.kind), orjson.loads(last), strict=True)))

    def _all_heads(self, codes: Ints) -> list[bytes]:
        counts = [stop - start for start, stop in zip(self._start, self._stop, strict=True)]
        start = b'"%b":{"count":%%d,"total_count":%%d' % self.kind.encode()
        if self._is_event:
            return [start % pair for pair in zip(counts, self._totals, strict=True)]
        generated = b"true" if self.kind in self._snapshot.generated else b"false"
        start += b',"generated":%b,"quality":%%b%%b' % generated
        quality = number_texts(self._snapshot.quality(self.kind)[codes])
        return [start % row for row in zip(counts, self._totals, quality, self._gap_texts(codes), strict=True)]

    def _gap_texts(self, codes: Ints) -> list[bytes]:
        view = self._snapshot.gaps(self.kind)
        if view is None:
            texts = [b""] * len(codes)
        else:
            ranges = self._ranges
            rows = zip(self._codes, view.visible[codes].tolist(), view.missing[codes].tolist(), strict=True)
            texts = [gap_text(count, missing, ranges.get(code, b"")) for code, count, missing in rows]
        for (interval, code), gaps in self._snapshot.set_gaps.items():
            if interval == self.kind and code in self._codes:
                texts[self._codes.index(code)] = _by_hand(gaps)
        return texts

    def _new_ranges(self, since: Cursor | None) -> dict[int, bytes]:
        view = None if self._is_event else self._snapshot.gaps(self.kind)
        if view is None or not len(view.columns.first):
            return {}
        told = 0 if since is None else view.grid.expected_at(since.now_us)
        joined = len(view.missing) if since is None else since.n_symbols
        return range_texts(view, told, self._labels(view), joined)

    def _labels(self, view: GapView) -> list[str]:
        memo: dict[str, Any] = {} if self._snapshot.day is None else self._snapshot.day.memo
        key = f"labels {self.kind}"
        if key not in memo:
            memo[key] = stamp_texts(view.grid.expected_starts, style_of(self.kind), self._snapshot.timezone)
        labels: list[str] = memo[key]
        return labels


def share_texts(snapshot: Snapshot, sections: Sequence[KindSection]) -> None:
    """Have sections whose rows are encoded alike encode them together: a pass costs more than a few rows do."""
    alike: dict[tuple[object, ...], list[KindSection]] = {}
    for section in sections:
        alike.setdefault((style_of(section.kind), columns_of(section.kind)), []).append(section)
    for group in alike.values():
        if len(group) > 1:
            segments = [segment for section in group for segment in section.segments]
            texts = RowTexts(snapshot, group[0].kind, segments)
            for section in group:
                section.texts = texts


@lru_cache
def before_rows(kind: str) -> bytes:
    """Return what stands between a section's figures and its rows."""
    return b',"columns":%b,"data":[\n' % orjson.dumps(columns_of(kind))


def fresh_ranges(view: GapView, told: int, n_symbols: int) -> tuple[Ints, Ints, Ints]:
    """Return symbol codes and first and last missing bars of the ranges new or changed since `told` bars were due.

    Every range of a symbol whose code is `n_symbols` or more is new: the symbol joined since.
    """
    gaps = view.columns
    shown = gaps.ends_at(view.expected)
    news = (gaps.first >= told) | (shown > gaps.ends_at(told)) | (gaps.code >= n_symbols)
    fresh = np.flatnonzero((gaps.first < view.expected) & news)
    return gaps.code[fresh], gaps.first[fresh], shown[fresh]


def range_texts(view: GapView, told: int, labels: list[str], n_symbols: int) -> dict[int, bytes]:
    """Return the text of those ranges by symbol code; see `fresh_ranges`."""
    texts: dict[int, list[bytes]] = {}
    columns = (values.tolist() for values in fresh_ranges(view, told, n_symbols))
    for code, first, last in zip(*columns, strict=True):
        texts.setdefault(code, []).append(range_text(labels[first], labels[last], last - first + 1))
    return {code: b",".join(parts) for code, parts in texts.items()}


def range_text(start: str, end: str, count: int) -> bytes:
    """Return one gap range."""
    return f'{{"start_time":"{start}","end_time":"{end}","bar_count":{count}}}'.encode()


def gap_text(count: int, missing: int, ranges: bytes) -> bytes:
    """Return the ``gaps`` member of a section."""
    return b',"gaps":{"gap_count":%d,"missing_bars":%d,"ranges":[%b]}' % (count, missing, ranges)


def number_texts(values: NDArray[np.float64]) -> list[bytes]:
    """Return doubles as JSON numbers, null for NaN."""
    return [b"null" if value != value else b"%r" % value for value in values.tolist()]


def _by_hand(gaps: tuple[GapInfo, ...]) -> bytes:
    ranges = [
        {
            "start_time": gap.start_time.strftime("%H:%M:%S"),
            "end_time": gap.end_time.strftime("%H:%M:%S"),
            "bar_count": gap.bar_count,
            **({"retry_count": gap.retry_count, "last_retry": gap.last_retry} if gap.retry_count else {}),
        }
        for gap in gaps
    ]
    return gap_text(len(gaps), sum(gap.bar_count for gap in gaps), orjson.dumps(ranges)[1:-1])
