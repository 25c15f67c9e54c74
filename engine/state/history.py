"""`History`: the sessions before the current one, as the segments they were streamed in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.columns.gaps import GapRanges, detect_gaps
from mismartera.engine.columns.quality import quality_percent
from mismartera.engine.log.segment import Segment, merge
from mismartera.schemas.bars import LOG_BAR_SCHEMA, TIMESTAMP
from mismartera.schemas.interval import Interval

from .gap_rows import GapRows

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class HistoryDay:
    """One past session of one interval; `gaps` is None where quality is off."""

    date: dt.date
    segment: Segment
    grid: BucketGrid
    gaps: GapRanges | None

    def joined(self, segment: Segment) -> HistoryDay:
        """Return the day with the rows of `segment` as well, those of symbols that had none."""
        merged = merge(self.segment, segment)
        return replace(self, segment=merged, gaps=None if self.gaps is None else detect_gaps(merged, self.grid))

    def emptied(self) -> HistoryDay:
        """Return the day without its rows."""
        none = np.zeros_like(self.segment.count)
        return replace(self, segment=Segment(self.segment.batch.slice(0, 0), none, none), gaps=None)

    def widened(self, n_symbols: int) -> HistoryDay:
        """Return the day with room for `n_symbols` codes."""
        segment = self.segment.widened(n_symbols)
        return replace(self, segment=segment, gaps=None if self.gaps is None else detect_gaps(segment, self.grid))


class HistoryGaps(NamedTuple):
    """The gap ranges of all symbols over all days of an interval, the older day's first, each day's by symbol.

    Attributes
    ----------
    code, day : int64 arrays, one entry per range
        Symbol code, and number of the day within the window.
    start_us, end_us : int64 arrays
        First and last missing bar starts, UTC microseconds.
    bar_count : int64 array
    """

    code: Ints
    day: Ints
    start_us: Ints
    end_us: Ints
    bar_count: Ints

    def rows(self) -> GapRows:
        """Return the ranges as a session has them: nobody tried to fill one."""
        retries = np.zeros(len(self.code), dtype=np.int64), pa.nulls(len(self.code), TIMESTAMP)
        return GapRows(self.code, self.start_us, self.end_us, self.bar_count, *retries)


@dataclass(frozen=True, eq=False)
class HistoryInterval:
    """One interval over the trailing sessions, oldest first.

    Attributes
    ----------
    interval : Interval
    days : tuple of HistoryDay
        Every session of the window, with data or without.
    generated : bool
        Whether the bars were derived from a finer interval because the catalog has none.
    texts : dict
        Encoded text of these rows' figures, made on first use; see `engine.export.document.history_section`.
    """

    interval: Interval
    days: tuple[HistoryDay, ...]
    generated: bool
    texts: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def count(self) -> Ints:
        """Rows of each symbol over all days, int64, one entry per symbol code."""
        counted: Ints = np.add.reduce(self._counts())
        return counted

    def _counts(self) -> Ints:
        """Return the rows of each day, a line each, and symbol, a column each."""
        return np.array([day.segment.count for day in self.days])

    @cached_property
    def dates(self) -> list[tuple[dt.date, ...]]:
        """The dates each symbol has rows of, ascending, by symbol code; symbols alike share one tuple."""
        alike: dict[bytes, tuple[dt.date, ...]] = {}
        found = []
        for row in (self._counts() > 0).T:
            key = row.tobytes()
            if key not in alike:
                alike[key] = tuple(day.date for day, has_rows in zip(self.days, row.tolist(), strict=True) if has_rows)
            found.append(alike[key])
        return found

    @property
    def expected(self) -> int:
        """Bars the window's calendar expects of a symbol."""
        return sum(day.grid.n_expected for day in self.days)

    @cached_property
    def gaps(self) -> HistoryGaps | None:
        """Every gap range of the window; None where quality is off. Cost: O(ranges), once."""
        found = [day.gaps for day in self.days if day.gaps is not None]
        return self._gaps(found) if found and len(found) == len(self.days) else None

    def _gaps(self, found: list[GapRanges]) -> HistoryGaps:
        code, first, last = (
            np.concatenate([getattr(day, name) for day in found]) for name in ("code", "first", "last")
        )
        day = np.repeat(np.arange(len(found)), [len(one.first) for one in found])
        starts = np.concatenate([one.grid.expected_starts for one in self.days])
        before = np.cumsum([0] + [one.grid.n_expected for one in self.days])[day]
        return HistoryGaps(code, day, starts[first + before], starts[last + before], last - first + 1)

    @cached_property
    def missing(self) -> Ints | None:
        """Bars each symbol misses over the window, int64; None where quality is off."""
        gaps = self.gaps
        if gaps is None:
            return None
        total = np.bincount(gaps.code, weights=gaps.bar_count, minlength=self.days[0].segment.n_symbols)
        return total.astype(np.int64)

    @property
    def quality(self) -> Floats | None:
        """Quality of each symbol over the window in percent; None where quality is off."""
        return None if self.missing is None else quality_percent(self.missing, self.expected)

    def widened(self, n_symbols: int) -> HistoryInterval:
        """Return the same rows with room for `n_symbols` codes."""
        return replace(self, days=tuple(day.widened(n_symbols) for day in self.days), texts={})

    def emptied(self) -> HistoryInterval:
        """Return the same days without a row; what they lack is not searched."""
        return replace(self, days=tuple(day.emptied() for day in self.days), texts={})

    def batches(self, code: int) -> list[pa.RecordBatch]:
        """Return a symbol's rows, oldest day first, as zero-copy slices."""
        days = (day.segment for day in self.days)
        return [segment.slice(code, 0, int(segment.count[code])) for segment in days if segment.count[code]]

    def table(self, code: int) -> pa.Table:
        """Return a symbol's rows as a table over zero-copy slices."""
        return pa.Table.from_batches(self.batches(code), schema=LOG_BAR_SCHEMA)


