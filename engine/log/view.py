"""`LogView`: what is visible of a log, as row counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .gather import gather
from .segment import Segment, column, merge

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class LogView:
    """An immutable prefix of one data type's log: its segments, and how many rows of each symbol are visible.

    A symbol's rows are its slice of each segment in turn; row offsets count through them. A later view of the same
    log has the same rows at the same offsets, however its segments were merged since.

    Attributes
    ----------
    segments : tuple of Segment
    visible : int64 array, one entry per symbol code
    schema : pyarrow.Schema
        Of the rows, for when there is no segment.
    ordered : bool
        Whether every symbol's rows are in the order of time without a correction among them, as staged rows are.
    until_us : int or None
        Where rows wait behind the visible ones: the visible ones are those available by this instant.
    """

    segments: tuple[Segment, ...]
    visible: Ints
    schema: pa.Schema
    ordered: bool = True
    until_us: int | None = None

    def batches(self, code: int, start: int = 0, stop: int | None = None) -> list[pa.RecordBatch]:
        """Return visible rows ``[start, stop)`` of one symbol as zero-copy slices, in arrival order."""
        stop = int(self.visible[code]) if stop is None else stop
        found, passed = [], 0
        for segment in self.segments:
            held = segment.span(code)[1]
            low, high = max(start - passed, 0), min(stop - passed, held)
            if low < high:
                found.append(segment.slice(code, low, high))
            passed += held
        return found

    def locate(self, code: int, row: int) -> tuple[Segment, int]:
        """Return the segment that holds a row of a symbol, and the row's number in it."""
        for segment in self.segments:
            start, count = segment.span(code)
            if row < count:
                return segment, start + row
            row -= count
        raise IndexError(f"row is {row} beyond those of symbol code {code}")

    def table(self, code: int, start: int = 0, stop: int | None = None) -> pa.Table:
        """Return visible rows of one symbol as a table over zero-copy slices, in arrival order."""
        return pa.Table.from_batches(self.batches(code, start, stop), schema=self.schema)

    def widened(self, n_symbols: int) -> LogView:
        """Return the same rows with room for `n_symbols` codes; later codes have none."""
        visible = np.concatenate([self.visible, np.zeros(n_symbols - len(self.visible), dtype=np.int64)])
        segments = tuple(segment.widened(n_symbols) for segment in self.segments)
        return LogView(segments, visible, self.schema, self.ordered, self.until_us)

    @property
    def rows(self) -> int:
        """Visible rows of all symbols."""
        return int(np.add.reduce(self.visible))


def appended(segments: tuple[Segment, ...], segment: Segment) -> tuple[Segment, ...]:
    """Return the segments after one more was accepted; those of like size are merged, so O(log rows) remain.

    Notes
    -----
    Each row is copied O(log rows) times in its life. Row offsets do not change: a merge keeps each symbol's order.
    """
    kept = [*segments, segment]
    while len(kept) > 1 and kept[-2].rows <= 2 * kept[-1].rows:
        newer = kept.pop()
        kept.append(merge(kept.pop(), newer))
    return tuple(kept)


def held_offsets(held: Mapping[str, Ints] | None, kind: str, visible: Ints) -> Ints:
    """Return how many rows of each symbol a reader holds: `visible` itself where it holds all.

    Parameters
    ----------
    held : mapping or None
        Row offsets by data type; None where the reader holds nothing.
    kind : str
    visible : int64 array
        Rows of each symbol by now; symbols that joined since are new.
    """
    offsets = None if held is None else held.get(kind)
    if offsets is None:
        return np.zeros(len(visible), dtype=np.int64)
    if len(offsets) < len(visible):
        return np.concatenate([offsets, np.zeros(len(visible) - len(offsets), dtype=np.int64)])
    return offsets


def latest_revisions(log: LogView, codes: Ints | None = None) -> Segment:
    """Return the current visible rows, of all symbols or of some: sorted by timestamp, the highest revision of each.

    Cost: O(visible rows) of those symbols.
    """
    n_symbols = len(log.visible)
    codes = np.arange(n_symbols) if codes is None else codes
    rows, owners = gather(log.segments, codes, np.zeros_like(codes), log.visible[codes], log.schema)
    owners = codes[owners]
    if not rows.num_rows:
        return Segment.from_rows(pa.RecordBatch.from_pylist([], schema=log.schema), owners, n_symbols)
    batch = rows.combine_chunks().to_batches()[0]
    stamps = column(batch, "timestamp")
    order = np.lexsort((column(batch, "revision"), stamps, owners))
    stamps, owners = stamps[order], owners[order]
    latest = np.ones(len(order), dtype=bool)
    latest[:-1] = (stamps[1:] != stamps[:-1]) | (owners[1:] != owners[:-1])
    return Segment.from_rows(batch.take(pa.array(order[latest])), owners[latest], n_symbols)
