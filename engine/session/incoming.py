"""Rows given to a session by hand: checked, classified and made a segment, a batch at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import BucketGrid
from mismartera.engine.columns.revisions import Classified, all_new, classify
from mismartera.engine.log.segment import Segment, column
from mismartera.engine.state.staging import log_bars
from mismartera.engine.time.calendar import TradingSession
from mismartera.engine.time.clock import utc_datetime
from mismartera.schemas.bars import BAR_SCHEMA, TIMESTAMP
from mismartera.schemas.errors import DataError, UnknownNameError
from mismartera.schemas.interval import Interval


@dataclass(frozen=True, slots=True)
class AppendResult:
    """What became of a batch.

    Attributes
    ----------
    accepted : int
        Rows appended, corrections and late ones included.
    identical : int
        Rows that repeat what is held: dropped.
    revised : int
        Rows that correct one that is held: appended as its next revision.
    late : int
        Rows of a new bar before one the symbol already has.
    latest_us : int
        When the last accepted row became available, UTC microseconds; 0 where none was.
    outside_session : int
        Rows of another date than the session's, or outside its hours, extended ones included: left out.
    off_grid : int
        Rows whose timestamp starts no bar of the interval: left out. Where no session has begun, those off the
        whole seconds.
    reason : str or None
        Why the first row left out was; None where none was.
    """

    accepted: int
    identical: int
    revised: int
    late: int
    latest_us: int
    outside_session: int = 0
    off_grid: int = 0
    reason: str | None = None


NOTHING = AppendResult(0, 0, 0, 0, 0)
"""What became of a batch without rows."""

NEVER = int(np.iinfo(np.int64).min)
"""Timestamp of the last bar of a symbol that has none."""

MOST_VOLUME = 2**62
"""Shares that the bars of one symbol and interval may add up to; half of what an int64 holds."""

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """A batch that was accepted.

    Attributes
    ----------
    segment : Segment or None
        Its rows; None where there is none to append.
    result : AppendResult
    disordered : int64 array
        Codes of the symbols with late or corrected rows.
    """

    segment: Segment | None
    result: AppendResult
    disordered: NDArray[np.int64]


def accept(
    bars: pa.Table,
    codes: Mapping[str, int],
    interval: Interval,
    session: TradingSession | None,
    grid: BucketGrid | None,
    latest: NDArray[np.int64],
    volumes: NDArray[np.float64],
    current: Callable[[NDArray[np.int64]], Segment],
) -> Accepted:
    """Check a batch of `BAR_SCHEMA` and turn what is new in it into a segment; see `SessionData.append_bars`.

    Parameters
    ----------
    bars : pyarrow.Table
    codes : mapping
    interval : Interval
    session : TradingSession or None
    grid : BucketGrid or None
        The interval's buckets in the session.
    latest : int64 array, one entry per symbol code
        Timestamp of each symbol's last bar, `NEVER` where it has none. Moved on in place.
    volumes : float64 array, one entry per symbol code
        What the volumes of each symbol's accepted rows add up to. Moved on in place.
    current : callable
        Returns the current rows of some symbols, by their codes. Asked only where a row is not after its symbol's
        last one, so a feed in order costs what is new, not what is held.
    """
    none = np.zeros(0, dtype=np.int64)
    if bars.schema.names != BAR_SCHEMA.names:
        raise DataError(f"bars have columns {bars.schema.names}: expected {BAR_SCHEMA.names}")
    if not bars.num_rows:
        return Accepted(None, NOTHING, none)
    batch = _fitted(bars)
    row_codes = _codes_of(batch.column("symbol"), codes)
    columns = {name: column(batch, name) for name in BAR_SCHEMA.names[1:]}
    _check(batch, columns)
    keep, result = _set_aside(batch, columns["timestamp"], interval, session, grid)
    if not keep.all():
        if not keep.any():
            return Accepted(None, result, none)
        batch, row_codes = batch.filter(pa.array(keep)), row_codes[keep]
        columns = {name: column(batch, name) for name in BAR_SCHEMA.names[1:]}
    late = _late(latest, columns["timestamp"], row_codes)
    if late.any():
        found = classify(current(np.unique(row_codes)), columns, row_codes)
        late &= found.keep & (found.revision == 0)
    else:
        found = all_new(len(late))
    _add_volumes(volumes, row_codes[found.keep], columns["volume"][found.keep], codes)
    np.maximum.at(latest, row_codes, columns["timestamp"])
    stamps = columns["timestamp"]
    available = stamps + interval.us if grid is None else grid.ends[grid.number(stamps)]
    kept = int(found.keep.sum())
    corrections = found.keep & (found.revision > 0)
    newest = int(available[found.keep].max()) if kept else 0
    same, after = len(found.keep) - kept, int(late.sum())
    result = replace(
        result, accepted=kept, identical=same, revised=int(corrections.sum()), late=after, latest_us=newest
    )
    if not kept:
        return Accepted(None, result, none)
    disordered = np.unique(row_codes[late | corrections])
    return Accepted(_segment(batch, available, found, row_codes, len(codes)), result, disordered)


def _segment(
    batch: pa.RecordBatch, available: NDArray[np.int64], found: Classified, codes: NDArray[np.int64], n_symbols: int
) -> Segment:
    rows = log_bars(batch.drop_columns(["symbol"]), pa.array(available).view(TIMESTAMP), pa.array(found.revision))
    if not found.keep.all():
        rows = rows.filter(pa.array(found.keep))
    return Segment.from_rows(rows, codes[found.keep], n_symbols)


def _fitted(bars: pa.Table) -> pa.RecordBatch:
    types = ", ".join(f"{field.name} {field.type}" for field in BAR_SCHEMA)
    try:
        return bars.cast(BAR_SCHEMA).combine_chunks().to_batches()[0]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(f"bars do not fit the schema of bars ({error}): expected {types}, without nulls") from None


def _codes_of(symbols: pa.Array, codes: Mapping[str, int]) -> NDArray[np.int64]:
    encoded = symbols.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    unknown = [name for name in names if name not in codes]
    if unknown:
        raise UnknownNameError("symbol", unknown[0], sorted(codes))
    table = np.array([codes[name] for name in names], dtype=np.int64)
    found: NDArray[np.int64] = table[encoded.indices.to_numpy()]
    return found


def _check(batch: pa.RecordBatch, columns: dict[str, NDArray[Any]]) -> None:
    prices = np.stack([columns[name] for name in ("open", "high", "low", "close")])
    wrong = ~np.isfinite(prices).all(axis=0)
    wrong |= (prices[1] < prices.max(axis=0)) | (prices[2] > prices.min(axis=0)) | (columns["volume"] < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        values = {name: batch.column(name)[row].as_py() for name in batch.schema.names}
        moment = values.pop("timestamp")
        text = moment.isoformat() if isinstance(moment, dt.datetime) else str(moment)
        raise DataError(
            f"row {row} of the batch, {values.pop('symbol')} at {text}, is no bar: {values}; expected finite prices, "
            f"low <= open, close <= high and volume >= 0 ({int(wrong.sum())} of {len(wrong)} rows are wrong)",
            hint="nothing of the batch was appended; take the wrong rows out and append it again",
        )


def _late(latest: NDArray[np.int64], stamps: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark rows that are not after every earlier bar of their symbol, held or before them in the batch."""
    order = np.argsort(codes, kind="stable")
    sorted_codes, sorted_stamps = codes[order], stamps[order]
    known = latest[sorted_codes]
    # Moving each symbol into a range of its own makes one running maximum serve all of them.
    base = int(min(stamps.min(), known[known != NEVER].min(initial=stamps.min())))
    shift = sorted_codes * (int(max(stamps.max(), known.max())) - base + 2)
    shifted = sorted_stamps - base + 1 + shift
    passed = np.concatenate([[-1], np.maximum.accumulate(shifted)[:-1]])
    held = np.where(known == NEVER, -1, known - base + 1 + shift)
    late = np.empty(len(codes), dtype=bool)
    late[order] = shifted <= np.maximum(np.maximum(passed, held), shift)
    return late


