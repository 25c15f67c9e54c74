"""SystemManager: its states, its threads, where a run stops, and what it writes."""

from __future__ import annotations

import errno
import itertools
import os
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.system.system_manager import SystemManager, SystemState
from mismartera.engine.threads.session_coordinator import SessionCoordinator
from mismartera.schemas.errors import ConfigError, DataError, ExportError, StateError, UnknownNameError
from tests.golden.small import make_system, minutes

THREADS = {"SessionCoordinator", "DataProcessor", "DataQualityManager", "AnalysisEngine"}
PATIENCE_S = 20.0


def alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in THREADS]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[SystemManager]:
    rows = minutes("A", "2024-07-02T09:30-04:00", 390) + minutes("A", "2024-07-03T09:30-04:00", 210)
    made = make_system(tmp_path, rows, "2024-07-02", "2024-07-03")
    yield made
    made.stop()
    assert alive() == []


class Gate:
    """Holds the coordinator at its first step until it is opened."""

    def __init__(self, system: SystemManager) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        system.hooks.stepped.append(self._stepped)

    def _stepped(self, _: int) -> None:
        self.reached.set()
        assert self.opened.wait(PATIENCE_S)


def test_a_run_ends_stopped_and_leaves_no_thread(system: SystemManager) -> None:
    assert system.state is SystemState.INITIALIZED
    system.run()
    assert system.state is SystemState.STOPPED
    assert alive() == []
    assert system.get_backtest_summary()["sessions"] == 2


def test_a_system_starts_once(system: SystemManager) -> None:
    system.run()
    with pytest.raises(StateError, match="STOPPED: it starts once"):
        system.start()


def test_waiting_for_what_was_not_started_is_an_error(system: SystemManager) -> None:
    with pytest.raises(StateError, match="not started"):
        system.wait()


def test_four_threads_run_and_a_stop_in_the_middle_ends_them(system: SystemManager) -> None:
    gate = Gate(system)
    system.start()
    assert gate.reached.wait(PATIENCE_S)
    assert set(alive()) == THREADS
    assert system.state is SystemState.RUNNING
    stopper = threading.Thread(target=system.stop)
    stopper.start()
    gate.opened.set()
    stopper.join(PATIENCE_S)
    assert alive() == []
    assert system.state is SystemState.STOPPED
    assert system.wait()
    system.stop()
    assert system.session_data.get_bars("A", "1m").num_rows == system.get_backtest_summary()["steps"] < 600


def test_pause_holds_the_clock_and_resume_lets_it_go_on(system: SystemManager) -> None:
    gate = Gate(system)
    system.start()
    assert gate.reached.wait(PATIENCE_S)
    system.pause()
    assert system.state is SystemState.PAUSED
    gate.opened.set()
    with pytest.raises(StateError, match="PAUSED: only a running one"):
        system.pause()
    assert not system.wait(0.1)
    assert system.get_backtest_summary()["steps"] <= 2
    assert system.system_info()["system_manager"]["_state"] == "PAUSED"
    system.resume()
    with pytest.raises(StateError, match="only a paused one"):
        system.resume()
    assert system.wait()
    assert system.get_backtest_summary()["steps"] == 600


def test_a_paused_system_can_be_stopped(system: SystemManager) -> None:
    gate = Gate(system)
    system.start()
    assert gate.reached.wait(PATIENCE_S)
    system.pause()
    gate.opened.set()
    system.stop()
    assert system.state is SystemState.STOPPED
    with pytest.raises(StateError, match="STOPPED"):
        system.resume()


def test_only_what_runs_can_be_paused(system: SystemManager) -> None:
    with pytest.raises(StateError, match="INITIALIZED: only a running one"):
        system.pause()


def test_a_stop_between_clock_and_analysis_is_a_stop_and_no_failure(system: SystemManager) -> None:
    """The analysis thread may be closed just before the step it would have run."""
    reached = threading.Event()
    consume = system.session_data.consume_queue

    def consume_late(us: int) -> Any:
        snapshot = consume(us)
        reached.set()
        wait_for(lambda: system.analysis_engine.submit(lambda: None).cancelled())
        return snapshot

    system.session_data.consume_queue = consume_late  # type: ignore[method-assign]
    system.add_analysis(lambda _: None, name="nothing")
    system.start()
    assert reached.wait(PATIENCE_S)
    system.stop()
    assert system.state is SystemState.STOPPED
    assert system.wait()


def test_a_stop_before_the_first_day_is_staged_is_a_stop_and_no_failure(system: SystemManager) -> None:
    reached = threading.Event()
    load = system.session_data.load_history

    def load_late(history: Any) -> None:
        load(history)
        reached.set()
        wait_for(lambda: system._threads is not None and system._threads.processor.submit(lambda: None).cancelled())

    system.session_data.load_history = load_late  # type: ignore[method-assign]
    system.start()
    assert reached.wait(PATIENCE_S)
    system.stop()
    assert system.state is SystemState.STOPPED
    assert system.wait()


