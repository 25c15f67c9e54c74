"""Queries that try more than to read the tables: refused before they run, or stopped; the engine goes on unharmed."""

from __future__ import annotations

import datetime as dt
import os
import random
from pathlib import Path

import duckdb
import pytest

from mismartera.engine.data.catalog import Catalog
from mismartera.engine.data.generate import generate
from mismartera.engine.session.session_data import SessionData
from mismartera.schemas.errors import MismarteraError, UnknownNameError
from mismartera.sql.catalog.open_catalog import open_catalog
from mismartera.sql.database import Limits
from mismartera.sql.errors import QueryError, QueryRefusedError, QueryStoppedError
from mismartera.sql.guard.functions import TABLE_FUNCTIONS
from mismartera.sql.live.live_sql import LiveSql

from . import hostile

WRITES = """
COPY bars TO '{place}'
COPY (SELECT 1) TO '{place}' (FORMAT parquet)
COPY (PIVOT bars ON symbol) TO '{place}'
COPY bars FROM '{place}'
EXPORT DATABASE '{place}'
IMPORT DATABASE '{place}'
COPY FROM DATABASE memory TO temp
ATTACH '{place}' AS other
ATTACH ':memory:' AS other
DETACH memory
USE memory
CREATE TABLE mine (i INTEGER)
CREATE TABLE mine AS PIVOT bars ON symbol
CREATE OR REPLACE VIEW bars AS SELECT 1
CREATE MACRO f(x) AS x
CREATE SECRET s (TYPE http)
CREATE TEMP TABLE mine AS SELECT 1
CREATE TYPE mine AS ENUM ('a')
INSERT INTO bars VALUES (1)
INSERT INTO symbols (PIVOT bars ON symbol)
UPDATE bars SET close = 1
DELETE FROM bars
TRUNCATE bars
MERGE INTO symbols USING bars USING (symbol) WHEN MATCHED THEN DELETE
DROP VIEW bars
ALTER VIEW bars RENAME TO other
COMMENT ON VIEW bars IS 'x'
INSTALL httpfs
FORCE INSTALL httpfs
LOAD httpfs
LOAD '{place}'
UPDATE EXTENSIONS
SET memory_limit = '100GB'
SET GLOBAL enable_external_access = true
SET VARIABLE x = 1
RESET memory_limit
PRAGMA database_list
PRAGMA enable_profiling
CALL pragma_version()
CALL enable_logging('FileSystem')
CHECKPOINT
VACUUM
ANALYZE
BEGIN
COMMIT
PREPARE p AS SELECT 1
PREPARE p AS PIVOT bars ON symbol
EXECUTE p
DEALLOCATE p
EXPLAIN COPY bars TO '{place}'
EXPLAIN ANALYZE COPY bars TO '{place}'
EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{place}'
EXPLAIN ANALYZE COPY (PIVOT bars ON symbol) TO '{place}'
EXPLAIN ANALYZE INSERT INTO symbols VALUES ('X', 1)
WITH x AS (COPY (SELECT 1) TO '{place}') SELECT * FROM x
WITH x AS (COPY (SELECT 1) TO '{place}') PIVOT bars ON symbol
PIVOT (WITH x AS (COPY (SELECT 1) TO '{place}') FROM x) ON Count
EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO '{place}') SELECT * FROM x
WITH x AS (INSERT INTO symbols VALUES ('X', 1) RETURNING *) SELECT * FROM x
WITH x AS (UPDATE symbols SET position = 1 RETURNING *) SELECT * FROM x
WITH x AS (DELETE FROM symbols RETURNING *) SELECT 1
WITH x AS MATERIALIZED (INSERT INTO symbols VALUES ('X', 1) RETURNING *) PIVOT x ON symbol
SELECT (WITH x AS (COPY bars TO '{place}') SELECT 1)
SELECT * FROM bars WHERE symbol IN (WITH x AS (COPY (SELECT 1) TO '{place}') SELECT 'a')
WITH y AS (WITH x AS (COPY bars TO '{place}') SELECT 1) SELECT * FROM y
SELECT 1; DROP VIEW bars
SELECT 1; COPY bars TO '{place}'
PIVOT bars ON symbol; COPY bars TO '{place}'
EXPLAIN SELECT 1; COPY bars TO '{place}'
""".strip().splitlines()

