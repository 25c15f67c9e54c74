"""The catalog as a session asks for it: by session, local day and symbol."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mismartera.engine.data.data_manager import DataManager
from mismartera.schemas.errors import CatalogError, UnknownNameError
from tests.golden.small import make_system, minutes


@pytest.fixture
def manager(tmp_path: Path) -> DataManager:
    rows = minutes("A", "2024-07-01T09:30-04:00", 3) + minutes("B.C", "2024-07-01T09:30-04:00", 1)
    evening = minutes("A", "2024-07-01T20:30-04:00", 2)  # 00:30 UTC of July 2nd
    later = minutes("A", "2024-07-02T09:30-04:00", 2)
    return make_system(tmp_path, rows + evening + later, "2024-07-01").data_manager


def test_dates_are_local_days_both_included(manager: DataManager) -> None:
    first = dt.date(2024, 7, 1)
    assert manager.get_bars("A", "1m", first, first).num_rows == 5
    assert manager.get_bars("A", 1, first, dt.date(2024, 7, 2)).num_rows == 7
    assert manager.get_bars("A", "1m", dt.date(2024, 7, 3), dt.date(2024, 7, 5)).num_rows == 0


def test_datetimes_are_half_open_and_local_where_naive(manager: DataManager) -> None:
    opened, next_minute = dt.datetime(2024, 7, 1, 9, 30), dt.datetime(2024, 7, 1, 9, 31)
    bars = manager.get_bars("A", "1m", opened, next_minute)
    assert bars.column("symbol").to_pylist() == ["A"]
    assert bars.column("timestamp").to_pylist() == [dt.datetime(2024, 7, 1, 13, 30, tzinfo=dt.UTC)]
    utc = dt.datetime(2024, 7, 1, 13, 31, tzinfo=dt.UTC)
    assert manager.get_bars("A", "1m", utc, dt.datetime(2024, 7, 1, 13, 33, tzinfo=dt.UTC)).num_rows == 2


def test_what_does_not_exist_is_told_with_what_does(manager: DataManager) -> None:
    day = dt.date(2024, 7, 1)
    with pytest.raises(UnknownNameError, match=r"symbol 'D' does not exist .*available: A, B\.C"):
        manager.get_bars("D", "1m", day, day)
    with pytest.raises(UnknownNameError, match=r"interval '5m' does not exist.*available: 1m"):
        manager.get_bars("A", "5m", day, day)
    with pytest.raises(CatalogError, match="holds no 1s bars; it holds 1m"):
        manager.require_kind("1s")


def test_a_symbol_without_a_bar_in_the_range_is_no_error(manager: DataManager) -> None:
    day = dt.date(2024, 7, 2)
    assert manager.get_bars("B.C", "1m", day, day).num_rows == 0
