"""`FedInterval`: one interval of a session that is fed: its rows, and how far each of its figures has come."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.log.gather import gather
from mismartera.engine.log.segment import Segment
from mismartera.engine.log.view import LogView, appended
from mismartera.engine.state.kind_state import KindColumns
from mismartera.schemas.bars import LOG_BAR_SCHEMA
from mismartera.schemas.interval import Interval

from .incoming import NEVER

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
NO_NUMBER = -2
_OF_NOTHING = {
    "latest": NEVER, "volumes": 0.0, "disordered": False, "by_hand": False, "consumed": 0, "seen": 0,
    "last_missing": NO_NUMBER, "open_first": 0,
}  # fmt: skip
"""What is known of a symbol without a row."""


@dataclass(slots=True)
class FedInterval:
    """One interval: its rows, and how far each of its figures has come."""

    interval: Interval
    grid: BucketGrid | None
    log: LogView
    columns: KindColumns
    latest: Ints  # timestamp of each symbol's last bar
    volumes: NDArray[np.float64]
    disordered: Bools  # symbols with late or corrected rows
    is_given: bool = False  # a derived interval whose rows are given
    closed: int = 0  # buckets derived
    consumed: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # base rows derived, by symbol
    due: int = 0  # expected bars that were looked for
    seen: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # rows that were looked at
    last_missing: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    open_first: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    by_hand: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))  # symbols whose gaps were set by hand

    @property
    def n_symbols(self) -> int:
        """Registered symbols."""
        return len(self.latest)

    def fresh(self, codes: Ints | None = None, since: Ints | None = None) -> tuple[pa.RecordBatch, Ints]:
        """Return rows past `since`, by default those not looked at yet, and the place of each one's symbol."""
        codes = np.arange(self.n_symbols) if codes is None else codes
        since = self.seen if since is None else since
        rows, places = gather(self.log.segments, codes, since[codes], self.log.visible[codes], LOG_BAR_SCHEMA)
        if not rows.num_rows:
            return pa.RecordBatch.from_pylist([], schema=LOG_BAR_SCHEMA), places
        return rows.combine_chunks().to_batches()[0], places

    def add(self, segment: Segment, *, ordered: bool) -> None:
        """Append rows to the log."""
        log = self.log
        segments = appended(log.segments, segment)
        self.log = LogView(segments, log.visible + segment.count, log.schema, log.ordered and ordered)

    def widen(self, n_symbols: int) -> None:
        """Make room for `n_symbols` codes; later codes have no rows."""
        self.log = self.log.widened(n_symbols)
        for name, value in _OF_NOTHING.items():
            setattr(self, name, padded(getattr(self, name), n_symbols, value))
        columns = self.columns
        self.columns = replace(
            columns,
            gap_log=None if columns.gap_log is None else columns.gap_log.widened(n_symbols),
            searched=padded(columns.searched, n_symbols, value=False),
            quality_by_hand=padded(columns.quality_by_hand, n_symbols, np.nan),
        )


def padded(values: NDArray[Any] | None, length: int, value: Any) -> Any:
    """Return values with `value` behind them up to a length; None stays None."""
    if values is None:
        return None
    return np.concatenate([values, np.full(length - len(values), value, dtype=values.dtype)])
