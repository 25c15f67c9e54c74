"""Drivers: which instants a staged day has, what wakes one that waits, and a driver of another kind."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from mismartera.engine.system.system_manager import SystemManager
from mismartera.engine.threads import session_coordinator
from mismartera.engine.threads.driver import StagedDriver
from tests.golden.small import make_system, minutes, us

PATIENCE_S = 20.0


@pytest.fixture
def system(tmp_path: Path) -> SystemManager:
    rows = minutes("A", "2024-07-02T09:30-04:00", 3) + minutes("A", "2024-07-03T09:30-04:00", 2)
    return make_system(tmp_path, rows, "2024-07-02", "2024-07-03")


def clock(us_: int) -> str:
    return time.strftime("%H:%M", time.gmtime(us_ // 1_000_000 - 4 * 3600))


def test_a_staged_day_is_driven_step_by_step_up_to_until(system: SystemManager) -> None:
    system.start(until="2024-07-02T09:30")
    system.wait()
    driver = StagedDriver(system.session_data, until_us=us("2024-07-02T09:33-04:00"))
    wake, instants, last_us = threading.Event(), [], us("2024-07-02T09:30-04:00")
    while (next_us := driver.next_us(last_us, wake)) is not None:
        instants.append(clock(next_us))
        last_us = next_us
    assert instants == ["09:31", "09:32", "09:33"]
    assert driver.stops_in_session()
    whole = StagedDriver(system.session_data)
    assert whole.next_us(us("2024-07-02T16:00-04:00"), wake) is None
    assert not whole.stops_in_session()


def test_a_driver_that_waits_returns_once_it_is_woken(system: SystemManager) -> None:
    system.start(until="2024-07-02T09:30")
    system.wait()
    driver = StagedDriver(system.session_data, speed_multiplier=0.001)
    opened_us = us("2024-07-02T09:30-04:00")
    driver.resume(opened_us)
    wake, returned = threading.Event(), []
    waiting = threading.Thread(target=lambda: returned.append(driver.next_us(opened_us, wake)))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    wake.set()
    waiting.join(PATIENCE_S)
    assert returned == [None]


def test_a_slow_run_answers_between_two_steps(tmp_path: Path) -> None:
    """A pause, a joining symbol and a stop do not wait for the next step, which is a thousand minutes away."""
    rows = minutes("A", "2024-07-02T09:30-04:00", 3) + minutes("B", "2024-07-02T09:30-04:00", 3)
    system = make_system(tmp_path, rows, "2024-07-02", symbols=["A"])
    window = system.config.backtest_config
    assert window is not None
    slow = window.model_copy(update={"speed_multiplier": 0.001})
    system = SystemManager(system.config.model_copy(update={"backtest_config": slow}), system.data_manager.catalog)
    activated = threading.Event()
    system.hooks.activated.append(activated.set)
    system.start()
    assert activated.wait(PATIENCE_S)
    system.add_symbol("B")
    assert system.snapshot.symbols == ("A", "B")
    system.pause()
    system.resume()
    system.stop()
    assert system.get_backtest_summary()["steps"] == 0


def test_the_coordinator_does_not_know_which_driver_it_asks(
    system: SystemManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A feed's driver: instants arrive from another thread, which wakes it by the same event, and end when it says."""

    class Feed:
        until_us: int | None = None
        arrived: list[int]

        def __init__(self) -> None:
            self.arrived, self.over = [], False
            self.asked, self.wake = threading.Event(), threading.Event()
            self.resumed: list[str] = []

        def resume(self, at_us: int) -> None:
            self.resumed.append(clock(at_us))

        def next_us(self, after_us: int, wake: threading.Event) -> int | None:
            self.wake = wake
            self.asked.set()
            while not wake.is_set():
                later = [instant for instant in self.arrived if instant > after_us]
                if later or self.over:
                    return min(later, default=None)
                wake.wait(PATIENCE_S)
            return None

        def stops_in_session(self) -> bool:
            return False

        def put(self, moment: str) -> None:
            self.arrived.append(us(moment))
            self.wake.set()

    feed, instants, stepped = Feed(), [], threading.Event()
    build = session_coordinator.SessionCoordinator.__init__
    monkeypatch.setattr(
        session_coordinator.SessionCoordinator,
        "__init__",
        lambda self, parts, sessions, hooks, _: build(self, parts, sessions[:1], hooks, feed),
    )
    system.hooks.stepped.append(lambda us_: (instants.append(clock(us_)), stepped.set()))
    system.start()
    assert feed.asked.wait(PATIENCE_S)
    for moment in ("2024-07-02T09:31-04:00", "2024-07-02T09:32:00-04:00", "2024-07-02T11:00-04:00"):
        stepped.clear()
        feed.put(moment)
        assert stepped.wait(PATIENCE_S)
    feed.over = True
    feed.wake.set()
    assert system.wait(PATIENCE_S)
    assert instants == ["09:31", "09:32", "11:00"]
    assert feed.resumed == ["09:30"]
    assert system.snapshot.logs["1m"].visible.tolist() == [3]
    assert system.snapshot.ended
