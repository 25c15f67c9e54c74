"""What users give a session by hand while one runs: rows off its grid, gaps, quality, names."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from mismartera.engine.session.session_data import SessionData
from mismartera.engine.time.calendar import TradingSession
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.errors import DataError, UnknownNameError
from mismartera.schemas.gaps import GapInfo
from tests.contract import Judge, load_contract
from tests.golden.small import make_system, minutes, us

ZONE = ZoneInfo("America/New_York")
MINUTE = 60_000_000
OPEN = us("2025-07-02T09:30-04:00")
# Two trading segments of ten minutes with five between them, and two minutes before the open.
SESSION = TradingSession(
    dt.date(2025, 7, 2),
    ((OPEN, OPEN + 10 * MINUTE), (OPEN + 15 * MINUTE, OPEN + 25 * MINUTE)),
    ((OPEN - 2 * MINUTE, OPEN),),
    is_early_close=False,
    timezone="America/New_York",
)


def batch(*stamps: int, volume: int = 5) -> pa.Table:
    columns = [["A"] * len(stamps), stamps, *([[2.0] * len(stamps)] * 4), [volume] * len(stamps)]
    return pa.table(dict(zip(BAR_SCHEMA.names, columns, strict=True)), schema=BAR_SCHEMA)


def gap(first: str, last: str, count: int, **more: Any) -> GapInfo:
    start, end = (dt.datetime.fromisoformat(f"2025-07-02T{text}").replace(tzinfo=ZONE) for text in (first, last))
    return GapInfo(**({"symbol": "A", "start_time": start, "end_time": end, "bar_count": count} | more))


@pytest.fixture
def loose() -> SessionData:
    return SessionData(["A", "B"], derived_intervals=["5m", "1d"], timezone="America/New_York")


@pytest.fixture
def data(loose: SessionData) -> SessionData:
    loose.begin_session(SESSION, OPEN)
    return loose


@pytest.fixture
def contract() -> Judge:
    return load_contract()


def section(data: SessionData, symbol: str = "A") -> dict[str, Any]:
    held: dict[str, Any] = data.to_json()["symbols"][symbol]["session"]["data"]["1m"]
    return held


def problems(contract: Judge, data: SessionData) -> list[str]:
    found: list[str] = contract.section_problems("session", "1m", section(data), True)
    return found


# --- rows -----------------------------------------------------------------------------------------------------------


def test_rows_off_the_grid_or_the_session_are_left_out_and_told(data: SessionData) -> None:
    day = 24 * 60 * MINUTE
    stamps = [OPEN, OPEN + MINUTE // 2, OPEN - day, OPEN + 10 * MINUTE, OPEN - 2 * MINUTE, OPEN + 500_000]
    result = data.append_bars("1m", batch(*stamps))
    assert (result.accepted, result.outside_session, result.off_grid) == (2, 2, 2)
    assert result.latest_us == OPEN + MINUTE
    assert result.reason == (
        "row 1 of the batch, A at 2025-07-02T09:30:30-04:00, was left out: "
        "expected the start of a bar of 1m, as 09:30:00 is one"
    )
    assert [row[0] for row in section(data)["data"]] == ["09:28:00", "09:30:00"]


def test_a_row_of_another_date_says_what_the_session_is(data: SessionData) -> None:
    result = data.append_bar("A", "1m", batch(OPEN - 24 * 60 * MINUTE).to_pylist()[0])
    assert (result.accepted, result.outside_session, result.latest_us) == (0, 1, 0)
    assert result.reason == (
        "row 0 of the batch, A at 2025-07-01T09:30:00-04:00, was left out: expected a bar of the session of "
        "2025-07-02, 09:28:00 to 09:30:00, 09:30:00 to 09:40:00, 09:45:00 to 09:55:00 America/New_York"
    )
    assert data.append_bars("1m", batch(OPEN + 9 * MINUTE)).reason is None
    assert section(data)["total_count"] == 1


def test_a_daily_bar_has_the_date_of_the_session(data: SessionData) -> None:
    label = us("2025-07-02T00:00+00:00")
    result = data.append_bars("1d", batch(label - 24 * 60 * MINUTE, label, OPEN))
    assert (result.accepted, result.outside_session, result.latest_us) == (1, 2, OPEN + 25 * MINUTE)
    assert result.reason is not None
    assert "expected the session's date at 00:00 UTC, 2025-07-02T00:00:00+00:00" in result.reason


def test_without_a_session_a_bar_starts_on_a_whole_second(loose: SessionData) -> None:
    result = loose.append_bars("1m", batch(OPEN, OPEN + 500_000, OPEN + 3 * 1_000_000))
    assert (result.accepted, result.off_grid, result.outside_session) == (2, 1, 0)
    assert result.reason == (
        "row 1 of the batch, A at 2025-07-02T13:30:00.500000+00:00, was left out: "
        "expected the start of a bar of 1m, on a whole second"
    )
    assert [row[0] for row in section(loose)["data"]] == ["09:30:00", "09:30:03"]


def test_a_volume_never_wraps(data: SessionData) -> None:
    data.append_bars("1m", batch(OPEN, volume=2**61))
    data.append_bars("1m", batch(OPEN, volume=2**61))  # a repetition adds nothing
    with pytest.raises(DataError, match=r"volumes of A add up to 6\.91753e\+18: expected at most 4611686018427387904"):
        data.append_bars("1m", batch(OPEN + MINUTE, volume=2**62))
    assert data.append_bars("1m", batch(OPEN + MINUTE, volume=2**61)).accepted == 1
    assert data.get_symbol_data("A").session_volume == 2**62
    data.clear_session_bars()
    assert data.append_bars("1m", batch(OPEN, volume=2**62)).accepted == 1


def test_an_interval_of_the_history_alone_takes_no_rows(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-02T09:30-04:00", 5) + minutes("A", "2024-07-03T09:30-04:00", 5)
    system = make_system(tmp_path, rows, "2024-07-03", history=[("1d", 1)])
    system.run()
    with pytest.raises(UnknownNameError, match=r"interval '1d' does not exist .*\(available: 1m, 5m\)"):
        system.session_data.append_bars("1d", batch(us("2024-07-03T00:00+00:00")))


# --- gaps and quality -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gaps", "message"),
    [
        ([gap("09:33", "09:31", 3)], "it ends before it starts"),
        ([gap("09:31", "09:31", 0)], "expected bar_count of 1 or more and no negative retry_count, got 0 and 0"),
        ([gap("09:31", "09:31", 1, retry_count=-1)], "got 1 and -1"),
        ([gap("09:31", "09:31", 1, symbol="B")], "expected a gap of A, it is one of B"),
        ([gap("09:31", "09:32", 2), gap("09:31", "09:33", 3)], "overlap: expected ranges without a bar in common"),
        ([gap("09:32", "09:34", 3), gap("09:31", "09:32", 2)], "overlap"),
        ([gap("09:31:00.5", "09:33", 3)], "on whole seconds"),
    ],
)
def test_gaps_that_cannot_be_are_refused(loose: SessionData, gaps: list[GapInfo], message: str) -> None:
    held = [gap("09:50", "09:50", 1)]
    loose.set_gaps("A", "1m", held)
    with pytest.raises(DataError, match=message) as caught:
        loose.set_gaps("A", "1m", gaps)
    assert "\n" not in str(caught.value)
    assert loose.get_gaps("A", "1m") == held


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            gap("09:29", "09:30", 2),
            "expected starts of the session's 1m bars, 2025-07-02T09:30:00-04:00 to 2025-07-02T09:54:00-04:00",
        ),
        (gap("09:30", "09:42", 3), "expected starts of the session's 1m bars"),
        (gap("09:30:30", "09:31", 1), "expected starts of the session's 1m bars"),
        (gap("09:48", "09:50", 3), "its last bar is not due yet"),
        (gap("09:39", "09:45", 2), "it spans a break"),
        (gap("09:31", "09:33", 2), "expected a bar_count of 3, got 2"),
    ],
)
def test_gaps_are_runs_of_expected_bars_that_are_due(data: SessionData, given: GapInfo, message: str) -> None:
    data.publish(OPEN + 20 * MINUTE)
    before = data.get_gaps("A", "1m")
    with pytest.raises(DataError, match=message):
        data.set_gaps("A", "1m", [given])
    assert data.get_gaps("A", "1m") == before == [gap("09:30", "09:39", 10), gap("09:45", "09:49", 5)]


MOMENT = gap("09:31", "09:31", 1).start_time


@pytest.mark.parametrize(
    ("gaps", "message"),
    [
        (None, "expected a list of GapInfo, [] for none; it was None"),
        (5, "expected a list of GapInfo, [] for none; it was 5"),
        ([{}], "expected a GapInfo, it was {}"),
        ([gap("09:31", "09:31", 1), None], "expected a GapInfo, it was None"),
        ([GapInfo("A", MOMENT, MOMENT, True)], "expected whole numbers up to 2,147,483,647 as bar_count"),
        ([GapInfo("A", MOMENT, MOMENT, np.timedelta64(1))], "and retry_count, got np.timedelta64(1)"),  # type: ignore[arg-type]
        ([GapInfo("A", MOMENT, MOMENT, 1, 2**40)], "and retry_count, got 1099511627776"),
        ([GapInfo("A", MOMENT, MOMENT, 1, 1.5)], "and retry_count, got 1.5"),  # type: ignore[arg-type]
        ([GapInfo("A", MOMENT.date(), MOMENT, 1)], "expected datetimes of the years 2 to 9998 as start_time, end_time"),  # type: ignore[arg-type]
        ([GapInfo("A", MOMENT, "09:31", 1)], "and last_retry, got '09:31'"),  # type: ignore[arg-type]
        ([GapInfo("A", MOMENT, MOMENT, 1, 1, "09:31")], "and last_retry, got '09:31'"),  # type: ignore[arg-type]
        ([GapInfo("A", dt.datetime(1, 1, 1), dt.datetime(1, 1, 1), 1)], "got datetime.datetime(1, 1, 1"),
    ],
)
def test_gaps_of_other_types_are_refused(loose: SessionData, gaps: Any, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        loose.set_gaps("A", "1m", gaps)
    assert "\n" not in str(caught.value)
    assert loose.get_gaps("A", "1m") == []


def test_counts_of_numpy_are_integers(data: SessionData) -> None:
    data.publish(OPEN + 5 * MINUTE)
    counts: Any = (np.int64(2), np.uint8(1))
    data.set_gaps("A", "1m", [GapInfo("A", MOMENT, MOMENT + dt.timedelta(minutes=1), *counts)])
    assert section(data)["gaps"]["ranges"][0] | {"last_retry": None} == {
        "start_time": "09:31:00",
        "end_time": "09:32:00",
        "bar_count": 2,
        "retry_count": 1,
        "last_retry": None,
    }


@pytest.mark.parametrize("quality", [None, "50", [50], float("nan"), -1, 100.5])
def test_a_quality_is_a_percentage(data: SessionData, quality: Any) -> None:
    with pytest.raises(DataError, match="of A is none: expected percent, a number from 0 to 100"):
        data.set_quality("A", "1m", quality)


def test_gaps_are_put_in_order_and_naive_moments_are_the_exchanges(data: SessionData) -> None:
    data.publish(OPEN + 25 * MINUTE)
    naive = gap("09:31", "09:32", 2)
    naive = GapInfo("A", naive.start_time.replace(tzinfo=None), naive.end_time.replace(tzinfo=None), 2)
    data.set_gaps("A", "1m", [gap("09:45", "09:45", 1), naive])
    assert data.get_gaps("A", "1m") == [gap("09:31", "09:32", 2), gap("09:45", "09:45", 1)]
    label = dt.datetime(2025, 7, 2, tzinfo=dt.UTC)
    data.set_gaps("A", "1d", [GapInfo("A", label.replace(tzinfo=None), label.replace(tzinfo=None), 1)])
    assert data.get_gaps("A", "1d")[0].start_time == label


def test_quality_follows_from_gaps_set_by_hand(data: SessionData, contract: Judge) -> None:
    data.publish(OPEN + 9 * MINUTE)
    data.set_gaps("A", "1m", [gap("09:31", "09:31", 1)])
    assert (data.get_quality("A", "1m"), data.get_quality("B", "1m")) == (88.88, 0.0)
    assert problems(contract, data) == []
    data.publish(OPEN + 18 * MINUTE)  # 13 bars are due by now
    assert data.get_quality("A", "1m") == 92.3
    data.set_gaps("A", "1m", [])
    assert data.get_quality("A", "1m") == 100.0
    assert problems(contract, data) == []


def test_no_quality_by_hand_contradicts_the_gaps(data: SessionData, contract: Judge) -> None:
    data.publish(OPEN + 10 * MINUTE)
    data.set_gaps("A", "1m", [])
    data.set_quality("A", "1m", 50.0)
    assert section(data)["gaps"] == {"gap_count": 0, "missing_bars": 0, "ranges": []}
    assert problems(contract, data) == []
    data.set_gaps("A", "1m", [gap("09:31", "09:31", 1)])
    assert data.get_quality("A", "1m") == 50.0
    data.set_quality("A", "1m", 100.0)
    assert data.get_quality("A", "1m") == 90.0
    assert data.get_gaps("A", "1m") != []
    assert problems(contract, data) == []


def test_without_a_session_gaps_give_no_quality(loose: SessionData, contract: Judge) -> None:
    loose.set_gaps("A", "1m", [gap("09:31", "09:31", 1)])
    assert loose.get_quality("A", "1m") is None
    loose.set_quality("A", "1m", 100.0)
    assert loose.get_quality("A", "1m") is None
    assert problems(contract, loose) == []


# --- indicators -----------------------------------------------------------------------------------------------------


def test_an_indicator_by_minute_has_minutes(data: SessionData) -> None:
    with pytest.raises(DataError, match=r"indicator 'x' has shape \(2, 0\): expected \(2,\) or \(2, minutes\)"):
        data.set_historical_indicator("x", np.zeros((2, 0)))


@pytest.mark.parametrize("name", ["loaded", "date_range", "data", "", " ", "\ud800", 5])
def test_an_indicator_takes_no_name_that_exports_use(data: SessionData, name: Any) -> None:
    with pytest.raises(DataError, match="expected a name for the indicator other than loaded, date_range, data"):
        data.set_historical_indicator(name, np.zeros(2))