def wait_for(condition: Any) -> None:
    pause = threading.Event()
    for _ in range(2000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("never came true")


def test_a_hook_may_stop_the_run(system: SystemManager) -> None:
    system.hooks.stepped.append(lambda _: system.stop())
    system.run()
    assert system.state is SystemState.STOPPED
    assert system.get_backtest_summary()["steps"] == 1


def test_an_analysis_may_stop_the_run(system: SystemManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not wait for the coordinator, which waits for the analysis."""
    monkeypatch.setattr("mismartera.engine.system.system_manager._JOIN_S", 1.0)
    joined_by: list[str] = []
    join = SessionCoordinator.join

    def noted(thread: SessionCoordinator, timeout: float | None = None) -> None:
        joined_by.append(threading.current_thread().name)
        join(thread, timeout)

    monkeypatch.setattr(SessionCoordinator, "join", noted)
    system.add_analysis(lambda _: system.stop(), name="enough")
    system.run()
    assert system.state is SystemState.STOPPED
    assert system.get_backtest_summary()["steps"] == 1
    assert "AnalysisEngine" not in joined_by


def test_a_stop_before_the_start_is_the_end(system: SystemManager) -> None:
    system.add_analysis(lambda _: None, name="nothing")
    system.stop()
    with pytest.raises(StateError):
        system.start()


# --- analyses -----------------------------------------------------------------------------------------------------


def break_down(_: object) -> None:
    raise ZeroDivisionError("a user's mistake")


def test_an_exception_of_an_analysis_stops_the_run_with_its_own_traceback(system: SystemManager) -> None:
    system.add_analysis(break_down)
    with pytest.raises(ZeroDivisionError, match="a user's mistake") as caught:
        system.run()
    assert "break_down" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert system.state is SystemState.FAILED
    assert alive() == []
    assert system.analysis_engine.get_statistics()["break_down"]["errors"] == 1


def test_exceptions_of_an_analysis_are_counted_by_option(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-03T09:30-04:00", 210)
    system = make_system(tmp_path, rows, "2024-07-03", on_error="count")
    system.add_analysis(break_down)
    system.run()
    figures = system.analysis_engine.get_statistics()["break_down"]
    assert (figures["calls"], figures["errors"]) == (210, 210)
    assert figures["last_error"] == "ZeroDivisionError: a user's mistake"
    assert system.state is SystemState.STOPPED


def test_analyses_are_added_before_the_start(system: SystemManager) -> None:
    system.run()
    with pytest.raises(StateError, match="before start"):
        system.add_analysis(break_down)


# --- where a run stops --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "now", "rows"),
    [
        ("2024-07-02T11:30", "2024-07-02T11:30:00-04:00", 120),
        ("2024-07-02T11:30:59.5", "2024-07-02T11:30:59.500000-04:00", 120),
        ("2024-07-02T09:30", "2024-07-02T09:30:00-04:00", 0),
        ("2024-07-02T09:30:59", "2024-07-02T09:30:59-04:00", 0),
        ("2024-07-03T13:00", "2024-07-03T13:00:00-04:00", 210),
    ],
)
def test_a_run_stops_where_it_is_told_to(system: SystemManager, until: str, now: str, rows: int) -> None:
    system.run(until=until)
    exported = system.system_info()
    assert exported["_metadata"]["generated_at"] == exported["time_manager"]["current_time"] == now
    assert exported["session_data"]["session"]["date"] == until[:10]
    assert exported["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["count"] == rows


@pytest.mark.parametrize(
    ("until", "ended"),
    [("2024-07-02T10:00", 0), ("2024-07-02T16:00", 1), ("2024-07-02T20:00", 1), ("2024-07-03T10:00", 1)],
)
def test_a_session_counts_when_it_ended(system: SystemManager, until: str, ended: int) -> None:
    system.run(until)
    assert system.get_backtest_summary()["sessions"] == ended
    assert system.system_info()["performance_metrics"]["sessions"] == ended


def test_a_run_that_stops_in_the_night_shows_the_night(system: SystemManager) -> None:
    system.run(until="2024-07-02T23:00")
    exported = system.system_info()
    assert exported["_metadata"]["generated_at"] == "2024-07-02T23:00:00-04:00"
    assert exported["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["count"] == 390


def test_an_unknown_symbol_is_named_with_those_that_exist(tmp_path: Path) -> None:
    rows = minutes("RIVN", "2024-07-03T09:30-04:00", 2)
    system = make_system(tmp_path, rows, "2024-07-03", symbols=["RIVN", "RIVM"])
    with pytest.raises(
        UnknownNameError, match=r"symbol 'RIVM' does not exist; did you mean 'RIVN'\? \(available: RIVN\)"
    ):
        system.run()


@pytest.mark.parametrize("symbol", [None, 5, ["A"]])
def test_a_symbol_is_a_text(system: SystemManager, symbol: Any) -> None:
    with pytest.raises(DataError, match="is none: expected a text, such as 'AAPL'"):
        system.add_symbol(symbol)


def test_a_configuration_may_be_plain_data(system: SystemManager, tmp_path: Path) -> None:
    plain = system.config.model_dump(mode="json")
    assert SystemManager(plain, tmp_path / "catalog").config == system.config
    with pytest.raises(ConfigError, match=r"session_name: missing; .*mod: unknown field"):
        SystemManager({"mod": "live"})
    with pytest.raises(ConfigError, match="5 is not allowed; expected an object"):
        SystemManager(5)  # type: ignore[arg-type]


def test_marks_tell_streamed_generated_and_ignored(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-03T09:30-04:00", 2)
    system = make_system(tmp_path, rows, "2024-07-03", derived=["5m"])
    system.run()
    marks = system.system_info(debug=True)["threads"]["session_coordinator"]["marks"]
    assert marks == {"A": {"1m": "STREAMED", "5m": "GENERATED"}}


# --- exports ------------------------------------------------------------------------------------------------------


def sequences(system: SystemManager) -> int:
    return system.export().sequence


def test_a_status_file_has_its_name_and_is_never_overwritten(
    system: SystemManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(system.time_manager, "wall_us", lambda: 1_720_013_400_000_000)
    system.run()
    receipts = [system.export_status(), system.export_status(), system.export_status(complete=False)]
    assert [str(receipt.path) for receipt in receipts] == [
        "data/status/system_status_Small_run_complete_20240703_093000.json",
        "data/status/system_status_Small_run_complete_20240703_093000_2.json",
        "data/status/system_status_Small_run_delta_20240703_093000.json",
    ]
    assert all(receipt.path.exists() for receipt in receipts)


def test_acknowledging_out_of_order_is_refused(system: SystemManager) -> None:
    system.run()
    first, second = system.export(), system.export()
    system.acknowledge(first)
    with pytest.raises(StateError, match="export 1 of consumer 'default' cannot be acknowledged"):
        system.acknowledge(second)
    with pytest.raises(StateError):
        system.acknowledge(first)
    assert sequences(system) == 2


@pytest.mark.parametrize("suffix", ["json", "json.gz", "json.zst"])
@pytest.mark.parametrize("broken", ["replace", "link", "fsync", "write"])
def test_a_failed_export_leaves_no_file_and_the_cursor_where_it_was(
    system: SystemManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, suffix: str
) -> None:
    system.run()
    folder = tmp_path / "out"
    monkeypatch.chdir(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def cut_off(pieces: Any) -> Iterator[Any]:
        yield from itertools.islice(pieces, 3)
        full()

    with monkeypatch.context() as patch:
        if broken == "write":
            pieces = type(system.export()).pieces
            patch.setattr(type(system.export()), "pieces", lambda export: cut_off(pieces(export)))
        else:
            patch.setattr(os, broken, full)
        target = None if broken == "link" else folder / f"a.{suffix}"
        if broken != "link" or suffix == "json":
            with pytest.raises(ExportError, match="No space left"):
                system.export_status(target, complete=False)
    assert not folder.exists() or list(folder.iterdir()) == []
    assert not (tmp_path / "data" / "status").exists() or list((tmp_path / "data" / "status").iterdir()) == []
    delta = system.system_info(complete=False)
    assert (delta["_metadata"]["sequence"], delta["_metadata"]["base_sequence"]) == (1, None)
    assert delta["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["count"] == 210


def test_a_failed_export_keeps_the_file_that_was_there(
    system: SystemManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.run()
    target = tmp_path / "a.json"
    target.write_text("older")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ExportError):
        system.export_status(target)
    assert target.read_text() == "older"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.json"]


def test_the_summary_counts_what_the_snapshot_shows(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-02T09:30-04:00", 390, without=(5,)) + minutes("A", "2024-07-03T09:30-04:00", 210)
    system = make_system(tmp_path, rows, "2024-07-02", "2024-07-03")
    seen = {}

    def look(_: int) -> None:
        summary = system.get_backtest_summary()
        seen[summary["steps"]] = summary

    system.hooks.stepped.append(look)
    system.run()
    assert sorted(seen) == list(range(1, 601))
    assert [seen[step]["bars"] for step in (1, 5, 6, 7, 390, 391, 600)] == [1, 5, 5, 6, 389, 390, 599]
    assert [seen[step]["missing_bars"]["1m"] for step in (5, 6, 391)] == [0, 1, 1]
    assert [seen[step]["sessions"] for step in (390, 391)] == [0, 1]
    assert system.get_backtest_summary() | {"sessions": 1} == seen[600] | {
        name: system.get_backtest_summary()[name] for name in ("wall_seconds", "bars_per_second", "phase_seconds")
    }


def test_an_export_before_the_start_is_dated_by_the_engines_clock(tmp_path: Path) -> None:
    system = make_system(tmp_path, minutes("A", "2024-07-03T09:30-04:00", 3), "2024-07-03")
    assert system.system_info()["_metadata"]["generated_at"] == "2024-07-03T00:00:00-04:00"
