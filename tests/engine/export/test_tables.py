"""Tables of an export: the document made from them is the JSON export, value for value."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from mismartera.engine.export.consumers.consumers import Consumers
from mismartera.engine.export.consumers.filter import ExportFilter
from mismartera.engine.export.document.document import Export
from mismartera.engine.export.formats.table_folder import folder_sections
from mismartera.engine.export.reading.table_document import document_of
from mismartera.engine.export.tables.export_tables import export_tables
from mismartera.engine.export.tables.schemas import EXPORT_TABLES
from mismartera.engine.session.session_data import SessionData
from mismartera.engine.system.system_manager import SystemState
from mismartera.schemas.gaps import GapInfo
from tests.golden.exporting import every, export_of, make_catalog, make_run
from tests.golden.small import make_system, minutes, table, us

ZONE = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_catalog(tmp_path_factory.mktemp("catalog"))


def same(export: Export) -> dict[str, pa.Table]:
    tables = export_tables(export)
    assert list(tables) == list(EXPORT_TABLES)
    for name, made in tables.items():
        assert made.schema == EXPORT_TABLES[name], name
        made.validate(full=True)
    metadata = {"_metadata": export.metadata, **export.sections, "session_data": export.session.head()}
    assert set(metadata) == set(folder_sections(export))
    assert plain(document_of(tables, metadata)["session_data"]) == export.to_json()["session_data"]
    bars = ("session_bars", "historical_bars", "ticks", "quotes")
    assert sum(tables[name].num_rows for name in bars) == export.rows
    return tables


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return value.isoformat() if isinstance(value, dt.date) else value


def test_tables_and_json_carry_the_same_over_two_sessions(catalog: Path) -> None:
    system = make_run(catalog)
    system.register_consumer("some", symbols=["a/b~c", "ZZ"], intervals=["1m", "1d", "ticks"])
    system.register_consumer("past", parts=["historical"])
    system.register_consumer("now", parts=["session"])
    rows = []

    def take() -> None:
        for consumer in ("default", "some", "past", "now"):
            delta = system.export(consumer)
            rows.append(sum(table.num_rows for table in same(delta).values()))
            same(system.export(consumer, complete=True))
            if len(rows) % 3:
                system.acknowledge(delta)

    every(system, 60, take)
    system.run()
    assert len(rows) == 4 * (
        7 + 4
    )  # at each full hour from 10:00 to 16:00, and to 13:00 where the session closes early
    same(system.export(complete=True))


def test_rows_say_how_they_came_about(tmp_path: Path) -> None:
    rows = minutes("A", "2024-07-02T09:30-04:00", 390) + minutes("A", "2024-07-03T09:30-04:00", 10, without=[6, 7])
    system = make_system(tmp_path, rows, "2024-07-03", history=[("1h", 1)])
    system.run(until="2024-07-03T09:40")
    tables = same(system.export(complete=True))
    assert tables["session_bars"].slice(8).to_pylist() == [
        {
            "symbol": "A", "interval": "5m", "timestamp": dt.datetime(2024, 7, 3, 13, minute, tzinfo=dt.UTC),
            "session_date": dt.date(2024, 7, 3), "open": opened, "high": high, "low": low, "close": close,
            "volume": volume, "generated": True, "n_base": n_base, "n_expected": 5, "revision": 0,
            "available_at": dt.datetime(2024, 7, 3, 13, minute + 5, tzinfo=dt.UTC),
        }
        for minute, opened, high, low, close, volume, n_base in [
            (30, 10.0, 14.5, 9.5, 14.25, 500, 5), (35, 15.0, 19.5, 14.5, 19.25, 300, 3),
        ]
    ]  # fmt: skip
    assert tables["gaps"].select(["symbol", "interval", "start_time", "bar_count", "scope"]).to_pylist() == [
        {
            "symbol": "A", "interval": "1m", "start_time": dt.datetime(2024, 7, 3, 13, 36, tzinfo=dt.UTC),
            "bar_count": 2, "scope": "session",
        }
    ]  # fmt: skip
    past = tables["historical_bars"]
    assert past.column("n_base").to_pylist() == past.column("n_expected").to_pylist() == [60] * 6 + [30]
    assert set(past.column("session_date").to_pylist()) == {dt.date(2024, 7, 2)}
    assert tables["session_metrics"].to_pylist() == [
        {"symbol": "A", "volume": 800, "high": 19.5, "low": 9.5, "vwap": pytest.approx(14.5 - 5 / 16 + 1 / 12, abs=1)}
    ]


def test_a_complete_export_refers_to_whole_segments_without_a_copy(tmp_path: Path) -> None:
    system = make_system(tmp_path, minutes("A", "2024-07-03T09:30-04:00", 210), "2024-07-03", derived=[])
    system.run()
    [segment] = system.snapshot.logs["1m"].segments
    chunks = export_tables(system.export(complete=True))["session_bars"].column("close").chunks
    [chunk] = [chunk for chunk in chunks if len(chunk)]
    assert chunk.buffers()[1].address == segment.batch.column("close").buffers()[1].address


def feed(data: SessionData, rows: list[Any]) -> None:
    data.append_bars("1m", table(rows))


def test_late_rows_corrections_and_figures_by_hand(tmp_path: Path) -> None:
    data, consumers = SessionData(["B", "A"], timezone="America/New_York", derived_intervals=["1d"]), Consumers()
    consumers.register("b", ExportFilter(symbols=frozenset(["B"])))
    start = us("2025-07-02T09:30-04:00")
    for batch in ([1, 2, 4], [3, 2], [2, 0], [5]):
        bars = [(name, start + at * 60_000_000, 1.0, 9.0 + at, 1.0, 2.0, at) for name in "AB" for at in batch]
        feed(data, bars)
        feed(data, [(name, stamp, 1.0, 20.0, 1.0, close, 7) for name, stamp, _, _, _, close, _ in bars[:1]])
        for consumer in ("default", "b"):
            delta = export_of(data, consumers, complete=False, consumer=consumer)
            same(delta)
            same(export_of(data, consumers, complete=True, consumer=consumer))
            consumers.acknowledge(delta)
    moment = dt.datetime(2025, 7, 2, 9, 36, tzinfo=ZONE)
    data.set_gaps("B", "1m", [GapInfo("B", moment, moment + dt.timedelta(minutes=2), 3, 2, moment)])
    data.set_quality("A", "1m", 12.5)
    consumers.acknowledge(export_of(data, consumers, complete=False))
    data.set_gaps("B", "1m", [])
    assert same(export_of(data, consumers, complete=False))["gaps"].column("bar_count").to_pylist() == [0]
    data.set_gaps("B", "1m", [GapInfo("B", moment, moment, 1, 2, moment)])
    tables = same(export_of(data, consumers, complete=True))
    assert tables["gaps"].column("retry_count").to_pylist() == [2]
    assert max(tables["session_bars"].column("revision").to_pylist()) >= 1
    assert [row["quality"] for row in tables["quality"].to_pylist() if row["symbol"] == "A"] == [12.5, None]


def test_a_symbol_that_joins_is_told_whole(catalog: Path) -> None:
    system = make_run(catalog, symbols=["ZZ", "AAPL"])
    joined = []

    def join() -> None:
        if not joined:
            system.acknowledge(system.export())
            system.pause()

    def take() -> None:
        if len(system.snapshot.symbols) == 3:
            tables = same(system.export())
            joined.append({row["symbol"] for row in tables["historical_bars"].select(["symbol"]).to_pylist()})
            same(system.export(complete=True))
            system.acknowledge(system.export())

    every(system, 60, join)
    every(system, 1, take)
    system.start(until="2025-07-02T10:30")
    while system.state is not SystemState.PAUSED:
        assert system.wait(0.01) is False
    system.add_symbol("BRK.B")
    system.resume()
    system.wait()
    assert joined[0] == {"BRK.B"}
    assert not any(joined[1:])


def test_a_session_without_rows_has_all_tables_without_rows() -> None:
    data, consumers = SessionData(["A"], timezone="UTC"), Consumers()
    tables = same(export_of(data, consumers, complete=True))
    assert {name for name, made in tables.items() if made.num_rows} == {"session_metrics", "quality", "history"}
