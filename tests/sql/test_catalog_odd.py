"""Catalogs with odd contents: partitions of several files, empty ones, files that are damaged or lack columns."""

from __future__ import annotations

import datetime as dt
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.errors import CatalogError
from mismartera.schemas.ticks import TICK_SCHEMA
from mismartera.sql.catalog.open_catalog import open_catalog

FIRST, LAST = dt.date(2025, 7, 1), dt.date(2025, 7, 2)
AT = dt.datetime(2025, 7, 2, 14, 0, tzinfo=dt.UTC)
TABLES = ("session_bars", "historical_bars", "session_metrics", "gaps", "quality", "symbols", "ticks")


def bars(*rows):
    """Bars of a minute and a price that all four prices are."""
    return pa.Table.from_pylist(
        [
            dict.fromkeys(BAR_SCHEMA.names[2:6], float(price))
            | {"symbol": symbol, "timestamp": AT + dt.timedelta(minutes=minute), "volume": price}
            for symbol, minute, price in rows
        ],
        schema=BAR_SCHEMA,
    )


def trades(*rows):
    return pa.Table.from_pylist(
        [
            {"symbol": s, "timestamp": AT, "price": float(size), "size": size, "exchange": where}
            for s, size, where in rows
        ],
        schema=TICK_SCHEMA,
    )


def put(folder, name, table):
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name)


def partition(root, kind, date):
    return root / kind / f"date={date}"


def answers(root):
    with open_catalog(root) as session:
        return {table: session.query(f"SELECT * FROM {table} ORDER BY ALL").to_pylist() for table in TABLES}


@pytest.fixture
def whole(tmp_path):
    generate(Catalog(tmp_path), ["A", "B"], FIRST, LAST, missing=0.1, daily=True, ticks=True)
    return tmp_path


def test_of_several_files_the_engines_row_counts(tmp_path):
    """`part-0.parquet` wins, then the last file by name; a timestamp of another type is the same key."""
    folder = partition(tmp_path, "bars/interval=1m", LAST)
    put(folder, "part-0.parquet", bars(("A", 0, 1), ("A", 1, 2)))
    put(folder, "part-1.parquet", bars(("A", 1, 30), ("A", 2, 40), ("B", 0, 50)))
    naive = bars(("A", 1, 100), ("A", 2, 200), ("A", 3, 300))
    stamps = naive["timestamp"].cast(pa.timestamp("us")).cast(pa.timestamp("ns"))
    put(folder, "a.parquet", naive.set_column(1, "timestamp", stamps))
    put(partition(tmp_path, "bars/interval=1m", FIRST), "part-0.parquet", bars(("A", -1440, 7)))
    with open_catalog(tmp_path) as session:
        found = session.query(
            "SELECT symbol, timestamp, volume FROM bars WHERE interval = '1m' ORDER BY ALL"
        ).to_pylist()
        plan = session.query(f"EXPLAIN SELECT sum(volume) FROM bars WHERE session_date = '{FIRST}'").to_pylist()
    stored = Catalog(tmp_path).read("1m", 0, 2**62).select(["symbol", "timestamp", "volume"]).to_pylist()
    assert found == stored
    assert [row["volume"] for row in found] == [7, 1, 2, 40, 300, 50]
    assert set(re.findall(r"Scanning Files: (\d+)/", str(plan))) <= {"0", "1"}


def test_of_several_files_of_events_what_is_genuinely_alike_stays(tmp_path):
    folder = partition(tmp_path, "ticks", LAST)
    put(folder, "part-0.parquet", trades(("A", 1, "N"), ("A", 1, "N"), ("A", 2, None)))
    put(folder, "part-1.parquet", trades(("A", 1, "N"), ("A", 2, None), ("A", 2, None), ("B", 1, "N")))
    with open_catalog(tmp_path) as session:
        found = session.query("SELECT symbol, size FROM ticks ORDER BY ALL").to_pylist()
    stored = Catalog(tmp_path).read("ticks", 0, 2**62).to_pylist()
    assert [tuple(row.values()) for row in found] == [("A", 1), ("A", 1), ("A", 2), ("A", 2), ("B", 1)]
    assert sorted((row["symbol"], row["size"]) for row in stored) == [tuple(row.values()) for row in found]


def test_metrics_are_of_the_finest_interval_a_symbol_has_in_the_session(tmp_path):
    put(partition(tmp_path, "bars/interval=1m", LAST), "part-0.parquet", bars(("A", 0, 1), ("B", 0, 2), ("C", 0, 3)))
    put(partition(tmp_path, "bars/interval=1s", LAST), "part-0.parquet", bars(("A", 0, 9)))
    put(partition(tmp_path, "bars/interval=1s", FIRST), "part-0.parquet", bars(("B", -1440, 8)))
    put(partition(tmp_path, "bars/interval=5m", LAST), "part-0.parquet", bars(("C", 0, 7), ("D", 0, 4)))
    with open_catalog(tmp_path) as session:
        found = session.query("SELECT symbol, volume FROM session_metrics").to_pylist()
    assert [tuple(row.values()) for row in found] == [("A", 9), ("B", 2), ("C", 3), ("D", 4)]


def no_rows(name="part-0.parquet", table=None):
    def make(folder):
        put(folder, name, bars() if table is None else table)

    return make


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: folder.mkdir(parents=True),
        no_rows(),
        no_rows(table=pa.table({name: pa.array([], pa.null()) for name in BAR_SCHEMA.names})),
        no_rows("part-0.PARQUET", bars(("A", 1440, 1))),
    ],
    ids=["folder", "file", "untyped", "upper"],
)
@pytest.mark.parametrize("place", ["bars/interval=1m", "bars/interval=1d", "bars/interval=30s"])
@pytest.mark.parametrize("date", [dt.date(2025, 6, 30), dt.date(2025, 7, 3)], ids=["before", "after"])
def test_a_date_without_rows_is_none(whole, place, date, make):
    wanted = answers(whole)
    make(partition(whole, place, date))
    assert answers(whole) == wanted


