"""Gaps and quality of a catalog: the session and the sessions before it, as a live system would tell them."""

from __future__ import annotations

import datetime as dt
import re

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.system.system_manager import SystemManager
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.config import parse_config
from mismartera.sql.catalog.open_catalog import open_catalog
from mismartera.sql.live.live_sql import LiveSql

from .conftest import SYMBOLS, frame
from .test_catalog import DATES

MINUTE = dt.timedelta(minutes=1)
GAPS = (
    "SELECT symbol, interval, scope, session_date, start_time, end_time, bar_count, retry_count, last_retry FROM gaps"
)


def drop(folder, interval, date, symbol):
    """Take a symbol's rows out of a partition."""
    (path,) = (folder / "bars" / f"interval={interval}" / f"date={date}").glob("*.parquet")
    table = pq.ParquetFile(path).read()
    pq.write_table(table.filter(pc.not_equal(table["symbol"], symbol)), path)


@pytest.fixture(scope="module")
def holes(tmp_path_factory):
    """Return a catalog in which whole symbols are missing in some sessions."""
    folder = tmp_path_factory.mktemp("holes")
    generate(Catalog(folder), SYMBOLS, DATES[0], DATES[-1], seed=8, missing=0.04, daily=True)
    drop(folder, "1m", DATES[1], "AAPL")
    drop(folder, "1m", DATES[4], "ZED")
    drop(folder, "1d", DATES[2], "ZED")
    return folder


def counted(folder):
    """Count what is missing bar by bar: (symbol, interval, scope, date, first, last, bars) of each range."""
    held = set()
    for interval in ("1m", "1d"):
        for path in (folder / "bars" / f"interval={interval}").rglob("*.parquet"):
            for row in pq.ParquetFile(path).read(["symbol", "timestamp"]).to_pylist():
                held.add((row["symbol"], interval, row["timestamp"]))
    ranges = []
    for symbol in SYMBOLS:
        for date in DATES:
            midnight = dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC)
            minutes = [midnight + dt.timedelta(hours=13, minutes=30) + number * MINUTE for number in range(390)]
            for interval, due in (("1m", minutes), ("1d", [midnight])):
                scope, run = "session" if date == DATES[-1] else "historical", []
                for instant in [*due, None]:
                    if instant is not None and (symbol, interval, instant) not in held:
                        run.append(instant)
                    elif run:
                        ranges.append((symbol, interval, scope, date, run[0], run[-1], len(run)))
                        run = []
    return sorted(ranges)


def test_gaps_equal_a_count_bar_by_bar(holes):
    with open_catalog(holes) as session:
        found = session.query(f"{GAPS} ORDER BY ALL").to_pylist()
    wanted = counted(holes)
    assert {one[-1] for one in wanted} >= {1, 2, 390}
    assert [tuple(row.values()) for row in found] == [(*one, 0, None) for one in wanted]


def test_quality_equals_a_count_bar_by_bar(holes):
    with open_catalog(holes) as session:
        found = session.query("SELECT * FROM quality ORDER BY symbol, interval, scope").to_pylist()
    wanted = []
    for symbol in sorted(SYMBOLS):
        for interval, per_day in (("1d", 1), ("1m", 390)):
            for scope, days in (("historical", len(DATES) - 1), ("session", 1)):
                mine = [one for one in counted(holes) if one[:3] == (symbol, interval, scope)]
                missing, due = sum(one[-1] for one in mine), per_day * days
                share = int((due - missing) * 10_000 / due) / 100
                wanted.append((symbol, interval, scope, share, due - missing, len(mine), missing))
    assert [tuple(row.values()) for row in found] == wanted


@pytest.mark.parametrize(
    ("group", "start", "end", "interval", "extended"),
    [
        ("US_EQUITY", "2024-11-26", "2024-12-02", "1m", True),  # an early close, and after-hours past midnight UTC
        ("US_EQUITY", "2025-03-06", "2025-03-11", "90m", True),  # the clocks change; the last bar is cut short
        ("JP_EQUITY", "2024-11-01", "2024-11-07", "5m", False),  # lunch, and half an hour longer from the 5th on
        ("AU_EQUITY", "2024-12-20", "2024-12-27", "1m", False),  # opens the UTC date before, closes early
    ],
)
def test_history_is_the_same_live(tmp_path, group, start, end, interval, extended):
    catalog, dates = Catalog(tmp_path), (dt.date.fromisoformat(start), dt.date.fromisoformat(end))
    options = {"exchange_group": group, "interval": interval, "extended_hours": extended, "seed": 5, "missing": 0.2}
    generate(catalog, ["A", "B"], *dates, daily=True, **options)
    stored = catalog.dates("1d")
    drop(tmp_path, "1d", stored[1], "B")
    for path in (tmp_path / "bars" / f"interval={interval}" / f"date={stored[1]}").glob("*"):
        path.unlink()
    history = [{"interval": kind, "trailing_days": len(stored) - 1} for kind in (interval, "1d")]
    told = {"symbols": ["A", "B"], "streams": [interval], "derived_intervals": [], "historical": {"data": history}}
    document = {
        "session_name": "same",
        "exchange_group": group,
        "backtest_config": {"start_date": end, "end_date": end},
        "session_data_config": told,
    }
    system = SystemManager(parse_config(document), catalog)
    system.run()
    # The daily bar of the session itself is stored, but not streamed.
    which = f"WHERE scope = 'historical' OR interval = '{interval}' ORDER BY ALL"
    for query in (f"{GAPS} {which}", f"SELECT * FROM quality {which}"):
        live = frame(LiveSql(system.sql_facts).query(query, system.snapshot))
        with open_catalog(tmp_path, exchange_group=group) as session:
            assert_frame_equal(frame(session.query(query)), live)
        assert "historical" in live["scope"].to_list()


