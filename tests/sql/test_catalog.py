"""SQL over a catalog: the partitions a query asks for, and the bars the calendar expects."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.errors import CatalogError, UnknownNameError
from mismartera.sql.catalog import open_catalog

from .conftest import SYMBOLS, frame

DATES = [dt.date(2025, 6, day) for day in (25, 26, 27, 30)] + [dt.date(2025, 7, 1), dt.date(2025, 7, 2)]


def stored(folder, kind):
    parts = [
        pl.read_parquet(path.read_bytes()).with_columns(
            session_date=pl.lit(path.parent.name.removeprefix("date=")).str.to_date()
        )
        for path in sorted((folder / kind).rglob("*.parquet"))
    ]
    return pl.concat(parts)


def utc(found):
    return found.with_columns(pl.col(pl.Datetime).dt.convert_time_zone("UTC"))


@pytest.fixture(scope="module")
def asked(catalog):
    with open_catalog(catalog) as session:
        yield session


def test_bars_equal_the_files(catalog, asked):
    for interval in ("1m", "1d"):
        wanted = stored(catalog, f"bars/interval={interval}")
        columns = ["symbol", "timestamp", "session_date", "open", "high", "low", "close", "volume"]
        found = asked.query(f"SELECT {', '.join(columns)} FROM bars WHERE interval = '{interval}' ORDER BY ALL")
        assert_frame_equal(utc(frame(found)), wanted.select(columns).sort(columns))


def test_events_equal_the_files(catalog, asked):
    for kind, columns in (("ticks", ["price", "size", "exchange"]), ("quotes", ["bid", "ask", "bid_size", "ask_size"])):
        columns = ["symbol", "timestamp", *columns]
        found = asked.query(f"SELECT {', '.join(columns)} FROM {kind} ORDER BY ALL")
        assert_frame_equal(utc(frame(found)), stored(catalog, kind).select(columns).sort(columns))


def test_the_last_date_is_the_session(asked):
    dates = "SELECT DISTINCT session_date FROM {} ORDER BY 1"
    assert asked.query(dates.format("session_bars")).column(0).to_pylist() == DATES[-1:]
    assert asked.query(dates.format("historical_bars")).column(0).to_pylist() == DATES[:-1]


def test_another_date_may_be_the_session(catalog):
    with open_catalog(catalog, session_date=dt.date(2025, 6, 27)) as session:
        dates = "SELECT DISTINCT session_date FROM {} ORDER BY 1"
        assert session.query(dates.format("session_bars")).column(0).to_pylist() == DATES[2:3]
        assert session.query(dates.format("bars")).column(0).to_pylist() == DATES[:3]


@pytest.mark.parametrize(
    ("query", "files"),
    [
        ("SELECT sum(volume) FROM bars WHERE interval = '1m' AND session_date = '2025-06-27'", "1/12"),
        ("SELECT sum(volume) FROM historical_bars WHERE interval = '1m' AND session_date >= '2025-06-30'", "2/12"),
        ("SELECT sum(volume) FROM session_bars WHERE interval = '1m'", "1/12"),
        ("SELECT sum(volume) FROM bars WHERE interval = '1d'", "6/12"),
        ("SELECT sum(size) FROM ticks WHERE session_date = '2025-07-01'", "1/6"),
    ],
)
def test_partitions_a_query_does_not_ask_for_are_not_opened(asked, query, files):
    plan = asked.query(f"EXPLAIN {query}").column("explain_value")[0].as_py()
    assert re.findall(r"Scanning Files: (\d+/\d+)", plan) == [files]


def test_session_metrics_equal_polars(catalog, asked):
    bars = stored(catalog, "bars/interval=1m").filter(pl.col("session_date") == DATES[-1])
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) / 3
    wanted = bars.group_by("symbol").agg(
        pl.col("volume").sum(),
        pl.col("high").max(),
        pl.col("low").min(),
        vwap=(typical * pl.col("volume")).sum() / pl.col("volume").sum(),
    )
    found = asked.query("SELECT symbol, volume, high, low, vwap FROM session_metrics ORDER BY symbol")
    assert_frame_equal(frame(found), wanted.sort("symbol"))


def test_symbols_are_the_stored_ones(asked):
    found = asked.query("SELECT * FROM symbols ORDER BY position").to_pylist()
    assert [(row["symbol"], row["position"]) for row in found] == [(s, n) for n, s in enumerate(sorted(SYMBOLS))]


def test_gaps_end_at_a_lunch_break(tmp_path):
    """Tokyo trades from 09:00 to 11:30 and from 12:30 to 15:30: what is missing around noon is two ranges."""
    at = dt.datetime(2025, 7, 2, 0, 0, tzinfo=dt.UTC)
    minutes = [m for m in range(390) if not 150 <= m < 210]  # 09:00 in Tokyo is 00:00 UTC
    kept = [m for m in minutes if not (140 <= m < 215 or m == 5)]
    rows = [
        {"symbol": "7203", "timestamp": at + dt.timedelta(minutes=m), "volume": 1}
        | dict.fromkeys(BAR_SCHEMA.names[2:6], 1.0)
        for m in kept
    ]
    Catalog(tmp_path).upsert("1m", pa.Table.from_pylist(rows, schema=BAR_SCHEMA))
    with open_catalog(tmp_path, exchange_group="JP_EQUITY") as session:
        gaps = session.query("SELECT strftime(start_time, '%H:%M') AS first, bar_count FROM gaps ORDER BY start_time")
        quality = session.query("SELECT quality, bars, gap_count, missing_bars FROM quality")
    assert [tuple(row.values()) for row in gaps.to_pylist()] == [("09:05", 1), ("11:20", 10), ("12:30", 5)]
    expected = len(minutes)
    share = np.floor((expected - 16) / expected * 10_000) / 100
    assert quality.to_pylist() == [{"quality": share, "bars": expected - 16, "gap_count": 3, "missing_bars": 16}]


def test_a_session_over_two_utc_dates_is_one_session(tmp_path):
    """Sydney opens at 10:00, in summer 23:00 UTC of the day before."""
    generate(
        Catalog(tmp_path), ["BHP"], dt.date(2025, 1, 14), dt.date(2025, 1, 15), exchange_group="AU_EQUITY", missing=0.0
    )
    with open_catalog(tmp_path, exchange_group="AU_EQUITY") as session:
        found = session.query("SELECT session_date, count(*) AS bars FROM bars GROUP BY ALL ORDER BY ALL").to_pylist()
        now = session.query("SELECT count(*) AS bars FROM session_bars").to_pylist()
        assert session.query("SELECT * FROM gaps").num_rows == 0
    assert found == [{"session_date": dt.date(2025, 1, day), "bars": 360} for day in (14, 15)]
    assert now == [{"bars": 360}]


def test_no_catalog_and_no_exchange_are_told(tmp_path, catalog):
    with pytest.raises(CatalogError, match="no catalog at"):
        open_catalog(tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'US_EQUITY'"):
        open_catalog(catalog, exchange_group="US_EQITY")


def test_a_damaged_file_is_named(tmp_path):
    generate(Catalog(tmp_path), ["A"], dt.date(2025, 7, 1), dt.date(2025, 7, 1))
    (broken,) = tmp_path.rglob("*.parquet")
    broken.write_bytes(b"PAR1 nothing PAR1")
    with open_catalog(tmp_path) as session, pytest.raises(Exception, match=r"part-0\.parquet"):
        session.query("SELECT * FROM bars")
