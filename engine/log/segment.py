"""`Segment`: immutable rows of many symbols, sorted by symbol, with an index of where each symbol starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def column(batch: pa.RecordBatch, name: str) -> NDArray[Any]:
    """Return a column as a NumPy view of the Arrow buffer; timestamps come as int64 microseconds. No copy is made.

    Raises
    ------
    pyarrow.ArrowInvalid
        If the column has nulls or a type without a fixed width, so that a view is impossible.
    """
    values = batch.column(name)
    if pa.types.is_timestamp(values.type):
        values = values.view(pa.int64())
    view: NDArray[Any] = values.to_numpy(zero_copy_only=True)
    return view


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Segment:
    """Rows of many symbols that never move and never change.

    Attributes
    ----------
    batch : pyarrow.RecordBatch
        The rows, those of one symbol together and in arrival order.
    start, count : int64 arrays, one entry per symbol code
        A symbol's rows are ``batch[start : start + count]``.
    texts : dict
        Encoded text of the rows by style, made on first use; see `engine.export.document.rows`.
    """

    batch: pa.RecordBatch
    start: Ints
    count: Ints
    texts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_rows(cls, batch: pa.RecordBatch, codes: NDArray[Any], n_symbols: int) -> Segment:
        """Build a segment from rows in arrival order; rows already sorted by code are not copied.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        codes : integer array, shape (rows,)
            Symbol code of each row, below `n_symbols`.
        n_symbols : int
        """
        if len(codes) > 1 and np.any(codes[1:] < codes[:-1]):
            order = np.argsort(codes, kind="stable")
            batch, codes = batch.take(pa.array(order)), codes[order]
        count = np.bincount(codes, minlength=n_symbols).astype(np.int64)
        return cls(batch, np.cumsum(count) - count, count)

    @property
    def rows(self) -> int:
        """Number of rows, of all symbols."""
        return int(self.batch.num_rows)

    @property
    def n_symbols(self) -> int:
        """Number of symbol codes the index covers."""
        return len(self.count)

    @property
    def nbytes(self) -> int:
        """Bytes the rows refer to."""
        return int(self.batch.nbytes)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of all rows as a view; see `column`."""
        return column(self.batch, name)

    def span(self, code: int) -> tuple[int, int]:
        """Return where a symbol's rows begin, and how many there are; none for a code the index does not cover."""
        return (int(self.start[code]), int(self.count[code])) if code < len(self.count) else (0, 0)

    def slice(self, code: int, start: int, stop: int) -> pa.RecordBatch:
        """Return rows ``[start, stop)`` of one symbol, counted within the segment, without a copy."""
        return self.batch.slice(int(self.start[code]) + start, stop - start)

    def codes(self) -> NDArray[np.int32]:
        """Return the symbol code of every row, int32, in the order of the rows. Cost: O(rows)."""
        order = np.argsort(self.start, kind="stable")
        order = order[self.count[order] > 0]
        return np.repeat(order.astype(np.int32), self.count[order])

    def widened(self, n_symbols: int) -> Segment:
        """Return the same rows with an index for `n_symbols` codes; later codes have no rows here."""
        missing = n_symbols - self.n_symbols
        if missing <= 0:
            return self
        pad = np.zeros(missing, dtype=np.int64)
        return Segment(self.batch, np.concatenate([self.start, pad]), np.concatenate([self.count, pad]), self.texts)


def merge(older: Segment, newer: Segment) -> Segment:
    """Return one segment with the rows of both; a symbol's older rows come first, so no row offset changes."""
    n_symbols = max(older.n_symbols, newer.n_symbols)
    if not older.rows or not newer.rows:
        return (older if older.rows else newer).widened(n_symbols)
    table = pa.Table.from_batches([older.batch, newer.batch]).combine_chunks()
    codes = np.concatenate([older.codes(), newer.codes()])
    return Segment.from_rows(table.to_batches()[0], codes, n_symbols)