@dataclass(frozen=True, eq=False)
class History:
    """All history of a session: intervals by text, indicators by name, and the session it belongs to.

    Attributes
    ----------
    intervals : mapping
        By interval text, ascending.
    indicators : mapping
        By name: float64 array of shape (symbols,) or (symbols, minutes); NaN where there is no value.
    loaded : bool
    version : int
        Grows with every change of the history.
    changed : int64 array, one entry per symbol code
        The version in which each symbol's history changed last.
    texts : dict
        Encoded text of what the history spans, made on first use; see `engine.export.document.history_section`.
    """

    intervals: Mapping[str, HistoryInterval] = field(default_factory=dict)
    indicators: Mapping[str, Floats] = field(default_factory=dict)
    loaded: bool = False
    version: int = 0
    changed: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    texts: dict[str, Any] = field(default_factory=dict)

    def widened(self, n_symbols: int) -> History:
        """Return the same history with room for `n_symbols` codes; later codes miss every bar and have no indicator."""
        intervals = {text: interval.widened(n_symbols) for text, interval in self.intervals.items()}
        indicators = {
            name: np.concatenate([values, np.full((n_symbols - len(values), *values.shape[1:]), np.nan)])
            for name, values in self.indicators.items()
        }
        return replace(self, intervals=intervals, indicators=indicators, texts={})

    def emptied(self) -> History:
        """Return the history without rows and values, marked as not loaded."""
        intervals = {text: interval.emptied() for text, interval in self.intervals.items()}
        indicators = {name: np.full_like(values, np.nan) for name, values in self.indicators.items()}
        return replace(self, intervals=intervals, indicators=indicators, loaded=False, texts={})

    def with_names_of(self, older: History) -> History:
        """Return the history with the indicators of `older` it lacks, without a value for any symbol."""
        gone = {
            name: np.full(len(values), np.nan)
            for name, values in older.indicators.items()
            if name not in self.indicators
        }
        return replace(self, indicators={**self.indicators, **gone})

    def joined(self, wider: History | None, n_symbols: int) -> History:
        """Return the history with one more symbol's.

        Parameters
        ----------
        wider : History or None
            The same sessions, of all symbols; None where the last one has no rows.
        n_symbols : int

        Notes
        -----
        What the symbols there were have stays as it is: indicators set by hand, and history that was dropped.
        """
        held = self.widened(n_symbols)
        if wider is None or not self.loaded:
            return held
        indicators = dict(held.indicators)
        for name, values in wider.indicators.items():
            if name in indicators and indicators[name].shape == values.shape:
                indicators[name][-1] = values[-1]
        return replace(held, intervals=wider.intervals, indicators=indicators)