READS = """
SELECT * FROM read_csv('{file}')
SELECT * FROM read_text('{file}')
SELECT * FROM READ_TEXT(['{file}'])
SELECT * FROM "read_blob"('/proc/self/environ')
SELECT * FROM system.main.read_text('{file}')
SELECT * FROM bars, LATERAL read_text(bars.symbol)
SELECT * FROM glob('{folder}/*')
SELECT '{file}'.read_text()
SELECT read_text('{file}')
SELECT '{folder}/*'.glob().upper()
SELECT list_transform(['{file}'], lambda f: read_text(f))
SELECT list_transform(['{file}'], lambda f: f.read_text())
SELECT * FROM '{file}'
SELECT * FROM "{file}"
SELECT * FROM 'data.csv'
SELECT * FROM "../x.parquet"
SELECT * FROM 'https://example.com/x.parquet'
SELECT * FROM 's3://bucket/x.parquet'
SELECT * FROM '*.csv'
TABLE '{file}'
DESCRIBE '{file}'
SUMMARIZE '{file}'
PIVOT '{file}' ON canary
PIVOT (SELECT * FROM '{file}') ON canary IN ('a')
PIVOT bars ON symbol IN (SELECT * FROM '{file}') USING count(*)
PIVOT bars ON symbol IN (FROM read_text('{file}')) USING count(*)
UNPIVOT '{file}' ON canary
EXPLAIN SELECT * FROM '{file}'
EXPLAIN ANALYZE SELECT * FROM read_text('{file}')
EXPLAIN ANALYZE PIVOT '{file}' ON canary
FROM histogram('{file}', canary)
FROM histogram_values("{file}", canary)
FROM histogram('__session_1m', close)
FROM histogram(__session_1m, close)
FROM histogram((SELECT '{file}'), canary)
SELECT * FROM query('SELECT * FROM read_text(''{file}'')')
SELECT * FROM query_table('{file}')
SELECT * FROM query_table('bars')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
SELECT json_serialize_plan('SELECT * FROM read_csv(''{file}'')')
SELECT * FROM read_parquet('http://127.0.0.1:1/x')
SELECT getenv('HOME')
SELECT main.getenv('HOME')
SELECT system.main.current_setting('temp_directory')
SELECT current_setting('memory_limit')
SELECT "current_setting"('s3_secret_access_key')
SELECT getvariable('x')
SELECT stats(close) FROM bars
SELECT nextval('x'), setval('x', 1)
SELECT write_log('x')
SELECT __internal_decompress_string(1::UTINYINT)
SELECT * FROM duckdb_settings()
SELECT * FROM duckdb_secrets()
SELECT * FROM duckdb_variables()
SELECT * FROM duckdb_logs
SELECT * FROM which_secret('s3://x', 's3')
SELECT * FROM pragma_table_info('__session_1m')
SELECT * FROM pragma_storage_info('bars')
SELECT * FROM duckdb_table_sample('bars')
SELECT * FROM pg_settings
SELECT * FROM pg_catalog.pg_settings
SELECT * FROM system.pg_catalog.pg_settings
SELECT count(*) FROM memory.main.bars
SELECT count(*) FROM main.bars
SELECT count(*) FROM temp.bars
SELECT count(*) FROM "memory"."MAIN"."Bars"
DESCRIBE main.bars
WITH mine AS (FROM main.bars) SELECT * FROM mine
WITH mine AS (SELECT 1) SELECT * FROM main.mine
SELECT * FROM bars WHERE close > ?
SELECT * FROM bars WHERE close > $1
SELECT * FROM "__session_1m"
SELECT * FROM __SESSION_1M
SELECT * FROM temp.main."__session_1m"
SELECT * FROM main.__session_1m
SHOW "__session_1m"
DESCRIBE __session_1m
PIVOT __session_1m ON volume
PIVOT (FROM bars JOIN __session_1m USING (volume)) ON volume
WITH __session_1m AS (SELECT 1) SELECT * FROM __session_1m
WITH a AS (FROM __session_1m), __session_1m AS (SELECT 1) FROM a
SELECT * FROM (WITH duckdb_settings AS (SELECT 1) SELECT * FROM duckdb_settings) a, duckdb_settings b
SELECT * FROM (WITH sqlite_master AS (SELECT 1) SELECT * FROM sqlite_master) a, sqlite_master b
SELECT * FROM (WITH "{file}" AS (SELECT 1) SELECT 1) a, "{file}" b
SELECT * FROM (WITH RECURSIVE pg_views AS (SELECT 1 UNION ALL SELECT 2 FROM pg_views) SELECT 1) a, pg_views b
SELECT (SELECT getenv('HOME'))
SELECT row_number() OVER (ORDER BY getenv('HOME')) FROM bars
SELECT count(*) FILTER (WHERE getenv('HOME') IS NULL) FROM bars
WITH t AS (SELECT getenv('HOME') AS home) SELECT 1
DESCRIBE SELECT getenv('HOME')
EXPLAIN SELECT * FROM read_text('{file}')
SHOW VARIABLES
SHOW temp_directory
""".strip().splitlines()

