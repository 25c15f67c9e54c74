"""`to_json` of the system and its parts: everything, what is new, and what debug adds."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.export.reading.check import check_export
from mismartera.engine.export.reading.replay import Replay
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
SECTIONS = {"system_manager", "performance_metrics", "time_manager", "threads", "session_data"}


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


@pytest.mark.parametrize("part", [*PARTS, AnalysisEngine, SystemManager])
def test_every_part_takes_complete_and_debug(part: type) -> None:
    parameters = inspect.signature(part.to_json).parameters
    positional = [name for name, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert positional == ["self", "complete", "debug"]


def test_the_first_call_carries_everything_and_the_next_what_is_new(system: SystemManager) -> None:
    documents = at_steps(system, {"09:40": system.to_json, "09:41": system.to_json})
    first, second = documents["09:40"], documents["09:41"]
    assert set(first) == set(second) == {"_metadata", *SECTIONS}
    assert (first["_metadata"]["mode"], first["_metadata"]["base_sequence"]) == ("delta", None)
    assert (second["_metadata"]["sequence"], second["_metadata"]["base_sequence"]) == (2, 1)
    symbols = first["session_data"]["symbols"]
    assert symbols["B"]["session"]["data"]["1m"]["count"] == 10
    assert symbols["A"]["historical"]["data"]["1m"]["count"] == 390
    minute = second["session_data"]["symbols"]["B"]["session"]["data"]["1m"]
    assert (minute["count"], minute["total_count"]) == (1, 11)
    assert minute["data"] == [["09:40:00", 20.0, 20.5, 19.5, 20.25, 100]]
    assert second["_metadata"]["changed_paths"] == [
        "/session_data/symbols/A/session/data/1m",
        "/session_data/symbols/B/session/data/1m",
    ]


@pytest.mark.parametrize("debug", [False, True])
def test_deltas_applied_to_a_complete_one_give_the_next_complete_one(system: SystemManager, debug: bool) -> None:
    def take(complete: bool) -> Any:
        return lambda: system.to_json(complete, debug)

    calls = {"09:33": take(True), "09:36": take(False), "10:00": take(False), "15:59": take(False)}
    chain = [*at_steps(system, calls).values(), system.to_json(False, debug)]
    state = Replay()
    for document in chain:
        assert check_export(document) == []
        state.apply(document)
    assert state.to_json()["session_data"] == system.to_json(True, debug)["session_data"]


def test_debug_adds_performance_and_queues(system: SystemManager) -> None:
    calls = {"09:40": lambda: (system.to_json(True), system.to_json(True, True))}
    plain, debug = at_steps(system, calls)["09:40"]
    assert "performance" not in plain["system_manager"]
    assert debug["system_manager"]["performance"]["memory_usage_mb"] > 0
    assert "performance" not in plain["threads"]["session_coordinator"]
    assert debug["threads"]["session_coordinator"]["queue_depth"]["1m"] == 760
    assert debug["threads"]["data_processor"]["queue_depth"] == 0
    assert plain["session_data"] == debug["session_data"]


def test_to_json_has_a_consumer_of_its_own(system: SystemManager) -> None:
    assert [consumer.name for consumer in system.list_consumers()] == ["default"]
    assert system.to_json()["system_manager"]["_state"] == "INITIALIZED"
    assert system.to_json(debug=True)["_metadata"]["consumer"] == "system_json"
    assert [(info.name, info.sequence) for info in system.list_consumers()] == [("default", 0), ("system_json", 2)]


def test_a_call_that_fails_leaves_the_rows_for_the_next(system: SystemManager, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("not delivered")

    system.run()
    with monkeypatch.context() as patch:
        patch.setattr(system._consumers, "acknowledge", broken)
        with pytest.raises(RuntimeError, match="not delivered"):
            system.to_json()
    assert system.to_json()["session_data"]["symbols"]["B"]["session"]["data"]["1m"]["count"] == 390


def test_session_data_returns_everything_or_what_is_new_since_the_last_call(system: SystemManager) -> None:
    data = system.session_data
    symbol = data.get_symbol_data("A")
    calls = {
        "09:40": lambda: (data.to_json(), symbol.to_json()),
        "09:42": lambda: (data.to_json(False), data.get_symbol_data("A").to_json(False)),
        "09:43": lambda: (data.to_json(complete=True), symbol.to_json(complete=True)),
    }
    counts = {
        time: (whole["symbols"]["A"]["session"]["data"]["1m"]["count"], one["session"]["data"]["1m"]["count"])
        for time, (whole, one) in at_steps(system, calls).items()
    }
    assert counts == {"09:40": (8, 8), "09:42": (2, 2), "09:43": (11, 11)}
    with pytest.raises(UnknownNameError, match="'C' does not exist"):
        data.to_json(symbol="C")
    assert [consumer.name for consumer in system.list_consumers()] == ["default"]


def test_a_symbol_may_be_named_like_the_consumer_of_all() -> None:
    data = SessionData(["default", "\n"], timezone="America/New_York")
    bar = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
    data.append_bar("default", "1m", {"timestamp": us("2024-07-02T09:30-04:00"), **bar})
    assert data.to_json(False, symbol="\n")["symbols"]["\n"]["session"]["data"]["1m"]["count"] == 0
    for _ in range(2):
        assert data.to_json(symbol="default")["symbols"]["default"]["session"]["data"]["1m"]["count"] == 1
    assert data.to_json(False)["symbols"]["default"]["session"]["data"]["1m"]["count"] == 1
    assert data.to_json(False)["symbols"]["default"]["session"]["data"]["1m"]["count"] == 0
