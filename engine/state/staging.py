"""Staging: a day of the catalog becomes segments whose rows wait, invisible, until the clock reaches them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid, session_grid
from mismartera.engine.columns.gaps import detect_gaps
from mismartera.engine.columns.metrics import RunningMetrics, SessionMetrics
from mismartera.engine.log.segment import Segment, column, merge
from mismartera.engine.log.timetable import Timetable
from mismartera.engine.log.view import LogView
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.bars import LOG_BAR_SCHEMA, TIMESTAMP
from mismartera.schemas.interval import Interval

from .gap_log import StagedGapLog
from .kind_state import KindColumns

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Dropped:
    """Rows of the catalog that were left out of a session, by reason."""

    outside_session: int = 0
    off_grid: int = 0
    duplicate: int = 0
    invalid: int = 0

    def __add__(self, other: Dropped) -> Dropped:
        return Dropped(
            self.outside_session + other.outside_session,
            self.off_grid + other.off_grid,
            self.duplicate + other.duplicate,
            self.invalid + other.invalid,
        )


@dataclass(frozen=True, slots=True, eq=False)
class StagedKind:
    """One data type of a staged day.

    Attributes
    ----------
    segment : Segment
        Its rows.
    timetable : Timetable
        The order in which they become visible.
    columns : KindColumns
    """

    segment: Segment
    timetable: Timetable
    columns: KindColumns

    @classmethod
    def of(
        cls,
        kind: str,
        segment: Segment,
        grid: BucketGrid | None = None,
        places: NDArray[np.int32] | None = None,
        *,
        generated: bool = False,
        is_base: bool = False,
    ) -> StagedKind:
        """Return the rows of one data type, staged; its gaps are not searched yet."""
        metrics = StagedMetrics(segment) if is_base else None
        columns = KindColumns(kind, generated, grid, metrics=metrics)
        return cls(segment, Timetable.of(segment, places), columns)

    def scored(self) -> StagedKind:
        """Return the same rows with their gaps found; ticks and quotes as they are."""
        grid = self.columns.grid
        if grid is None:
            return self
        ranges = detect_gaps(self.segment, grid)
        gap_log = StagedGapLog.of(ranges, grid, self.segment.n_symbols)
        return replace(self, columns=replace(self.columns, gap_log=gap_log, scored=True))


class StagedMetrics:
    """The session metrics of a staged day: running figures beside its rows, made on first use."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._running: RunningMetrics | None = None

    def __call__(self, log: LogView) -> SessionMetrics:
        """Return the metrics at the last visible rows. Cost: O(symbols), the first time of the day O(its rows)."""
        if self._running is None:
            self._running = RunningMetrics.of(self._segment)
        return self._running.at(self._segment.start, log.visible)


@dataclass(frozen=True, slots=True, eq=False)
class StagedDay:
    """A session's data in memory, none of it visible yet.

    Attributes
    ----------
    session : TradingSession
    base : str
        The streamed interval.
    kinds : dict
        By data type: ``"1m"``, ``"5m"``, …, ``"ticks"``, ``"quotes"``.
    dropped : Dropped
    """

    session: TradingSession
    base: str
    kinds: dict[str, StagedKind]
    dropped: Dropped

    def steps(self) -> Ints:
        """Return the instants the clock visits: when a base bar is due, and when any row becomes available."""
        grid = self.kinds[self.base].columns.grid
        assert grid is not None, "the base interval has buckets"
        return np.unique(np.concatenate([grid.expected_ends, *(kind.timetable.times for kind in self.kinds.values())]))

    def joined(self, other: StagedDay) -> StagedDay:
        """Return the day with the rows of `other`, of symbols that had none, as well; gaps are to be found anew."""
        kinds = {}
        for name, kind in self.kinds.items():
            segment = merge(kind.segment, other.kinds[name].segment)
            columns = kind.columns
            kinds[name] = StagedKind.of(
                name, segment, columns.grid, generated=columns.generated, is_base=name == self.base
            )
        return replace(self, kinds=kinds, dropped=self.dropped + other.dropped)

    def scored(self) -> StagedDay:
        """Return the day with the gaps of its bars found."""
        return replace(self, kinds={name: kind.scored() for name, kind in self.kinds.items()})

    @property
    def nbytes(self) -> int:
        """Bytes of the rows held."""
        return sum(kind.segment.nbytes for kind in self.kinds.values())


class _Constants:
    """One zero and one one, repeated: constant columns of all segments are views of these two buffers."""

    def __init__(self) -> None:
        self._arrays: dict[int, pa.Array] = {}

    def column(self, value: int, rows: int) -> pa.Array:
        held = self._arrays.get(value)
        if held is None or len(held) < rows:
            held = self._arrays[value] = pa.array(np.full(max(rows, 1 << 16), value, dtype=np.int32))
        return held.slice(0, rows)


_CONSTANTS = _Constants()


def log_bars(batch: pa.RecordBatch, available_at: pa.Array, revision: pa.Array | None = None) -> pa.RecordBatch:
    """Return base bars as the log holds them; the columns of `batch` are referred to, not copied."""
    ones = _CONSTANTS.column(1, batch.num_rows)
    prices = [batch.column(name) for name in ("timestamp", "open", "high", "low", "close", "volume")]
    revision = _CONSTANTS.column(0, batch.num_rows) if revision is None else revision
    return pa.RecordBatch.from_arrays([*prices, ones, ones, revision, available_at], schema=LOG_BAR_SCHEMA)


@dataclass(frozen=True, slots=True, eq=False)
class StagedBars:
    """Bars of one session: their segment, the bucket number of each row, and what was left out."""

    segment: Segment
    buckets: NDArray[np.int32]
    dropped: Dropped


