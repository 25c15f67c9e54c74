"""What a consumer may ask for: lists of names there are, and nothing empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.errors import DataError, StateError, UnknownNameError
from tests.golden.small import make_system, minutes


@pytest.fixture
def system(tmp_path: Path) -> SystemManager:
    rows = [
        row
        for symbol in "AB"
        for day in ("2024-07-02", "2024-07-03")
        for row in minutes(symbol, f"{day}T09:30-04:00", 5)
    ]
    return make_system(tmp_path, rows, "2024-07-03", history=[("1d", 1)])


def test_names_may_come_from_a_generator(system: SystemManager) -> None:
    system.register_consumer("g", symbols=(name for name in ["A"]), parts=iter(["session"]))  # type: ignore[arg-type]
    assert system.system_info(consumer="g")["session_data"]["_active_symbols"] == ["A"]
    system.register_consumer("g", symbols=["A"], parts=["session"])
    with pytest.raises(StateError, match="registered with another filter"):
        system.register_consumer("g", symbols=["A"])


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ({"symbols": "AAPL"}, "symbols: expected a list, such as ['AAPL']; it was 'AAPL'"),
        ({"symbols": 5}, "symbols: expected a list; it was 5"),
        ({"symbols": []}, "symbols: expected one or more, it was an empty list; leave symbols out for all there are"),
        ({"intervals": frozenset()}, "intervals: expected one or more"),
        ({"intervals": "1m"}, "intervals: expected a list, such as ['1m']"),
        ({"parts": ()}, "parts: expected one or more"),
        ({"parts": iter(())}, "parts: expected one or more"),
    ],
)
def test_what_is_no_list_of_names_is_refused(system: SystemManager, only: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        system.register_consumer("x", **only)
    assert str(caught.value).startswith(message)
    assert [info.name for info in system.list_consumers()] == ["default"]


def test_intervals_of_the_configured_history_exist_before_the_start(system: SystemManager) -> None:
    system.register_consumer("d", intervals=["1d"])
    with pytest.raises(
        UnknownNameError, match=r"interval '1h' does not exist.*\(available: 1d, 1m, 5m, quotes, ticks\)"
    ):
        system.register_consumer("h", intervals=["1h"])
    system.run()
    held = system.system_info(consumer="d")["session_data"]["symbols"]["A"]
    assert (list(held["session"]["data"]), list(held["historical"]["data"])) == ([], ["1d"])
    system.register_consumer("d", intervals=["1d"])


def test_a_history_that_is_off_has_no_intervals(tmp_path: Path) -> None:
    historical = {"enabled": False, "data": [{"interval": "1d", "trailing_days": 1}]}
    system = make_system(tmp_path, minutes("A", "2024-07-03T09:30-04:00", 5), "2024-07-03", historical=historical)
    with pytest.raises(UnknownNameError, match="interval '1d' does not exist"):
        system.register_consumer("d", intervals=["1d"])
