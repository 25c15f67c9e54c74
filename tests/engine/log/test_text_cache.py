"""The cache of row text forgets segments that are gone, in a long run too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mismartera.engine.log.segment import Segment
from mismartera.engine.log.text_cache import TextCache


@dataclass
class Text:
    nbytes: int


def segment() -> Segment:
    none = np.zeros(1, dtype=np.int64)
    return Segment(pa.RecordBatch.from_pylist([{"a": 1}]), none, none)


def test_a_long_run_does_not_grow_it() -> None:
    cache = TextCache()
    for _ in range(1000):
        cache.put(segment(), "time", Text(10))
    assert len(cache._held) <= 200
    kept = segment()
    cache.put(kept, "time", Text(7))
    assert cache.nbytes() == 7


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = TextCache(25)
    first, second, third = segment(), segment(), segment()
    for held in (first, second):
        cache.put(held, "time", Text(10))
    cache.get(first, "time", lambda: Text(99))
    cache.put(third, "time", Text(10))
    assert ["time" in held.texts for held in (first, second, third)] == [True, False, True]
    assert cache.nbytes() == 20
