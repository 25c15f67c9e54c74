"""Buckets, derivation, gaps and metrics over literal rows."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from mismartera.engine.columns.buckets import BucketGrid, session_grid
from mismartera.engine.columns.derive import bar_batch, derive, derive_all
from mismartera.engine.columns.gaps import detect_gaps
from mismartera.engine.columns.indicators.past import Past, compute_indicator
from mismartera.engine.columns.metrics import RunningMetrics
from mismartera.engine.log.segment import Segment
from mismartera.engine.state.gap_log import StagedGapLog, ranges_of
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.indicators import INDICATOR_TYPES
from mismartera.schemas.interval import Interval

MINUTE = 60_000_000
DATE = dt.date(2024, 7, 3)
OPEN = 1_720_013_400_000_000  # 09:30 in New York
# Two segments of 10 and 7 minutes with 5 between them; 4 minutes before, 3 after.
SESSION = TradingSession(
    DATE,
    ((OPEN, OPEN + 10 * MINUTE), (OPEN + 15 * MINUTE, OPEN + 22 * MINUTE)),
    ((OPEN - 4 * MINUTE, OPEN), (OPEN + 22 * MINUTE, OPEN + 25 * MINUTE)),
    is_early_close=False,
    timezone="America/New_York",
)


def at(grid: BucketGrid, values: np.ndarray) -> list[int]:
    return [(value - OPEN) // MINUTE for value in values.tolist()]


def bars(*symbols: list[int]) -> Segment:
    """Bars of each symbol at minutes after the open; bar m has prices around 100 + m and a volume of m + 1."""
    minutes = np.array([minute for each in symbols for minute in each], dtype=np.int64)
    codes = np.array([code for code, each in enumerate(symbols) for _ in each], dtype=np.int64)
    price, ones = 100.0 + minutes, np.ones(len(minutes), np.int32)
    stamps = OPEN + minutes * MINUTE
    columns = (stamps, price, price + 2, price - 2, price + 1, minutes + 1, ones, ones, ones * 0, stamps + MINUTE)
    return Segment.from_rows(bar_batch(columns), codes, len(symbols))


def test_buckets_start_at_each_segment_and_end_at_its_close() -> None:
    grid = session_grid(SESSION, Interval("3m"))
    assert at(grid, grid.starts) == [0, 3, 6, 9, 15, 18, 21]
    assert at(grid, grid.ends) == [3, 6, 9, 10, 18, 21, 22]
    assert (grid.n_expected, grid.breaks) == (7, (4,))
    assert grid.possible(MINUTE).tolist() == [3, 3, 3, 1, 3, 3, 1]
    stamps = OPEN + np.array([-1, 0, 2, 9, 10, 14, 15, 21, 22]) * MINUTE
    assert grid.locate(stamps).tolist() == [-1, 0, 0, 3, -1, -1, 4, 6, -1]
    assert grid.locate(stamps[3:4]).tolist() == [3]


@pytest.mark.parametrize(
    ("minute", "expected"), [(-1, 0), (2, 0), (3, 1), (9, 3), (10, 4), (17, 4), (18, 5), (22, 7), (99, 7)]
)
def test_a_bar_is_expected_when_its_end_is_reached(minute: int, expected: int) -> None:
    grid = session_grid(SESSION, Interval("3m"))
    assert grid.expected_at(OPEN + minute * MINUTE) == expected
    assert grid.expected_at(OPEN + minute * MINUTE + 1) == expected


def test_extended_hours_have_buckets_and_expect_none() -> None:
    grid = session_grid(SESSION, Interval("3m"), extended=True)
    assert at(grid, grid.starts) == [-4, -1, 0, 3, 6, 9, 15, 18, 21, 22]
    assert at(grid, grid.ends) == [-1, 0, 3, 6, 9, 10, 18, 21, 22, 25]
    assert at(grid, grid.expected_starts) == [0, 3, 6, 9, 15, 18, 21]
    assert grid.expected_at(OPEN - MINUTE) == 0


def test_a_day_is_one_bucket_known_at_the_close() -> None:
    grid = session_grid(SESSION, Interval("1d"))
    assert grid.starts.tolist() == [1_719_964_800_000_000]  # 2024-07-03 00:00 UTC
    assert at(grid, grid.ends) == [22]
    assert grid.possible(MINUTE).tolist() == [17]
    assert grid.locate(OPEN + np.array([0, 12, 16]) * MINUTE).tolist() == [0, -1, 0]


def rows(segment: Segment, code: int) -> list[tuple[int, ...]]:
    batch = segment.slice(code, 0, int(segment.count[code]))
    names = ("open", "high", "low", "close", "volume", "n_base", "n_expected")
    start = (np.array(batch.column("timestamp").cast("int64")) - OPEN) // MINUTE
    return [
        tuple(int(value) for value in row)
        for row in zip(start, *(batch.column(n).to_pylist() for n in names), strict=True)
    ]


def test_derived_bars_know_what_they_are_made_of() -> None:
    derived = derive(bars([0, 1, 2, 4, 9, 15], [], [21]), session_grid(SESSION, Interval("3m")), MINUTE)
    assert rows(derived, 0) == [
        (0, 100, 104, 98, 103, 6, 3, 3),
        (3, 104, 106, 102, 105, 5, 1, 3),
        (9, 109, 111, 107, 110, 10, 1, 1),
        (15, 115, 117, 113, 116, 16, 1, 3),
    ]
    assert rows(derived, 1) == []
    assert rows(derived, 2) == [(21, 121, 123, 119, 122, 22, 1, 1)]
    assert at(session_grid(SESSION, Interval("3m")), derived.column("available_at")) == [3, 6, 10, 18, 22]


def test_rows_outside_the_buckets_are_left_out() -> None:
    derived = derive(bars([-2, 3, 12, 22], [12]), session_grid(SESSION, Interval("3m")), MINUTE)
    assert rows(derived, 0) == [(3, 103, 105, 101, 104, 4, 1, 3)]
    assert rows(derived, 1) == []


def test_nothing_derives_to_nothing() -> None:
    derived = derive(bars([], []), session_grid(SESSION, Interval("3m")), MINUTE)
    assert (derived.rows, derived.count.tolist()) == (0, [0, 0])


def test_coarser_bars_are_the_same_made_of_finer_ones() -> None:
    base = bars([0, 1, 5, 6, 7, 9, 15, 16, 20], [8], [])
    wanted = [Interval(text) for text in ("1d", "12m", "4m", "2m")]
    chained = derive_all(base, SESSION, Interval("1m"), wanted, extended=False)
    for interval in wanted:
        alone = derive(base, session_grid(SESSION, interval), MINUTE)
        for code in range(3):
            assert rows(chained[interval][0], code) == rows(alone, code)


def ranges(segment: Segment, interval: str, expected: int, code: int) -> list[tuple[int, int]]:
    found = detect_gaps(segment, session_grid(SESSION, Interval(interval)), expected)
    mine = found.code == code
    return list(zip(found.first[mine].tolist(), found.last[mine].tolist(), strict=True))


def missing(segment: Segment, grid: BucketGrid, expected: int | None = None) -> list[int]:
    found = detect_gaps(segment, grid, expected)
    return np.bincount(found.code, weights=found.bar_count, minlength=segment.n_symbols).astype(int).tolist()


def test_gaps_are_cut_at_the_break_and_grow_with_the_clock() -> None:
    segment = bars([2, 3, 7, 16, 20], [], list(range(10)) + list(range(15, 22)))
    assert ranges(segment, "1m", 17, 0) == [(0, 1), (4, 6), (8, 9), (10, 10), (12, 14), (16, 16)]
    assert ranges(segment, "1m", 6, 0) == [(0, 1), (4, 5)]
    assert ranges(segment, "1m", 4, 0) == [(0, 1)]
    assert ranges(segment, "1m", 0, 0) == []
    assert ranges(segment, "1m", 17, 1) == [(0, 9), (10, 16)]
    assert ranges(segment, "1m", 17, 2) == []
    grid = session_grid(SESSION, Interval("1m"))
    for expected, counts in ((0, [0, 0, 0]), (4, [2, 4, 0]), (6, [4, 6, 0]), (11, [8, 11, 0]), (17, [12, 17, 0])):
        assert missing(segment, grid, expected) == counts
        log = StagedGapLog.of(detect_gaps(segment, grid), grid, 3)
        assert log.at(int(grid.expected_ends[expected - 1]) if expected else 0).missing.tolist() == counts


def test_a_staged_gap_log_has_a_row_for_every_missing_bar() -> None:
    grid = session_grid(SESSION, Interval("1m"))
    log = StagedGapLog.of(detect_gaps(bars([2, 3, 7, 16, 20], list(range(9))), grid), grid, 2)
    assert log.at(OPEN).visible.tolist() == [0, 0]
    early = log.at(OPEN + 6 * MINUTE)
    assert early.visible.tolist() == [4, 0]
    assert log.at(OPEN + 6 * MINUTE + 1) is early  # nothing is due in between
    late = log.at(OPEN + 22 * MINUTE)
    assert late.visible.tolist() == [12, 8]
    fresh = ranges_of(late, np.arange(2), early.visible)
    assert fresh.bar_count.tolist() == [3, 2, 1, 3, 1, 1, 7]  # 09:34 has grown since; those before it have not
    assert ranges_of(late, np.arange(2)).bar_count.tolist() == [2, *fresh.bar_count.tolist()]


def test_rows_outside_regular_hours_fill_no_gap() -> None:
    grid = session_grid(SESSION, Interval("1m"), extended=True)
    assert missing(bars([-4, -1, 0, 23], [-3]), grid) == [16, 17]


def test_a_daily_bar_fills_its_day() -> None:
    day = session_grid(SESSION, Interval("1d"))
    assert missing(derive(bars([3], []), day, MINUTE), day) == [0, 1]


def test_running_metrics_are_those_of_every_prefix() -> None:
    segment = bars([0, 1, 2], [5])
    running = RunningMetrics.of(segment)
    first = running.at(segment.start, np.array([1, 0]))
    assert (first.volume.tolist(), first.high[0], first.low[0]) == ([1, 0], 102.0, 98.0)
    assert np.isnan([first.high[1], first.low[1], first.vwap[1]]).all()
    last = running.at(segment.start, np.array([3, 1]))
    turnover = (102.0 + 98.0 + 101.0) / 3 * 1 + (103.0 + 99.0 + 102.0) / 3 * 2 + (104.0 + 100.0 + 103.0) / 3 * 3
    assert last.vwap[0] == turnover / 6
    assert (last.volume.tolist(), last.high.tolist(), last.low.tolist()) == ([6, 6], [104.0, 107.0], [98.0, 103.0])


def test_prices_whose_sums_leave_the_doubles_have_no_vwap_and_no_warning() -> None:
    huge, ones = np.array([1e308, -1e308, 1e308]), np.ones(3, np.int32)
    stamps = OPEN + np.arange(3) * MINUTE
    columns = (stamps, huge, huge, huge, huge, np.array([5, 9, 1]), ones, ones, ones * 0, stamps + MINUTE)
    segment = Segment.from_rows(bar_batch(columns), np.zeros(3, np.int64), 1)
    for rows in (1, 2, 3):  # an infinite turnover, then the sum of two of either sign
        at = RunningMetrics.of(segment).at(segment.start, np.array([rows]))
        assert np.isnan(at.vwap[0])
        assert at.high[0] == 1e308


def test_indicators_skip_sessions_without_a_bar() -> None:
    days = [bars([0, 1], [3], []), bars([4], [], [])]
    means = compute_indicator("daily_average", Past(days, "volume", 3))
    assert means[:2].tolist() == [4.0, 4.0]  # (1 + 2 + 5) / 2 over two sessions, 4 over one
    assert np.isnan(means[2])
    assert compute_indicator("daily_average", Past(days, "open", 3))[:2].tolist() == [102.0, 103.0]
    assert compute_indicator("field_max", Past(days, "high", 3))[:2].tolist() == [106.0, 105.0]
    assert compute_indicator("field_min", Past(days, "low", 3))[:2].tolist() == [98.0, 101.0]
    assert np.isnan(compute_indicator("field_min", Past(days, "low", 3))[2])


@pytest.mark.parametrize("name", INDICATOR_TYPES)
def test_every_type_a_configuration_may_name_is_computed(name: str) -> None:
    past = Past([bars([0, 1], [3], [])], "close", 3, n_minutes=390)
    shape = (3, 390) if INDICATOR_TYPES[name].by_minute else (3,)
    assert compute_indicator(name, past).shape == shape
