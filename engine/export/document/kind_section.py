"""One data type of a session in an export: counts, quality, gaps and the new rows of each symbol."""

from __future__ import annotations

from functools import lru_cache
from math import isfinite
from operator import is_

import numpy as np
import orjson
from numpy.typing import NDArray

from mismartera.engine.export.consumers.cursor import Cursor
from mismartera.engine.export.consumers.filter import EVENTS
from mismartera.engine.log.view import LogView
from mismartera.engine.state.gap_view import GapView
from mismartera.engine.state.snapshot import Snapshot, current

from .ranges import fresh_ranges, gap_text, range_objects, range_text, ranges_by_hand
from .row_texts import RowTexts
from .rows import SEPARATOR, columns_of, stamp_texts, style_of

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
    texts : RowTexts
        Where the text of its rows comes from.
    complete : bool
        Whether rows are put in the order of time.

    Attributes
    ----------
    rows : int
        Rows it carries.
    """

    def __init__(
        self, snapshot: Snapshot, kind: str, codes: Ints, since: Cursor | None, texts: RowTexts, *, complete: bool
    ) -> None:
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
        self._codes = codes
        self._totals = totals
        held = _held(since, kind, log.visible)
        self._held = held
        self._moved = held is not log.visible
        self.rows = int(np.add.reduce(log.visible[codes] - held[codes])) if self._moved else 0
        self._texts = texts
        self._style = style_of(kind)
        if self._moved:
            texts.expect(log.segments, self._style)
        self._ranges = self._new_ranges(since)

    def with_news(self) -> list[int]:
        """Return the places of the symbols whose section carries rows or gap ranges."""
        if not self._moved and not self._ranges:
            return []
        news = self._log.visible[self._codes] > self._held[self._codes]
        if self._ranges:
            told = np.zeros(len(self._totals), dtype=bool)
            told[list(self._ranges)] = True
            news |= told[self._codes]
        places: list[int] = news.nonzero()[0].tolist()
        return places

    def parts(self) -> list[list[Piece]]:
        """Return, for each symbol in the export's order, the pieces of its ``"1m": {…}``.

        An empty list where a symbol has no ticks or quotes. Row text is referred to, not copied.
        """
        if not self._moved and not self._ranges and not self._is_event:
            return self._quiet_parts()
        heads = self._heads()
        rows = self._row_texts()
        before = before_rows(self.kind)
        if self._is_event:
            latest = self._latest()
            return [
                [] if not end else [head, before, *text, b"\n]", end] if text else [head, end]
                for head, text, end in zip(heads, rows, latest, strict=True)
            ]
        return [
            [head, before, *text, b"\n]}"] if text else [head, b"}"] for head, text in zip(heads, rows, strict=True)
        ]

    def _quiet_parts(self) -> list[list[Piece]]:
        """Return the parts while nothing is new; the same between two closings of the interval, so they are kept."""
        snapshot, key = self._snapshot, f"quiet {self.kind}"
        state = self._totals, snapshot.gaps(self.kind), self._codes, snapshot.set_quality, snapshot.set_gaps
        held = snapshot.shared_memo.get(key)
        if held is None or not all(map(is_, held[0], state)):
            parts: list[list[Piece]] = [[head, b"}"] for head in self._heads()]
            held = snapshot.shared_memo[key] = state, parts
        kept: list[list[Piece]] = held[1]
        return kept

    def _row_texts(self) -> list[list[memoryview | bytes]]:
        """Return the text of each symbol's new rows: one piece per segment that has some, with separators between."""
        codes, segments = self._codes, self._log.segments
        texts: list[list[memoryview | bytes]] = [[] for _ in range(len(codes))]
        if not self._moved:
            return texts
        start, stop = self._held[codes], self._log.visible[codes]
        passed: Ints | int = 0
        for segment in segments:
            wide = segment.widened(len(self._totals))
            low, high = start, stop
            if len(segments) > 1:
                count = wide.count[codes]
                low, high = np.clip(start - passed, 0, count), np.clip(stop - passed, 0, count)
                passed = passed + count
            (some,) = (high > low).nonzero()
            begin = wide.start[codes[some]]
            pieces = self._texts.pieces(segment, self._style, begin + low[some], begin + high[some])
            for at, piece in zip(some.tolist(), pieces, strict=True):
                if texts[at]:
                    texts[at].append(SEPARATOR)
                texts[at].append(piece)
        return texts

    def _latest(self) -> list[bytes]:
        """Return the end of each section of ticks or quotes, with its latest row; empty where there is none."""
        names, ends = columns_of(self.kind), []
        for code in self._codes.tolist():
            total = int(self._log.visible[code])
            if not total:
                ends.append(b"")
                continue
            segment, row = self._log.locate(code, total - 1)
            (text,) = self._texts.pieces(segment, self._style, np.array([row]), np.array([row + 1]))
            ends.append(b',"latest":%b}' % orjson.dumps(dict(zip(names, orjson.loads(text), strict=True))))
        return ends

    def _heads(self) -> list[bytes]:
        """Return what stands before each symbol's rows."""
        codes = self._codes
        totals = self._totals[codes].tolist()
        counts = (self._log.visible[codes] - self._held[codes]).tolist() if self._moved else [0] * len(codes)
        start = b'"%b":{"count":%%d,"total_count":%%d' % self.kind.encode()
        if self._is_event:
            return [start % pair for pair in zip(counts, totals, strict=True)]
        generated = b"true" if self.kind in self._snapshot.generated else b"false"
        start += b',"generated":%b,"quality":%%b%%b' % generated
        quality = number_texts(self._snapshot.quality(self.kind)[codes])
        return [start % row for row in zip(counts, totals, quality, self._gap_texts(), strict=True)]

    def _gap_texts(self) -> list[bytes]:
        view, codes, ranges = self._snapshot.gaps(self.kind), self._codes, self._ranges
        if view is None:
            texts = [b""] * len(codes)
        else:
            rows = zip(codes.tolist(), view.visible[codes].tolist(), view.missing[codes].tolist(), strict=True)
            texts = [gap_text(count, missing, ranges.get(code, b"")) for code, count, missing in rows]
        for (interval, code), gaps in self._snapshot.set_gaps.items():
            if interval == self.kind:
                missing = sum(gap.bar_count for gap in gaps)
                for at in np.flatnonzero(codes == code).tolist():
                    texts[at] = gap_text(len(gaps), missing, ranges.get(code, b""))
        return texts

    def _new_ranges(self, since: Cursor | None) -> dict[int, bytes]:
        """Return the text of the new, changed and gone ranges by symbol code."""
        snapshot = self._snapshot
        view = None if self._is_event else snapshot.gaps(self.kind)
        texts: dict[int, bytes] = {}
        if view is not None and len(view.columns.first):
            known = len(view.missing) if since is None else since.n_symbols
            if since is None or since.now_us < view.from_us or known < len(view.missing):
                texts = self._all_ranges(view) if since is None else self._fresh_ranges(view, since)
        if snapshot.set_gaps or (since is not None and since.set_gaps):
            for code, ranges in ranges_by_hand(snapshot, since, self.kind).items():
                texts.pop(code, None)
                if ranges:
                    texts[code] = orjson.dumps(range_objects(ranges, self.kind, snapshot))[1:-1]
        return texts

    def _all_ranges(self, view: GapView) -> dict[int, bytes]:
        """Return the text of all ranges; kept for the next complete export of the same view."""
        memo, key = self._snapshot.shared_memo, f"ranges {self.kind}"
        held = memo.get(key)
        if held is None or held[0] is not view:
            held = memo[key] = view, range_texts(view, 0, self._labels(view), len(view.missing))
        texts: dict[int, bytes] = held[1]
        return dict(texts)

    def _fresh_ranges(self, view: GapView, since: Cursor) -> dict[int, bytes]:
        return range_texts(view, view.grid.expected_at(since.now_us), self._labels(view), since.n_symbols)

    def _labels(self, view: GapView) -> list[str]:
        """Return the expected bar starts as text; the same all day, so they are kept."""
        memo, key = self._snapshot.shared_memo, f"labels {self.kind}"
        if key not in memo:
            memo[key] = stamp_texts(view.grid.expected_starts, style_of(self.kind), self._snapshot.timezone)
        labels: list[str] = memo[key]
        return labels


