"""Gap ranges an export carries: those that are new, changed or gone since the consumer's cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mismartera.engine.export.consumers.cursor import Cursor
from mismartera.engine.state.gap_view import GapView
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.time.clock import utc_us
from mismartera.schemas.gaps import GapInfo

from .rows import stamp_texts, style_of

Ints = NDArray[np.int64]


class GapRange(NamedTuple):
    """One range: first and last missing bar starts, UTC microseconds. No bars mean that it is there no more."""

    start_us: int
    end_us: int
    bar_count: int
    retry_count: int = 0
    last_retry_us: int | None = None


def fresh_ranges(view: GapView, told: int, n_symbols: int) -> tuple[Ints, Ints, Ints]:
    """Return symbol codes and first and last missing bars of the ranges new or changed since `told` bars were due.

    Every range of a symbol whose code is `n_symbols` or more is new: the symbol joined since.
    """
    gaps = view.columns
    shown = gaps.ends_at(view.expected)
    news = (gaps.first >= told) | (shown > gaps.ends_at(told)) | (gaps.code >= n_symbols)
    (fresh,) = ((gaps.first < view.expected) & news).nonzero()
    return gaps.code[fresh], gaps.first[fresh], shown[fresh]


def ranges_by_hand(snapshot: Snapshot, since: Cursor | None, kind: str) -> dict[int, list[GapRange]]:
    """Return what is new of the symbols whose gaps were set by hand, now or when the cursor was taken.

    Returns
    -------
    dict
        By symbol code; a range that was told and is there no more comes with no bars.
    """
    then = {} if since is None else since.set_gaps
    codes = {code for interval, code in (*snapshot.set_gaps, *then) if interval == kind}
    found = {}
    for code in codes:
        now = _ranges(snapshot.set_gaps.get((kind, code)), snapshot.gaps(kind), code, snapshot)
        view = None if since is None else since.gap_view(kind)
        told = {} if since is None else _ranges(then.get((kind, code)), view, code, snapshot)
        gone = [held._replace(bar_count=0) for start, held in told.items() if start not in now]
        found[code] = [held for start, held in now.items() if told.get(start) != held] + gone
    return found


def _ranges(
    by_hand: tuple[GapInfo, ...] | None, view: GapView | None, code: int, snapshot: Snapshot
) -> dict[int, GapRange]:
    """Return a symbol's ranges by start: those set by hand, else those computed."""
    if by_hand is not None:
        ranges = [_from_info(gap, snapshot) for gap in by_hand]
    elif view is not None and code < len(view.visible):
        ranges = [GapRange(*columns) for columns in np.stack(view.ranges(code), axis=1).tolist()]
    else:
        ranges = []
    return {held.start_us: held for held in ranges}


def _from_info(gap: GapInfo, snapshot: Snapshot) -> GapRange:
    """Return a range set by hand; moments without a zone are the exchange's."""
    zone = snapshot.timezone
    start, end, retry = (
        None if moment is None else utc_us(moment if moment.tzinfo else moment.replace(tzinfo=zone))
        for moment in (gap.start_time, gap.end_time, gap.last_retry)
    )
    assert start is not None
    assert end is not None
    return GapRange(start, end, gap.bar_count, gap.retry_count, retry)


def range_objects(ranges: Sequence[GapRange], kind: str, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return ranges as an export tells them."""
    style, zone = style_of(kind), snapshot.timezone
    starts, ends = (
        stamp_texts(np.array([held[side] for held in ranges], dtype=np.int64), style, zone) for side in (0, 1)
    )
    objects = []
    for held, start, end in zip(ranges, starts, ends, strict=True):
        told: dict[str, Any] = {"start_time": start, "end_time": end, "bar_count": held.bar_count}
        if held.retry_count:
            told["retry_count"] = held.retry_count
            retry = held.last_retry_us
            told["last_retry"] = (
                None if retry is None else stamp_texts(np.array([retry]), style_of(kind, past=True), zone)[0]
            )
        objects.append(told)
    return objects


def range_text(start: str, end: str, count: int) -> bytes:
    """Return one gap range."""
    return f'{{"start_time":"{start}","end_time":"{end}","bar_count":{count}}}'.encode()


def gap_text(count: int, missing: int, ranges: bytes) -> bytes:
    """Return the ``gaps`` member of a section."""
    return b',"gaps":{"gap_count":%d,"missing_bars":%d,"ranges":[%b]}' % (count, missing, ranges)
