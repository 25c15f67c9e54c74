"""`to_json` of the system and its parts: everything, what changed, and what debug adds."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.session.session_data import SessionData
from mismartera.engine.session.symbol_session_data import SymbolSessionData
from mismartera.engine.system.system_manager import SystemManager
from mismartera.engine.threads.analysis_engine import AnalysisEngine
from mismartera.engine.threads.data_processor import DataProcessor
from mismartera.engine.threads.data_quality_manager import DataQualityManager
from mismartera.engine.threads.session_coordinator import SessionCoordinator
from mismartera.engine.time.time_manager import TimeManager
from mismartera.schemas.errors import UnknownNameError
from tests.golden.small import make_system, minutes, us

PARTS = [SessionData, SymbolSessionData, TimeManager, SessionCoordinator, DataProcessor, DataQualityManager]
SECTIONS = {"system_manager", "performance_metrics", "time_manager", "threads", "session_config", "session_data"}


@pytest.fixture
def system(tmp_path: Path) -> SystemManager:
    rows = minutes("A", "2024-07-01T09:30-04:00", 390) + minutes("A", "2024-07-02T09:30-04:00", 390, without=[4, 5])
    rows += minutes("B", "2024-07-02T09:30-04:00", 390)
    return make_system(tmp_path, rows, "2024-07-02", history=[("1m", 1)])


def at_steps(system: SystemManager, calls: dict[str, Any]) -> dict[str, Any]:
    """Run the system, making each call at its time of day; return what they returned."""
    wanted = {us(f"2024-07-02T{time}-04:00"): time for time in calls}
    found: dict[str, Any] = {}

    def stepped(now_us: int) -> None:
        if now_us in wanted:
            found[wanted[now_us]] = calls[wanted[now_us]]()

    system.hooks.stepped.append(stepped)
    system.run()
    return found


def apply(state: dict[str, Any], diff: dict[str, Any]) -> dict[str, Any]:
    """Apply a difference: members replaced, rows and ranges merged by their first entry."""
    for key, value in diff.items():
        if value is None:
            state.pop(key, None)
        elif isinstance(value, dict):
            state[key] = apply(state.get(key) or {}, value)
        elif key == "data":
            held = {row[0]: row for row in [*state.get(key, []), *value]}
            state[key] = [held[time] for time in sorted(held)]
            state["count"] = len(held)
        elif key == "ranges":
            ranges = {item["start_time"]: item for item in [*state.get(key, []), *value]}
            state[key] = [ranges[start] for start in sorted(ranges)]
        elif key != "count" or "data" not in diff:
            state[key] = value
    return state


def with_ranges(session: dict[str, Any]) -> dict[str, Any]:
    """Make what a difference leaves out where there is none explicit: a count of 0, no ranges."""
    session = copy.deepcopy(session)
    for part in session["symbols"].values():
        part["historical"].pop("data", None)
        for section in part["session"]["data"].values():
            section.setdefault("count", 0)
            section["gaps"].setdefault("ranges", [])
    return session


@pytest.mark.parametrize("part", [*PARTS, AnalysisEngine, SystemManager])
def test_every_part_takes_complete_and_debug(part: type) -> None:
    parameters = inspect.signature(part.to_json).parameters
    positional = [name for name, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert positional == ["self", "complete", "debug"]


def test_the_first_call_tells_everything_and_the_next_what_changed(system: SystemManager) -> None:
    told = at_steps(system, {"09:40": system.to_json, "09:41": system.to_json, "09:42": lambda: None})
    first, second = told["09:40"], told["09:41"]
    assert set(first) == {"_metadata", *SECTIONS}
    assert first["_metadata"]["mode"] == "delta"
    assert first["_metadata"]["base_sequence"] is None
    assert first["session_data"]["symbols"]["B"]["session"]["data"]["1m"]["count"] == 10
    assert set(second) == {"_metadata", "performance_metrics", "time_manager", "session_data"}
    assert second["time_manager"] == {"current_time": "2024-07-02T09:41:00-04:00"}
    assert second["session_data"] == {
        "session": {"time": "09:41:00"},
        "symbols": {
            "A": {
                "session": {
                    "volume": 900,
                    "high": 20.5,
                    "vwap": pytest.approx(15.1944444),
                    "data": {"1m": {"total_count": 9, "quality": 81.81, **rows("09:40:00", 20.0)}},
                }
            },
            "B": {
                "session": {
                    "volume": 1100,
                    "high": 20.5,
                    "vwap": pytest.approx(15.0833333),
                    "data": {"1m": {"total_count": 11, **rows("09:40:00", 20.0)}},
                }
            },
        },
    }
    paths = second["_metadata"]["changed_paths"]
    assert paths == sorted(set(paths))
    assert "/session_data/symbols/A/session/data/1m" in paths
    assert "/session_data/symbols/A/session/volume" in paths
    assert "/time_manager/current_time" in paths
    assert (second["_metadata"]["sequence"], second["_metadata"]["base_sequence"]) == (2, 1)


def rows(time: str, opened: float) -> dict[str, Any]:
    return {
        "count": 1,
        "columns": ["timestamp", "open", "high", "low", "close", "volume"],
        "data": [[time, opened, opened + 0.5, opened - 0.5, opened + 0.25, 100]],
    }


def test_nothing_new_is_an_empty_difference(system: SystemManager) -> None:
    system.run()
    system.to_json()
    again = system.to_json()
    assert set(again) == {"_metadata"}
    assert again["_metadata"]["changed_paths"] == []


@pytest.mark.parametrize("debug", [False, True])
def test_differences_applied_to_a_complete_one_give_the_next_complete_one(system: SystemManager, debug: bool) -> None:
    def take(complete: bool) -> Any:
        return lambda: system.to_json(complete, debug)

    calls = {"09:33": take(True), "09:36": take(False), "10:00": take(False), "15:59": take(False)}
    chain = list(at_steps(system, calls).values())
    chain.append(system.to_json(False, debug))
    last = system.to_json(True, debug)
    state: dict[str, Any] = copy.deepcopy(chain[0])
    for diff in chain[1:]:
        assert diff["_metadata"]["base_sequence"] == state["_metadata"]["sequence"]
        state = apply(state, diff)
    assert with_ranges(state["session_data"]) == with_ranges(last["session_data"])
    assert state["system_manager"]["_state"] == last["system_manager"]["_state"] == "STOPPED"
    assert state["performance_metrics"] == last["performance_metrics"]


def test_debug_adds_history_performance_and_queues(system: SystemManager) -> None:
    calls = {"09:40": lambda: (system.to_json(True), system.to_json(True, True)), "09:41": lambda: None}
    plain, debug = at_steps(system, calls)["09:40"]
    assert plain["session_data"]["symbols"]["A"]["historical"]["data"] == {}
    assert debug["session_data"]["symbols"]["A"]["historical"]["data"]["1m"]["count"] == 390
    assert "performance" not in plain["system_manager"]
    assert debug["system_manager"]["performance"]["memory_usage_mb"] > 0
    assert "performance" not in plain["threads"]["session_coordinator"]
    assert debug["threads"]["session_coordinator"]["queue_depth"]["1m"] == 760
    assert debug["threads"]["data_processor"]["queue_depth"] == 0
    assert "performance_metrics" in plain


def test_to_json_before_the_start_and_its_consumers(system: SystemManager) -> None:
    assert system.to_json()["system_manager"]["_state"] == "INITIALIZED"
    assert set(system.to_json()) == {"_metadata"}
    assert [consumer.name for consumer in system.list_consumers()] == ["default", "system_json"]
    assert system.to_json(debug=True)["_metadata"]["consumer"] == "system_json_debug"


def test_a_failure_keeps_what_was_told(system: SystemManager, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("not delivered")

    system.run()
    with monkeypatch.context() as patch:
        patch.setattr(system._consumers, "acknowledge", broken)
        with pytest.raises(RuntimeError, match="not delivered"):
            system.to_json()
    assert system.to_json()["session_data"]["symbols"]["B"]["session"]["data"]["1m"]["count"] == 390


def test_session_data_tells_everything_or_what_is_new_since_the_last_call(system: SystemManager) -> None:
    data = system.session_data
    symbol = data.get_symbol_data("A")
    calls = {
        "09:40": lambda: (data.to_json(), symbol.to_json()),
        "09:42": lambda: (data.to_json(False), data.get_symbol_data("A").to_json(False)),
        "09:43": lambda: (data.to_json(complete=True), symbol.to_json(complete=True)),
    }
    told = at_steps(system, calls)
    counts = {
        time: (whole["symbols"]["A"]["session"]["data"]["1m"]["count"], one["session"]["data"]["1m"]["count"])
        for time, (whole, one) in told.items()
    }
    assert counts == {"09:40": (8, 8), "09:42": (2, 2), "09:43": (11, 11)}
    with pytest.raises(UnknownNameError, match="'C' does not exist"):
        data.to_json(symbol="C")
