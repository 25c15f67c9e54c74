"""SessionData: what is set by hand, what is dropped, and what an unknown name says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from mismartera.engine.session.session_data import SessionData
from mismartera.schemas.bars import BAR_SCHEMA, LOG_BAR_SCHEMA
from mismartera.schemas.errors import DataError, MismarteraError, StateError, UnknownNameError
from mismartera.schemas.gaps import GapInfo
from tests.golden.small import make_system, minutes, table

FIRST = "2024-07-03T09:30-04:00"


def bar(start: int, price: float = 10.0, volume: int = 100) -> dict[str, Any]:
    stamp = 1_720_013_400_000_000 + start * 60_000_000
    return {"timestamp": stamp, "open": price, "high": price, "low": price, "close": price, "volume": volume}


@pytest.fixture
def data() -> SessionData:
    return SessionData(["RIVN", "BRK.B"], derived_intervals=[5], timezone="America/New_York")


def test_nothing_is_there_before_the_first_bar(data: SessionData) -> None:
    held = data.get_symbol_data("RIVN")
    assert (held.session_volume, held.session_high, held.session_low, held.session_vwap) == (0, None, None, None)
    assert held.last_update is None
    assert data.get_bars("RIVN", "1m").schema == LOG_BAR_SCHEMA
    assert data.get_quality("RIVN", "1m") is None
    assert data.get_gaps("RIVN", "5m") == []
    assert data.to_json()["symbols"]["RIVN"]["session"]["vwap"] is None


def test_bars_by_hand_are_visible_at_once(data: SessionData) -> None:
    assert data.append_bar("BRK.B", "1m", bar(0, 10.0, 0)).accepted == 1
    held = data.get_symbol_data("BRK.B")
    assert (held.session_volume, held.session_vwap) == (0, None)
    data.append_bar("BRK.B", 1, bar(1, 13.0, 50))
    assert (held.session_high, held.session_low, held.session_vwap) == (13.0, 10.0, 13.0)
    assert held.last_update == dt.datetime.fromisoformat("2024-07-03T09:32-04:00")
    assert list(held.bars_derived) == ["5m"]
    assert held.bars_base.num_rows == 2
    assert data.get_bars("BRK.B", "1m", as_polars=True)["close"].to_list() == [10.0, 13.0]
    assert isinstance(data.get_bars("RIVN", "1m", as_polars=True), pl.DataFrame)


def test_a_correction_is_the_next_revision_and_a_repetition_is_dropped(data: SessionData) -> None:
    data.append_bar("RIVN", "1m", bar(0, 10.0))
    data.append_bar("RIVN", "1m", bar(2, 12.0))
    again, late, corrected = (
        data.append_bar("RIVN", "1m", bar(2, 12.0)),
        data.append_bar("RIVN", "1m", bar(1, 11.0)),
        data.append_bar("RIVN", "1m", bar(0, 10.5)),
    )
    assert (again.accepted, again.identical) == (0, 1)
    assert (late.accepted, late.late, late.revised) == (1, 1, 0)
    assert (corrected.accepted, corrected.revised, corrected.late) == (1, 1, 0)
    bars = data.get_bars("RIVN", "1m")
    assert bars["close"].to_pylist() == [10.5, 11.0, 12.0]
    assert bars["revision"].to_pylist() == [1, 0, 0]
    section = data.to_json()["symbols"]["RIVN"]["session"]["data"]["1m"]
    assert (section["count"], section["total_count"]) == (3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"open": float("nan")}, "is no bar"),
        ({"high": 1.0}, "is no bar"),
        ({"low": 11.0}, "is no bar"),
        ({"close": float("inf")}, "is no bar"),
        ({"volume": -1}, "is no bar"),
    ],
)
def test_a_batch_with_a_row_that_is_no_bar_is_refused_whole(
    data: SessionData, change: dict[str, Any], message: str
) -> None:
    rows = [{"symbol": "RIVN", **bar(0)}, {"symbol": "RIVN", **bar(1), **change}]
    with pytest.raises(DataError, match=message) as caught:
        data.append_bars("1m", pa.Table.from_pylist(rows, schema=BAR_SCHEMA))
    assert "row 1 of the batch, RIVN at 2024-07-03T13:31:00+00:00" in str(caught.value)
    assert data.get_bars("RIVN", "1m").num_rows == 0


def test_a_row_without_a_value_is_no_bar(data: SessionData) -> None:
    loose = pa.schema([pa.field(field.name, field.type) for field in BAR_SCHEMA])
    rows = pa.Table.from_pylist([{"symbol": "RIVN", **bar(0), "close": None}], schema=loose)
    with pytest.raises(DataError):
        data.append_bars("1m", rows)


def test_a_bar_without_a_field_says_which(data: SessionData) -> None:
    lacking = bar(0)
    del lacking["volume"]
    with pytest.raises(DataError, match="volume"):
        data.append_bar("RIVN", "1m", lacking)


def test_other_columns_are_refused(data: SessionData) -> None:
    with pytest.raises(DataError, match="expected"):
        data.append_bars("1m", table(minutes("RIVN", FIRST, 2)).drop_columns("volume"))


@pytest.mark.parametrize(
    "call",
    [
        lambda data: data.get_bars("RIVM", "1m"),
        lambda data: data.get_symbol_data("RIVM"),
        lambda data: data.get_quality("RIVM", "1m"),
        lambda data: data.get_gaps("RIVM", "1m"),
        lambda data: data.set_quality("RIVM", "1m", 1.0),
        lambda data: data.set_gaps("RIVM", "1m", []),
        lambda data: data.append_bar("RIVM", "1m", bar(0)),
        lambda data: data.peek_queue_timestamp("RIVM") or data.code("RIVM"),
    ],
)
def test_an_unknown_symbol_is_named_with_those_that_exist(data: SessionData, call: Callable[[Any], Any]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        call(data)
    assert str(caught.value) == "symbol 'RIVM' does not exist; did you mean 'RIVN'? (available: BRK.B, RIVN)"


def test_an_unknown_interval_is_named_with_those_that_exist(data: SessionData) -> None:
    for call in (data.get_bars, data.get_quality, data.get_gaps):
        with pytest.raises(UnknownNameError, match=r"interval '1h' does not exist .*\(available: 1m, 5m\)"):
            call("RIVN", "1h")
    with pytest.raises(MismarteraError, match="expected a positive whole number"):
        data.get_bars("RIVN", "soon")
    with pytest.raises(UnknownNameError, match="part 'past' does not exist"):
        data.get_bars("RIVN", "1m", part="past")


def test_quality_by_hand_wins_until_the_session_starts_over(data: SessionData) -> None:
    data.set_quality("BRK.B", "1m", 42.5)
    assert (data.get_quality("BRK.B", "1m"), data.get_quality("RIVN", "1m")) == (42.5, None)
    with pytest.raises(ValueError, match="expected percent"):
        data.set_quality("BRK.B", "1m", 100.5)
    epoch = data.snapshot.epoch
    data.reset_session_metrics()
    assert data.get_quality("BRK.B", "1m") is None
    assert data.snapshot.epoch > epoch


def test_gaps_by_hand_are_kept(data: SessionData) -> None:
    start = dt.datetime.fromisoformat(FIRST)
    gaps = [GapInfo("RIVN", start, start + dt.timedelta(minutes=2), 3, 1, start)]
    data.set_gaps("RIVN", "1m", gaps)
    assert data.get_gaps("RIVN", "1m") == gaps
    assert data.get_gaps("BRK.B", "1m") == []
    data.reset_session_metrics()
    assert data.get_gaps("RIVN", "1m") == []


def test_indicators_by_hand(data: SessionData) -> None:
    data.set_historical_indicator("mean", np.array([1.5, np.nan]))
    data.set_historical_indicator("curve", np.array([[1.0, 2.0], [3.0, np.nan]]))
    assert data.get_historical_indicator("mean", "RIVN") == 1.5
    assert np.isnan(data.get_historical_indicator("mean", "BRK.B"))
    assert data.get_historical_indicator("curve", "RIVN").tolist() == [1.0, 2.0]
    assert data.get_historical_indicator("curve").shape == (2, 2)
    exported = data.to_json()["symbols"]["BRK.B"]["historical"]
    assert (exported["mean"], exported["curve"]) == (None, [3.0, None])
    with pytest.raises(UnknownNameError, match=r"indicator 'men' does not exist; did you mean 'mean'"):
        data.get_historical_indicator("men")
    with pytest.raises(ValueError, match=r"has shape \(3,\): expected \(2,\)"):
        data.set_historical_indicator("mean", np.zeros(3))
    data.clear_historical_bars()
    assert np.isnan(data.get_historical_indicator("mean")).all()


def test_bars_can_be_dropped_and_added_again(data: SessionData) -> None:
    data.append_bar("RIVN", "1m", bar(0))
    data.clear_session_bars()
    assert data.get_bars("RIVN", "1m").num_rows == 0
    assert data.get_symbol_data("RIVN").session_volume == 0
    assert data.append_bar("RIVN", "1m", bar(0)).accepted == 1


def test_history_can_be_dropped(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-02T09:30-04:00", 5) + minutes("A", FIRST, 5)
    system = make_system(tmp_path, rows, "2024-07-03", history=[("1m", 1)])
    system.run()
    data = system.session_data
    assert data.get_bars("A", "1m").num_rows == 10
    assert list(data.get_symbol_data("A").historical_bars["1m"]) == [dt.date(2024, 7, 2)]
    data.clear_historical_bars()
    assert data.get_bars("A", "1m").num_rows == 5
    assert data.get_bars("A", "1m", part="historical").num_rows == 0


def test_what_streams_cannot_be_appended_to(tmp_path: Path) -> None:
    system = make_system(tmp_path, minutes("A", FIRST, 5), "2024-07-03")
    system.run()
    for interval in ("1m", "5m"):
        with pytest.raises(StateError, match="streams from the catalog"):
            system.session_data.append_bar("A", interval, bar(0))
