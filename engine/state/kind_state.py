"""`KindState`: one data type of a session at an instant, the same whether it was staged or fed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.columns.metrics import SessionMetrics
from mismartera.engine.columns.quality import quality_percent
from mismartera.engine.log.segment import Segment
from mismartera.engine.log.view import LogView, latest_revisions

from .gap_log import GapLog, GapView

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class KindColumns:
    """What of a data type does not depend on the instant: made by staging a day, or by applying batches.

    Attributes
    ----------
    kind : str
        An interval's text, ``"ticks"`` or ``"quotes"``.
    generated : bool
        Whether its rows are derived.
    grid : BucketGrid or None
        Expected buckets; None for ticks and quotes, and where no session has begun.
    gap_log : GapLog or None
        None where gaps are not searched.
    searched : bool array or None
        The symbols whose gaps are known; None for all.
    scored : bool
        Whether quality follows from the gaps.
    quality_by_hand : float64 array or None
        Quality set by hand in percent, one entry per symbol code; NaN where none was.
    metrics : callable or None
        Returns the session metrics of a view of the log; of the base interval alone.
    texts : dict
        Encoded text of these columns, made on first use and kept beside what it was made of; see
        `engine.export.document.kind_section`.
    """

    kind: str
    generated: bool = False
    grid: BucketGrid | None = None
    gap_log: GapLog | None = None
    searched: NDArray[np.bool_] | None = None
    scored: bool = False
    quality_by_hand: Floats | None = None
    metrics: Callable[[LogView], SessionMetrics] | None = None
    texts: dict[str, Any] = field(default_factory=dict)


class KindState:
    """One data type at one instant: its visible rows, gaps and figures.

    Attributes
    ----------
    columns : KindColumns
    log : LogView
        Visible rows.
    now_us : int
    """

    __slots__ = ("_current", "_gaps", "_metrics", "columns", "log", "now_us")

    def __init__(self, columns: KindColumns, log: LogView, now_us: int) -> None:
        self.columns, self.log, self.now_us = columns, log, now_us
        self._gaps: GapView | None = None
        self._metrics: SessionMetrics | None = None
        self._current: Segment | None = None

    @property
    def kind(self) -> str:
        """The interval's text, ``"ticks"`` or ``"quotes"``."""
        return self.columns.kind

    @property
    def generated(self) -> bool:
        """Whether the rows are derived."""
        return self.columns.generated

    @property
    def gaps(self) -> GapView | None:
        """The visible rows of the gap log; None where gaps are not searched."""
        if self._gaps is None and self.columns.gap_log is not None:
            self._gaps = self.columns.gap_log.at(self.now_us)
        return self._gaps

    @property
    def expected(self) -> int:
        """Bars that are due by now; 0 where no session has begun."""
        grid = self.columns.grid
        return 0 if grid is None else grid.expected_at(self.now_us)

    @property
    def gap_count(self) -> Ints:
        """Gap ranges of each symbol by now, int64; 0 where gaps are not searched."""
        return np.zeros(len(self.log.visible), dtype=np.int64) if self.gaps is None else self.gaps.gap_count

    @property
    def missing(self) -> Ints:
        """Bars each symbol misses by now, int64; 0 where gaps are not searched."""
        return np.zeros(len(self.log.visible), dtype=np.int64) if self.gaps is None else self.gaps.missing

    def quality(self) -> Floats:
        """Return the quality of each symbol in percent, float64; NaN where it is unknown or nothing is expected.

        Notes
        -----
        A quality set by hand wins, but 100 where bars are missing: that says that none is.
        """
        columns, expected = self.columns, self.expected
        if columns.scored and expected:
            quality = quality_percent(np.minimum(self.missing, expected), expected)
        else:
            quality = np.full(len(self.log.visible), np.nan)
        by_hand = columns.quality_by_hand
        if by_hand is None:
            return quality
        computed = np.isnan(by_hand) | ((by_hand == 100.0) & (self.missing > 0))
        return np.where(computed, quality, by_hand)

    def current(self) -> Segment:
        """Return the current rows of all symbols: sorted by timestamp, the latest revision of each; see `served`.

        Cost: O(visible rows), once.
        """
        if self._current is None:
            self._current = latest_revisions(self.log)
        return self._current

    def distinct(self) -> Ints:
        """Return how many distinct rows of each symbol are visible; corrections of one bar count once."""
        return self.log.visible if self.log.ordered else self.current().count

    def served(self) -> LogView:
        """Return the rows as a complete export serves them: in the order of time, one per timestamp."""
        if self.log.ordered:
            return self.log
        segment = self.current()
        return LogView((segment,), segment.count, self.log.schema)

    def metrics(self) -> SessionMetrics:
        """Return volume, high, low and vwap of each symbol by now."""
        if self._metrics is None:
            columns = self.columns
            self._metrics = columns.metrics(self.log) if columns.metrics else SessionMetrics.none(len(self.log.visible))
        return self._metrics
