from __future__ import annotations

import threading
import time

import pytest

from mismartera.engine.time import clock
from mismartera.engine.time.clock import Pacer, Stopwatch, utc_datetime, utc_us, wall_us

SECOND = 1_000_000


class FakeEvent(threading.Event):
    """An event whose waiting moves the steady clock instead of the test's."""

    def __init__(self, steady: list[float], *, set_after: int | None = None, early: float = 0.0) -> None:
        super().__init__()
        self.steady = steady
        self.waits: list[float] = []
        self.set_after = set_after
        self.early = early

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.steady[0] += timeout - self.early
        self.early = 0.0
        return self.set_after is not None and len(self.waits) >= self.set_after


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(clock, "_steady_s", lambda: now[0])
    return now


def test_the_wall_clock_is_in_microseconds() -> None:
    before = time.time_ns() // 1000
    assert before <= wall_us() <= time.time_ns() // 1000


def test_instants_convert_exactly_both_ways() -> None:
    for us in (0, 1, -1, 1_751_464_800_000_001, -2_208_988_800_000_000):
        assert utc_us(utc_datetime(us)) == us


def test_a_stopwatch_counts_seconds(steady: list[float]) -> None:
    stopwatch = Stopwatch()
    steady[0] += 1.25
    assert stopwatch.elapsed_s == 1.25


def test_speed_zero_never_waits(steady: list[float]) -> None:
    event = FakeEvent(steady)
    Pacer(0.0, 0).wait(10**15, event)
    assert event.waits == []


def test_market_time_runs_at_a_multiple_of_wall_time(steady: list[float]) -> None:
    event = FakeEvent(steady)
    pacer = Pacer(60.0, 500 * SECOND)
    pacer.wait(560 * SECOND, event)
    pacer.wait(620 * SECOND, event)
    assert event.waits == [1.0, 1.0]


def test_time_a_step_took_is_made_up_for(steady: list[float]) -> None:
    event = FakeEvent(steady)
    pacer = Pacer(60.0, 0)
    steady[0] += 1.75
    pacer.wait(60 * SECOND, event)
    pacer.wait(120 * SECOND, event)
    assert event.waits == [0.25]


def test_waking_early_waits_again(steady: list[float]) -> None:
    event = FakeEvent(steady, early=0.5)
    Pacer(1.0, 0).wait(2 * SECOND, event)
    assert event.waits == [2.0, 0.5]


def test_stop_ends_the_wait(steady: list[float]) -> None:
    event = FakeEvent(steady, set_after=1)
    Pacer(1.0, 0).wait(10**15, event)
    assert event.waits == [3600.0]


def test_rebase_forgets_a_pause_and_a_night(steady: list[float]) -> None:
    event = FakeEvent(steady)
    pacer = Pacer(1.0, 0)
    steady[0] += 500.0
    pacer.rebase(70_000 * SECOND)
    pacer.wait(70_003 * SECOND, event)
    assert event.waits == [3.0]