TRICKS = [
    "SELECT * FROM /* '*/ read_text('{file}') -- '",
    "SELECT * FROM read_text/**/('{file}')",
    "SELECT 1 /* /* */ */; COPY bars TO '{place}'",
    "SELECT 1 --\rFROM bars\n; COPY bars TO '{place}'",
    "SELECT $$;$$; COPY bars TO '{place}'",
    "SELECT $a$ $b$ $a$, * FROM read_text($c${file}$c$)",
    "SELECT E'\\'' || '' FROM read_text('{file}') WHERE E'\\'' <> ''",
    "FROM read_text\u00a0('{file}')",
    "FROM\u2003read_text('{file}')",
    "EXPLAIN\u00a0ANALYZE COPY bars TO '{place}'",
    "EXPLAIN /**/ (/*(*/ANALYZE) COPY (SELECT 1) TO '{place}' /*\nSELECT 1 --*/",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{place}' --\nSELECT 1",
    "FROM ｒead_text('{file}')",
    "FROM re\u0430d_text('{file}')",
    "FROM read\u200b_text('{file}')",
    "FROM \u212ainds",
    'FROM "bars\u200b"',
    "FROM ｂars",
    "FROM b\u0430rs",
    'FROM "\uff3f\uff3fsession_1m"',
    'FROM "bars\u0000"',
    "SELECT 1\u0000; COPY bars TO '{place}'",
    'FROM U&"bars"',
    "FROM U&'{file}'",
    "FROM E'{file}'",
    "FROM $${file}$$",
    "FROM '{folder}' '/canary.csv'",
    "FROM bars; -- \n COPY bars TO '{place}'",
    "\ufeffCOPY bars TO '{place}'",
    'SELECT * FROM "read_text"("{file}")',
    "FROM READ_TEXT(path => '{file}')",
    "FROM read_text(['{file}', getenv('HOME')])",
    "EXPLAIN " + "/**/" * 40 + "COPY bars TO '{place}'",
    "EXPLAIN (" + "/**/" * 40 + "ANALYZE) COPY bars TO '{place}'",
]

ENDLESS = [
    "SELECT count(*) FROM bars a, bars b, bars c, bars d",
    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r",
    "SELECT max(i) FROM range(1000000000000) t(i)",
    "SELECT sum(a.i * b.i) FROM range(10000000) a(i) JOIN range(10000000) b(i) ON a.i < b.i",
    "SELECT count(DISTINCT hash(i)) FROM range(10000000000) t(i)",
    "SELECT * FROM range(1000000000) t(i) ORDER BY hash(i)",
    "SELECT * FROM range(1000000000)",
    "SELECT list(i) FROM range(1000000000000) t(i)",
    "SELECT string_agg(symbol, 'some longer text between') FROM bars, range(1000000)",
    "SELECT a.* FROM bars a, bars b, bars c",
    "PIVOT (FROM range(1000000000000)) ON range",
    "PIVOT (FROM bars a, bars b, bars c, bars d) ON symbol USING count(*)",
    "EXPLAIN ANALYZE SELECT count(*) FROM bars a, bars b, bars c, bars d",
]


@pytest.fixture(params=["live", "catalog"])
def session(request, run, tight):
    if request.param == "live":
        opened = LiveSql(run.system.sql_facts, tight).open(run.system.snapshot)
    else:
        opened = open_catalog(run.catalog, limits=tight)
    with opened as session:
        yield session
        assert session.query("SELECT count(*) > 0 AS some FROM bars").to_pylist() == [{"some": True}]


