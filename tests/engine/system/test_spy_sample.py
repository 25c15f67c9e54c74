"""A week of real bars, from the file they came in to the export they end in."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.importer import import_path
from mismartera.engine.data.options import ImportOptions
from mismartera.engine.system.manager import SystemManager
from mismartera.schemas.config import parse_config

SHARED = Path(__file__).resolve().parents[3] / ".." / "shared"
SAMPLE = SHARED / "samples" / "spy_2011_01" / "nt-spy-minute-2011.csv"
CONTRACT = SHARED / "contract" / "check_exports.py"
WINDOW = ["2011-01-10", "2011-01-11", "2011-01-12", "2011-01-13", "2011-01-14"]
BEFORE = ["2011-01-03", "2011-01-04", "2011-01-05", "2011-01-06", "2011-01-07"]

pytestmark = [
    pytest.mark.samples,
    pytest.mark.skipif(not SAMPLE.exists(), reason=f"{SAMPLE.name} is absent: no shared folder beside the checkout"),
]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    made = Catalog(tmp_path_factory.mktemp("spy") / "catalog")
    import_path(made, SAMPLE, ImportOptions(format="csv", interval="1m", symbol="SPY", tz="UTC", stamp="end"))
    return made


@pytest.fixture
def system(catalog: Catalog) -> SystemManager:
    history = [{"interval": "1m", "trailing_days": 5}, {"interval": "1d", "trailing_days": 5}]
    config = {
        "session_name": "SPY week",
        "backtest_config": {"start_date": WINDOW[0], "end_date": WINDOW[-1]},
        "session_data_config": {
            "symbols": ["SPY"],
            "streams": ["1m"],
            "derived_intervals": [5, 15, "1h"],
            "historical": {"data": history},
        },
    }
    return SystemManager(parse_config(config), catalog)


def contract() -> Any:
    spec = importlib.util.spec_from_file_location("check_exports", CONTRACT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_session_is_whole(system: SystemManager) -> None:
    seen: dict[str, Any] = {}

    def ended() -> None:
        data = system.session_data
        seen[str(data.snapshot.session.date)] = [  # type: ignore[union-attr]
            (data.get_bars("SPY", interval, part="session").num_rows, data.get_quality("SPY", interval))
            for interval in ("1m", "5m", "15m", "1h")
        ]

    system.hooks.ended.append(ended)
    system.run()
    whole = [(390, 100.0), (78, 100.0), (26, 100.0), (7, 100.0)]
    assert seen == dict.fromkeys(WINDOW, whole)
    summary = system.get_backtest_summary()
    assert (summary["sessions"], summary["bars"], summary["steps"]) == (5, 1950, 1950)
    assert summary["missing_bars"] == {"1m": 0, "5m": 0, "15m": 0, "1h": 0}


def test_the_export_holds_to_the_contract(system: SystemManager) -> None:
    system.run()
    checker, export = contract(), system.system_info(complete=True)
    assert checker.problems(export) == []
    past = export["session_data"]["symbols"]["SPY"]["historical"]
    dates = [*BEFORE, *WINDOW][4:9]
    assert past["date_range"] == {"start_date": dates[0], "end_date": dates[-1], "days": 5}
    for interval, rows in (("1m", 1950), ("1d", 5)):
        held = past["data"][interval]
        assert (held["count"], held["quality"], held["gaps"]["gap_count"], held["dates"]) == (rows, 100.0, 0, dates)
    assert past["data"]["1d"]["generated"] is True


def test_deltas_of_the_week_replay_to_the_complete_export(system: SystemManager) -> None:
    checker = contract()
    system.register_consumer("chain")
    held: Any = None

    def stepped(now_us: int) -> None:
        nonlocal held
        if now_us // 60_000_000 % 97 == 0:
            delta = system.system_info(complete=False, consumer="chain")
            assert checker.problems(delta) == []
            held = checker.apply(held, delta)

    system.hooks.stepped.append(stepped)
    system.run()
    held = checker.apply(held, system.system_info(complete=False, consumer="chain"))
    assert checker.differences(held, system.system_info(complete=True)) == []
