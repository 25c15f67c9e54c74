"""Exports: their numbers and stamps, the chain of a consumer, and the files they become."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mismartera.engine.export.formats.json_file import JSON, JSON_GZ
from mismartera.engine.export.writing.targets import status_name
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.errors import DataError, StateError, UnknownNameError
from mismartera.schemas.gaps import GapInfo
from tests.contract import Judge, load_contract
from tests.golden.small import make_system, minutes, us

EXTREMES = [1e-7, 1e22, 0.1 + 0.2, 1 / 3, 5e-324, 1e250, 123456789.123456789, 1e16, 100.0, 2.5e-5, 1e-5]


@pytest.fixture
def contract() -> Judge:
    return load_contract()


def rows_at(stamps: list[int], prices: list[float], symbol: str = "A") -> pa.Table:
    columns = [[symbol] * len(stamps), stamps, *([prices] * 4), [2**53 + 1] * len(stamps)]
    return pa.table(dict(zip(BAR_SCHEMA.names, columns, strict=True)), schema=BAR_SCHEMA)


def test_numbers_read_back_to_the_same_doubles() -> None:
    data = SessionData(["A"], timezone="America/New_York")
    prices = EXTREMES + [-price for price in EXTREMES]
    stamps = [us("2024-07-03T09:30-04:00") + number * 60_000_000 for number in range(len(prices))]
    data.append_bars("1m", rows_at(stamps, prices))
    rows = data.to_json()["symbols"]["A"]["session"]["data"]["1m"]["data"]
    assert [row[1] for row in rows] == prices
    assert [row[4] for row in rows] == prices
    assert {row[5] for row in rows} == {2**53 + 1}


def test_a_sum_beyond_all_doubles_is_null() -> None:
    data = SessionData(["A"], timezone="America/New_York")
    data.append_bars("1m", rows_at([us("2024-07-03T09:30-04:00")], [1.7976931348623157e308]))
    session = data.to_json()["symbols"]["A"]["session"]
    assert (session["high"], session["vwap"]) == (1.7976931348623157e308, None)


def test_prices_are_the_shortest_text_one_row_a_line(tmp_path: Path) -> None:
    prices = sorted(EXTREMES)
    stamps = [us("2024-07-03T09:30-04:00") + number * 60_000_000 for number in range(len(prices))]
    rows = [("A", stamp, *[price] * 4, 7) for stamp, price in zip(stamps, prices, strict=True)]
    system = make_system(tmp_path, rows, "2024-07-03")
    system.run()
    text = b"".join(system.export(complete=True).pieces()).decode()
    lines = re.findall(r'^\["(\d\d:\d\d:\d\d)",([^,]+),.*\],?$', text, re.MULTILINE)[: len(prices)]
    assert [stamp for stamp, _ in lines] == [f"09:{30 + number}:00" for number in range(len(prices))]
    for (_, number), price in zip(lines, prices, strict=True):
        assert float(number) == price
        assert digits(number) == digits(repr(price))


def digits(number: str) -> str:
    """Significant digits of a number's text; Python's own has the fewest that read back to it."""
    return number.lstrip("-").split("e")[0].replace(".", "").strip("0")


def test_stamps_are_local_on_both_sides_of_a_change_of_the_clocks(tmp_path: Path) -> None:
    """Clocks went forward on 2024-03-10: 09:30 is 14:30 UTC before and 13:30 after."""
    rows = minutes("A", "2024-03-08T09:30-05:00", 2) + minutes("A", "2024-03-11T09:30-04:00", 2)
    rows += minutes("A", "2024-03-12T09:30-04:00", 2)
    system = make_system(tmp_path, rows, "2024-03-12", history=[("1m", 2), ("5m", 2)])
    system.run()
    held = system.session_data.to_json()["symbols"]["A"]
    stamps = [row[0] for row in held["historical"]["data"]["1m"]["data"]]
    assert stamps == ["2024-03-08T09:30:00", "2024-03-08T09:31:00", "2024-03-11T09:30:00", "2024-03-11T09:31:00"]
    assert [row[0] for row in held["historical"]["data"]["5m"]["data"]] == [
        "2024-03-08T09:30:00",
        "2024-03-11T09:30:00",
    ]
    assert [row[0] for row in held["session"]["data"]["1m"]["data"]] == ["09:30:00", "09:31:00"]
    assert held["historical"]["data"]["1m"]["gaps"]["ranges"] == [
        {"start_time": "2024-03-08T09:32:00", "end_time": "2024-03-08T15:59:00", "bar_count": 388},
        {"start_time": "2024-03-11T09:32:00", "end_time": "2024-03-11T15:59:00", "bar_count": 388},
    ]


def test_rows_fed_across_a_change_of_the_clocks() -> None:
    data = SessionData(["A"], timezone="America/New_York")
    stamps = [us(text) for text in ("2024-11-03T00:30-04:00", "2024-11-03T01:30-04:00", "2024-11-03T03:30-05:00")]
    data.append_bars("1m", rows_at(stamps, [1.0, 2.0, 3.0]))
    rows = data.to_json()["symbols"]["A"]["session"]["data"]["1m"]["data"]
    assert [row[0] for row in rows] == ["00:30:00", "01:30:00", "03:30:00"]


# --- a consumer's chain -------------------------------------------------------------------------------------------


@pytest.fixture
def system(tmp_path: Path) -> SystemManager:
    rows = minutes("A", "2024-07-03T09:30-04:00", 210, without=[5, 6, 7]) + minutes("B.X", "2024-07-03T09:30-04:00", 1)
    made = make_system(tmp_path, rows, "2024-07-03")
    made.register_consumer("judge")
    return made


class Chain:
    """A consumer that checks all it is sent."""

    def __init__(self, contract: Judge, system: SystemManager) -> None:
        self.contract, self.system, self.held = contract, system, None

    def take(self, *, complete: bool = False) -> dict[str, Any]:
        export = self.system.system_info(complete=complete)
        assert self.contract.problems(export) == []
        self.held = self.contract.apply(self.held, export)
        whole = self.system.system_info(complete=True, consumer="judge")
        assert self.contract.problems(whole) == []
        assert self.contract.differences(self.held, whole) == []
        return export


def test_a_delta_carries_what_is_new_and_says_where(system: SystemManager, contract: Judge) -> None:
    chain = Chain(contract, system)
    taken: list[dict[str, Any]] = []

    def stepped(now_us: int) -> None:
        if now_us in (us("2024-07-03T09:36-04:00"), us("2024-07-03T09:38-04:00"), us("2024-07-03T09:39-04:00")):
            taken.append(chain.take())

    system.hooks.stepped.append(stepped)
    system.run()
    first, second, third = taken
    root = "/session_data/symbols"
    assert first["_metadata"]["base_sequence"] is None
    assert second["_metadata"]["last_update"] == "2024-07-03T09:36:00-04:00"
    assert second["_metadata"]["changed_paths"] == [f"{root}/A/session/data/1m", f"{root}/B.X/session/data/1m"]
    gaps = second["session_data"]["symbols"]["A"]["session"]["data"]["1m"]["gaps"]
    assert gaps["ranges"] == [{"start_time": "09:35:00", "end_time": "09:37:00", "bar_count": 3}]
    assert "session_config" not in second
    third_minute = third["session_data"]["symbols"]["A"]["session"]["data"]["1m"]
    assert [row[0] for row in third_minute["data"]] == ["09:38:00"]
    assert third_minute["gaps"] == {"gap_count": 1, "missing_bars": 3, "ranges": []}


def test_only_the_export_a_consumer_waits_for_is_acknowledged(system: SystemManager, tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-03T09:30-04:00", 20)
    other = make_system(tmp_path / "other", rows, "2024-07-03")
    other.run()
    system.run()
    with pytest.raises(StateError, match="another system's"):
        system.acknowledge(other.export())
    first = system.export()
    system.reset_export()
    with pytest.raises(StateError, match="the consumer was reset"):
        system.acknowledge(first)
    late, second = system.export(), system.export()
    system.acknowledge(second)
    with pytest.raises(StateError, match="its last one is number 1"):
        system.acknowledge(late)
    with pytest.raises(DataError, match="is dict: expected an export"):
        system.acknowledge({})
    assert [(info.name, info.sequence) for info in system.list_consumers()] == [("default", 1), ("judge", 0)]


def test_every_delivery_is_recorded(system: SystemManager) -> None:
    system.run()
    export = system.export()
    text = b"".join(export.pieces())
    system.acknowledge(export)
    export = system.export(complete=True)
    whole = export.to_bytes()
    system.acknowledge(export)
    entries = system.export_log.entries()
    assert [(entry["mode"], entry["bytes"]) for entry in entries] == [("delta", len(text)), ("complete", len(whole))]
    assert all(entry["encode_s"] > 0 for entry in entries)
    assert system.get_backtest_summary()["exports"]["count"] == 2


@pytest.mark.parametrize("value", [1, None, "false"])
def test_what_is_neither_true_nor_false_is_refused(system: SystemManager, value: Any) -> None:
    for call in (system.export, system.system_info, system.export_status, system.to_json):
        with pytest.raises(DataError, match=f"complete is {value!r}: expected True or False"):
            call(complete=value)  # type: ignore[operator]
    assert system.export(complete=np.True_).to_json()["_metadata"]["mode"] == "complete"  # type: ignore[arg-type]


def test_names_that_are_taken_or_none_are_refused(system: SystemManager) -> None:
    with pytest.raises(DataError, match="'system_json' is reserved for to_json"):
        system.register_consumer("system_json")
    with pytest.raises(UnknownNameError, match="consumer '\\[\\]' does not exist"):
        system.export([])  # type: ignore[arg-type]


def test_threads_are_told_as_of_the_snapshot(system: SystemManager) -> None:
    held: list[Snapshot] = []
    system.hooks.activated.append(lambda: held.append(system.snapshot))
    system.run()
    active = [
        system._sections(snapshot, complete=False, debug=False)["threads"]["session_coordinator"]["_session_active"]
        for snapshot in (held[0], system.snapshot)
    ]
    assert active == [True, False]


def test_gaps_set_by_hand_hold_to_the_contract(system: SystemManager, contract: Judge) -> None:
    chain = Chain(contract, system)
    system.run(until="2024-07-03T10:00")
    chain.take()
    start = dt.datetime.fromisoformat("2024-07-03T09:35-04:00")
    gap = GapInfo("A", start, start + dt.timedelta(minutes=1), 2, 1, start)
    system.session_data.set_gaps("A", "1m", [gap])
    chain.take()
    chain.take()


def test_a_range_that_is_gone_is_told(system: SystemManager, contract: Judge) -> None:
    chain = Chain(contract, system)
    system.run(until="2024-07-03T10:00")
    chain.take()
    system.session_data.set_gaps("A", "1m", [])
    system.session_data.set_quality("A", "1m", 100.0)
    chain.take()


def test_gaps_set_by_hand_are_told_in_the_exchanges_zone(system: SystemManager) -> None:
    system.run(until="2024-07-03T10:00")
    start = dt.datetime(2024, 7, 3, 13, 35, tzinfo=dt.UTC)
    system.session_data.set_gaps("A", "1m", [GapInfo("A", start, start, 1)])
    ranges = system.session_data.to_json()["symbols"]["A"]["session"]["data"]["1m"]["gaps"]["ranges"]
    assert [each["start_time"] for each in ranges] == ["09:35:00"]


def test_a_consumer_survives_dropped_bars(system: SystemManager, contract: Judge) -> None:
    chain = Chain(contract, system)
    system.run(until="2024-07-03T10:00")
    chain.take()
    system.session_data.clear_session_bars()
    assert chain.take()["_metadata"]["reset"] is True


def test_a_consumer_survives_figures_that_start_over(system: SystemManager, contract: Judge) -> None:
    chain = Chain(contract, system)
    system.run(until="2024-07-03T10:00")
    chain.take()
    system.session_data.reset_session_metrics()
    assert chain.take()["_metadata"]["reset"] is True
    assert chain.take()["_metadata"]["reset"] is False


def test_an_indicator_set_by_hand_reaches_the_consumer(system: SystemManager, contract: Judge) -> None:
    chain = Chain(contract, system)
    system.run(until="2024-07-03T10:00")
    chain.take()
    system.session_data.set_historical_indicator("mean", [1.0, float("nan")])  # type: ignore[arg-type]
    historical = chain.take()["session_data"]["symbols"]["A"]["historical"]
    assert historical["mean"] == 1.0


def test_without_quality_there_is_none(tmp_path: Path, contract: Judge) -> None:
    rows = minutes("A", "2024-07-03T09:30-04:00", 20)
    made = make_system(tmp_path, rows, "2024-07-03", quality={"enabled": False})
    made.run()
    export = made.system_info()
    assert contract.problems(export) == []
    section = export["session_data"]["symbols"]["A"]["session"]["data"]["1m"]
    assert section["quality"] is None
    assert "gaps" not in section


def test_an_export_before_the_start_holds_to_the_contract_but_for_its_date(
    system: SystemManager, contract: Judge
) -> None:
    export = system.system_info()
    assert contract.problems(export) == []
    assert export["system_manager"]["_state"] == "INITIALIZED"
    assert export["threads"] == {}


# --- files --------------------------------------------------------------------------------------------------------


def test_a_status_name() -> None:
    assert status_name("My first run", complete=False, stamp="20240703_093000") == (
        "system_status_My_first_run_delta_20240703_093000.json"
    )


@pytest.mark.parametrize("suffix", ["json", "json.gz", "json.zst"])
def test_a_file_holds_the_document(system: SystemManager, tmp_path: Path, suffix: str) -> None:
    system.run()
    path = system.export_status(tmp_path / "deep" / f"a.{suffix}").path
    raw = path.read_bytes()
    if suffix.endswith("gz"):
        raw = gzip.decompress(raw)
    elif suffix.endswith("zst"):
        zstandard = pytest.importorskip("zstandard")
        raw = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    assert json.loads(raw)["session_data"] == system.session_data.to_json()
    assert [each.name for each in path.parent.iterdir()] == [f"a.{suffix}"]


def test_a_second_file_of_one_name_gets_a_suffix_behind_its_stem(tmp_path: Path) -> None:
    name = status_name("v1.2 run", complete=True, stamp="20240703_093000")
    paths = [JSON.write_pieces(tmp_path / name, [b"{}"], replace=False).path for _ in range(3)]
    stem = "system_status_v1.2_run_complete_20240703_093000"
    assert [path.name for path in paths] == [f"{stem}.json", f"{stem}_2.json", f"{stem}_3.json"]


def test_compressed_files_get_their_suffix_before_the_format(tmp_path: Path) -> None:
    paths = [JSON_GZ.write_pieces(tmp_path / "a.json.gz", [b"{}"], replace=False).path.name for _ in range(2)]
    assert paths == ["a.json.gz", "a_2.json.gz"]


def test_a_failure_of_the_pieces_themselves_leaves_nothing(tmp_path: Path) -> None:
    def pieces() -> Any:
        yield b"{"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        JSON.write_pieces(tmp_path / "a.json", pieces())
    assert list(tmp_path.iterdir()) == []