@pytest.fixture(scope="module")
def prey(tmp_path_factory):
    """Return a catalog, and a session over it, with a file that DuckDB may read there, and the guard may not let it."""
    folder = tmp_path_factory.mktemp("prey")
    generate(Catalog(folder), ["AAPL", "ZED"], dt.date(2025, 7, 1), dt.date(2025, 7, 1), seed=1)
    (folder / "canary.csv").write_text("canary\n5t01en\n")
    with open_catalog(folder, limits=Limits(memory="200MB", timeout_s=5.0)) as session:
        yield folder, session


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(session, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a query is refused in one line and nothing of it ran."""
    with monkeypatch.context() as patch:
        patch.setattr(session, "_answer", lambda *asked: pytest.fail(f"{query!r} was not refused, but ran: {asked}"))
        with pytest.raises((QueryRefusedError, UnknownNameError)) as caught:
            session.query(query)
    assert "5t01en" not in f"{caught.value} {caught.value.hint}"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("query", [*WRITES, *READS])
def test_what_reaches_beyond_the_tables_is_refused(prey, query, monkeypatch):
    folder, session = prey
    before = files(folder)
    places = {"place": folder / "written", "file": folder / "canary.csv", "folder": folder}
    refused(session, query.format(**places), monkeypatch)
    assert files(folder) == before


@pytest.mark.parametrize("query", TRICKS)
def test_no_trick_of_signs_and_comments_gets_by(prey, query, monkeypatch):
    """Some of these are no SQL to DuckDB, which is as good."""
    folder, session = prey
    before = files(folder)
    text = query.replace("{file}", f"{folder}/canary.csv").replace("{folder}", f"{folder}")
    with monkeypatch.context() as patch:
        patch.setattr(session, "_answer", lambda *asked: pytest.fail(f"ran: {asked}"))
        with pytest.raises((QueryError, UnknownNameError)) as caught:
            session.query(text.replace("{place}", f"{folder}/written"))
    assert "5t01en" not in str(caught.value)
    assert files(folder) == before


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_hostile_statements_are_refused(prey, seed, monkeypatch):
    folder, session = prey
    before = files(folder)
    make = hostile.Maker(random.Random(seed), folder)
    for _ in range(1_000):
        refused(session, make.statement(), monkeypatch)
    assert files(folder) == before


def test_the_generated_statements_would_reach_something_without_the_guard(prey):
    """The forms around what is hostile are SQL: with something harmless in its place they answer."""
    folder, session = prey
    make = hostile.Maker(random.Random(0), folder)
    for _ in range(300):
        query = make.harmless()
        assert session.query(query) is not None, query


def test_no_table_function_of_this_duckdb_reads_a_file_but_is_allowed(prey, monkeypatch):
    """By its documentation or its name; what a newer DuckDB adds is refused as long as nobody named it."""
    folder, session = prey
    with duckdb.connect() as plain:
        rows = plain.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() "
            "WHERE function_type IN ('table', 'table_macro', 'pragma') ORDER BY ALL"
        ).fetchall()
    everything = {name for (name,) in rows}
    assert everything >= TABLE_FUNCTIONS
    for name in sorted(everything - TABLE_FUNCTIONS - {"histogram", "histogram_values"}):
        refused(session, f"SELECT * FROM \"{name}\"('{folder}/canary.csv')", monkeypatch)
    for name in sorted(TABLE_FUNCTIONS):
        try:
            told = str(session.query(f"SELECT * FROM \"{name}\"('{folder}/canary.csv')").to_pylist())
        except QueryError as error:
            told = str(error)
        assert "5t01en" not in told, name


@pytest.mark.parametrize("query", ENDLESS)
def test_what_has_no_end_is_stopped(session, query):
    with pytest.raises(QueryStoppedError, match=r"limit|rows"):
        session.query(query)


def test_duckdb_itself_is_shut_off_below_the_checks(run, tight):
    """What the checks of the text let pass would still find nothing to read, write or change."""
    with open_catalog(run.catalog, limits=tight) as session:
        session.prepare()
        below = session._connection
        for query in (
            "SELECT * FROM read_text('/etc/passwd')",
            f"COPY (SELECT 1) TO '{Path('/tmp/never-written.csv')}'",
            "SET enable_external_access = true",
            "SET memory_limit = '100GB'",
            "CALL enable_logging('QueryLog')",
            "INSTALL httpfs",
            "ATTACH '/tmp/never-written.db'",
        ):
            with pytest.raises(Exception, match=r"(?i)disabled|locked|cannot"):
                below.execute(query).fetchall()
        assert not Path("/tmp/never-written.csv").exists()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT error(symbol) FROM {table} WHERE available_at > TIMESTAMPTZ '{now}'",
        "SELECT * FROM {table} WHERE CASE WHEN available_at > TIMESTAMPTZ '{now}' THEN error(symbol) END IS NOT NULL",
        "SELECT * FROM {table} WHERE CASE WHEN available_at > TIMESTAMPTZ '{now}' THEN symbol::INTEGER END IS NOT NULL",
        "SELECT count(*) FROM {table} WHERE available_at > TIMESTAMPTZ '{now}' HAVING count(*) > 0",
        "PIVOT (FROM {table} WHERE available_at > TIMESTAMPTZ '{now}') ON symbol",
    ],
)
@pytest.mark.parametrize("table", ["session_bars", "bars", "ticks", "quotes"])
def test_no_expression_sees_rows_that_are_not_visible_yet(run, tight, query, table):
    """They lie in the Arrow tables below the views: a condition of the query is asked after that of the view."""
    with LiveSql(run.system.sql_facts, tight).open(run.system.snapshot) as session:
        session.prepare()
        now = "2025-07-02 11:07:00-04"
        below = session._connection.execute("SELECT max(epoch_us(available_at)) FROM __session_1m").fetchone()
        assert below[0] > dt.datetime.fromisoformat("2025-07-02T11:07:00-04:00").timestamp() * 1e6
        assert session.query(query.format(table=table, now=now)).num_rows == 0


def test_variables_of_python_are_not_tables(session):
    bars_of_mine = [1, 2, 3]
    with pytest.raises(UnknownNameError, match="bars_of_mine"):
        session.query("SELECT * FROM bars_of_mine")
    assert bars_of_mine


@pytest.mark.parametrize(
    "query",
    [
        "",
        ";",
        "-- nothing",
        "selct 1",
        "SELECT 1 FROM bars WHERE",
        "SELECT (",
        "SELECT 'open",
        "\x00",
        "SELECT '\ud800'",
        "SELECT 1 /* open",
        "EXPLAIN",
        "EXPLAIN EXPLAIN SELECT 1",
        "PIVOT bars",
    ],
)
def test_what_is_no_sql_is_an_error_of_ours(session, query):
    with pytest.raises(QueryError):
        session.query(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
        "SELECT " + "NOT " * 5_000 + "true",
        "SELECT " + " + ".join(["1"] * 5_000),
        "SELECT * FROM bars" + " JOIN bars USING (symbol)" * 3_000,
    ],
    ids=["parentheses", "not", "plus", "joins"],
)
def test_what_is_too_deep_is_refused(session, query):
    with pytest.raises(QueryError):
        session.query(query)


def test_the_stream_goes_on_while_a_query_is_stopped(catalog):
    from mismartera.engine.system.system_manager import SystemManager

    from .conftest import config

    system = SystemManager(config(), catalog)
    sql = LiveSql(system.sql_facts, Limits(timeout_s=0.3, memory="100MB"))
    system.start(until="2025-07-01T12:00")
    with pytest.raises(QueryStoppedError):
        sql.query("SELECT count(*) FROM range(1000000000) a, range(1000000000) b", system.snapshot)
    assert system.wait(60)
    assert system.snapshot.logs["1m"].rows > 0
    assert sql.query("SELECT count(*) AS n FROM symbols", system.snapshot).to_pylist() == [{"n": 4}]
    sql.close()


def test_no_query_changes_the_engine_s_rows(run, tight):
    snapshot = run.system.snapshot
    before = {kind: log.segments[0].batch.to_pydict() for kind, log in snapshot.logs.items() if kind == "1h"}
    with LiveSql(limits=tight).open(snapshot) as session:
        for query in (*WRITES, *ENDLESS[:3]):
            with pytest.raises(MismarteraError):
                session.query(query.format(place=os.devnull))
    assert before == {kind: log.segments[0].batch.to_pydict() for kind, log in snapshot.logs.items() if kind == "1h"}


@pytest.mark.parametrize(
    "query",
    [
        "PIVOT (SELECT sleep_ms(600000) AS h) ON h USING count(*)",
        'SELECT * FROM (PIVOT (SELECT "PG_SLEEP" /* */ (600) AS h) ON h USING count(*))',
        "PIVOT (SELECT getenv('HOME') AS h) ON h USING count(*)",
    ],
)
def test_a_pivot_is_looked_through_before_it_is_taken_apart(query: str) -> None:
    with pytest.raises(QueryRefusedError, match="is refused: expected one that only computes"):
        LiveSql().query(query, SessionData(["A"]).snapshot)
