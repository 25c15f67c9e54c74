"""Input that is unusual and right: every figure of the export, worked out by hand.

Local times of New York; 2025-07-02 is a whole session of 390 minutes, 2025-07-03 closes at 13:00 after 210.
"""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Outcome, run, write_config
from tests.contract import load_contract

ODD = "^ES=F x'2"
SYMBOLS = ["BRK.B", "GONE", ODD, "ONE"]

# Several symbols in one file, none of them in order; of two rows for 09:31 the later one holds.
MIXED = f"""symbol,timestamp,open,high,low,close,volume
BRK.B,2025-07-03 13:00,21,99,1,21,600
BRK.B,2025-07-03 12:59,20,30,20,21,500
{ODD},2025-07-03 13:00,7,7,7,7,70
BRK.B,2025-07-03 09:31,1,1,1,1,999
BRK.B,2025-07-03 09:30,10,12,9,11,100
BRK.B,2025-07-02 15:59,50,51,49,50,2
BRK.B,2025-07-03 08:00,9,9.5,9,9.25,10
BRK.B,2025-07-03 09:34,12,12,8,8,300
{ODD},2025-07-02 09:30,7,7.5,6.5,7,40
BRK.B,2025-07-03 16:30,22,22,22,22,700
BRK.B,2025-07-03 09:29,9,9.75,9,9.5,20
BRK.B,2025-07-03 12:58,20,21,19,20,400
BRK.B,2025-07-02 16:00,51,60,40,55,3
{ODD},2025-07-03 09:00,6,6,6,6,60
BRK.B,2025-07-03 09:31,11,13,11,12,200
BRK.B,2025-07-02 09:30,40,41,39,40,1
"""
GONE = "2025-07-02 10:00,5,6,4,5,100\n2025-07-02 09:45,5,5,5,5,50\n"
ONE = "2025-07-03 09:30,3,3,3,3,30\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MISMARTERA_CATALOG", "cat")
    (tmp_path / "mixed.csv.gz").write_bytes(gzip.compress(MIXED.encode()))
    with zipfile.ZipFile(tmp_path / "gone.zip", "w") as archive:
        archive.writestr("gone/bars.csv", GONE)
    (tmp_path / "one.csv").write_text(ONE)
    history = {"data": [{"interval": "1m", "trailing_days": 1}, {"interval": "1d", "trailing_days": 1}]}
    write_config(tmp_path / "s.json", "2025-07-02", "2025-07-03", SYMBOLS, historical=history)
    return tmp_path


def take_in(*words: object) -> Outcome:
    outcome = run("data", "import", *words, "--format", "csv", "--tz", "America/New_York")
    assert (outcome.code, outcome.errors) == (0, [])
    return outcome


@pytest.fixture
def filled(folder: Path) -> Path:
    told = take_in("mixed.csv.gz").out
    figures = dict(line.strip().rsplit(maxsplit=1) for line in told.splitlines() if line.strip()[-1:].isdigit())
    assert (figures["rows read"], figures["imported"], figures["quarantined"]) == ("16", "15", "1")
    take_in("gone.zip", "--symbol", "GONE")
    take_in("one.csv", "--symbol", "ONE")
    assert run("data", "verify").out == "2 partitions, 2 files, 18 rows: no problem\n"
    return folder


def exported(folder: Path, *words: object) -> dict[str, Any]:
    outcome = run("backtest", "run", "s.json", "--export", "out.json", *words)
    assert (outcome.code, outcome.errors) == (0, [])
    document: dict[str, Any] = json.loads((folder / "out.json").read_text())
    assert load_contract().problems(document) == []
    assert list(document["session_data"]["symbols"]) == sorted(SYMBOLS)
    return document


def gaps(*ranges: tuple[str, str, int]) -> dict[str, Any]:
    told = [{"start_time": start, "end_time": end, "bar_count": count} for start, end, count in ranges]
    return {"gap_count": len(ranges), "missing_bars": sum(count for _, _, count in ranges), "ranges": told}


COLUMNS = ["timestamp", "open", "high", "low", "close", "volume"]


def bars(rows: list[list[object]], quality: float, ranges: dict[str, Any], *, generated: bool) -> dict[str, Any]:
    told = {"count": len(rows), "total_count": len(rows), "generated": generated, "quality": quality, "gaps": ranges}
    return told | ({"columns": COLUMNS, "data": rows} if rows else {})