@pytest.mark.parametrize(
    ("query", "files"),
    [
        ("SELECT count(*) FROM gaps WHERE scope = 'session'", {"1/6": 2}),
        ("SELECT count(*) FROM gaps WHERE scope = 'session' AND interval = '1m'", {"1/6": 1}),
        ("SELECT count(*) FROM gaps WHERE session_date = '2025-06-27'", {"1/6": 2}),
        ("SELECT count(*) FROM gaps WHERE session_date >= '2025-07-01' AND interval = '1m'", {"1/6": 2}),
        ("SELECT count(*) FROM gaps WHERE scope = 'historical' AND interval = '1m'", {"5/6": 1}),
        ("SELECT avg(quality) FROM quality WHERE scope = 'session'", {"1/6": 2}),
        ("SELECT avg(quality) FROM quality WHERE scope = 'historical' AND interval = '1d'", {"5/6": 1}),
    ],
)
def test_partitions_a_query_does_not_ask_for_are_not_opened(holes, query, files):
    with open_catalog(holes) as session:
        plan = session.query(f"EXPLAIN {query}").column("explain_value")[0].as_py()
    found = [one for one in re.findall(r"Scanning Files: (\d+/\d+)", plan) if not one.startswith("0/")]
    assert {one: found.count(one) for one in found} == files


def test_an_earlier_session_has_its_own_history(holes):
    with open_catalog(holes, session_date=DATES[2]) as session:
        found = session.query("SELECT DISTINCT scope, session_date FROM gaps ORDER BY ALL").to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("historical", DATES[0]),
        ("historical", DATES[1]),
        ("session", DATES[2]),
    ]


def test_of_a_date_that_is_not_stored_there_is_history_alone(holes):
    with open_catalog(holes, session_date=dt.date(2025, 6, 28)) as session:  # a Saturday
        scopes = session.query("SELECT interval, scope, min(missing_bars) > 0 AS some FROM quality GROUP BY ALL")
        dates = session.query("SELECT count(DISTINCT session_date) AS days FROM gaps WHERE interval = '1m'")
    assert sorted(tuple(row.values()) for row in scopes.to_pylist()) == [
        ("1d", "historical", False),
        ("1m", "historical", True),
    ]
    assert dates.to_pylist() == [{"days": 3}]


def test_before_the_first_session_there_is_nothing(holes):
    with open_catalog(holes, session_date=dt.date(2025, 6, 20)) as session:
        assert session.query("SELECT * FROM gaps").num_rows == 0
        assert session.query("SELECT * FROM quality").num_rows == 0


def test_sessions_and_symbols_of_the_window(tmp_path):
    """A session of which nothing is stored is missing; who left before the last session is not expected."""
    rows = [("GONE", 1), ("STAYS", 1), ("STAYS", 3), ("NEW", 3), ("STAYS", 8), ("NEW", 8), ("GUEST", 8)]
    for symbol, day in rows:
        at = dt.datetime(2025, 7, day, 13, 30, tzinfo=dt.UTC)
        values = dict.fromkeys(BAR_SCHEMA.names[2:6], 1.0) | {"symbol": symbol, "timestamp": at, "volume": 1}
        Catalog(tmp_path).upsert("1h", pa.Table.from_pylist([values], schema=BAR_SCHEMA))
    with open_catalog(tmp_path) as session:
        quality = session.query("SELECT symbol, scope, bars, missing_bars FROM quality ORDER BY ALL").to_pylist()
        gaps = session.query("SELECT symbol, session_date, bar_count FROM gaps WHERE symbol = 'NEW' ORDER BY ALL")
    assert [tuple(row.values()) for row in quality] == [
        ("GUEST", "historical", 0, 25),  # 7 bars on the 1st, 2nd and 7th, 4 on the 3rd, which closed early
        ("GUEST", "session", 1, 6),
        ("NEW", "historical", 1, 24),
        ("NEW", "session", 1, 6),
        ("STAYS", "historical", 2, 23),
        ("STAYS", "session", 1, 6),
    ]
    assert [tuple(row.values()) for row in gaps.to_pylist()] == [
        ("NEW", dt.date(2025, 7, 1), 7),
        ("NEW", dt.date(2025, 7, 2), 7),
        ("NEW", dt.date(2025, 7, 3), 3),
        ("NEW", dt.date(2025, 7, 7), 7),
        ("NEW", dt.date(2025, 7, 8), 6),
    ]


def test_a_bar_between_two_starts_fills_no_gap(tmp_path):
    """As in a running session, which leaves such bars out: 390 minutes less the one that begins 30 s late."""
    at = dt.datetime(2025, 7, 2, 13, 30, tzinfo=dt.UTC)
    rows = [
        {"symbol": "A", "timestamp": at + dt.timedelta(minutes=m, seconds=30 * (m == 7)), "volume": 1}
        | dict.fromkeys(BAR_SCHEMA.names[2:6], 1.0)
        for m in range(390)
    ]
    Catalog(tmp_path).upsert("1m", pa.Table.from_pylist(rows, schema=BAR_SCHEMA))
    with open_catalog(tmp_path) as session:
        gaps = session.query("SELECT strftime(start_time, '%H:%M') AS first, bar_count FROM gaps").to_pylist()
        bars = session.query("SELECT bars, missing_bars FROM quality").to_pylist()
    assert gaps == [{"first": "09:37", "bar_count": 1}]
    assert bars == [{"bars": 389, "missing_bars": 1}]
