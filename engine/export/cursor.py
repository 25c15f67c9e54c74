"""`Cursor`: what one consumer has been sent, as row counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.state.snapshot import Snapshot

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
    """

    epoch: int
    now_us: int
    n_symbols: int
    offsets: Mapping[str, Ints]
    history: int

    @classmethod
    def of(cls, snapshot: Snapshot) -> Cursor:
        """Return the cursor of a consumer that holds all of `snapshot`. Cost: references, no rows."""
        offsets = {kind: log.visible for kind, log in snapshot.logs.items()}
        return cls(snapshot.epoch, snapshot.now_us, len(snapshot.symbols), offsets, snapshot.history.version)

    def lag_rows(self, snapshot: Snapshot) -> int:
        """Return how many session rows `snapshot` shows beyond this cursor."""
        if self.epoch != snapshot.epoch:
            return sum(log.rows for log in snapshot.logs.values())
        held = sum(int(offsets.sum()) for offsets in self.offsets.values())
        return sum(log.rows for log in snapshot.logs.values()) - held