BRK_B = {
    "volume": 1500,
    "high": 30.0,
    "low": 8.0,
    # (32/3 × 100 + 12 × 200 + 28/3 × 300 + 20 × 400 + 71/3 × 500) / 1500 = 26100 / 1500
    "vwap": 17.4,
    "data": {
        "1m": bars(
            [
                ["09:30:00", 10.0, 12.0, 9.0, 11.0, 100],
                ["09:31:00", 11.0, 13.0, 11.0, 12.0, 200],
                ["09:34:00", 12.0, 12.0, 8.0, 8.0, 300],
                ["12:58:00", 20.0, 21.0, 19.0, 20.0, 400],
                ["12:59:00", 20.0, 30.0, 20.0, 21.0, 500],
            ],
            2.38,  # 5 of 210
            gaps(("09:32:00", "09:33:00", 2), ("09:35:00", "12:57:00", 203)),
            generated=False,
        ),
        "5m": bars(
            [["09:30:00", 10.0, 13.0, 8.0, 8.0, 600], ["12:55:00", 20.0, 30.0, 19.0, 21.0, 900]],
            4.76,  # 2 of 42
            gaps(("09:35:00", "12:50:00", 40)),
            generated=True,
        ),
        "15m": bars(
            [["09:30:00", 10.0, 13.0, 8.0, 8.0, 600], ["12:45:00", 20.0, 30.0, 19.0, 21.0, 900]],
            14.28,  # 2 of 14
            gaps(("09:45:00", "12:30:00", 12)),
            generated=True,
        ),
        "1h": bars(  # the last hour is cut short by the close
            [["09:30:00", 10.0, 13.0, 8.0, 8.0, 600], ["12:30:00", 20.0, 30.0, 19.0, 21.0, 900]],
            50.0,
            gaps(("10:30:00", "11:30:00", 2)),
            generated=True,
        ),
    },
}
NOTHING = {
    "volume": 0,
    "high": None,
    "low": None,
    "vwap": None,
    "data": {
        "1m": bars([], 0.0, gaps(("09:30:00", "12:59:00", 210)), generated=False),
        "5m": bars([], 0.0, gaps(("09:30:00", "12:55:00", 42)), generated=True),
        "15m": bars([], 0.0, gaps(("09:30:00", "12:45:00", 14)), generated=True),
        "1h": bars([], 0.0, gaps(("09:30:00", "12:30:00", 4)), generated=True),
    },
}
THREE: list[list[object]] = [["09:30:00", 3.0, 3.0, 3.0, 3.0, 30]]
ONE_BAR = {
    "volume": 30,
    "high": 3.0,
    "low": 3.0,
    "vwap": 3.0,
    "data": {
        "1m": bars(THREE, 0.47, gaps(("09:31:00", "12:59:00", 209)), generated=False),
        "5m": bars(THREE, 2.38, gaps(("09:35:00", "12:55:00", 41)), generated=True),
        "15m": bars(THREE, 7.14, gaps(("09:45:00", "12:45:00", 13)), generated=True),
        "1h": bars(THREE, 25.0, gaps(("10:30:00", "12:30:00", 3)), generated=True),
    },
}


def test_the_session_of_an_early_close(filled: Path) -> None:
    document = exported(filled)
    assert document["_metadata"]["generated_at"] == "2025-07-03T13:00:00-04:00"
    assert document["time_manager"]["current_session"]["is_early_close"] is True
    sessions = {symbol: part["session"] for symbol, part in document["session_data"]["symbols"].items()}
    assert sessions == {"BRK.B": BRK_B, "GONE": NOTHING, ODD: NOTHING, "ONE": ONE_BAR}
    summary = document["performance_metrics"]
    # Outside: of BRK.B one at the close of the 2nd, and 08:00, 09:29, 13:00, 16:30; of the odd one 09:00 and 13:00.
    assert (summary["sessions"], summary["bars"], summary["rows_outside_session"]) == (2, 11, 7)
    # Expected of four symbols less present, first day and second: 1560 - 5 and 840 - 6; 312 - 5 and 168 - 3; …
    assert summary["missing_bars"] == {"1m": 2389, "5m": 472, "15m": 152, "1h": 37}


