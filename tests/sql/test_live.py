"""SQL over live state: equal to Polars on the engine's rows, of one instant, without a copy, in mid-stream."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from mismartera.engine.session.session_data import SessionData
from mismartera.engine.system.sql_access import SqlAccess, SystemFacts
from mismartera.engine.system.system_manager import SystemManager, SystemState
from mismartera.engine.threads.analysis_context import AnalysisContext
from mismartera.schemas.bars import BAR_SCHEMA
from mismartera.schemas.errors import StateError
from mismartera.schemas.gaps import GapInfo
from mismartera.sql.database import Database
from mismartera.sql.errors import QueryStoppedError
from mismartera.sql.live.live_sql import LiveSql
from mismartera.sql.live.rows import history_table, session_table

from .conftest import SYMBOLS, config, frame, session_bars

OPEN = 1751463000000000  # 2025-07-02T09:30 in New York
MINUTE = 60_000_000


@pytest.fixture(scope="module")
def live(run):
    with LiveSql(run.system.sql_facts).open(run.system.snapshot) as session:
        yield session


def bar(minute, close=10.0, volume=100):
    return {
        "timestamp": OPEN + minute * MINUTE,
        "open": 10.0,
        "high": 20.0,
        "low": 5.0,
        "close": close,
        "volume": volume,
    }


def test_session_bars_are_the_visible_ones(run, live):
    columns = "symbol, interval, timestamp, open, high, low, close, volume, n_base, n_expected, revision, available_at"
    found = frame(live.query(f"SELECT {columns} FROM session_bars ORDER BY symbol, interval, timestamp"))
    wanted = session_bars(run.system).select(columns.split(", ")).sort("symbol", "interval", "timestamp")
    assert_frame_equal(found.with_columns(pl.col(pl.Datetime).dt.convert_time_zone("UTC")), wanted)


def test_generated_and_session_date(live):
    found = live.query("SELECT DISTINCT interval, generated, session_date FROM session_bars ORDER BY interval")
    date = dt.date(2025, 7, 2)
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("1h", True, date), ("1m", False, date), ("5m", True, date),
    ]  # fmt: skip


def test_a_group_by_equals_polars(run, live):
    found = live.query(
        "SELECT symbol, avg(close) AS close, sum(volume) AS volume FROM session_bars WHERE interval = '1m' "
        "GROUP BY symbol ORDER BY symbol"
    )
    bars = session_bars(run.system).filter(pl.col("interval") == "1m")
    wanted = bars.group_by("symbol").agg(pl.col("close").mean(), pl.col("volume").sum()).sort("symbol")
    assert_frame_equal(frame(found), wanted)
    assert found.schema.field("volume").type == pa.int64()


def test_bars_are_history_and_session(run, live):
    found = frame(live.query("SELECT symbol, timestamp, close FROM bars WHERE interval = '1m' ORDER BY ALL"))
    parts = [
        run.system.session_data.get_bars(symbol, "1m", as_polars=True).select(
            pl.lit(symbol).alias("symbol"), "timestamp", "close"
        )
        for symbol in SYMBOLS
    ]
    wanted = pl.concat(parts).sort("symbol", "timestamp", "close")
    assert_frame_equal(found.with_columns(pl.col("timestamp").dt.convert_time_zone("UTC")), wanted)


def test_what_was_known_then(live):
    known = live.query(
        "SELECT max(timestamp) AS last FROM session_bars WHERE interval = '5m' AND available_at <= '2025-07-02 10:02'"
    )
    assert known.to_pylist()[0]["last"].strftime("%H:%M") == "09:55"


def test_gaps_equal_the_engine_s(run, live):
    found = live.query(
        "SELECT symbol, start_time, end_time, bar_count FROM gaps WHERE scope = 'session' AND interval = '1m'"
    )
    wanted = [
        (gap.symbol, gap.start_time, gap.end_time, gap.bar_count)
        for symbol in SYMBOLS
        for gap in run.system.session_data.get_gaps(symbol, "1m")
    ]
    assert sorted(tuple(row.values()) for row in found.to_pylist()) == sorted(wanted)
    assert wanted


def test_historical_gaps_add_up(run, live):
    found = live.query("SELECT symbol, sum(bar_count) AS missing FROM gaps WHERE scope = 'historical' GROUP BY ALL")
    missing = run.system.snapshot.history.intervals["1m"].missing
    told = {row["symbol"]: row["missing"] for row in found.to_pylist()}
    assert [told.get(symbol, 0) for symbol in SYMBOLS] == missing.tolist()


def test_quality_and_counts_equal_the_engine_s(run, live):
    data = run.system.session_data
    for row in live.query("SELECT * FROM quality WHERE scope = 'session'").to_pylist():
        assert row["quality"] == data.get_quality(row["symbol"], row["interval"])
        assert row["bars"] == data.get_bars(row["symbol"], row["interval"], part="session").num_rows
        gaps = data.get_gaps(row["symbol"], row["interval"])
        assert (row["gap_count"], row["missing_bars"]) == (len(gaps), sum(gap.bar_count for gap in gaps))


def test_session_metrics_equal_polars(run, live):
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) / 3
    wanted = (
        session_bars(run.system)
        .filter(pl.col("interval") == "1m")
        .group_by("symbol")
        .agg(
            pl.col("volume").sum(),
            pl.col("high").max(),
            pl.col("low").min(),
            vwap=(typical * pl.col("volume")).sum() / pl.col("volume").sum(),
        )
        .sort("symbol")
    )
    found = live.query("SELECT symbol, volume, high, low, vwap FROM session_metrics ORDER BY symbol")
    assert_frame_equal(frame(found), wanted)


def test_indicators_equal_the_engine_s(run, live):
    data = run.system.session_data
    for symbol in SYMBOLS:
        named = symbol.replace("'", "''")
        one = live.query(f"SELECT value FROM indicators WHERE name = 'volume_2d' AND symbol = '{named}'")
        assert one.to_pylist() == [{"value": data.get_historical_indicator("volume_2d", symbol)}]
    many = live.query("SELECT value FROM indicators WHERE name = 'minute_close' AND symbol = 'ZED' ORDER BY minute")
    values = many.column("value").to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(values, data.get_historical_indicator("minute_close", "ZED"))


def test_ticks_and_quotes_are_those_due(run, live):
    now = run.system.snapshot.now_us
    for kind in ("ticks", "quotes"):
        log = run.system.snapshot.logs[kind]
        found = live.query(f"SELECT count(*) AS rows, max(epoch_us(timestamp)) AS last FROM {kind}").to_pylist()[0]
        assert (found["rows"], found["last"] <= now) == (log.rows, True)


def test_symbols_exports_threads_and_config(run, live):
    assert live.query("SELECT symbol FROM symbols ORDER BY position").column(0).to_pylist() == SYMBOLS
    log = run.system.export_log.entries()
    found = live.query("SELECT count(*) AS n, sum(bytes) AS bytes, sum(rows) AS rows FROM exports").to_pylist()[0]
    assert found == {"n": len(log), "bytes": sum(e["bytes"] for e in log), "rows": sum(e["rows"] for e in log)}
    assert live.query("SELECT bool_and(total_us >= encode_us) AS adds FROM exports").to_pylist() == [{"adds": True}]
    assert set(live.query("SELECT name FROM threads").column(0).to_pylist()) == {
        "session_coordinator", "data_processor", "data_quality_manager", "analysis_engine",
    }  # fmt: skip
    wanted = live.query("SELECT value FROM config WHERE key = 'session_data_config.base_interval'")
    assert wanted.num_rows <= 1
    assert live.query("SELECT value FROM config WHERE key = 'session_name'").to_pylist() == [{"value": '"sql"'}]


def test_no_step_shows_a_row_of_its_future(catalog):
    system = SystemManager(config(), catalog)
    sql = LiveSql(system.sql_facts)
    seen = []

    def ask(us):
        snapshot = system.snapshot
        if len(seen) % 97 == 0:
            with sql.open(snapshot) as session:
                rows = {"bars": "session_bars", "ticks": "ticks", "quotes": "quotes"}
                for table in rows.values():
                    found = session.query(f"SELECT count(*) AS n, max(epoch_us(available_at)) AS last FROM {table}")
                    told = found.to_pylist()[0]
                    kinds = [kind for kind in snapshot.logs if (kind if kind in rows else "bars") == _kind_of(table)]
                    assert told["n"] == sum(snapshot.logs[kind].rows for kind in kinds)
                    assert told["last"] is None or told["last"] <= us
        seen.append(us)

    system.hooks.activated.append(lambda: ask(system.time_manager.now_us))
    system.hooks.stepped.append(ask)
    system.run(until="2025-07-01T11:00")
    assert len(seen) > 97


def _kind_of(table):
    return "bars" if table == "session_bars" else table


def test_a_tick_at_the_open_is_not_shown_before_its_step():
    """At activation the clock stands at the open, and what is stamped there has not been consumed yet."""
    data = SessionData(["A"], timezone="America/New_York")
    assert LiveSql().query("SELECT * FROM ticks", data.snapshot).num_rows == 0
    assert LiveSql().query("SELECT * FROM bars", data.snapshot).num_rows == 0


def test_nothing_of_the_bars_is_copied(run):
    snapshot = run.system.snapshot
    for kind in ("1m", "5m", "ticks", "quotes"):
        log = snapshot.logs[kind]
        table = session_table(snapshot, log)
        for name in log.segments[0].batch.schema.names:
            assert _addresses(table.column(name).chunk(0)) == _addresses(log.segments[0].batch.column(name)), name
    history = snapshot.history.intervals["1m"]
    table = history_table(snapshot, history)
    for place, day in enumerate(history.days):
        assert _addresses(table.column("close").chunk(place)) == _addresses(day.segment.batch.column("close"))


def test_what_is_added_is_as_long_as_there_are_symbols(run):
    snapshot = run.system.snapshot
    log = snapshot.logs["1m"]
    table = session_table(snapshot, log)
    for name in ("symbol", "session_date"):
        runs = table.column(name).chunk(0)
        assert pa.types.is_run_end_encoded(runs.type)
        assert len(runs.values) <= len(SYMBOLS) < table.num_rows


def _addresses(array):
    return [buffer.address for buffer in array.buffers() if buffer is not None]


def test_late_and_corrected_rows_given_by_hand():
    data = SessionData(["A", "B"], timezone="America/New_York")
    for symbol, minute, close in (("B", 0, 10.0), ("A", 2, 10.0), ("A", 0, 11.0), ("A", 2, 12.0), ("A", 2, 13.0)):
        data.append_bar(symbol, "1m", bar(minute, close))
    rows = "SELECT symbol, epoch_us(timestamp) - {} AS since, close, revision FROM {} ORDER BY symbol, since, revision"
    with LiveSql().open(data.snapshot) as session:
        every = session.query(rows.format(OPEN, "session_bars")).to_pylist()
        latest = session.query(rows.format(OPEN, "bars")).to_pylist()
        counts = session.query("SELECT symbol, bars FROM quality ORDER BY symbol").to_pylist()
    assert [tuple(row.values()) for row in every] == [
        ("A", 0, 11.0, 0), ("A", 2 * MINUTE, 10.0, 0), ("A", 2 * MINUTE, 12.0, 1), ("A", 2 * MINUTE, 13.0, 2),
        ("B", 0, 10.0, 0),
    ]  # fmt: skip
    assert [tuple(row.values()) for row in latest] == [
        ("A", 0, 11.0, 0), ("A", 2 * MINUTE, 13.0, 2), ("B", 0, 10.0, 0),
    ]  # fmt: skip
    assert [row["bars"] for row in counts] == [2, 1]


def test_many_batches_by_hand_are_all_seen():
    symbols = [f"S{number:02}" for number in range(40)]
    data = SessionData(symbols[::-1], timezone="America/New_York")
    rng, sent = np.random.default_rng(5), []
    for minute in range(30):
        chosen = [symbol for symbol in symbols if rng.random() < 0.7]
        rows = [{"symbol": symbol} | bar(minute, float(rng.integers(5, 20))) for symbol in rng.permutation(chosen)]
        data.append_bars("1m", pa.Table.from_pylist(rows, schema=BAR_SCHEMA))
        sent += [(row["symbol"], row["timestamp"], row["close"]) for row in rows]
    found = LiveSql().query("SELECT symbol, epoch_us(timestamp) AS started, close FROM bars", data.snapshot)
    assert sorted(tuple(row.values()) for row in found.to_pylist()) == sorted(sent)


def test_values_set_by_hand_win():
    data = SessionData(["A", "B"], timezone="America/New_York")
    start = dt.datetime(2025, 7, 2, 9, 45, tzinfo=data.timezone)
    data.set_quality("A", "1m", 97.5)
    data.set_gaps("A", "1m", [GapInfo("A", start, start + dt.timedelta(minutes=2), 3, 1, start)])
    with LiveSql().open(data.snapshot) as session:
        gaps = session.query("SELECT symbol, start_time, bar_count, retry_count, last_retry FROM gaps").to_pylist()
        quality = session.query("SELECT symbol, quality FROM quality ORDER BY symbol").to_pylist()
    assert gaps == [{"symbol": "A", "start_time": start, "bar_count": 3, "retry_count": 1, "last_retry": start}]
    assert quality == [{"symbol": "A", "quality": 97.5}, {"symbol": "B", "quality": None}]


def test_a_joined_symbol_is_seen(catalog):
    system = SystemManager(config(symbols=SYMBOLS[:2]), catalog)
    steps = []

    def hold(us):
        steps.append(us)
        if len(steps) == 1:
            system.pause()

    system.hooks.stepped.append(hold)
    system.start(until="2025-07-01T11:30")
    while system.state is not SystemState.PAUSED:
        assert not system.wait(0.01)
    system.add_symbol("AAPL")
    system.resume()
    system.wait()
    found = system.sql("SELECT DISTINCT symbol FROM session_bars ORDER BY symbol").column(0).to_pylist()
    assert found == sorted({*SYMBOLS[:2], "AAPL"})
    counts = system.sql("SELECT symbol, count(*) AS bars FROM session_bars WHERE interval = '1m' GROUP BY symbol")
    for row in counts.to_pylist():
        assert row["bars"] == system.session_data.get_bars(row["symbol"], "1m", part="session").num_rows


def test_system_and_analysis_answer(catalog):
    system = SystemManager(config(), catalog)
    counted = []

    def study(context):
        answer = context.sql("SELECT count(*) AS bars FROM session_bars WHERE interval = '1m'")
        counted.append((answer.to_pylist()[0]["bars"], context.snapshot.logs["1m"].rows))

    system.add_analysis(study, every="30m")
    system.run(until="2025-07-01T11:00")
    assert len(counted) >= 3
    assert all(found == wanted for found, wanted in counted)
    answer = system.sql("SELECT count(*) AS bars FROM session_bars WHERE interval = '1m'")
    assert answer.to_pylist() == [{"bars": system.snapshot.logs["1m"].rows}]


def test_threads_ask_while_the_stream_goes_on(catalog):
    system = SystemManager(config(), catalog)
    sql = LiveSql(system.sql_facts)

    def ask(_):
        snapshot = system.snapshot
        answer = sql.query("SELECT count(*) AS bars FROM session_bars", snapshot).to_pylist()[0]["bars"]
        return answer, sum(log.rows for kind, log in snapshot.logs.items() if kind not in ("ticks", "quotes"))

    system.start(until="2025-07-01T12:00")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(24)))
    system.wait()
    assert all(found == wanted for found, wanted in answers)


def test_an_analysis_without_a_system_says_so():
    context = AnalysisContext(SessionData(["A"]).snapshot, 0, lambda *_: None)
    with pytest.raises(StateError, match="without one"):
        context.sql("SELECT 1")


def test_no_backend_is_told(monkeypatch):
    monkeypatch.setattr("mismartera.engine.system.sql_access.entry_points", lambda group: [])
    with pytest.raises(StateError, match="nothing answers SQL"):
        SqlAccess(SystemFacts()).query("SELECT 1", SessionData(["A"]).snapshot)


def test_the_backend_is_found_and_let_go():
    access = SqlAccess(SystemFacts())
    snapshot = SessionData(["A"]).snapshot
    for _ in range(2):
        assert access.query("SELECT symbol FROM symbols", snapshot).to_pylist() == [{"symbol": "A"}]
        access.close()
    access.close()


@pytest.mark.parametrize(
    "failure",
    [
        duckdb.FatalException("FATAL Error: Failed: lost\n\nStack Trace:\n\n/lib/_duckdb.so(+0x1)"),
        duckdb.InvalidInputException("database has been invalidated because of a previous fatal error"),
    ],
)
def test_a_database_that_failed_is_opened_anew(monkeypatch, failure):
    live, snapshot = LiveSql(), SessionData(["A"]).snapshot
    assert live.query("SELECT symbol FROM symbols", snapshot).to_pylist() == [{"symbol": "A"}]

    def fail(*_):
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr("mismartera.sql.session.SqlSession._fetch", fail)
        with pytest.raises(QueryStoppedError, match="database failed") as caught:
            live.query("SELECT 1", snapshot)
    assert ".so" not in str(caught.value)
    opened = []
    monkeypatch.setattr("mismartera.sql.live.live_sql.Database", lambda *given: opened.append(1) or Database(*given))
    for _ in range(2):
        assert live.query("SELECT symbol FROM symbols", snapshot).to_pylist() == [{"symbol": "A"}]
    assert opened == [1]


def test_a_closed_session_says_so():
    session = LiveSql().open(SessionData(["A"]).snapshot)
    session.close()
    session.close()
    with pytest.raises(StateError, match="closed"):
        session.query("SELECT 1")


@pytest.mark.parametrize("rows", [1, 7, 100, 1 << 15])
def test_slices_of_any_length_give_the_same_answer(run, monkeypatch, rows):
    """Rows go to DuckDB in slices, and each sees its own part of the runs of symbols and dates."""
    query = "SELECT symbol, interval, session_date, count(*), sum(volume) FROM bars GROUP BY ALL ORDER BY ALL"
    wanted = LiveSql().query(query, run.system.snapshot)
    monkeypatch.setattr("mismartera.sql.live.rows._SLICE_ROWS", rows)
    table = session_table(run.system.snapshot, run.system.snapshot.logs["1m"])
    assert max(len(chunk) for chunk in table.column("close").chunks) <= rows
    assert LiveSql().query(query, run.system.snapshot) == wanted
    assert wanted.num_rows > 20
