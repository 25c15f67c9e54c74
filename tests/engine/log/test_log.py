"""Segments, schedules and views."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from mismartera.engine.columns.derive import bar_batch
from mismartera.engine.log.segment import Segment, merge
from mismartera.engine.log.timetable import Timetable
from mismartera.engine.log.view import LogView, appended
from mismartera.engine.session.session_data import SessionData
from mismartera.schemas.bars import BAR_SCHEMA, LOG_BAR_SCHEMA

MINUTE_US = 60_000_000


def bars(stamps: list[int], codes: list[int], n_symbols: int) -> Segment:
    rows = len(stamps)
    ones, floats = np.ones(rows, np.int32), np.arange(rows, dtype=np.float64)
    at = np.array(stamps, dtype=np.int64)
    columns = (at, floats, floats, floats, floats, np.arange(rows), ones, ones, ones * 0, at + MINUTE_US)
    return Segment.from_rows(bar_batch(columns), np.array(codes, dtype=np.int64), n_symbols)


def test_rows_of_a_symbol_lie_together_in_order_of_arrival() -> None:
    segment = bars([10, 11, 12, 13, 14], [2, 0, 2, 0, 2], 4)
    assert segment.column("timestamp").tolist() == [11, 13, 10, 12, 14]
    assert (segment.start.tolist(), segment.count.tolist()) == ([0, 2, 2, 5], [2, 0, 3, 0])
    assert segment.codes().tolist() == [0, 0, 2, 2, 2]
    assert segment.slice(2, 1, 3).column("timestamp").cast(pa.int64()).to_pylist() == [12, 14]


def test_sorted_rows_are_not_copied() -> None:
    batch = bars([1, 2, 3], [0, 0, 1], 2).batch
    again = Segment.from_rows(batch, np.array([0, 0, 1]), 2)
    assert again.batch.column("close").buffers()[1].address == batch.column("close").buffers()[1].address


def test_a_segment_wide_enough_for_new_symbols_keeps_its_rows() -> None:
    segment = bars([1, 2], [0, 1], 2)
    wide = segment.widened(4)
    assert (wide.batch, wide.count.tolist()) == (segment.batch, [1, 1, 0, 0])
    assert wide.widened(2) is wide


def test_a_merge_keeps_each_symbols_order() -> None:
    both = merge(bars([5, 6, 7], [0, 1, 0], 2), bars([1, 2, 3], [2, 0, 1], 3))
    assert both.column("timestamp").tolist() == [5, 7, 2, 6, 3, 1]
    assert both.count.tolist() == [3, 2, 1]


@pytest.mark.parametrize("batches", [1, 2, 7, 64, 300, 777])
def test_segments_stay_few_after_many_small_appends(batches: int) -> None:
    segments: tuple[Segment, ...] = ()
    for number in range(batches):
        segments = appended(segments, bars([number, number], [0, 1], 2))
        assert len(segments) <= math.log2(2 * (number + 1)) + 1
    view = LogView(segments, np.array([batches, batches]), LOG_BAR_SCHEMA)
    for code in (0, 1):
        assert view.table(code).column("timestamp").cast(pa.int64()).to_pylist() == list(range(batches))
    assert view.rows == 2 * batches


def test_a_session_fed_bar_by_bar_holds_few_segments() -> None:
    data = SessionData(["A", "B"])
    for number in range(200):
        prices = [1.0, 1.0]
        columns = [["A", "B"], [number * MINUTE_US] * 2, prices, prices, prices, prices, [1, 1]]
        data.append_bars("1m", pa.table(dict(zip(BAR_SCHEMA.names, columns, strict=True)), schema=BAR_SCHEMA))
    assert len(data.snapshot.logs["1m"].segments) <= math.log2(400) + 1


def test_a_view_reads_any_range_of_offsets() -> None:
    segments = (bars([1, 2, 9], [0, 0, 1], 2), bars([3], [0], 2), bars([4, 5], [0, 0], 2))
    view = LogView(segments, np.array([4, 1]), LOG_BAR_SCHEMA)

    def stamps(start: int, stop: int | None = None) -> list[int]:
        return view.table(0, start, stop).column("timestamp").cast(pa.int64()).to_pylist()

    assert stamps(0) == [1, 2, 3, 4]
    assert stamps(1, 3) == [2, 3]
    assert stamps(3) == [4]
    assert stamps(4) == []
    assert view.table(1).num_rows == 1


def test_a_schedule_reveals_rows_in_order_of_time_then_place() -> None:
    segment = bars([0, MINUTE_US, 0, 2 * MINUTE_US, 0], [0, 0, 1, 1, 2], 4)
    schedule = Timetable.of(segment)
    assert schedule.times.tolist() == [MINUTE_US, 2 * MINUTE_US, 3 * MINUTE_US]
    assert schedule.positions(np.array([0, MINUTE_US, MINUTE_US + 1, 10 * MINUTE_US])).tolist() == [0, 3, 3, 5]
    visible = np.zeros(4, dtype=np.int64)
    visible = schedule.advance(visible, 0, 3)
    assert visible.tolist() == [1, 1, 1, 0]
    assert schedule.advance(visible, 3, 3) is visible
    assert schedule.advance(visible, 3, 5).tolist() == [2, 2, 1, 0]
    assert visible.tolist() == [1, 1, 1, 0]


def test_instants_off_any_grid_are_ordered_too() -> None:
    stamps = [7, 3, 1_000_003, 11, 5_000_000_000_000]
    segment = bars(stamps, [0, 1, 2, 3, 4], 5)
    schedule = Timetable.of(segment)
    assert schedule.times.tolist() == [stamp + MINUTE_US for stamp in sorted(stamps)]


def test_an_empty_schedule() -> None:
    schedule = Timetable.of(bars([], [], 3))
    assert schedule.positions(np.array([5])).tolist() == [0]
