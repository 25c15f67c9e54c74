"""Rows are not copied: proved by the addresses of buffers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from mismartera.engine.columns.buckets import session_grid
from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.data_manager import DataManager
from mismartera.engine.state.snapshot import Snapshot
from mismartera.engine.state.staging import stage_bars
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.interval import Interval
from tests.golden.small import make_system, minutes

ROWS = [
    row
    for name in ("A", "B")
    for date, count in (("2024-07-02", 390), ("2024-07-03", 210))
    for row in minutes(name, f"{date}T09:30-04:00", count)
]
COLUMNS = BAR_SCHEMA.names[1:]


@pytest.fixture
def system(tmp_path: Path) -> SystemManager:
    return make_system(tmp_path, ROWS, "2024-07-02", "2024-07-03", history=[("1m", 1), ("5m", 1)])


def addresses(table: pa.Table | pa.RecordBatch, name: str) -> set[tuple[int, int]]:
    """Address and length of the buffers behind a column."""
    column = table.column(name)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return {(chunk.buffers()[1].address, chunk.buffers()[1].size) for chunk in chunks}


def test_bars_are_slices_of_the_staged_segment(system: SystemManager) -> None:
    system.run(until="2024-07-02T12:00")
    for interval in ("1m", "5m"):
        segment = system.snapshot.logs[interval].segments[0].batch
        for symbol in ("A", "B"):
            table = system.session_data.get_bars(symbol, interval, part="session")
            assert table.num_rows == 150 // int(interval[0])
            for name in table.schema.names:
                assert addresses(table, name) == addresses(segment, name)


def test_polars_reads_the_same_memory(system: SystemManager) -> None:
    system.run(until="2024-07-02T12:00")
    segment = system.snapshot.logs["1m"].segments[0]
    frame = system.session_data.get_bars("B", "1m", part="session", as_polars=True)
    address = frame["close"].to_arrow().buffers()[1].address
    base = segment.column("close").ctypes.data
    assert base <= address < base + segment.rows * 8


def test_a_session_becomes_history_as_the_segments_it_was_streamed_in(system: SystemManager) -> None:
    streamed: list[Snapshot] = []
    system.hooks.ended.append(lambda: streamed.append(system.snapshot))
    system.run()
    first = streamed[0]
    for interval in ("1m", "5m"):
        past = system.snapshot.history.intervals[interval].days
        assert len(past) == 1
        assert [past[0].segment] == list(first.logs[interval].segments)
        table = system.session_data.get_bars("A", interval, part="historical")
        for name in table.schema.names:
            assert addresses(table, name) == addresses(past[0].segment.batch, name)


def test_a_snapshot_that_was_kept_stays_as_it_was(system: SystemManager) -> None:
    kept: list[tuple[object, list[int]]] = []
    system.hooks.stepped.append(lambda _: kept.append((system.snapshot, system.snapshot.logs["1m"].visible.tolist())))
    system.run()
    for snapshot, visible in kept:
        assert snapshot.logs["1m"].visible.tolist() == visible  # type: ignore[attr-defined]


def test_what_the_catalog_decodes_is_what_the_log_holds(system: SystemManager) -> None:
    session = system.time_manager.window_sessions()[0]
    table = system.data_manager.read_session("1m", session, ["A", "B"])
    grid = session_grid(session, Interval("1m"))
    staged = stage_bars(table, {"A": 0, "B": 1}, grid)
    segment = staged.segment
    assert segment.rows == 780
    for name in COLUMNS:
        assert addresses(segment.batch, name) == addresses(table, name)


def test_a_row_that_is_left_out_costs_a_copy_and_nothing_else(tmp_path: Path, system: SystemManager) -> None:
    catalog = Catalog(tmp_path / "other")
    rows = [*ROWS[:390], *minutes("A", "2024-07-02T08:00-04:00", 3)]
    names = BAR_SCHEMA.names
    catalog.upsert("1m", pa.table(dict(zip(names, zip(*rows, strict=True), strict=True)), schema=BAR_SCHEMA))
    session = system.time_manager.window_sessions()[0]
    table = DataManager(catalog, system.time_manager).read_session("1m", session, ["A"])
    staged = stage_bars(table, {"A": 0}, session_grid(session, Interval("1m")))
    assert staged.segment.rows == 390
    assert staged.dropped.outside_session == 3
