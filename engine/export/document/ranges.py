"""The JSON text of gap ranges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import orjson
from numpy.typing import NDArray

from mismartera.engine.state.gap_rows import GapRows

Ints = NDArray[np.int64]


def range_texts(
    rows: GapRows, labels: Callable[[Ints], list[str]], moments: Callable[[Ints], list[str]]
) -> dict[int, bytes]:
    """Return the text of gap ranges, commas between, by their code.

    Parameters
    ----------
    rows : GapRows
    labels : callable
        Returns bar starts, UTC microseconds, as text.
    moments : callable
        Returns instants of retries as text.
    """
    texts: dict[int, list[str]] = defaultdict(list)
    columns = rows.code.tolist(), labels(rows.start_us), labels(rows.end_us), rows.bar_count.tolist()
    if not rows.retry_count.any():
        for code, start, end, count in zip(*columns, strict=True):
            texts[code].append(f'{{"start_time":"{start}","end_time":"{end}","bar_count":{count}}}')
    else:
        retried = rows.last_retry.is_valid().to_numpy(zero_copy_only=False)
        last = iter(moments(rows.last_retry.drop_null().view("int64").to_numpy()))
        extra = [orjson.dumps(next(last) if known else None).decode() for known in retried.tolist()]
        for code, start, end, count, retries, retry in zip(*columns, rows.retry_count.tolist(), extra, strict=True):
            more = f',"retry_count":{retries},"last_retry":{retry}' if retries else ""
            texts[code].append(f'{{"start_time":"{start}","end_time":"{end}","bar_count":{count}{more}}}')
    return {code: ",".join(parts).encode() for code, parts in texts.items()}


def gap_text(count: int, missing: int, ranges: bytes) -> bytes:
    """Return the ``gaps`` member of a section."""
    return b',"gaps":{"gap_count":%d,"missing_bars":%d,"ranges":[%b]}' % (count, missing, ranges)
