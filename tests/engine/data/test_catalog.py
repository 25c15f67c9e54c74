"""The catalog: reading only what is asked for, without copies; writes that are whole or not there at all."""

from __future__ import annotations

import datetime as dt
import errno
import os
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mismartera.engine.data import catalog as catalog_module
from mismartera.engine.data import partition
from mismartera.engine.data.catalog import Catalog
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.errors import CatalogError, IntervalError
from mismartera.schemas.ticks import TICK_SCHEMA

DAY = 86_400_000_000
JULY_2 = 1_751_414_400_000_000
MINUTE = 60_000_000


def bars(*rows: tuple[str, int, float]) -> pa.Table:
    """Rows of symbol, minutes since 2025-07-02 00:00 UTC, and price."""
    stamps = [dt.datetime.fromtimestamp((JULY_2 + minute * MINUTE) / 1e6, dt.UTC) for _, minute, _ in rows]
    prices = [price for *_, price in rows]
    return pa.table([[name for name, *_ in rows], stamps, *[prices] * 4, [1] * len(rows)], schema=BAR_SCHEMA)


def content(catalog: Catalog, start: int = 0, stop: int = 2 * JULY_2, symbols=None) -> list[tuple]:
    rows = catalog.read("1m", start, stop, symbols).to_pylist()
    return [(r["symbol"], (int(r["timestamp"].timestamp() * 1e6) - JULY_2) // MINUTE, r["close"]) for r in rows]


@pytest.fixture
def catalog(tmp_path) -> Catalog:
    return Catalog(tmp_path / "catalog")


def part(catalog: Catalog, day: str = "2025-07-02") -> Path:
    return catalog.root / "bars" / "interval=1m" / f"date={day}" / "part-0.parquet"


def test_an_absent_catalog_is_empty_and_says_how_to_fill_it(catalog):
    assert (catalog.exists(), catalog.kinds(), catalog.dates("1m"), catalog.symbols("1m")) == (False, [], [], [])
    assert catalog.read("1m", 0, 10).num_rows == 0
    assert len(catalog.summary()) == 0
    with pytest.raises(CatalogError, match="no catalog at") as caught:
        catalog.require()
    assert "MISMARTERA_CATALOG" in caught.value.hint
    assert not catalog.root.exists()


def test_a_kind_that_is_none_is_told(catalog):
    with pytest.raises(IntervalError):
        catalog.read("soon", 0, 1)


def test_upsert_adds_replaces_and_leaves(catalog):
    first = catalog.upsert("1m", bars(("B", 1, 1.0), ("A", 1, 1.0), ("A", 0, 1.0), ("A", 1440, 1.0)))
    assert (first.added, first.replaced, first.unchanged, len(first.partitions)) == (4, 0, 0, 2)
    other = part(catalog, "2025-07-03").stat()
    second = catalog.upsert("1m", bars(("A", 0, 1.0), ("A", 1, 2.0), ("C", 0, 3.0)))
    assert (second.added, second.replaced, second.unchanged) == (1, 1, 1)
    assert second.partitions == {part(catalog).parent}
    assert content(catalog) == [("A", 0, 1.0), ("A", 1, 2.0), ("A", 1440, 1.0), ("B", 1, 1.0), ("C", 0, 3.0)]
    assert part(catalog, "2025-07-03").stat().st_ino == other.st_ino
    assert not (catalog.root / ".staging").exists()


def test_of_rows_of_one_key_the_last_wins(catalog):
    summary = catalog.upsert("1m", bars(("A", 0, 1.0), ("A", 0, 2.0)))
    assert (summary.added, content(catalog)) == (1, [("A", 0, 2.0)])


def test_reads_are_bounded_by_time_and_symbol(catalog):
    catalog.upsert("1m", bars(*[(name, minute, 1.0) for name in "ABC" for minute in (0, 1, 2, 1440, 1441)]))
    start, stop = JULY_2 + MINUTE, JULY_2 + DAY + MINUTE
    assert content(catalog, start, stop, ["C", "A", "nope"]) == [
        (name, minute, 1.0) for name in "AC" for minute in (1, 2, 1440)
    ]
    assert content(catalog, stop, start) == []
    assert content(catalog, 0, 0) == []


def test_what_is_stored_is_told(catalog):
    catalog.upsert("1d", bars(("BRK.B", 0, 1.0)))
    catalog.upsert("60m", bars(("A", 0, 1.0)))
    catalog.upsert("1m", bars(("A", 0, 1.0), ("A", 1441, 1.0)))
    catalog.upsert("ticks", TICK_SCHEMA.empty_table())
    (catalog.root / "bars" / "interval=odd" / "date=2025-07-02").mkdir(parents=True)
    (catalog.root / "bars" / "interval=1m" / "date=someday").mkdir()
    assert catalog.kinds() == ["1m", "1h", "1d"]
    assert catalog.dates("1m") == [dt.date(2025, 7, 2), dt.date(2025, 7, 3)]
    assert catalog.has("1m", dt.date(2025, 7, 3), dt.date(2025, 7, 4))
    assert not catalog.has("1m", dt.date(2025, 7, 4), dt.date(2026, 1, 1))
    assert catalog.symbols("1d") == ["BRK.B"]
    assert catalog.find_symbols(["A", "BRK.B", "Z"], ["1m", "1d"]) == {"A", "BRK.B"}
    assert catalog.summary().select("kind", "symbol", "rows", "days").rows() == [
        ("1m", "A", 2, 2),
        ("1h", "A", 1, 1),
        ("1d", "BRK.B", 1, 1),
    ]


def test_finding_symbols_stops_when_all_are_found(catalog, monkeypatch):
    catalog.upsert("1m", bars(("A", 0, 1.0), ("A", 1440, 1.0), ("A", 2880, 1.0)))
    opened = []
    real = catalog_module.open_file
    monkeypatch.setattr(catalog_module, "open_file", lambda path: opened.append(path) or real(path))
    assert catalog.find_symbols(["A"], ["1m"]) == {"A"}
    assert len(opened) == 1


def test_a_whole_day_is_read_without_a_copy(catalog, monkeypatch):
    catalog.upsert("1m", bars(*[(f"S{n:03}", minute, 1.0) for n in range(100) for minute in range(5)]))

    def forbidden(*args):
        raise AssertionError("rows were copied")

    for module in (catalog_module, partition):
        monkeypatch.setattr(module, "take", forbidden)
    monkeypatch.setattr(partition, "merge", forbidden)
    monkeypatch.setattr(partition, "sort_rows", forbidden)
    decoded = []
    real = partition.read_columns
    monkeypatch.setattr(partition, "read_columns", lambda *args: decoded.append(real(*args)) or decoded[-1])
    table = catalog.read("1m", JULY_2, JULY_2 + DAY)
    assert table.num_rows == 500
    for name in ("timestamp", "open", "volume"):
        got, made = table[name].chunk(0).buffers()[1], decoded[0][name].chunk(0).buffers()[1]
        assert got.address == made.address


def test_only_dates_of_the_range_are_opened(catalog, monkeypatch):
    catalog.upsert("1m", bars(("A", 0, 1.0), ("A", 1440, 1.0), ("A", 2880, 1.0)))
    part(catalog).write_bytes(b"damaged, but not asked for")
    assert content(catalog, JULY_2 + DAY, JULY_2 + 2 * DAY) == [("A", 1440, 1.0)]


def test_duckdb_and_polars_read_it_as_it_is(catalog):
    catalog.upsert("1m", bars(("BRK.B", 0, 1.0), ("A", 1440, 2.0)))
    files = str(catalog.root / "bars" / "*" / "*" / "*.parquet")
    query = (
        f"select symbol, close, interval, date::varchar from read_parquet('{files}', hive_partitioning=true) order by 1"
    )
    assert duckdb.sql(query).fetchall() == [("A", 2.0, "1m", "2025-07-03"), ("BRK.B", 1.0, "1m", "2025-07-02")]
    scanned = pl.scan_parquet(catalog.root / "bars", hive_partitioning=True).filter(
        pl.col("date") == dt.date(2025, 7, 2)
    )
    assert scanned.select("symbol", "close", "interval").collect().rows() == [("BRK.B", 1.0, "1m")]


def test_files_hold_the_schema_sorted_with_statistics(catalog):
    catalog.upsert("1m", bars(("B", 0, 1.0), ("A", 0, 2.0)))
    file = pq.ParquetFile(part(catalog))
    assert file.schema_arrow.equals(BAR_SCHEMA)
    column = file.metadata.row_group(0).column(0)
    assert (column.compression, column.statistics.min, column.statistics.max) == ("SNAPPY", "A", "B")


def test_files_of_others_are_read_merged_and_tidied(catalog):
    catalog.upsert("1m", bars(("B", 0, 1.0)))
    foreign = part(catalog).with_name("part-00007-spark.snappy.parquet")
    frame = pl.DataFrame(pl.from_arrow(bars(("C", 0, 3.0), ("A", 1, 2.0), ("B", 0, 9.0))))
    frame.select(reversed(frame.columns)).write_parquet(foreign)
    merged = [("A", 1, 2.0), ("B", 0, 1.0), ("C", 0, 3.0)]
    assert content(catalog) == merged
    summary = catalog.upsert("1m", bars(("B", 0, 1.0)))
    assert (summary.unchanged, len(summary.partitions)) == (1, 1)
    assert [path.name for path in part(catalog).parent.iterdir()] == ["part-0.parquet"]
    assert content(catalog) == merged


@pytest.mark.parametrize("options", [{}, {"write_statistics": False}, {"coerce_timestamps": "ms"}])
def test_the_span_of_a_partition_is_in_its_footer_or_its_rows(catalog, options):
    catalog.upsert("1m", bars(("B", 5, 1.0), ("A", 2, 1.0), ("A", 9, 1.0)))
    path = part(catalog)
    day = dt.date.fromisoformat(path.parent.name.removeprefix("date="))
    wanted = pl.read_parquet(path)["timestamp"].to_physical()
    pq.write_table(pq.read_table(path), path, **options)
    assert catalog.span("1m", day) == (wanted.min(), wanted.max())
    assert catalog.span("1m", day + dt.timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not a whole Parquet file"),
        (lambda path: path.write_bytes(b""), "not a whole Parquet file"),
        (lambda path: pq.write_table(pa.table({"symbol": ["A"]}), path), "it lacks timestamp, open"),
        (lambda path: pl.read_parquet(path).drop("symbol").write_parquet(path), "it lacks symbol"),
        (
            lambda path: pl.read_parquet(path).with_columns(open=pl.lit("x")).write_parquet(path),
            "open is .*, not double",
        ),
        (
            lambda path: pl.read_parquet(path).with_columns(open=pl.lit(None, pl.Float64)).write_parquet(path),
            "column open has 1 empty cells",
        ),
    ],
)
def test_a_damaged_file_is_named(catalog, damage, message):
    catalog.upsert("1m", bars(("A", 0, 1.0)))
    damage(part(catalog))
    with pytest.raises(CatalogError, match=message) as caught:
        content(catalog)
    assert str(part(catalog)) in str(caught.value)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_crash_between_renames_leaves_whole_partitions(catalog, monkeypatch, failing):
    old = bars(*[("A", 1440 * day, 1.0) for day in range(3)])
    new = bars(*[("A", 1440 * day, 2.0) for day in range(3)])
    catalog.upsert("1m", old)
    calls = []
    real = os.replace

    def fails(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError(errno.EIO, "the power went", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(CatalogError, match="the power went"):
        catalog.upsert("1m", new)
    assert [price for *_, price in content(catalog)] == [2.0] * (failing - 1) + [1.0] * (4 - failing)
    assert not (catalog.root / ".staging").exists()
    monkeypatch.setattr(os, "replace", real)
    again = catalog.upsert("1m", new)
    assert (again.replaced, again.unchanged) == (4 - failing, failing - 1)
    assert [price for *_, price in content(catalog)] == [2.0] * 3


def test_a_full_disk_is_told_and_leaves_nothing_behind(catalog, monkeypatch):
    catalog.upsert("1m", bars(("A", 0, 1.0)))

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mismartera.engine.data.upsert.pq.write_table", full)
    with pytest.raises(CatalogError, match="No space left on device") as caught:
        catalog.upsert("1m", bars(("A", 0, 2.0)))
    assert "make room" in caught.value.hint
    assert content(catalog) == [("A", 0, 1.0)]
    assert not (catalog.root / ".staging").exists()


def test_staging_left_by_a_killed_process_is_cleaned(catalog):
    (catalog.root / ".staging").mkdir(parents=True)
    (catalog.root / ".staging" / "0.parquet").write_bytes(b"half")
    catalog.upsert("1m", bars(("A", 0, 1.0)))
    assert not (catalog.root / ".staging").exists()


def test_two_writers_at_once_are_refused(catalog):
    import fcntl

    catalog.root.mkdir()
    descriptor = os.open(catalog.root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(CatalogError, match="another process is writing"):
            catalog.upsert("1m", bars(("A", 0, 1.0)))
    finally:
        os.close(descriptor)


def test_a_root_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CatalogError, match="cannot be written"):
        Catalog(tmp_path / "file").upsert("1m", bars(("A", 0, 1.0)))