def _set_aside(
    batch: pa.RecordBatch,
    stamps: NDArray[np.int64],
    interval: Interval,
    session: TradingSession | None,
    grid: BucketGrid | None,
) -> tuple[NDArray[np.bool_], AppendResult]:
    """Mark the rows that are bars of the session; without one, those on whole seconds. Count and tell the others."""
    if grid is None:
        outside, off_grid = np.zeros(len(stamps), dtype=bool), stamps % _SECOND_US != 0
    else:
        buckets = grid.number(stamps)
        outside = buckets < 0
        off_grid = ~outside & (grid.starts[buckets] != stamps)
    keep = ~(outside | off_grid)
    if keep.all():
        return keep, NOTHING
    row = int(np.argmin(keep))
    reason = _reason(batch, row, interval, session, grid, outside=bool(outside[row]))
    return keep, replace(NOTHING, outside_session=int(outside.sum()), off_grid=int(off_grid.sum()), reason=reason)


def _reason(
    batch: pa.RecordBatch,
    row: int,
    interval: Interval,
    session: TradingSession | None,
    grid: BucketGrid | None,
    *,
    outside: bool,
) -> str:
    """Say why a row was left out: what was expected, and what it was."""
    us = int(column(batch, "timestamp")[row])
    zone = dt.UTC if session is None or interval.is_daily else ZoneInfo(session.timezone)
    local = utc_datetime(us).astimezone(zone)
    was = f"row {row} of the batch, {batch.column('symbol')[row].as_py()} at {local.isoformat()}, was left out: "
    if session is None or grid is None:
        return was + f"expected the start of a bar of {interval}, on a whole second"
    if interval.is_daily:
        return was + f"expected the session's date at 00:00 UTC, {utc_datetime(int(grid.starts[0])).isoformat()}"
    if outside:
        hours = ", ".join(
            " to ".join(utc_datetime(int(us)).astimezone(zone).strftime("%H:%M:%S") for us in segment)
            for segment in zip(grid.opens, grid.closes, strict=True)
        )
        return was + f"expected a bar of the session of {session.date}, {hours} {session.timezone}"
    start = utc_datetime(int(grid.starts[grid.locate(np.array([us]))[0]])).astimezone(zone)
    return was + f"expected the start of a bar of {interval}, as {start:%H:%M:%S} is one"


def _add_volumes(
    volumes: NDArray[np.float64], row_codes: NDArray[np.int64], added: NDArray[np.int64], codes: Mapping[str, int]
) -> None:
    """Move the sums on, or refuse the batch where the session's volume of a symbol could leave an int64."""
    sums = volumes + np.bincount(row_codes, weights=added, minlength=len(volumes))
    code = int(np.argmax(sums))
    if sums[code] > MOST_VOLUME:
        raise DataError(
            f"the volumes of {list(codes)[code]} add up to {sums[code]:.6g}: expected at most {MOST_VOLUME} (2**62) "
            "in a session, corrections included",
            hint="nothing of the batch was appended; take the wrong rows out and append it again",
        )
    volumes[:] = sums
