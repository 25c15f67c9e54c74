"""Rows given to a session by hand: checked, classified and made a segment, a batch at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.buckets import session_grid
from mismartera.engine.columns.revisions import all_new, classify
from mismartera.engine.log.segment import Segment, column
from mismartera.engine.state.staging import log_bars
from mismartera.engine.time.calendar import TradingSession
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
    """

    accepted: int
    identical: int
    revised: int
    late: int
    latest_us: int


NEVER = int(np.iinfo(np.int64).min)
"""Timestamp of the last bar of a symbol that has none."""


def accept(
    bars: pa.Table,
    codes: Mapping[str, int],
    interval: Interval,
    session: TradingSession | None,
    latest: NDArray[np.int64],
    held: Callable[[], Segment | None],
) -> tuple[Segment | None, AppendResult]:
    """Check a batch of `BAR_SCHEMA` and turn what is new in it into a segment; see `SessionData.append_bars`.

    Parameters
    ----------
    bars : pyarrow.Table
    codes : mapping
    interval : Interval
    session : TradingSession or None
    latest : int64 array, one entry per symbol code
        Timestamp of each symbol's last bar, `NEVER` where it has none. Moved on in place.
    held : callable
        Returns the current rows. Asked only where a row is not after its symbol's last one, so a feed in order costs
        what is new, not what is held.
    """
    if bars.schema.names != BAR_SCHEMA.names:
        raise DataError(f"bars have columns {bars.schema.names}: expected {BAR_SCHEMA.names}")
    types = ", ".join(f"{field.name} {field.type}" for field in BAR_SCHEMA)
    if not bars.num_rows:
        return None, AppendResult(0, 0, 0, 0, 0)
    try:
        batch = bars.cast(BAR_SCHEMA).combine_chunks().to_batches()[0]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(f"bars do not fit the schema of bars ({error}): expected {types}, without nulls") from None
    row_codes = _codes_of(batch.column("symbol"), codes)
    columns = {name: column(batch, name) for name in BAR_SCHEMA.names[1:]}
    _check(batch, columns)
    late = _late(latest, columns["timestamp"], row_codes)
    if late.any():
        found = classify(held(), columns, row_codes)
        late &= found.keep & (found.revision == 0)
    else:
        found = all_new(len(late))
    np.maximum.at(latest, row_codes, columns["timestamp"])
    available = columns["timestamp"] + interval.us
    if session is not None:
        available = _cut(columns["timestamp"], available, session, interval)
    kept = int(found.keep.sum())
    revised = int((found.revision[found.keep] > 0).sum())
    newest = int(available[found.keep].max()) if kept else 0
    result = AppendResult(kept, len(found.keep) - kept, revised, int(late.sum()), newest)
    if not kept:
        return None, result
    rows = log_bars(batch.drop_columns(["symbol"]), pa.array(available).view(TIMESTAMP), pa.array(found.revision))
    if kept < len(found.keep):
        rows = rows.filter(pa.array(found.keep))
    return Segment.from_rows(rows, row_codes[found.keep], len(codes)), result


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


def _cut(
    stamps: NDArray[np.int64], ends: NDArray[np.int64], session: TradingSession, interval: Interval
) -> NDArray[np.int64]:
    """Return when each bar is known: its end, cut at the close of its trading segment."""
    grid = session_grid(session, interval, extended=True)
    buckets = np.zeros(len(stamps), dtype=np.int32) if interval.is_daily else grid.locate(stamps)
    return np.where(buckets >= 0, np.minimum(ends, grid.ends[buckets]), ends)
