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
from mismartera.engine.log.view import LogView, held_offsets
from mismartera.engine.state.gap_log import ranges_of
from mismartera.engine.state.snapshot import Snapshot

from .ranges import gap_text, range_texts
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
        state = snapshot.kinds[kind]
        self.kind = kind
        self._state = state
        self._timezone = snapshot.timezone
        self._is_event = kind in EVENTS
        self._log: LogView = state.served() if complete else state.log
        self._codes = codes
        self._totals = state.distinct()
        self._held = held_offsets(None if since is None else since.rows, kind, self._log.visible)
        self._moved = self._held is not self._log.visible
        self.rows = int(np.add.reduce(self._log.visible[codes] - self._held[codes])) if self._moved else 0
        self._texts = texts
        self._style = style_of(kind)
        if self._moved:
            texts.expect(self._log.segments, self._style)
        self._ranges = self._new_ranges(since)

    def with_news(self) -> list[int]:
        """Return the places of the symbols whose section carries rows or gap ranges."""
        if not self._moved and not self._ranges:
            return []
        news = self._log.visible[self._codes] > self._held[self._codes]
        news[list(self._ranges)] = True
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
        state, kept = self._state, self._state.columns.texts
        made_of = self._totals, state.gaps, self._codes, state.columns
        key = state.expected, made_of
        held = kept.get("quiet")
        if held is None or held[0][0] != key[0] or not all(map(is_, held[0][1], made_of)):
            parts: list[list[Piece]] = [[head, b"}"] for head in self._heads()]
            held = kept["quiet"] = key, parts
        quiet: list[list[Piece]] = held[1]
        return quiet

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
        start += b',"generated":%b,"quality":%%b%%b' % (b"true" if self._state.generated else b"false")
        quality = number_texts(self._state.quality()[codes])
        return [start % row for row in zip(counts, totals, quality, self._gap_texts(), strict=True)]

    def _gap_texts(self) -> list[bytes]:
        state, codes, ranges = self._state, self._codes, self._ranges
        if state.gaps is None:
            return [b""] * len(codes)
        rows = enumerate(zip(state.gap_count[codes].tolist(), state.missing[codes].tolist(), strict=True))
        texts = [gap_text(count, missing, ranges.get(at, b"")) for at, (count, missing) in rows]
        searched = state.columns.searched
        if searched is None:
            return texts
        return [text if known else b"" for text, known in zip(texts, searched[codes].tolist(), strict=True)]

    def _new_ranges(self, since: Cursor | None) -> dict[int, bytes]:
        """Return the text of the new, changed and gone ranges by place in the export."""
        gaps = self._state.gaps
        if gaps is None:
            return {}
        held = held_offsets(None if since is None else since.gaps, self.kind, gaps.visible)
        if held is gaps.visible:
            return {}
        if since is None:
            return self._all_ranges(gaps)
        (some,) = (gaps.visible[self._codes] > held[self._codes]).nonzero()
        if not len(some):
            return {}
        codes = self._codes[some]
        rows = ranges_of(gaps, codes, held[codes])
        return range_texts(rows._replace(code=some[rows.code]), self._labels, self._moments)

    def _all_ranges(self, gaps: LogView) -> dict[int, bytes]:
        """Return the text of all ranges; kept for the next complete export of the same view."""
        kept = self._state.columns.texts
        held = kept.get("ranges")
        if held is None or held[0] is not gaps or held[1] is not self._codes:
            texts = range_texts(ranges_of(gaps, self._codes), self._labels, self._moments)
            held = kept["ranges"] = gaps, self._codes, texts
        ranges: dict[int, bytes] = held[2]
        return ranges

    def _labels(self, stamps: Ints) -> list[str]:
        """Return bar starts as text; those the session expects are the same all day, so they are kept."""
        grid, kept = self._state.columns.grid, self._state.columns.texts
        if grid is None:
            return stamp_texts(stamps, self._style, self._timezone)
        if "labels" not in kept:
            kept["labels"] = stamp_texts(grid.expected_starts, self._style, self._timezone)
        labels: list[str] = kept["labels"]
        return [labels[at] for at in grid.expected_starts.searchsorted(stamps).tolist()]

    def _moments(self, stamps: Ints) -> list[str]:
        return stamp_texts(stamps, style_of(self.kind, past=True), self._timezone)


@lru_cache
def before_rows(kind: str) -> bytes:
    """Return what stands between a section's figures and its rows."""
    return b',"columns":%b,"data":[\n' % orjson.dumps(columns_of(kind))


def number_texts(values: NDArray[np.float64]) -> list[bytes]:
    """Return doubles as JSON numbers, null for what is none."""
    return [b"%r" % value if isfinite(value) else b"null" for value in values.tolist()]