@pytest.mark.parametrize("kind", ["ticks", "quotes", "bars/interval=1m"])
def test_folders_alone_are_empty_tables(tmp_path, kind):
    partition(tmp_path, kind, LAST).mkdir(parents=True)
    assert not any(answers(tmp_path).values())


@pytest.fixture(params=["damaged", "empty", "lacking", "timestamp", "symbol"])
def spoilt(request, whole):
    """The first file of its glob, of which a query needs nothing that asks for another date or interval."""
    path = partition(whole, "bars/interval=1m", FIRST) / "part-0.parquet"
    table = pq.ParquetFile(path).read()
    match request.param:
        case "damaged":
            path.write_bytes(path.read_bytes()[:-100])
            return whole, "not a whole Parquet file"
        case "empty":
            path.write_bytes(b"")
            return whole, "not a whole Parquet file"
        case "lacking":
            pq.write_table(table.drop_columns(["volume", "high"]), path)
            return whole, "it lacks high, volume"
    pq.write_table(table.drop_columns([request.param]), path)
    return whole, f"it lacks {request.param}"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM bars",
        "SELECT volume FROM bars",
        "SELECT * FROM bars WHERE symbol = 'nobody'",
        "SELECT * FROM bars WHERE symbol IS NULL",
        "SELECT * FROM bars WHERE timestamp > '2030-01-01' AND volume < 0",
        "SELECT max(close) FROM historical_bars WHERE interval = '1m'",
        f"SELECT * FROM bars WHERE interval IN ('1m', '1d') AND session_date = '{FIRST}' ORDER BY close LIMIT 1",
        "SELECT * FROM symbols",
        "SELECT * FROM gaps",
        "SELECT * FROM quality",
        "SELECT a.symbol FROM bars a JOIN bars b USING (symbol, timestamp) WHERE a.volume > 3",
    ],
)
def test_a_query_that_needs_an_unreadable_file_names_it(spoilt, query):
    root, told = spoilt
    with open_catalog(root) as session:
        for _ in range(2):  # no view is left behind half made, to be empty the second time
            with pytest.raises(CatalogError, match=rf"interval=1m/date={FIRST}/part-0\.parquet: .*{told}") as caught:
                session.query(query)
    assert re.search("move the file out|import its source again", caught.value.hint)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM session_bars ORDER BY ALL",
        "SELECT * FROM session_metrics ORDER BY ALL",
        "SELECT * FROM bars WHERE interval = '1d' ORDER BY ALL",
        f"SELECT * FROM bars WHERE session_date > '{FIRST}' ORDER BY ALL",
        "SELECT * FROM gaps WHERE scope = 'session' ORDER BY ALL",
        "SELECT * FROM ticks ORDER BY ALL",
    ],
)
def test_other_queries_go_on(spoilt, tmp_path_factory, query):
    sound = tmp_path_factory.mktemp("sound")
    generate(Catalog(sound), ["A", "B"], FIRST, LAST, missing=0.1, daily=True, ticks=True)
    with open_catalog(sound) as wanted, open_catalog(spoilt[0]) as session:
        assert session.query(query).to_pylist() == wanted.query(query).to_pylist()


@pytest.mark.parametrize(
    ("group", "damaged", "sound"),
    [("US_EQUITY", 3, 5), ("US_EQUITY", 5, 3), ("AU_EQUITY", 3, 5), ("AU_EQUITY", 5, 3)],
)
def test_where_sessions_reach_past_midnight_too(tmp_path, group, damaged, sound):
    dates = dt.date(2024, 12, 3), dt.date(2024, 12, 5)
    generate(Catalog(tmp_path), ["A"], *dates, exchange_group=group, extended_hours=True)
    path = partition(tmp_path, "bars/interval=1m", dt.date(2024, 12, damaged)) / "part-0.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    with open_catalog(tmp_path, exchange_group=group) as session:
        query = f"SELECT count(*) > 300 AS many FROM bars WHERE session_date = '2024-12-0{sound}'"
        assert session.query(query).to_pylist() == [{"many": True}]
        with pytest.raises(CatalogError, match="not a whole Parquet file"):
            session.query(f"SELECT * FROM bars WHERE session_date = '2024-12-0{damaged}'")


def test_a_file_damaged_after_its_footer_was_read_is_named(whole):
    path = partition(whole, "bars/interval=1m", FIRST) / "part-0.parquet"
    with open_catalog(whole) as session:
        session.query("SELECT count(*) FROM bars")
        path.write_bytes(b"PAR1 nothing PAR1")
        with pytest.raises(CatalogError, match=rf"date={FIRST}/part-0\.parquet: cannot be read") as caught:
            session.query("SELECT * FROM bars WHERE interval = '1m'")
    assert "move the file out" in caught.value.hint


def test_very_many_unreadable_files_are_told_at_once(tmp_path):
    for day in range(60):
        put(partition(tmp_path, "ticks", FIRST + dt.timedelta(days=day)), "a.parquet", pa.table({"symbol": ["A"]}))
    with open_catalog(tmp_path) as session, pytest.raises(CatalogError, match=r"it lacks .*; 59 more files"):
        session.query("SELECT count(*) FROM ticks")
