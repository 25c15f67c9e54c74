"""`Cursor`: what one consumer has been sent, as row counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.state.history import History
from mismartera.engine.state.snapshot import Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Cursor:
    """The place up to which a consumer holds the state; the difference to a snapshot is its next delta.

    Attributes
    ----------
    epoch : int
        Epoch of the session the offsets belong to.
    now_us : int
        Instant of the snapshot it was taken from.
    offsets : mapping
        By data type: int64 array of row offsets, one entry per symbol code.
    expected : mapping
        By interval: bars that were due, which is how far its gap ranges were told.
    history : History
        The history that was sent.
    """

    epoch: int
    now_us: int
    offsets: Mapping[str, NDArray[np.int64]]
    expected: Mapping[str, int]
    history: History

    @classmethod
    def of(cls, snapshot: Snapshot) -> Cursor:
        """Return the cursor of a consumer that holds all of `snapshot`. Cost: references, no rows."""
        return cls(
            snapshot.epoch,
            snapshot.now_us,
            {kind: log.visible for kind, log in snapshot.logs.items()},
            {interval: grid.expected_at(snapshot.now_us) for interval, grid in snapshot.grids.items()},
            snapshot.history,
        )
