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
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.config import parse_config
from mismartera.schemas.errors import CatalogError, UnknownNameError
from mismartera.sql.catalog.open_catalog import open_catalog
from mismartera.sql.live.live_sql import LiveSql

from .conftest import SYMBOLS, frame

HOURS = [(14, 0), (14, 30), (17, 30), (21, 30)]
LATE = dt.datetime(2024, 11, 28, 0, 30, tzinfo=dt.UTC)
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


WHOLE = (
    "SELECT symbol, interval, timestamp, session_date, open, high, low, close, volume, generated, n_base, n_expected, "
    "revision, available_at FROM bars WHERE interval IN ({}) AND session_date >= '{}' ORDER BY ALL"
)


@pytest.mark.parametrize(
    ("group", "start", "end", "interval", "extended"),
    [
        ("US_EQUITY", "2024-11-26", "2024-12-02", "1h", True),  # an early close, and after-hours past midnight UTC
        ("US_EQUITY", "2025-03-06", "2025-03-11", "90m", True),  # the clocks change
        ("JP_EQUITY", "2024-11-01", "2024-11-07", "1h", False),  # lunch, and half an hour longer from the 5th on
        ("AU_EQUITY", "2024-12-20", "2024-12-27", "1h", False),  # opens the UTC date before, closes early
    ],
)
def test_a_session_is_the_same_live(tmp_path, group, start, end, interval, extended):
    """Stored bars belong to the session, and could be known at the instant, that the engine itself gives them."""
    catalog, dates = Catalog(tmp_path), (dt.date.fromisoformat(start), dt.date.fromisoformat(end))
    options = {"exchange_group": group, "interval": interval, "extended_hours": extended, "seed": 5, "missing": 0.1}
    generate(catalog, ["A", "B"], *dates, daily=True, **options)
    history = [{"interval": interval, "trailing_days": 2}, {"interval": "1d", "trailing_days": 2}]
    told = {"symbols": ["A", "B"], "streams": [interval], "derived_intervals": [], "historical": {"data": history}}
    document = {
        "session_name": "same",
        "exchange_group": group,
        "backtest_config": {"start_date": end, "end_date": end},
        "session_data_config": told | {"extended_hours": extended},
    }
    system = SystemManager(parse_config(document), catalog)
    system.run()
    query = WHOLE.format(f"'{interval}', '1d'", system.snapshot.history.intervals[interval].days[0].date)
    live = frame(LiveSql(system.sql_facts).query(query, system.snapshot))
    with open_catalog(tmp_path, exchange_group=group) as session:
        found = frame(session.query(query))
    today = (pl.col("session_date") == dates[1]) & (pl.col("interval") == "1d")  # stored, but not streamed
    assert found.filter(today)["available_at"].unique().len() == 1
    assert_frame_equal(found.filter(~today), live)
    assert live["session_date"].n_unique() == 3


def test_bars_are_known_at_the_end_or_at_the_close(tmp_path):
    """By hand: the day after Thanksgiving, 29 November 2024, trading ends at 13:00 and after-hours at 17:00."""
    rows = [("1h", dt.datetime(2024, 11, 29, hour, minute, tzinfo=dt.UTC)) for hour, minute in HOURS]
    rows.append(("1d", dt.datetime(2024, 11, 29, tzinfo=dt.UTC)))
    for kind, at in rows:
        values = dict.fromkeys(BAR_SCHEMA.names[2:6], 1.0) | {"symbol": "A", "timestamp": at, "volume": 1}
        Catalog(tmp_path).upsert(kind, pa.Table.from_pylist([values], schema=BAR_SCHEMA))
    Catalog(tmp_path).upsert("1h", pa.Table.from_pylist([values | {"timestamp": LATE}], schema=BAR_SCHEMA))
    with open_catalog(tmp_path) as session:
        found = session.query(
            "SELECT interval, strftime(timestamp, '%d %H:%M') AS start, strftime(available_at, '%d %H:%M') AS known, "
            "CAST(session_date AS VARCHAR) AS session FROM bars ORDER BY interval, timestamp"
        )
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("1d", "28 19:00", "29 13:00", "2024-11-29"),
        ("1h", "27 19:30", "27 20:00", "2024-11-27"),  # 00:30 UTC of Thanksgiving, which has no session
        ("1h", "29 09:00", "29 09:30", "2024-11-29"),  # the pre-market ends at the open
        ("1h", "29 09:30", "29 10:30", "2024-11-29"),
        ("1h", "29 12:30", "29 13:00", "2024-11-29"),
        ("1h", "29 16:30", "29 17:00", "2024-11-29"),
    ]


def test_rows_past_midnight_utc_are_read_with_their_session(tmp_path):
    """A query for one session opens its two partitions, and none where no row lies past midnight."""
    generate(Catalog(tmp_path), ["A"], dt.date(2024, 12, 2), dt.date(2024, 12, 6), extended_hours=True, ticks=True)
    with open_catalog(tmp_path) as session:
        assert session.query("SELECT DISTINCT session_date FROM session_bars").column(0).to_pylist() == [
            dt.date(2024, 12, 6)
        ]
        for table in ("bars", "ticks"):
            query = f"SELECT count(*) AS n FROM {table} WHERE session_date = '2024-12-04'"
            plan = session.query(f"EXPLAIN {query}").column("explain_value")[0].as_py()
            assert re.findall(r"Scanning Files: (\d+/\d+)", plan) == ["1/6", "1/6"]
        found = session.query(
            "SELECT session_date, count(*) AS n FROM bars WHERE hour(timestamp) >= 19 GROUP BY ALL ORDER BY ALL"
        ).to_pylist()
    stamps = stored(tmp_path, "bars/interval=1m")["timestamp"].dt.convert_time_zone("America/New_York")
    evening = stamps.filter(stamps.dt.hour() >= 19).dt.date().value_counts().sort("timestamp")
    assert [(row["session_date"], row["n"]) for row in found] == evening.rows()


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
