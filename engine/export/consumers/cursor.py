"""`Cursor`: what one consumer has been sent, as row counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.log.view import held_offsets
from mismartera.engine.state.snapshot import Snapshot
from mismartera.schemas.errors import DataError

from .filter import ExportFilter, select

Ints = NDArray[np.int64]
_BIGGEST = 1 << 62  # beyond it no calendar can show an instant


@dataclass(frozen=True, slots=True, eq=False)
class Cursor:
    """The place up to which a consumer holds the state; the difference to a snapshot is its next delta.

    Attributes
    ----------
    epoch : int
        Epoch of the session the offsets belong to.
    now_us : int
        Instant of the snapshot it was taken from, UTC microseconds.
    history : int
        Version of the history that was sent.
    rows, gaps : mapping
        By data type: int64 array of row offsets into the log of rows, and into that of gaps, one entry per symbol
        code. Symbols that joined later are new to the consumer.

    Notes
    -----
    Plain integers: no row is kept alive by a cursor, and it can be written down and read back by another process.
    """

    epoch: int
    now_us: int
    history: int
    rows: Mapping[str, Ints] = field(default_factory=dict)
    gaps: Mapping[str, Ints] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Cursor:
        """Return the cursor of a consumer that holds all of `snapshot`. Cost: references, no rows."""
        gaps = {text: kind.gaps.visible for text, kind in snapshot.kinds.items() if kind.gaps is not None}
        rows = {text: log.visible for text, log in snapshot.logs.items()}
        return cls(snapshot.epoch, snapshot.now_us, snapshot.history.version, rows, gaps)

    def to_json(self) -> dict[str, Any]:
        """Return the cursor as plain data; see `from_json`."""
        return {
            "epoch": self.epoch,
            "now_us": self.now_us,
            "history": self.history,
            "rows": {kind: offsets.tolist() for kind, offsets in self.rows.items()},
            "gaps": {kind: offsets.tolist() for kind, offsets in self.gaps.items()},
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Cursor:
        """Return the cursor that `to_json` wrote down.

        Raises
        ------
        DataError
            If it is not one.
        """
        try:
            epoch, now_us, history = (_whole(saved[name]) for name in ("epoch", "now_us", "history"))
            rows, gaps = (
                {str(kind): np.array(list(map(_whole, values)), dtype=np.int64) for kind, values in saved[name].items()}
                for name in ("rows", "gaps")
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(
                f"not a saved cursor: expected epoch, now_us, history, rows and gaps ({type(error).__name__}: {error})"
            ) from None
        return cls(epoch, now_us, history, rows, gaps)


def _whole(value: object) -> int:
    """Return a whole number of 0 or more that an instant or an offset can be."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _BIGGEST:
        raise ValueError(f"expected whole numbers of 0 or more, got {value!r}")
    return value


def lag_rows(snapshot: Snapshot, since: Cursor | None, only: ExportFilter) -> int:
    """Return how many session rows of a consumer's part `snapshot` shows beyond its cursor."""
    if not only.passes_part("session"):
        return 0
    codes = select(snapshot.symbols, only.symbols).codes
    held = None if since is None or since.epoch != snapshot.epoch else since.rows
    return sum(
        int((log.visible[codes] - held_offsets(held, kind, log.visible)[codes]).sum())
        for kind, log in snapshot.logs.items()
        if only.passes_kind(kind)
    )