def _held(since: Cursor | None, kind: str, visible: Ints) -> Ints:
    """Return how many rows of each symbol the consumer holds: `visible` itself where it holds all."""
    held = None if since is None else since.offsets.get(kind)
    if held is None:
        return np.zeros(len(visible), dtype=np.int64)
    if len(held) < len(visible):
        return np.concatenate([held, np.zeros(len(visible) - len(held), dtype=np.int64)])
    return held


@lru_cache
def before_rows(kind: str) -> bytes:
    """Return what stands between a section's figures and its rows."""
    return b',"columns":%b,"data":[\n' % orjson.dumps(columns_of(kind))


def range_texts(view: GapView, told: int, labels: list[str], n_symbols: int) -> dict[int, bytes]:
    """Return the text of the ranges new or changed since `told` bars were due, by symbol code; see `fresh_ranges`."""
    texts: dict[int, list[bytes]] = {}
    columns = (values.tolist() for values in fresh_ranges(view, told, n_symbols))
    for code, first, last in zip(*columns, strict=True):
        texts.setdefault(code, []).append(range_text(labels[first], labels[last], last - first + 1))
    return {code: b",".join(parts) for code, parts in texts.items()}


def number_texts(values: NDArray[np.float64]) -> list[bytes]:
    """Return doubles as JSON numbers, null for what is none."""
    return [b"%r" % value if isfinite(value) else b"null" for value in values.tolist()]
