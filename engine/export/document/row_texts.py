"""`RowTexts`: where the text of an export's rows comes from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.log.segment import Segment
from mismartera.engine.state.snapshot import Snapshot

from .rows import SEPARATOR, RowText, encode

Ints = NDArray[np.int64]
Item = tuple[Segment, str]

_ROW_BYTES = 72  # text and offset of a typical row
_SMALL_ROWS = 20_000
_PASS_ROWS = 200_000


class RowTexts:
    """The text of rows of equal columns for one export: at hand, or encoded as it is asked for.

    Parameters
    ----------
    snapshot : Snapshot
    names : tuple of str
        Columns to export.

    Notes
    -----
    The text of whole segments is made on first use and kept with them, in few vectorised passes. Where the cache's
    bound could not hold it, only the rows asked for are encoded, and nothing is kept.
    """

    def __init__(self, snapshot: Snapshot, names: tuple[str, ...]) -> None:
        self._names = names
        self._timezone = snapshot.timezone
        self._cache = snapshot.text_cache
        self._items: list[Item] = []
        self._bytes: dict[str, int] = {}

    def expect(self, segments: Sequence[Segment], style: str) -> None:
        """Tell of segments whose rows may be asked for; what is told before the first use is encoded together."""
        self._items += [(segment, style) for segment in segments]
        rows = sum(segment.rows for segment in segments)
        self._bytes[style] = self._bytes.get(style, 0) + rows * _ROW_BYTES

    def rows(self, segment: Segment, style: str, start: int, stop: int) -> memoryview:
        """Return rows ``[start, stop)`` of a segment, separated by commas and newlines."""
        if not self._keeps(segment, style):
            batch = segment.batch.slice(start, stop - start)
            return encode(batch, self._names, [(stop - start, style)], self._timezone).rows(0, stop - start)
        return self._whole(segment, style).rows(start, stop)

    def pieces(self, segment: Segment, style: str, starts: Ints, stops: Ints) -> list[memoryview]:
        """Return rows ``[start, stop)`` of a segment for each pair, none of them empty, as `rows` does."""
        if not self._keeps(segment, style):
            pairs = zip(starts.tolist(), stops.tolist(), strict=True)
            return [self.rows(segment, style, start, stop) for start, stop in pairs]
        whole = self._whole(segment, style)
        text = whole.text
        begins, ends = (whole.offsets[starts] + len(SEPARATOR)).tolist(), whole.offsets[stops].tolist()
        return [text[begin:end] for begin, end in zip(begins, ends, strict=True)]

    def _keeps(self, segment: Segment, style: str) -> bool:
        """Whether the text of whole segments is used: where it is at hand, or was told of and fits into the bound."""
        limit = self._cache.limit_bytes
        return limit is None or style in segment.texts or 0 < self._bytes.get(style, 0) <= limit

    def _whole(self, segment: Segment, style: str) -> RowText:
        if self._items:
            items, self._items = self._items, []
            self._prepare([item for item in items if item[1] not in item[0].texts and self._keeps(*item)])
        return self._cache.get(segment, style, lambda: self._encoded([(segment, style)])[0])

    def _prepare(self, items: Sequence[Item]) -> None:
        """Encode the small segments among `items`, many in one pass: a pass costs more than a few rows do."""
        small = [item for item in items if item[0].rows <= _SMALL_ROWS]
        while small:
            taken, size = 0, 0
            while taken < len(small) and (size := size + small[taken][0].rows) <= _PASS_ROWS:
                taken += 1
            group, small = small[:taken], small[taken:]
            if len(group) > 1:
                for (segment, style), text in zip(group, self._encoded(group), strict=True):
                    self._cache.put(segment, style, text)

    def _encoded(self, items: Sequence[Item]) -> list[RowText]:
        """Encode segments in one pass, and return each one's part of the text."""
        table = pa.Table.from_batches([segment.batch for segment, _ in items])
        counts = [segment.rows for segment, _ in items]
        styles = itertools.groupby(zip(counts, items, strict=True), key=lambda counted: counted[1][1])
        spans = [(sum(rows for rows, _ in group), style) for style, group in styles]
        whole = encode(table, self._names, spans, self._timezone)
        stops = itertools.accumulate(counts)
        return [
            RowText(whole.text, whole.offsets[stop - rows : stop + 1]) for rows, stop in zip(counts, stops, strict=True)
        ]
