"""One data type of a session in an export: counts, quality, gaps and the new rows of each symbol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment
from mismartera.engine.log.view import LogView
from mismartera.engine.state.snapshot import GapView, Snapshot, current
from mismartera.schemas.gaps import GapInfo
from mismartera.schemas.interval import Interval

from .cursor import Cursor
from .rows import DATE, EVENT, SEPARATOR, TIME, columns_of, row_text, stamp_texts

Ints = NDArray[np.int64]
Piece = bytes | memoryview


class KindSection:
    """One data type of all symbols.

    Parameters
    ----------
    snapshot : Snapshot
    kind : str
        An interval's text, ``"ticks"`` or ``"quotes"``.
    since : Cursor or None
        What the consumer holds of this session.
    complete : bool
        Whether rows are put in the order of time.
    """

    def __init__(self, snapshot: Snapshot, kind: str, since: Cursor | None, *, complete: bool) -> None:
        self.kind = kind
        self._snapshot = snapshot
        self._is_event = kind in ("ticks", "quotes")
        self._style = EVENT if self._is_event else DATE if Interval(kind).is_daily else TIME
        log = snapshot.logs[kind]
        self._total = log.visible
        if not log.ordered:
            merged = current(log)
            self._total = merged.count
            if complete:
                log = LogView((merged,), merged.count, log.schema)
        self._log = log
        none = np.zeros_like(log.visible)
        held = none if since is None else since.offsets.get(kind, none)
        self._held = np.concatenate([held, none[len(held) :]])
        self._news = log.visible > self._held
        self._ranges = self._new_ranges(since)
        self._heads = self._all_heads()
        names = orjson.dumps(columns_of(kind))
        self._open_rows = b',"columns":%s,"data":[\n' % names

    def has_news(self, code: int) -> bool:
        """Return whether a symbol's section carries rows or gap ranges."""
        return bool(self._news[code]) or code in self._ranges

    def new_rows(self, codes: Sequence[int]) -> int:
        """Return how many rows the section carries for `codes`."""
        return int((self._log.visible - self._held)[list(codes)].sum())

    def pieces(self, code: int, *, first: bool) -> Iterator[Piece]:
        """Yield a symbol's ``"1m": {…}``; nothing for ticks or quotes it has none of."""
        if self._is_event and not self._total[code]:
            return
        yield self._heads[code] if first else b"," + self._heads[code]
        if self._news[code]:
            yield self._open_rows
            yield from self._rows(code, int(self._held[code]))
            yield b"\n]"
        if self._is_event:
            yield b',"latest":' + self._latest(code)
        yield b"}"

    def _rows(self, code: int, start: int) -> Iterator[Piece]:
        passed, stop = 0, int(self._log.visible[code])
        begun = False
        for segment in self._log.segments:
            count = int(segment.count[code])
            low, high = max(start - passed, 0), min(stop - passed, count)
            if low < high:
                if begun:
                    yield SEPARATOR
                yield self._text(segment, code, low, high)
                begun = True
            passed += count

    def _text(self, segment: Segment, code: int, low: int, high: int) -> memoryview:
        begin = int(segment.start[code])
        text = row_text(segment, self.kind, self._style, self._snapshot.timezone)
        return text.rows(begin + low, begin + high)

    def _latest(self, code: int) -> bytes:
        *_, last = self._rows(code, int(self._log.visible[code]) - 1)
        return orjson.dumps(dict(zip(columns_of(self.kind), orjson.loads(last), strict=True)))

    def _all_heads(self) -> list[bytes]:
        counts = (self._log.visible - self._held).tolist()
        totals = self._total.tolist()
        if self._is_event:
            start = f'"{self.kind}":{{"count":%d,"total_count":%d'.encode()
            return [start % pair for pair in zip(counts, totals, strict=True)]
        generated = "true" if self.kind in self._snapshot.generated else "false"
        start = f'"{self.kind}":{{"count":%d,"total_count":%d,"generated":{generated},"quality":%b%b'.encode()
        quality = percent_texts(self._snapshot.quality(self.kind))
        return [start % row for row in zip(counts, totals, quality, self._gap_texts(), strict=True)]

    def _gap_texts(self) -> list[bytes]:
        view = self._snapshot.gaps(self.kind)
        if view is None:
            texts = [b""] * len(self._total)
        else:
            counts, missing = view.visible.tolist(), view.missing.tolist()
            texts = [
                gap_text(count, bars, self._ranges.get(code, b""))
                for code, (count, bars) in enumerate(zip(counts, missing, strict=True))
            ]
        for (interval, code), gaps in self._snapshot.set_gaps.items():
            if interval == self.kind:
                texts[code] = _by_hand(gaps)
        return texts

    def _new_ranges(self, since: Cursor | None) -> dict[int, bytes]:
        view = None if self._is_event else self._snapshot.gaps(self.kind)
        if view is None:
            return {}
        told = 0 if since is None else since.expected.get(self.kind, 0)
        return range_texts(view, told, self._labels(view))

    def _labels(self, view: GapView) -> list[str]:
        memo: dict[str, Any] = {} if self._snapshot.day is None else self._snapshot.day.memo
        key = f"labels {self.kind}"
        if key not in memo:
            memo[key] = stamp_texts(view.grid.expected_starts, self._style, self._snapshot.timezone)
        labels: list[str] = memo[key]
        return labels


def range_texts(view: GapView, told: int, labels: list[str]) -> dict[int, bytes]:
    """Return, by symbol code, the text of the ranges that are new or changed since `told` bars were due."""
    gaps = view.columns
    shown = gaps.ends_at(view.expected)
    fresh = np.flatnonzero((gaps.first < view.expected) & ((gaps.first >= told) | (shown > gaps.ends_at(told))))
    texts: dict[int, list[bytes]] = {}
    rows = zip(gaps.code[fresh].tolist(), gaps.first[fresh].tolist(), shown[fresh].tolist(), strict=True)
    for code, first, last in rows:
        text = f'{{"start_time":"{labels[first]}","end_time":"{labels[last]}","bar_count":{last - first + 1}}}'
        texts.setdefault(code, []).append(text.encode())
    return {code: b",".join(parts) for code, parts in texts.items()}


def gap_text(count: int, missing: int, ranges: bytes) -> bytes:
    """Return the ``gaps`` member of a section."""
    return b',"gaps":{"gap_count":%d,"missing_bars":%d,"ranges":[%b]}' % (count, missing, ranges)


def percent_texts(values: NDArray[np.float64]) -> list[bytes]:
    """Return percentages as JSON numbers, null for NaN."""
    return [b"null" if value != value else repr(value).encode() for value in values.tolist()]


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
