"""`Cursor`: what one consumer has been sent, as row counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.columns.gaps import GapColumns
from mismartera.engine.state.gap_view import GapView
from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.gaps import GapInfo

from .filter import ExportFilter, select

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Cursor:
    """The place up to which a consumer holds the state; the difference to a snapshot is its next delta.

    Attributes
    ----------
    epoch : int
        Epoch of the session the offsets belong to.
    now_us : int
        Instant of the snapshot it was taken from.
    n_symbols : int
        Symbols there were; a later one is new to the consumer.
    offsets : mapping
        By data type: int64 array of row offsets, one entry per symbol code.
    history : int
        Version of the history that was sent.
    gap_columns, grids : mapping
        The gaps that were told, up to `now_us`, of each bar interval. No rows are kept alive by a cursor.
    set_gaps : mapping
        Gaps set by hand that were told.
    """

    epoch: int
    now_us: int
    n_symbols: int
    offsets: Mapping[str, Ints]
    history: int
    gap_columns: Mapping[str, GapColumns] = field(default_factory=dict)
    grids: Mapping[str, BucketGrid] = field(default_factory=dict)
    set_gaps: Mapping[tuple[str, int], tuple[GapInfo, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Cursor:
        """Return the cursor of a consumer that holds all of `snapshot`. Cost: references, no rows."""
        offsets = {kind: log.visible for kind, log in snapshot.logs.items()}
        return cls(
            snapshot.epoch,
            snapshot.now_us,
            len(snapshot.symbols),
            offsets,
            snapshot.history.version,
            snapshot.gap_columns,
            snapshot.grids,
            snapshot.set_gaps,
        )

    def gap_view(self, kind: str) -> GapView | None:
        """Return the computed gaps of an interval as they were told; None where there were none."""
        if kind not in self.gap_columns:
            return None
        return GapView.at(self.gap_columns[kind], self.grids[kind], self.now_us)


def lag_rows(snapshot: Snapshot, since: Cursor | None, only: ExportFilter) -> int:
    """Return how many session rows of a consumer's part `snapshot` shows beyond its cursor."""
    if not only.passes_section("session"):
        return 0
    codes = select(snapshot.symbols, only.symbols).codes
    offsets = {} if since is None or since.epoch != snapshot.epoch else since.offsets
    lag = 0
    for kind, log in snapshot.logs.items():
        if only.passes_kind(kind):
            held = offsets.get(kind, codes[:0])
            lag += int(log.visible[codes].sum() - held[codes[codes < len(held)]].sum())
    return lag
