"""A step costs what becomes visible, and no Python per symbol: counted, not timed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from mismartera.engine.log.timetable import Timetable
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.state.staging import StagedDay
from mismartera.engine.threads.data_processor import DataProcessor
from tests.golden.small import make_system, minutes


def staged(folder: Path, symbols: list[str], without: Any = ()) -> tuple[SessionData, StagedDay]:
    """A session with a day in memory, before its first step."""
    rows = [row for name in symbols for row in minutes(name, "2024-07-03T09:30-04:00", 20, without=without)]
    system = make_system(folder, rows, "2024-07-03", derived=["5m"])
    processor = DataProcessor(system.data_manager, system.config.session_data_config, symbols)
    day = processor.load_queue(system.time_manager.window_sessions()[0]).scored()
    data = SessionData(symbols, derived_intervals=["5m"], timezone="America/New_York")
    data.begin_session(day.session, day.session.open_us)
    data.load_queue(day)
    return data, day


def calls_of_steps(data: SessionData, steps: list[int]) -> list[int]:
    """Python and built-in calls of each step."""
    counts = []
    for us in steps:
        count = 0

        def counted(_frame: FrameType, event: str, _arg: Any) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(counted)
        try:
            data.consume_queue(us)
        finally:
            sys.setprofile(None)
        counts.append(count)
    return counts


def test_a_step_makes_as_many_calls_for_5_symbols_as_for_500(tmp_path: Path) -> None:
    few, day = staged(tmp_path / "few", [f"S{n:03}" for n in range(5)])
    many, _ = staged(tmp_path / "many", [f"S{n:03}" for n in range(500)])
    steps = day.steps().tolist()[:30]
    assert calls_of_steps(few, steps) == calls_of_steps(many, steps)
    assert few.get_bars("S004", "1m").num_rows == many.get_bars("S499", "1m").num_rows == 20


def test_a_step_touches_the_rows_that_become_visible_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, day = staged(tmp_path, ["A", "B", "C"], without=[4, 5])
    touched: list[tuple[int, int, int]] = []
    advance = Timetable.advance

    def noted(schedule: Timetable, visible: Any, start: int, stop: int) -> Any:
        touched.append((len(schedule.rows), start, stop))
        return advance(schedule, visible, start, stop)

    monkeypatch.setattr(Timetable, "advance", noted)
    per_step = []
    for us in day.steps().tolist():
        del touched[:]
        data.consume_queue(us)
        per_step.append([stop - start for _, start, stop in touched])
    assert per_step[:7] == [[3], [3], [3], [3], [3], [], [3]]
    assert per_step[20:] == [[]] * 190
    assert sum(map(sum, per_step)) == 3 * 18 + 3 * 4


def test_the_queue_is_peeked_and_consumed(tmp_path: Path) -> None:
    data, day = staged(tmp_path, ["A", "B"], without=[0])
    minute, opened = 60_000_000, day.session.open_us
    assert data.peek_queue_timestamp() == data.peek_queue_timestamp("A", "1m") == opened + 2 * minute
    assert data.peek_queue_timestamp("B", "5m") == data.peek_queue_timestamp(None, 5) == opened + 5 * minute
    assert data.get_bars("A", "1m").num_rows == 0
    snapshot = data.consume_queue(opened + 6 * minute)
    assert snapshot.logs["1m"].visible.tolist() == [5, 5]
    assert snapshot.logs["5m"].visible.tolist() == [1, 1]
    assert data.peek_queue_timestamp() == opened + 7 * minute
    data.consume_queue(day.session.close_us)
    assert data.peek_queue_timestamp() is None
    assert data.peek_queue_timestamp("A") is None
    assert np.array_equal(data.snapshot.logs["1m"].visible, [19, 19])
