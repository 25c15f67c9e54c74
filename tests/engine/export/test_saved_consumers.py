"""A saved consumer goes on in another process that takes the same run up again; over another run it is refused."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.export.reading.loading import load_export
from mismartera.engine.export.reading.replay import replay
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.config import parse_config
from mismartera.schemas.errors import DataError, MismarteraError, StateError
from tests.engine.export import resumed_exports
from tests.engine.export.resumed_exports import CONFIG, CONSUMERS

ROOT = Path(__file__).parents[3]
RUN = "desk-42"
MOMENTS = ["2025-07-02T10:07", "2025-07-02T10:07", "2025-07-02T11:30", "2025-07-03T09:45", "2025-07-03T12:59"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    window = dt.date(2025, 6, 27), dt.date(2025, 7, 3)
    generate(Catalog(folder), CONFIG["session_data_config"]["symbols"], *window, seed=3, missing=0.05, daily=True)  # type: ignore[index]
    return folder


def run_to(catalog: Path, moment: str, run_id: str | None = RUN, **changes: Any) -> SystemManager:
    wanted = CONFIG["session_data_config"] | changes  # type: ignore[operator]
    system = SystemManager(parse_config(CONFIG | {"session_data_config": wanted}), catalog, run_id=run_id)
    system.run(moment)
    return system


@pytest.fixture
def saved(catalog: Path) -> dict[str, Any]:
    """The default consumer after an export at 10:07, as JSON carries it."""
    system = run_to(catalog, MOMENTS[0])
    system.acknowledge(system.export())
    held: dict[str, Any] = json.loads(json.dumps(system.save_consumer()))
    return held


def test_a_chain_goes_on_over_processes_that_end(catalog: Path, tmp_path: Path) -> None:
    for number, moment in enumerate(MOMENTS, start=1):
        command = [sys.executable, resumed_exports.__file__, str(catalog), str(tmp_path), RUN, moment]
        subprocess.run(command, cwd=ROOT, check=True)
        for name in CONSUMERS:
            chain = sorted((tmp_path / name).glob("0*.json"))
            assert [path.name for path in chain] == [f"{at:03}.json" for at in range(1, number + 1)]
            complete = load_export(tmp_path / name / "complete.json")
            assert replay(chain).to_json()["session_data"] == complete["session_data"]
    counts = [
        load_export(path)["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["count"]
        for path in sorted((tmp_path / "default").glob("0*.json"))
    ]
    assert counts[1] == 0 < counts[2] < 83  # nothing was new at the same instant; no row is sent twice
    resets = [load_export(path)["_metadata"]["reset"] for path in sorted((tmp_path / "panel").glob("0*.json"))]
    assert resets == [False, False, False, True, False]


def test_what_is_saved_is_plain_and_small(saved: dict[str, Any]) -> None:
    assert saved["run_id"] == RUN
    assert (saved["consumer"], saved["sequence"], saved["symbols"]) == ("default", 1, ["A", "B/C"])
    assert saved["filter"] == {"symbols": None, "intervals": None, "parts": None}
    assert saved["last_update"] == "2025-07-02T10:07:00-04:00"
    assert set(saved["cursor"]) == {"epoch", "now_us", "history", "rows", "gaps"}


def test_a_consumer_without_exports_is_saved_too(catalog: Path) -> None:
    first, second = run_to(catalog, MOMENTS[0]), run_to(catalog, MOMENTS[0])
    first.register_consumer("new", symbols=["A"], parts=["session"])
    second.load_consumer(first.save_consumer("new"))
    assert second.save_consumer("new") == first.save_consumer("new")
    assert second.export("new").to_json()["_metadata"]["base_sequence"] is None
    second.load_consumer(first.save_consumer("new"))


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"run_id": "desk-43"}, "expected a consumer of run 'desk-43', got one of run 'desk-42'"),
        ({"run_id": None}, "expected a consumer of run '[0-9a-f]{12}', got one of run 'desk-42'"),
        ({"moment": "2025-07-02T10:06"}, "expected a run that has reached 2025-07-02T10:07:00-04:00, got one at 2025"),
        ({"symbols": ["B/C", "A"]}, "expected the symbols B/C, A, got A, B/C"),
        ({"symbols": ["A"]}, "expected the symbols A, got A, B/C"),
        ({"derived_intervals": []}, r"expected at least the 14 5m rows that it was sent, got other ones \(0\)"),
    ],
)
def test_over_another_run_it_is_refused(
    catalog: Path, saved: dict[str, Any], system: dict[str, Any], message: str
) -> None:
    other = run_to(catalog, **{"moment": MOMENTS[0]} | system)
    with pytest.raises(StateError, match=f"consumer 'default' cannot be loaded: {message}") as refused:
        other.load_consumer(saved)
    assert "\n" not in str(refused.value)
    assert other.export().sequence == 1


def test_over_fewer_rows_it_is_refused(catalog: Path, saved: dict[str, Any], tmp_path: Path) -> None:
    window = dt.date(2025, 6, 27), dt.date(2025, 7, 3)
    generate(Catalog(tmp_path), ["A", "B/C"], *window, seed=4, missing=0.5, daily=True)
    other = run_to(tmp_path, MOMENTS[0])
    with pytest.raises(StateError, match=r"expected at least the [0-9]+ 1m rows that it was sent, got other ones"):
        other.load_consumer(saved)


def test_a_consumer_that_received_something_is_not_replaced(catalog: Path, saved: dict[str, Any]) -> None:
    system = run_to(catalog, MOMENTS[2])
    system.load_consumer(saved)
    with pytest.raises(StateError, match="expected one that has received nothing yet, got one that has received 1"):
        system.load_consumer(saved)
    system.reset_export()
    system.load_consumer(saved)
    assert system.export().sequence == 2
    system.register_consumer("panel", symbols=["A"])
    with pytest.raises(StateError, match="consumer 'panel' is registered with another filter"):
        system.load_consumer(saved | {"consumer": "panel"})


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": -1}, {"sequence": True}, {"sequence": 0}, {"sequence": "1"}, {"last_update": None},
        {"cursor": None}, {"cursor": []}, {"cursor": {}}, {"filter": None}, {"filter": {}}, {"symbols": "AB"},
        {"symbols": [1, 2]}, {"run_id": 7}, {"consumer": None},
        {"filter": {"symbols": "A", "intervals": None, "parts": None}},
        {"filter": {"symbols": [], "intervals": None, "parts": None}},
        {"filter": {"symbols": None, "intervals": None, "parts": ["bogus"]}},
    ],
)  # fmt: skip
def test_what_is_no_saved_consumer_is_refused(catalog: Path, saved: dict[str, Any], change: dict[str, Any]) -> None:
    system = run_to(catalog, MOMENTS[0])
    with pytest.raises(DataError, match="not a saved"):
        system.load_consumer(saved | {"symbols": saved["symbols"][:1]})
    for name, value in (("now_us", 10**30), ("epoch", 1.5), ("rows", {"1m": [1.7, 0]}), ("gaps", {"1m": [-1, 0]})):
        with pytest.raises(DataError, match=r"not a saved cursor: .*expected whole numbers of 0 or more"):
            system.load_consumer(saved | {"cursor": saved["cursor"] | {name: value}})
    for broken in (saved | change, {name: value for name, value in saved.items() if name not in change}, [], None):
        with pytest.raises(DataError, match="not a saved") as refused:
            system.load_consumer(broken)  # type: ignore[arg-type]
        assert isinstance(refused.value, MismarteraError)
    assert system.export().sequence == 1