def stage_bars(table: pa.Table, codes: Mapping[str, int], grid: BucketGrid) -> StagedBars:
    """Turn catalog bars of one session into a segment.

    Parameters
    ----------
    table : pyarrow.Table
        `BAR_SCHEMA`, sorted by symbol and timestamp.
    codes : mapping
        Code of each symbol wanted; rows of other symbols are ignored.
    grid : BucketGrid
        Buckets of the bars' interval in the session.

    Returns
    -------
    StagedBars
        Rows outside the grid's hours, off its starts, a second time for one bar, or whose values are no bar's are left
        out and counted. Where none is, the columns are those of `table`, not copied.
    """
    batch, start, count = _by_symbol(table, codes)
    stamps = column(batch, "timestamp")
    buckets = grid.number(stamps)
    outside = buckets < 0
    off_grid = grid.starts[buckets] != stamps
    again = _superseded(stamps, start, count)
    sound = _are_bars(batch)
    dropped = Dropped()
    if outside.any() or off_grid.any() or again.any() or not sound.all():
        off_grid &= ~outside
        again &= ~outside & ~off_grid
        keep = ~(outside | off_grid | again)
        dropped = Dropped(int(outside.sum()), int(off_grid.sum()), int(again.sum()), int((keep & ~sound).sum()))
        keep &= sound
        before = np.concatenate([[0], np.cumsum(keep)])
        start, stop = before[start], before[start + count]
        count = stop - start
        batch, buckets = batch.filter(pa.array(keep)), buckets[keep]
    available = pa.array(grid.ends[buckets]).view(TIMESTAMP)
    return StagedBars(Segment(log_bars(batch, available), start, count), buckets, dropped)


def stage_events(
    table: pa.Table, codes: Mapping[str, int], session: TradingSession, *, extended: bool
) -> tuple[Segment, Dropped]:
    """Turn catalog ticks or quotes of one session into a segment; each is available at its own instant."""
    batch, start, count = _by_symbol(table, codes)
    stamps = column(batch, "timestamp")
    grid = session_grid(session, Interval("1m"), extended=extended)
    keep = grid.locate(stamps) >= 0
    sound = _are_finite(batch)
    dropped = Dropped(outside_session=int((~keep).sum()), invalid=int((keep & ~sound).sum()))
    keep &= sound
    if not keep.all():
        before = np.concatenate([[0], np.cumsum(keep)])
        start, stop = before[start], before[start + count]
        batch, count = batch.filter(pa.array(keep)), stop - start
    names = [*batch.schema.names, "available_at"]
    return Segment(
        pa.RecordBatch.from_arrays([*batch.columns, batch.column("timestamp")], names=names), start, count
    ), dropped


def _are_bars(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """Return which rows can be bars: finite prices, none above the high or below the low, and no negative volume."""
    low, high = column(batch, "low"), column(batch, "high")
    sound: NDArray[np.bool_] = (low > -np.inf) & (high < np.inf) & (column(batch, "volume") >= 0)
    for name in ("open", "close"):
        price = column(batch, name)
        sound &= (low <= price) & (price <= high)
    return sound


def _are_finite(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """Return which rows have finite prices in all columns that hold any."""
    sound = np.ones(batch.num_rows, dtype=bool)
    for name, kind in zip(batch.schema.names, batch.schema.types, strict=True):
        if pa.types.is_floating(kind):
            sound &= np.isfinite(column(batch, name))
    return sound


def _by_symbol(table: pa.Table, codes: Mapping[str, int]) -> tuple[pa.RecordBatch, Ints, Ints]:
    """Return the rows without their symbol column, and where those of each wanted symbol lie.

    Rows of unwanted symbols are removed, so that what is held is what was asked for.
    """
    n_symbols = len(codes)
    start, count = np.zeros(n_symbols, dtype=np.int64), np.zeros(n_symbols, dtype=np.int64)
    table = table.combine_chunks()
    if not table.num_rows:
        return pa.RecordBatch.from_pylist([], schema=table.drop_columns("symbol").schema), start, count
    symbols = table.column("symbol").chunk(0)
    if pa.types.is_dictionary(symbols.type):
        numbers, names = symbols.indices.to_numpy(), symbols.dictionary
        ends = np.append(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1, len(numbers))
        names = names.take(pa.array(numbers[ends - 1])).to_pylist()
    else:
        runs = pc.run_end_encode(symbols, run_end_type=pa.int64())
        ends, names = runs.run_ends.to_numpy(), runs.values.to_pylist()
    begins = np.concatenate([[0], ends[:-1]])
    wanted = [codes.get(name, -1) for name in names]
    batch = table.drop_columns("symbol").to_batches()[0]
    if min(wanted) < 0:
        keep = np.array(wanted) >= 0
        lengths = np.where(keep, ends - begins, 0)
        batch = batch.filter(pa.array(np.repeat(keep, ends - begins)))
        ends = np.cumsum(lengths)
        begins = ends - lengths
        wanted, begins, ends = [code for code in wanted if code >= 0], begins[keep], ends[keep]
    start[wanted], count[wanted] = begins, ends - begins
    return batch, start, count


def _superseded(stamps: Ints, start: Ints, count: Ints) -> NDArray[np.bool_]:
    """Mark rows followed by another of the same symbol and time; the catalog's own files have none."""
    again = np.zeros(len(stamps), dtype=bool)
    if len(stamps) > 1:
        np.equal(stamps[1:], stamps[:-1], out=again[:-1])
        ends = (start + count)[count > 0] - 1
        again[ends] = False
    return again
