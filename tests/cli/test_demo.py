"""`mismartera demo`, and the command it tells one to type next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import content, run
from tests.contract import load_contract


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MISMARTERA_CATALOG", raising=False)
    return tmp_path


def test_the_demo_leaves_a_catalog_a_configuration_and_a_whole_export(folder: Path) -> None:
    outcome = run("demo", "--dir", "here")
    assert (outcome.code, outcome.errors) == (0, [])
    assert "Demo: STOPPED" in outcome.out
    assert sorted(path.name for path in folder.iterdir()) == ["here"]
    assert sorted(path.name for path in (folder / "here").iterdir()) == ["catalog", "session.json", "state.json"]
    export = json.loads((folder / "here" / "state.json").read_text())
    assert load_contract().problems(export) == []
    assert export["_metadata"]["generated_at"] == "2025-07-03T13:00:00-04:00"
    assert list(export["session_data"]["symbols"]) == ["AAPL", "BRK.B", "MSFT", "RIVN"]
    for part in export["session_data"]["symbols"].values():
        told = {
            kind: (held["total_count"], held["gaps"]["missing_bars"]) for kind, held in part["session"]["data"].items()
        }
        assert {kind: sum(counts) for kind, counts in told.items()} == {"1m": 210, "5m": 42, "15m": 14, "1h": 4}
        assert {"1m", "1d", "avg_volume_2d", "high_5d"} <= {*part["historical"], *part["historical"]["data"]}
    assert run("config", "validate", "here/session.json").code == 0
    assert run("data", "verify", "--catalog", "here/catalog").code == 0


def test_the_demo_may_be_repeated(folder: Path) -> None:
    assert run("demo").code == 0
    before = content(folder / "data" / "demo" / "catalog")
    assert run("demo").code == 0
    assert content(folder / "data" / "demo" / "catalog") == before


def test_the_state_at_half_past_eleven(folder: Path) -> None:
    told = run("demo").out.splitlines()
    command = next(line.split() for line in told if line.startswith("  mismartera backtest run"))
    outcome = run(*command[1:])
    assert (outcome.code, outcome.errors) == (0, [])
    export = json.loads((folder / "data" / "demo" / "1130.json").read_text())
    assert load_contract().problems(export) == []
    assert export["_metadata"]["generated_at"] == "2025-07-02T11:30:00-04:00"
    assert export["time_manager"]["current_session"]["phase"] == "open"
    assert export["session_data"]["session"]["ended"] is False
    whole = 0
    for part in export["session_data"]["symbols"].values():
        minutes, fives = part["session"]["data"]["1m"], part["session"]["data"]["5m"]
        assert minutes["total_count"] + minutes["gaps"]["missing_bars"] == 120
        assert fives["total_count"] + fives["gaps"]["missing_bars"] == 24
        assert minutes["data"][-1][0] <= "11:29:00"
        assert fives["data"][-1][0] <= "11:25:00"
        whole += (minutes["total_count"], fives["total_count"]) == (120, 24)
    assert whole  # the seed leaves some symbol without a gap until then


def test_a_demo_nobody_can_write_is_one_line(folder: Path) -> None:
    (folder / "taken").write_text("")
    outcome = run("demo", "--dir", "taken/demo")
    assert (outcome.code, outcome.out, len(outcome.errors)) == (1, "", 2)
    assert outcome.errors[0] == "error: taken/demo/catalog: cannot be written: Not a directory"