def test_the_session_before_as_history(filled: Path) -> None:
    symbols = exported(filled)["session_data"]["symbols"]
    past = {symbol: part["historical"]["data"] for symbol, part in symbols.items()}
    assert past["BRK.B"]["1m"]["data"] == [
        ["2025-07-02T09:30:00", 40.0, 41.0, 39.0, 40.0, 1],
        ["2025-07-02T15:59:00", 50.0, 51.0, 49.0, 50.0, 2],
    ]
    assert past["BRK.B"]["1m"]["quality"] == 0.51  # 2 of 390
    assert past["BRK.B"]["1m"]["gaps"] == gaps(("2025-07-02T09:31:00", "2025-07-02T15:58:00", 388))
    assert past["BRK.B"]["1d"]["data"] == [["2025-07-02", 40.0, 51.0, 39.0, 50.0, 3]]
    assert past["GONE"]["1m"]["data"] == [
        ["2025-07-02T09:45:00", 5.0, 5.0, 5.0, 5.0, 50],
        ["2025-07-02T10:00:00", 5.0, 6.0, 4.0, 5.0, 100],
    ]
    assert past[ODD]["1d"]["data"] == [["2025-07-02", 7.0, 7.5, 6.5, 7.0, 40]]
    assert [past["ONE"][interval]["count"] for interval in ("1m", "1d")] == [0, 0]
    assert [past["ONE"][interval]["quality"] for interval in ("1m", "1d")] == [0.0, 0.0]


def test_an_instant_between_two_bars(filled: Path) -> None:
    document = exported(filled, "--until", "2025-07-03T09:34:59")
    assert document["_metadata"]["generated_at"] == "2025-07-03T09:34:59-04:00"
    session = document["session_data"]["symbols"]["BRK.B"]["session"]
    assert (session["volume"], session["high"], session["low"]) == (300, 13.0, 9.0)
    assert session["vwap"] == pytest.approx((32 / 3 * 100 + 12 * 200) / 300, rel=1e-15)
    assert session["data"]["1m"] == bars(
        [["09:30:00", 10.0, 12.0, 9.0, 11.0, 100], ["09:31:00", 11.0, 13.0, 11.0, 12.0, 200]],
        50.0,
        gaps(("09:32:00", "09:33:00", 2)),
        generated=False,
    )
    assert session["data"]["5m"] == bars([], None, gaps(), generated=True)  # type: ignore[arg-type]


def test_extended_hours_hold_what_was_outside(filled: Path) -> None:
    config = json.loads((filled / "s.json").read_text())
    config["session_data_config"]["extended_hours"] = True
    (filled / "s.json").write_text(json.dumps(config))
    document = exported(filled)
    assert document["_metadata"]["generated_at"] == "2025-07-03T17:00:00-04:00"
    assert document["performance_metrics"]["rows_outside_session"] == 0
    session = document["session_data"]["symbols"]["BRK.B"]["session"]
    assert (session["volume"], session["high"], session["low"]) == (2830, 99.0, 1.0)
    assert [row[0] for row in session["data"]["1m"]["data"]] == [
        "08:00:00", "09:29:00", "09:30:00", "09:31:00", "09:34:00", "12:58:00", "12:59:00", "13:00:00", "16:30:00",
    ]  # fmt: skip


def test_stamps_at_the_end_are_the_bars_before(folder: Path) -> None:
    rows = ["2025-07-03 13:00,1,2,1,2,10", "2025-07-03 09:31,1,2,1,2,10", "2025-07-03 09:30,1,2,1,2,10"]
    (folder / "ends.csv").write_text("\n".join(rows))
    take_in("ends.csv", "--symbol", "BRK.B", "--stamp", "end")
    write_config(folder / "s.json", "2025-07-03", "2025-07-03", ["BRK.B"])
    assert run("backtest", "run", "s.json", "--export", "out.json").code == 0
    document = json.loads((folder / "out.json").read_text())
    minutes = document["session_data"]["symbols"]["BRK.B"]["session"]["data"]["1m"]
    assert [row[0] for row in minutes["data"]] == ["09:30:00", "12:59:00"]
    assert document["performance_metrics"]["rows_outside_session"] == 1


def test_the_report_tells_what_was_left_out(filled: Path) -> None:
    told = run("backtest", "run", "s.json").out
    cells = [line.split() for line in told.splitlines()]
    assert ["rows", "outside", "session", "7"] in cells
    quality = [row for row in cells if row[-1:] and row[-1].count(".") == 1 and row[0] in ("BRK.B", "GONE", "ONE")]
    assert quality == [["ONE", "1", "599", "0.16"], ["GONE", "2", "598", "0.33"], ["BRK.B", "7", "593", "1.16"]]
