"""What a reader asks of a snapshot, one symbol at a time."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa

from mismartera.engine.log.view import latest_revisions
from mismartera.schemas.bars import LOG_BAR_SCHEMA
from mismartera.schemas.errors import UnknownNameError
from mismartera.schemas.gaps import GapInfo

from .gap_log import ranges_of
from .snapshot import Snapshot

PARTS = ("all", "session", "historical")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def symbol_bars(snapshot: Snapshot, interval: str, code: int, part: str = "all", last: int | None = None) -> pa.Table:
    """Return one symbol's visible bars of `part`, sorted by timestamp; zero-copy unless corrections must be merged.

    Parameters
    ----------
    snapshot : Snapshot
    interval : str
    code : int
    part : {"all", "session", "historical"}
    last : int, optional
        Only the last so many bars.

    Raises
    ------
    UnknownNameError
        If `part` is another.
    """
    if part not in PARTS:
        raise UnknownNameError("part", part, PARTS)
    batches: list[pa.RecordBatch] = []
    if part != "historical" and interval in snapshot.logs:
        log = snapshot.logs[interval]
        if log.ordered:
            start = 0 if last is None else max(int(log.visible[code]) - last, 0)
            batches = log.batches(code, start)
        else:
            batches = [latest_revisions(log, np.array([code])).batch]
    history = snapshot.history.intervals.get(interval)
    if part != "session" and history is not None:
        for day in reversed(history.days):
            if last is not None and sum(batch.num_rows for batch in batches) >= last:
                break
            if day.segment.count[code]:
                batches.insert(0, day.segment.slice(code, 0, int(day.segment.count[code])))
    table = pa.Table.from_batches(batches, schema=LOG_BAR_SCHEMA)
    return table if last is None else table.slice(max(table.num_rows - last, 0))


def gap_infos(snapshot: Snapshot, interval: str, code: int, part: str = "session") -> list[GapInfo]:
    """Return one symbol's gap ranges by the snapshot's instant, ascending; `part` is one of `PARTS`."""
    if part not in PARTS:
        raise UnknownNameError("part", part, PARTS)
    symbol = snapshot.symbols[code]
    zone: dt.tzinfo = dt.UTC if interval.endswith("d") else snapshot.timezone
    found: list[GapInfo] = []
    history = snapshot.history.intervals.get(interval)
    if part != "session" and history is not None and (past := history.gaps) is not None:
        mine = past.code == code
        columns = (values[mine].tolist() for values in (past.start_us, past.end_us, past.bar_count))
        found += [
            GapInfo(symbol, _moment(start, zone), _moment(end, zone), count)
            for start, end, count in zip(*columns, strict=True)
        ]
    kind = snapshot.kinds.get(interval)
    if part != "historical" and kind is not None and kind.gaps is not None:
        rows = ranges_of(kind.gaps, np.array([code]))
        columns = (values.tolist() for values in (rows.start_us, rows.end_us, rows.bar_count, rows.retry_count))
        for (start, end, count, retries), retry in zip(
            zip(*columns, strict=True), rows.last_retry.to_pylist(), strict=True
        ):
            last_retry = None if retry is None else retry.astimezone(snapshot.timezone)
            found.append(GapInfo(symbol, _moment(start, zone), _moment(end, zone), count, retries, last_retry))
    return found


def _moment(us: int, zone: dt.tzinfo) -> dt.datetime:
    return (_EPOCH + dt.timedelta(microseconds=us)).astimezone(zone)
