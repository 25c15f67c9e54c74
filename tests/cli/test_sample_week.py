"""A week of real bars through the commands a user types: the file they came in, the sessions, the exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import run, write_config
from tests.contract import load_contract

SAMPLE = Path(__file__).resolve().parents[2] / ".." / "shared" / "samples" / "spy_2011_01" / "nt-spy-minute-2011.csv"
BEFORE = ["2011-01-03", "2011-01-04", "2011-01-05", "2011-01-06", "2011-01-07"]
WINDOW = ["2011-01-10", "2011-01-11", "2011-01-12", "2011-01-13", "2011-01-14"]

pytestmark = [
    pytest.mark.samples,
    pytest.mark.skipif(not SAMPLE.exists(), reason=f"{SAMPLE.name} is absent: no shared folder beside the checkout"),
]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample's catalog ``cat`` and the week's configuration ``s.json``."""
    folder = tmp_path_factory.mktemp("week")
    words = ("--format", "csv", "--interval", "1m", "--stamp", "end", "--tz", "UTC", "--symbol", "SPY")
    outcome = run("data", "import", SAMPLE, *words, "--catalog", folder / "cat")
    assert (outcome.code, outcome.errors) == (0, [])
    history = {"data": [{"interval": "1m", "trailing_days": 5}, {"interval": "1d", "trailing_days": 5}]}
    write_config(folder / "s.json", WINDOW[0], WINDOW[-1], ["SPY"], historical=history)
    return folder


@pytest.fixture
def folder(week: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(week)
    monkeypatch.setenv("MISMARTERA_CATALOG", "cat")
    return week


def exported(folder: Path, *words: object) -> dict[str, Any]:
    outcome = run("backtest", "run", "s.json", "--export", "out.json", *words)
    assert (outcome.code, outcome.errors) == (0, [])
    document: dict[str, Any] = json.loads((folder / "out.json").read_text())
    assert load_contract().problems(document) == []
    return document


@pytest.mark.parametrize("number", range(5))
def test_every_session_is_whole(folder: Path, number: int) -> None:
    document = exported(folder, "--until", f"{WINDOW[number]}T16:00")
    spy = document["session_data"]["symbols"]["SPY"]
    held = {kind: (part["total_count"], part["quality"]) for kind, part in spy["session"]["data"].items()}
    assert held == {"1m": (390, 100.0), "5m": (78, 100.0), "15m": (26, 100.0), "1h": (7, 100.0)}
    dates = [*BEFORE, *WINDOW][number : number + 5]
    past = spy["historical"]
    assert past["date_range"] == {"start_date": dates[0], "end_date": dates[-1], "days": 5}
    for interval, rows in (("1m", 1950), ("1d", 5)):
        kept = past["data"][interval]
        assert (kept["count"], kept["quality"], kept["gaps"]["gap_count"], kept["dates"]) == (rows, 100.0, 0, dates)
    assert past["data"]["1d"]["generated"] is True


def test_the_whole_week(folder: Path) -> None:
    summary = exported(folder)["performance_metrics"]
    assert (summary["sessions"], summary["bars"], summary["steps"]) == (5, 1950, 1950)
    assert summary["missing_bars"] == {"1m": 0, "5m": 0, "15m": 0, "1h": 0}


def test_deltas_of_the_week_replay_to_the_complete_export(folder: Path) -> None:
    words = ("--export-every", "97m", "--export-dir", "out", "--consumer", "chain")
    assert run("backtest", "run", "s.json", *words).code == 0
    contract = load_contract()
    chain = sorted((contract.load(str(path)) for path in (folder / "out").iterdir()), key=_sequence)
    assert [contract.problems(export) for export in chain] == [[]] * len(chain)
    assert [_sequence(export) for export in chain] == list(range(1, len(chain) + 1))
    assert sum(export["_metadata"]["reset"] for export in chain) == 4  # a new session four times
    held = None
    for export in chain[:-1]:
        held = contract.apply(held, export)
    assert contract.differences(held, chain[-1]) == []


def _sequence(export: dict[str, Any]) -> int:
    sequence: int = export["_metadata"]["sequence"]
    return sequence
