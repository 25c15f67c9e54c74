"""The gap log of an interval that is fed: rows for bars that became due and are missing, and for ranges that change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mismartera.engine.columns.gaps import detect_gaps
from mismartera.engine.log.segment import Segment, column
from mismartera.engine.log.view import latest_revisions
from mismartera.engine.state.gap_log import ranges_of
from mismartera.engine.state.gap_rows import GapRows, MissingBars, changed_rows, gap_segment
from mismartera.schemas.bars import TIMESTAMP

from .fed_interval import NO_NUMBER, FedInterval

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def find_gaps(fed: FedInterval, now_us: int) -> None:
    """Add the log rows of expected bars that became due and are missing, and of ranges that were filled."""
    grid = fed.grid
    assert grid is not None
    assert fed.columns.gap_log is not None
    due, before = grid.expected_at(now_us), fed.due
    if due == before and fed.log.visible is fed.seen:
        return
    rows, places = fed.fresh()
    number = grid.number(column(rows, "timestamp")).astype(np.int64) - grid.first_expected
    filled = np.zeros(fed.n_symbols, dtype=bool)
    filled[places[(number >= 0) & (number < before)]] = True
    again = (filled | (fed.disordered & ((due > before) | (fed.log.visible > fed.seen)))) & ~fed.by_hand
    there = np.zeros((fed.n_symbols, max(due - before, 0)), dtype=bool)
    within = (number >= before) & (number < due)
    there[places[within], number[within] - before] = True
    there[again | fed.by_hand] = True
    _add_missing(fed, ~there, before)
    (codes,) = again.nonzero()
    if len(codes):
        find_again(fed, codes, due, now_us)
    fed.due, fed.seen = due, fed.log.visible


def _add_missing(fed: FedInterval, missing: Bools, before: int) -> None:
    code, number = missing.nonzero()
    if not len(code):
        return
    assert fed.grid is not None
    assert fed.columns.gap_log is not None
    number = number + before
    is_head = np.append(True, code[1:] != code[:-1])
    follows = np.append(False, number[1:] == number[:-1] + 1) & ~is_head
    follows |= is_head & (fed.last_missing[code] == number - 1)
    follows &= ~np.isin(number, fed.grid.breaks)
    places = np.arange(len(code))
    begun = np.maximum.accumulate(np.where(follows, -1, places))
    own = begun >= np.maximum.accumulate(np.where(is_head, places, 0))  # the range began among these bars
    first = np.where(own, number[begun], fed.open_first[code])
    view = fed.columns.gap_log.at(0)
    bars = MissingBars(code, number, first)
    segment = gap_segment(bars, fed.grid, fed.n_symbols, view.gap_count, view.missing)
    fed.columns = replace(fed.columns, gap_log=fed.columns.gap_log.added(segment))
    fed.last_missing[code], fed.open_first[code] = number, first  # the last of a symbol wins


def find_again(fed: FedInterval, codes: Ints, due: int, now_us: int) -> None:
    """Find the ranges of some symbols anew, and add log rows for what is different."""
    grid = fed.grid
    assert grid is not None
    assert fed.columns.gap_log is not None
    bars = latest_revisions(fed.log, codes)
    compact = Segment(bars.batch, bars.start[codes], bars.count[codes])
    ranges = detect_gaps(compact, grid, due)
    starts = grid.expected_starts
    count = len(ranges.code)
    wanted = GapRows(
        ranges.code, starts[ranges.first], starts[ranges.last], ranges.bar_count,
        np.zeros(count, dtype=np.int64), pa.nulls(count, TIMESTAMP),
    )  # fmt: skip
    view = fed.columns.gap_log.at(now_us)
    figures = view.gap_count[codes], view.missing[codes]
    rows = changed_rows(ranges_of(view, codes), wanted, codes, now_us, fed.n_symbols, figures)
    fed.columns = replace(fed.columns, gap_log=fed.columns.gap_log.added(rows))
    fed.last_missing[codes] = NO_NUMBER
    fed.last_missing[codes[ranges.code]], fed.open_first[codes[ranges.code]] = ranges.last, ranges.first
