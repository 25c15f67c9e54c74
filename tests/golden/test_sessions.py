"""Sessions whose bars, gaps and quality were worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mismartera.engine.columns.quality import quality_percent
from mismartera.engine.system.system_manager import SystemManager

from .small import make_system, minutes


def section(system: SystemManager, symbol: str, interval: str) -> dict[str, Any]:
    return system.session_data.get_symbol_data(symbol).to_json()["session"]["data"][interval]


def parts(system: SystemManager, symbol: str, interval: str) -> list[tuple[int, int]]:
    table = system.session_data.get_bars(symbol, interval)
    return list(zip(table["n_base"].to_pylist(), table["n_expected"].to_pylist(), strict=True))


def test_an_early_close_cuts_the_last_hour(tmp_path: Path) -> None:
    system = make_system(tmp_path, minutes("A", "2024-07-03T09:30-04:00", 210), "2024-07-03", derived=["1h"])
    system.run()
    hours = section(system, "A", "1h")
    assert hours["data"] == [
        ["09:30:00", 10.0, 69.5, 9.5, 69.25, 6000],
        ["10:30:00", 70.0, 129.5, 69.5, 129.25, 6000],
        ["11:30:00", 130.0, 189.5, 129.5, 189.25, 6000],
        ["12:30:00", 190.0, 219.5, 189.5, 219.25, 3000],
    ]
    assert parts(system, "A", "1h") == [(60, 60), (60, 60), (60, 60), (30, 30)]
    assert hours["quality"] == 100.0
    assert section(system, "A", "1m")["quality"] == 100.0
    assert system.system_info()["_metadata"]["generated_at"] == "2024-07-03T13:00:00-04:00"


def test_hours_start_again_after_the_lunch_break(tmp_path: Path) -> None:
    rows = minutes("700", "2024-12-23T09:30+08:00", 150) + minutes("700", "2024-12-23T13:00+08:00", 180)
    system = make_system(tmp_path, rows, "2024-12-23", group="HK_EQUITY", derived=["1h"])
    system.run()
    hours = section(system, "700", "1h")
    assert hours["data"] == [
        ["09:30:00", 10.0, 69.5, 9.5, 69.25, 6000],
        ["10:30:00", 70.0, 129.5, 69.5, 129.25, 6000],
        ["11:30:00", 130.0, 159.5, 129.5, 159.25, 3000],
        ["13:00:00", 10.0, 69.5, 9.5, 69.25, 6000],
        ["14:00:00", 70.0, 129.5, 69.5, 129.25, 6000],
        ["15:00:00", 130.0, 189.5, 129.5, 189.25, 6000],
    ]
    assert parts(system, "700", "1h") == [(60, 60), (60, 60), (30, 30), (60, 60), (60, 60), (60, 60)]
    assert hours["gaps"] == {"gap_count": 0, "missing_bars": 0, "ranges": []}


def test_a_symbol_of_seven_minutes(tmp_path: Path) -> None:
    rows = minutes("FULL", "2024-07-03T09:30-04:00", 210) + minutes("NEW", "2024-07-03T09:30-04:00", 7)
    system = make_system(tmp_path, rows, "2024-07-03", derived=["5m"])
    system.run()
    assert section(system, "NEW", "5m")["data"] == [
        ["09:30:00", 10.0, 14.5, 9.5, 14.25, 500],
        ["09:35:00", 15.0, 16.5, 14.5, 16.25, 200],
    ]
    assert parts(system, "NEW", "5m") == [(5, 5), (2, 5)]
    minute = section(system, "NEW", "1m")
    assert minute["gaps"] == {
        "gap_count": 1,
        "missing_bars": 203,
        "ranges": [{"start_time": "09:37:00", "end_time": "12:59:00", "bar_count": 203}],
    }
    assert minute["quality"] == 3.33  # 7 of 210
    assert section(system, "NEW", "5m")["quality"] == 4.76  # 2 of 42


def test_a_gap_never_spans_the_lunch_break(tmp_path: Path) -> None:
    rows = minutes("700", "2024-12-23T09:30+08:00", 148) + minutes("700", "2024-12-23T13:03+08:00", 177)
    system = make_system(tmp_path, rows, "2024-12-23", group="HK_EQUITY", derived=["5m"])
    system.run()
    assert section(system, "700", "1m")["gaps"] == {
        "gap_count": 2,
        "missing_bars": 5,
        "ranges": [
            {"start_time": "11:58:00", "end_time": "11:59:00", "bar_count": 2},
            {"start_time": "13:00:00", "end_time": "13:02:00", "bar_count": 3},
        ],
    }
    assert section(system, "700", "1m")["quality"] == 98.48  # 325 of 330 is 98.4848…
    assert section(system, "700", "5m")["quality"] == 100.0


def test_a_bar_knows_how_much_of_it_is_there(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-03T09:30-04:00", 210, without=[0, 16, 17, *range(30, 45), 209])
    system = make_system(tmp_path, rows, "2024-07-03", derived=["15m"])
    system.run(until="2024-07-03T10:30")
    assert parts(system, "A", "15m") == [(14, 15), (13, 15), (15, 15)]
    quarters = section(system, "A", "15m")
    assert [row[0] for row in quarters["data"]] == ["09:30:00", "09:45:00", "10:15:00"]
    assert quarters["quality"] == 75.0
    assert quarters["gaps"]["ranges"] == [{"start_time": "10:00:00", "end_time": "10:00:00", "bar_count": 1}]
    assert section(system, "A", "1m")["gaps"]["ranges"] == [
        {"start_time": "09:30:00", "end_time": "09:30:00", "bar_count": 1},
        {"start_time": "09:46:00", "end_time": "09:47:00", "bar_count": 2},
        {"start_time": "10:00:00", "end_time": "10:14:00", "bar_count": 15},
    ]


def test_a_daily_bar_of_the_session_is_no_gap(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-02T09:30-04:00", 390) + minutes("A", "2024-07-03T09:30-04:00", 210)
    system = make_system(tmp_path, rows, "2024-07-03", derived=["1d"], history=[("1d", 1)])
    system.run()
    day = section(system, "A", "1d")
    assert day["data"] == [["2024-07-03", 10.0, 219.5, 9.5, 219.25, 21000]]
    assert (day["quality"], day["gaps"]["gap_count"]) == (100.0, 0)
    past = system.session_data.to_json()["symbols"]["A"]["historical"]["data"]["1d"]
    assert past["data"] == [["2024-07-02", 10.0, 399.5, 9.5, 399.25, 39000]]
    assert (past["quality"], past["gaps"]["gap_count"]) == (100.0, 0)


def test_rows_that_belong_to_no_bar_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-03T09:30-04:00", 210)
    rows += minutes("A", "2024-07-03T08:00-04:00", 2) + minutes("A", "2024-07-03T13:00-04:00", 1)
    system = make_system(tmp_path, rows, "2024-07-03")
    system.run()
    assert system.session_data.get_bars("A", "1m").num_rows == 210
    assert system.get_backtest_summary()["rows_outside_session"] == 3


@pytest.mark.parametrize(
    ("missing", "expected", "quality"),
    [(1, 390, 99.74), (0, 390, 100.0), (390, 390, 0.0), (1, 100_000, 99.99), (1, 3, 66.66), (99_999, 100_000, 0.0)],
)
def test_quality_is_rounded_down(missing: int, expected: int, quality: float) -> None:
    assert quality_percent(np.array([missing]), expected).tolist() == [quality]


def test_quality_is_unknown_while_nothing_is_expected() -> None:
    assert np.isnan(quality_percent(np.array([0, 0]), 0)).all()
