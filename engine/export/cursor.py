"""`Cursor`: what one consumer has been sent, as row counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.state.snapshot import GapView, Snapshot
from mismartera.engine.state.staging import StagedDay
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
    day : StagedDay or None
        Whose gaps were told, up to `now_us`.
    set_gaps : mapping
        Gaps set by hand that were told.
    """

    epoch: int
    now_us: int
    n_symbols: int
    offsets: Mapping[str, Ints]
    history: int
    day: StagedDay | None = None
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
            snapshot.day,
            snapshot.set_gaps,
        )

    def gap_view(self, kind: str) -> GapView | None:
        """Return the computed gaps of an interval as they were told; None where there were none."""
        if self.day is None or kind not in self.day.gaps:
            return None
        return GapView.at(self.day.gaps[kind], self.day.grids[kind], self.now_us)


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
